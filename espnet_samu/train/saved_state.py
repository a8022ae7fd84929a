"""The states that a training can be resumed from."""

from pathlib import Path
from typing import Union

CHECKPOINT = "checkpoint.pth"
EARLIER = "checkpoint.earlier.pth"
"""The state before an epoch whose files are being written; empty: there was none."""


def has_state(output_dir: Union[Path, str]) -> bool:
    """Whether a training that is resumed in this folder goes on with an earlier one.

    A training that was killed while it wrote may have left the earlier state alone,
    or half a file where there was no state before.
    """
    earlier = Path(output_dir) / EARLIER
    if earlier.exists():
        return earlier.stat().st_size > 0
    return (Path(output_dir) / CHECKPOINT).exists()
