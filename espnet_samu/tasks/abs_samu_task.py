"""Base of our tasks: strict loading, portable configurations, safe resuming."""

import argparse
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from espnet2.layers.create_adapter import create_adapter
from espnet2.torch_utils.initialize import INITIALIZATIONS, initialize
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.distributed_utils import get_rank
from espnet2.utils import config_argparse
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.types import float_or_none, str_or_none

from espnet_samu import __version__
from espnet_samu.frontend.frames_cache import DTYPES
from espnet_samu.layers.trainable import (
    count_parameters,
    format_budget,
    save_budget,
)
from espnet_samu.tasks.balanced_task import BalancedTask
from espnet_samu.tasks.fine_tuning_task import FineTuningTask
from espnet_samu.train.encoding import frames_settings
from espnet_samu.train.option_checks import (
    check_gpus,
    check_numbers,
    has_unused_parameters,
)
from espnet_samu.train.saved_state import EARLIER_CONFIG, check_resume, kept_config
from espnet_samu.train.window import set_window_seconds
from espnet_samu.utils.distributed import is_first
from espnet_samu.utils.init_param import (
    add_base_weights,
    check_init_param,
    check_not_own_folder,
)
from espnet_samu.utils.kaldi_io import check_data_files
from espnet_samu.utils.safe_reading import Configuration
from espnet_samu.utils.state_dict import load_strictly, read_state_dict
from espnet_samu.utils.torch_modules import host_settings_kept


def check_float16(model: torch.nn.Module, use_amp: bool) -> None:
    """Raise an error for float16 training without ESPnet's loss scaling.

    Most gradients of a deep encoder are below what float16 holds, and become 0.

    Raises:
        ValueError: Naming the part.
    """
    for name in ("frontend", "decoder"):
        part: Any = getattr(model, name, None)
        if getattr(part, "dtype", None) != torch.float16 or use_amp:
            continue
        if any(parameter.requires_grad for parameter in part.parameters()):
            raise ValueError(
                f"{name}_conf: dtype: float16 loses gradients; add use_amp: true, "
                "which scales the loss, or use bfloat16"
            )


