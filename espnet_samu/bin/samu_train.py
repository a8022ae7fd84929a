#!/usr/bin/env python3
"""Distil a sentence encoder into a speech encoder."""

from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.utils.command import run


def get_parser():
    """Options of ESPnet's trainer and of the task."""
    return SAMUTask.get_parser()


def main(cmd=None):
    """Train.

    Example:

        % python -m espnet_samu.bin.samu_train --print_config > conf/train_samu.yaml
        % python -m espnet_samu.bin.samu_train --config conf/train_samu.yaml
    """
    SAMUTask.main(cmd=cmd)


if __name__ == "__main__":
    run(main)
