"""Parameter-efficient fine-tuning: presets, adapters, small checkpoints."""

import argparse
from pathlib import Path

import torch
import yaml
from espnet2.tasks.abs_task import AbsTask
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.utils import config_argparse
from espnet2.utils.types import str2bool

from espnet_samu.layers.adapters import TYPES, add_adapters
from espnet_samu.layers.trainable import MODEL_PRESETS, PRESETS, set_trainable
from espnet_samu.train.saved_state import has_state
from espnet_samu.utils import base_weights, init_param
from espnet_samu.utils.safe_reading import read_yaml

BASE = "base.pth"


class FineTuningTask(AbsTask):
    """Base of a task: ``--trainable``, ``--adapters`` and ``--save_trained_only``.

    The task's ``build_model`` calls :meth:`set_up_fine_tuning` on what it built.
    """

    @classmethod
    def get_parser(cls) -> config_argparse.ArgumentParser:
        """Add the options to those of the task."""
        parser = super().get_parser()
        group = parser.add_argument_group("Fine-tuning related")
        parts = "; ".join(f"{p}: {', '.join(v)}" for p, v in PRESETS.items())
        group.add_argument(
            "--trainable",
            type=yaml.safe_load,
            default=None,
            help="What is trained, as YAML: a preset for the whole model "
            f"({', '.join(MODEL_PRESETS)}), a list of presets and rules, the last that "
            "matches a parameter's name wins ([none, ['layer_norm', true]]), or either "
            f"of them for parts ({{encoder: lna_e, decoder: lna_d}}; presets of "
            f"{parts}). Presets freeze pre-trained transformers only, not linear_in, "
            "pooling, projector, CTC, length adaptor or adapters. Default: adapters "
            "where there are any, else all. --freeze_param comes on top",
        )
        group.add_argument(
            "--adapters",
            type=yaml.safe_load,
            default=None,
            help="Adapters in pre-trained transformers, as YAML: {encoder: {type: "
            "houlsby, size: 64}, decoder: {type: lora, size: 8}}. Types: "
            f"{', '.join(TYPES)}; lora has alpha, dropout and targets as well. Not "
            "with ESPnet's --use_adapter, which is for s3prl frontends",
        )
        group.add_argument(
            "--save_trained_only",
            type=str2bool,
            default=False,
            help="Leave frozen parameters out of the checkpoints: they are written "
            f"once, to {BASE} beside them, which must stay with them",
        )
        return parser

    @classmethod
    def set_up_fine_tuning(
        cls, args: argparse.Namespace, model: AbsESPnetModel
    ) -> None:
        """Add adapters to a model and freeze the parameters that are not trained.

        Raises:
            ValueError: An option is wrong or does not fit the model.
        """
        # config.yaml of an earlier version has none of them.
        adapters = getattr(args, "adapters", None)
        trainable = getattr(args, "trainable", None)
        if adapters is not None:
            if getattr(args, "use_adapter", False):
                raise ValueError(
                    "adapters cannot be combined with ESPnet's use_adapter; "
                    "leave use_adapter, adapter and adapter_conf out"
                )
            add_adapters(model, adapters)
            trainable = "adapters" if trainable is None else trainable
        if trainable is not None:
            set_trainable(model, trainable)

    @classmethod
    def build_optimizers(
        cls, args: argparse.Namespace, model: torch.nn.Module
    ) -> list[torch.optim.Optimizer]:
        """Build the optimisers; with save_trained_only, save the frozen weights once.

        Raises:
            ValueError: A resumed training would start from other frozen weights, or
                ESPnet's use_adapter wants to save other parts.
        """
        optimizers = super().build_optimizers(args, model)
        if not args.save_trained_only or args.collect_stats or args.dry_run:
            return optimizers
        if args.use_adapter:
            raise ValueError(
                "save_trained_only cannot be combined with ESPnet's use_adapter; set "
                "save_strategy: required_grad_only"
            )
        # ESPnet does it again, but only after config.yaml is written.
        for spec in args.init_param:
            init_param.load_pretrained_model(spec, model, args.ignore_init_mismatch)
        weights = base_weights.frozen_weights(model)
        if getattr(args, "dist_rank", None) in (None, 0):
            output_dir = Path(args.output_dir)
            sha256 = base_weights.checksum(weights)
            before = _earlier_checksum(output_dir) if args.resume else None
            if before not in (None, sha256):
                raise ValueError(
                    f"{output_dir} was started with other frozen weights than it would "
                    f"be resumed with: their checksum is {sha256[:12]}..., not "
                    f"{before[:12]}...; restore the pre-trained model and init_param, "
                    "or train in another folder"
                )
            if before is None:
                base_weights.save_base(weights, output_dir / BASE)
            args.base_weights = {"file": BASE, "sha256": sha256}
        base_weights.leave_out(model, frozenset(weights))
        return optimizers

    @staticmethod
    def load_frozen(
        args: argparse.Namespace, model: AbsESPnetModel, folder: Path
    ) -> None:
        """Load the frozen weights that are saved beside checkpoints, if there are any.

        Raises:
            FileNotFoundError: There is no file of frozen weights.
            ValueError: It is not the one of the training.
        """
        base = getattr(args, "base_weights", None)
        if base is not None:
            base_weights.load_base(model, folder / base["file"], base["sha256"])


def _earlier_checksum(output_dir: Path) -> str | None:
    """Return the checksum of the frozen weights of the training to be resumed."""
    config = output_dir / "config.yaml"
    if not config.exists() or not has_state(output_dir):
        return None
    return (read_yaml(config).get("base_weights") or {}).get("sha256")