class AbsSamuTask(BalancedTask, FineTuningTask):
    """Base of a task, or mixin in front of one of ESPnet's tasks.

    * An scp file of archives never runs a command.
    * ``--init_param`` and checkpoints are loaded strictly.
    * The optimiser has no frozen parameters; the numbers of trained and frozen
      parameters are logged and saved as ``budget.json``.
    * ``unused_parameters`` of DistributedDataParallel is set where it is needed.
    * config.yaml rebuilds the model without the hub or folder that it came from, and
      names the version of espnet_samu.
    * Training resumes only with compatible options; else no file is changed.
    * Frames of a frozen encoder are computed once, if there is a folder for them.
    """

    trains_student: bool = False
    """Whether its models are students of the distillation."""

    @classmethod
    def get_parser(cls) -> config_argparse.ArgumentParser:
        """Add our options to those of the task."""
        parser = super().get_parser()
        parser.add_argument(
            "--max_wav_duration",
            type=float_or_none,
            default=None,
            help="Longest utterance of the data in seconds: the window of a Whisper "
            "encoder for which frontend_conf has no window_seconds, in a new training "
            "that does not start from a student. samu_st.sh passes its own",
        )
        group = parser.add_argument_group("Frames of a frozen encoder related")
        group.add_argument(
            "--frames_cache_dir",
            type=str_or_none,
            default=None,
            help="Folder in which the frames of a frozen frontend: samu are kept, by "
            "encoder and speech, for later epochs and trainings; samu_st.sh passes it",
        )
        group.add_argument(
            "--frames_cache_gb",
            type=float,
            default=20.0,
            help="Most gigabytes in that folder; what is beyond is computed in every "
            "epoch. 0: no cache",
        )
        group.add_argument(
            "--frames_cache_dtype",
            default="float16",
            help=f"Type that is stored; frames are rounded to it: {', '.join(DTYPES)}",
        )
        return parser

    @classmethod
    def main(
        cls,
        args: argparse.Namespace | None = None,
        cmd: Sequence[str] | None = None,
    ) -> None:
        """Run ESPnet's main after checks of GPUs and numbers.

        Raises:
            ValueError: There are fewer GPUs than ``ngpu``, or a number is a text.
        """
        if args is None:
            args = cls.get_parser().parse_args(cmd)
        args.espnet_samu_version = __version__
        if not args.print_config:
            check_gpus(args.ngpu)
            check_numbers(vars(args))
            if not args.collect_stats:
                handlers = list(logging.root.handlers)
                set_window_seconds(args)
                # A line that it logs sets up logging, which ESPnet does later and
                # only where nobody has.
                logging.root.handlers[:] = handlers
        super().main(args=args)

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train as ESPnet does; config.yaml changes only once resuming succeeded.

        Raises:
            ValueError: An scp file of the data names a command; entries of archives
                are places in them.
        """
        check_data_files(args.train_data_path_and_name_and_type)
        check_data_files(args.valid_data_path_and_name_and_type)
        rank = get_rank(args.dist_rank, args.dist_launcher) if args.distributed else 0
        kept = kept_config(Path(args.output_dir)) if rank in (None, 0) else None
        with kept or contextlib.nullcontext():
            super().main_worker(args)

    @staticmethod
    def initialize(args: argparse.Namespace, model: AbsESPnetModel) -> None:
        """Initialise the model by ``--init``, if this ESPnet version supports it.

        Models of an earlier one may name another way (``chainer``); their weights
        come from a checkpoint. Trainings are refused in :meth:`build_optimizers`.
        """
        if args.init in INITIALIZATIONS:
            initialize(model, args.init)
        elif args.init is not None:
            logging.warning(
                f"init: {args.init} is ignored: not supported by this ESPnet version"
            )

    @staticmethod
    def make_portable(args: argparse.Namespace, model: AbsESPnetModel) -> None:
        """Set in ``args`` the options that rebuild the model from config.yaml alone."""
        for name in ("frontend", "postencoder", "decoder"):
            module: Any = getattr(model, name, None)
            if hasattr(module, "portable_conf"):
                setattr(args, f"{name}_conf", module.portable_conf())

    @classmethod
    def build_optimizers(
        cls, args: argparse.Namespace, model: torch.nn.Module
    ) -> list[torch.optim.Optimizer]:
        """Build ESPnet's optimisers without frozen parameters, after all checks.

        Raises:
            FileNotFoundError: A file of init_param is missing.
            ValueError: Nothing is trained, init_param does not fill what it is for,
                init is not one of ESPnet's, gradients would be lost in float16, or a
                training cannot be resumed with these options.
        """
        if args.init not in (None, *INITIALIZATIONS):
            raise ValueError(
                f"init: {args.init} is not one of {', '.join(INITIALIZATIONS)}"
            )
        counts = count_parameters(model)
        logging.info(f"espnet_samu {__version__}")
        logging.info(f"Parameters:\n{format_budget(counts)}")
        if args.collect_stats or args.dry_run:
            return super().build_optimizers(args, model=model)
        if counts["all"].trainable == 0:
            raise ValueError(
                "no parameter is left to train: look at freeze_param and at 'freeze' "
                "in frontend_conf"
            )
        check_float16(model, args.use_amp)
        args.init_param = add_base_weights(args.init_param)
        if args.resume and (Path(args.output_dir) / EARLIER_CONFIG).exists():
            defaults = cls._defaults(args)
            check_resume(Path(args.output_dir), vars(args), defaults, model)
        check_not_own_folder(args.init_param, args.output_dir)
        if not args.ignore_init_mismatch:
            check_init_param(args.init_param, model)
        if is_first():
            save_budget(counts, Path(args.output_dir) / "budget.json")
        if has_unused_parameters(model):
            args.unused_parameters = True
        trained: Any = model
        trained.frames_settings = frames_settings(args, model)
        optimizers = super().build_optimizers(args, model=model)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                # Adagrad has made a state for each of them already.
                for parameter in group["params"]:
                    if not parameter.requires_grad:
                        optimizer.state.pop(parameter, None)
                group["params"] = [p for p in group["params"] if p.requires_grad]
        return optimizers

    @classmethod
    def _defaults(cls, args: argparse.Namespace) -> dict[str, Any]:
        """Return the default options, including those of the chosen parts."""
        defaults = vars(cls.get_parser().parse_args(["--output_dir", args.output_dir]))
        for choices in cls.class_choices_list:
            name = getattr(args, choices.name, None)
            if name is not None:
                part = choices.get_class(name)
                defaults[f"{choices.name}_conf"] = get_default_kwargs(part)
        return defaults

    @classmethod
    def build_model_from_file(
        cls,
        config_file: Configuration | Path | str | None = None,
        model_file: Path | str | None = None,
        device: str = "cpu",
    ) -> tuple[AbsESPnetModel, argparse.Namespace]:
        """Build a trained model; its checkpoint is loaded strictly.

        Random numbers and settings of the process stay as they are.

        Args:
            config_file: config.yaml of the experiment. None: beside model_file.
            model_file: Checkpoint. None: the model is left as built.
            device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: config.yaml is none, or of another task, or the checkpoint is
                none, or it has parameters too many or too few.
        """
        if config_file is None:
            if model_file is None:
                raise ValueError("name config_file, model_file or both")
            config_file = Path(model_file).parent / "config.yaml"
        config = Configuration.of(config_file)
        if ("projector" in config) != cls.trains_student:
            mend = (
                "a translation model; use Speech2Text or st_inference"
                if cls.trains_student
                else "a student of the distillation; use Speech2Embedding or samu_embed"
            )
            raise ValueError(f"{config.path} is of {mend}")
        args = argparse.Namespace(**config)
        with host_settings_kept():
            model = cls.build_model(args)
            if getattr(args, "use_adapter", False):
                create_adapter(model, args.adapter, args.adapter_conf)
            cls.load_frozen(args, model, config.path.parent)
            if model_file is not None:
                state = read_state_dict(model_file)
                what = f"{model_file} is not a checkpoint of {config.path}"
                load_strictly(what, model, state)
        return model.to(device), args
