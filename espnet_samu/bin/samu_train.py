#!/usr/bin/env python3
"""Distil a sentence encoder into a speech encoder."""

import argparse
from collections.abc import Sequence

from espnet_samu.train.option_checks import check_gpus, ngpu_of
from espnet_samu.utils.command import run


def get_parser() -> argparse.ArgumentParser:
    """Options of ESPnet's trainer and of the task."""
    from espnet_samu.tasks.samu import SAMUTask

    return SAMUTask.get_parser()


def main(cmd: Sequence[str] | None = None) -> None:
    """Train.

    Example:

        % python -m espnet_samu.bin.samu_train --print_config > conf/train_samu.yaml
        % python -m espnet_samu.bin.samu_train --config conf/train_samu.yaml
    """
    check_gpus(ngpu_of(cmd))
    # Takes up to a minute.
    from espnet_samu.tasks.samu import SAMUTask

    SAMUTask.main(cmd=cmd)


if __name__ == "__main__":
    run(main)
