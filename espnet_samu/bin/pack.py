#!/usr/bin/env python3
"""Pack a model: espnet2.bin.pack, complete for translation models with mbart."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from espnet2.bin import pack as host

from espnet_samu.checkpoint.pack import TRANSLATION
from espnet_samu.checkpoint.pack_writer import write_pack
from espnet_samu.text.tokenizer_files import kept_tokenizers
from espnet_samu.utils.command import run
from espnet_samu.utils.safe_reading import decoder_of, read_yaml


def get_parser() -> argparse.ArgumentParser:
    """Options of ``espnet2.bin.pack st``, and those of a language model."""
    parser = argparse.ArgumentParser(
        description="Pack a translation model with all that decoding needs. Models of "
        "other tasks and decoders are packed by espnet2.bin.pack",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("task", choices=["st"])
    parser.add_argument("--outpath", required=True, help="Zip file")
    for name in TRANSLATION.yaml_files:
        parser.add_argument(
            f"--{name}", required=name == TRANSLATION.yaml_files[0], help="config.yaml"
        )
    for name in TRANSLATION.files:
        parser.add_argument(
            f"--{name}", required=name == TRANSLATION.files[0], help="Checkpoint"
        )
    parser.add_argument(
        "--option", action="append", default=[], help="One more file or folder"
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    cmd = list(sys.argv[1:] if cmd is None else cmd)
    if cmd[:1] != ["st"]:
        host.main(cmd)
        return
    args = get_parser().parse_args(cmd)
    decoder = decoder_of(args.st_train_config)
    config, exp = read_yaml(args.st_train_config), Path(args.st_train_config).parent
    # st.sh names those of stage 5, which may have been made again.
    tokenizers = kept_tokenizers(config, exp)
    if decoder != "mbart":
        host.main([*cmd, *(f"--option={path}" for path in tokenizers)])
        return
    logging.basicConfig(
        level="INFO",
        stream=sys.stderr,
        format="%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s",
    )
    given = {
        name: getattr(args, name) for name in TRANSLATION.files + TRANSLATION.yaml_files
    }
    given = {name: path for name, path in given.items() if path is not None}
    write_pack(
        args.outpath,
        {name: path for name, path in given.items() if name in TRANSLATION.files},
        {name: path for name, path in given.items() if name in TRANSLATION.yaml_files},
        [path for path in args.option if not _is_replaced(path, tokenizers)],
    )


def _is_replaced(path: str, tokenizers: Sequence[str]) -> bool:
    """Return whether a file is a sentencepiece model that the experiment has itself."""
    name = Path(path).name
    own = [p for p in tokenizers if Path(p).name == name and Path(p).is_file()]
    if own:
        logging.info(f"left out: {path}; the model has {own[0]}")
    return bool(own)


if __name__ == "__main__":
    run(main)
