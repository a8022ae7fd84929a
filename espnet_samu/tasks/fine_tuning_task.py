"""Parameter-efficient fine-tuning: presets, adapters, small checkpoints."""

import argparse
from pathlib import Path
from typing import Any

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
from espnet_samu.utils.distributed import is_first
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
            "--lr_scales",
            type=yaml.safe_load,
            default=None,
            help="Learning rates of parts, as YAML: the beginning of parameters' names "
            "(as in --freeze_param) and what their rate is multiplied by, e.g. "
            "{frontend: 0.01, decoder: 0.01}; the longest that fits counts. What is "
            "not named has the rate of optim_conf",
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
            ValueError: A resumed training would start from other frozen weights,
                ESPnet's use_adapter wants to save other parts, or lr_scales are wrong.
        """
        # config.yaml of an earlier version does not have it.
        scales = getattr(args, "lr_scales", None)
        if scales is not None:
            check_lr_scales(scales, args, model)
        optimizers = super().build_optimizers(args, model)
        if scales is not None:
            for optimizer in optimizers:
                scale_learning_rates(optimizer, model, scales)
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
        if is_first():
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


# They set rates of their own instead of changing the optimiser's.
_ABSOLUTE = (
    "piecewiselinearwarmuplr",
    "cycliclr",
    "onecyclelr",
    "cosineannealingwarmuprestarts",
    "exponentialdecaywarmup",
)


def check_lr_scales(
    scales: Any, args: argparse.Namespace, model: torch.nn.Module
) -> None:
    """Check the option ``lr_scales``.

    Raises:
        ValueError: It is no dict of names and positive numbers, a name fits no trained
            parameter, or the scheduler or ``sharded_ddp`` has one rate for all.
    """
    option = f"lr_scales: {scales!r}"
    numbers = scales.values() if isinstance(scales, dict) else [None]
    if not scales or not all(
        isinstance(x, (int, float)) and not isinstance(x, bool) and x > 0
        for x in numbers
    ):
        raise ValueError(
            f"{option} is not a dict of names and factors above 0, as {{frontend: "
            "0.01}; what is not to be trained is named in trainable or freeze_param"
        )
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    for start in scales:
        if not any(f"{name}.".startswith(f"{start}.") for name in trained):
            tops = dict.fromkeys(name.partition(".")[0] for name in trained)
            raise ValueError(
                f"{option}: no trained parameter's name begins with '{start}'; there "
                f"are {', '.join(tops)}"
            )
    if args.scheduler in _ABSOLUTE:
        raise ValueError(
            f"{option} goes with schedulers that change the optimiser's rates, but "
            f"{args.scheduler} sets its own; choose warmuplr, tristagelr or the like"
        )
    if args.sharded_ddp:
        raise ValueError(f"{option} does not go with sharded_ddp")


def scale_learning_rates(
    optimizer: torch.optim.Optimizer, model: torch.nn.Module, scales: dict[str, float]
) -> None:
    """Give the parameters of each name of ``lr_scales`` a group of its own.

    Args:
        optimizer: Of the model; before its first step, and before its scheduler.
        model: With the names.
        scales: See ``--lr_scales``.
    """
    starts = sorted(scales, key=len, reverse=True)
    start_of = {}
    for name, parameter in model.named_parameters():
        fitting = (start for start in starts if f"{name}.".startswith(f"{start}."))
        start_of[parameter] = next(fitting, None)
    groups = []
    for group in optimizer.param_groups:
        # In an order that a resumed training has, too, those without a name first.
        for start in (None, *sorted(scales)):
            chosen = [p for p in group["params"] if start_of[p] == start]
            if chosen:
                rate = group["lr"] * (1.0 if start is None else scales[start])
                groups.append({**group, "params": chosen, "lr": rate})
    optimizer.param_groups[:] = groups


def _earlier_checksum(output_dir: Path) -> str | None:
    """Return the checksum of the frozen weights of the training to be resumed."""
    config = output_dir / "config.yaml"
    if not config.exists() or not has_state(output_dir):
        return None
    return (read_yaml(config).get("base_weights") or {}).get("sha256")
