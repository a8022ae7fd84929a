"""ESPnet's trainer, which loses nothing when it is killed."""

import os
from pathlib import Path

import torch
from espnet2.train.trainer import Trainer

from espnet_samu.train.saved_state import CHECKPOINT, EARLIER, has_state
from espnet_samu.train.update_counter import UpdateCounter
from espnet_samu.utils.distributed import is_distributed, is_first


class SafeTrainer(Trainer):
    """ESPnet's trainer with a state to resume from at every moment.

    ESPnet writes ``checkpoint.pth`` over the one before: killed in between, it
    leaves half a file. Here the earlier one is kept under another name until all
    files of an epoch are there; a run that finds it begins that epoch again, which
    gives the same weights, since epochs are seeded.
    """

    @classmethod
    def run(cls, model, trainer_options, **kwargs) -> None:
        """Train, from the last epoch whose files are complete."""
        output_dir = Path(trainer_options.output_dir)
        if is_first():
            _restore(output_dir)
        if is_distributed():
            torch.distributed.barrier()
        if isinstance(model, UpdateCounter):
            model.restart_count()
        super().run(model=model, trainer_options=trainer_options, **kwargs)
        if is_first():
            (output_dir / EARLIER).unlink(missing_ok=True)

    @classmethod
    def train_one_epoch(cls, options, **kwargs) -> bool:
        """As ESPnet's; what was saved before it is complete."""
        if is_first():
            (Path(options.output_dir) / EARLIER).unlink(missing_ok=True)
        return super().train_one_epoch(options=options, **kwargs)

    @classmethod
    def validate_one_epoch(cls, options, **kwargs) -> None:
        """As ESPnet's; right after it the files of the epoch are written."""
        super().validate_one_epoch(options=options, **kwargs)
        if is_first():
            _put_aside(Path(options.output_dir))


def _put_aside(output_dir: Path) -> None:
    """Keep the last state; an empty file says that there was none."""
    if (output_dir / CHECKPOINT).exists():
        os.replace(output_dir / CHECKPOINT, output_dir / EARLIER)
    else:
        (output_dir / EARLIER).touch()


def _restore(output_dir: Path) -> None:
    """Undo an epoch whose files may be half-written."""
    earlier = output_dir / EARLIER
    if not earlier.exists():
        return
    if has_state(output_dir):
        os.replace(earlier, output_dir / CHECKPOINT)
    else:
        (output_dir / CHECKPOINT).unlink(missing_ok=True)
        earlier.unlink()
