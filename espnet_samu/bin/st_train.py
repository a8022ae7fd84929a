#!/usr/bin/env python3
"""Train speech translation: espnet2.bin.st_train with the plug-in's task."""

from espnet_samu.tasks.st import STTask
from espnet_samu.utils.command import run


def get_parser():
    """Options of espnet2.bin.st_train and ours."""
    return STTask.get_parser()


def main(cmd=None):
    """Train.

    Example:

        % python -m espnet_samu.bin.st_train --print_config > conf/train_st.yaml
        % python -m espnet_samu.bin.st_train --config conf/train_st.yaml
    """
    STTask.main(cmd=cmd)


if __name__ == "__main__":
    run(main)
