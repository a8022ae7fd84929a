#!/usr/bin/env python3
"""Train speech translation: espnet2.bin.st_train with the plug-in's task."""

import argparse
from collections.abc import Sequence

from espnet_samu.train.option_checks import check_gpus, ngpu_of
from espnet_samu.utils.command import run


def get_parser() -> argparse.ArgumentParser:
    """Options of espnet2.bin.st_train and ours."""
    from espnet_samu.tasks.st import STTask

    return STTask.get_parser()


def main(cmd: Sequence[str] | None = None) -> None:
    """Train.

    Example:

        % python -m espnet_samu.bin.st_train --print_config > conf/train_st.yaml
        % python -m espnet_samu.bin.st_train --config conf/train_st.yaml
    """
    check_gpus(ngpu_of(cmd))
    # Takes up to a minute.
    from espnet_samu.tasks.st import STTask

    STTask.main(cmd=cmd)


if __name__ == "__main__":
    run(main)
