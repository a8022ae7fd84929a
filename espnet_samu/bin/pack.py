#!/usr/bin/env python3
"""Pack a model: espnet2.bin.pack, complete for translation models with mbart."""

import argparse
import logging
import os
import platform
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import espnet2
import torch
import transformers
from espnet2.bin import pack as host

import espnet_samu
from espnet_samu.checkpoint import pack
from espnet_samu.checkpoint.pack import TRANSLATION
from espnet_samu.text.tokenizer_files import TOKENIZER, kept_tokenizers, own_tokenizer
from espnet_samu.utils import hub
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import log_to_stderr, run
from espnet_samu.utils.safe_reading import decoder_of, dump_yaml, map_strings, read_yaml


def write_pack(
    outpath: Path | str,
    files: Mapping[str, str],
    yaml_files: Mapping[str, str],
    option: Sequence[str] = (),
) -> None:
    """Write a packed model.

    ESPnet's ``pack`` takes the files of its options. Here those that the configuration
    names and decoding reads are added: the tokenizer of token_type ``hugging_face``,
    from its folder or the hub's cache, that of ``bpe``, and the frozen weights of
    ``save_trained_only``. Files outside the current folder have relative names in the
    pack, too, so that it can be opened on any machine. The layout, and ``meta.yaml``,
    are ESPnet's.

    Args:
        outpath: Zip file.
        files: Checkpoints by the arguments of Speech2Text.
        yaml_files: Configurations by the arguments of Speech2Text.
        option: More files and folders.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: Two files would have the same name, or outpath is one of them.
    """
    for path in [*files.values(), *yaml_files.values(), *option]:
        if not Path(path).exists():
            raise FileNotFoundError(f"{path}, which is to be packed, is missing")
        if os.path.realpath(path) == os.path.realpath(outpath):
            raise ValueError(f"{outpath} is to be packed, and cannot be the pack, too")
    with tempfile.TemporaryDirectory() as folder:
        contents = _Contents(Path(folder))
        for path in option:
            contents.add_tree(Path(path))
        named = {key: contents.add(path) for key, path in files.items()}
        meta = {
            "files": {pack.LOAD_BY: pack.META, **named},
            "yaml_files": {k: contents.add_config(p) for k, p in yaml_files.items()},
            "timestamp": time.time(),
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "transformers": transformers.__version__,
            "espnet": espnet2.__version__,
            "espnet_samu": espnet_samu.__version__,
        }
        with (
            atomic_write(outpath, "wb") as file,
            # Files of 1970, as in some images, have the first date of zip files.
            zipfile.ZipFile(file, "w", strict_timestamps=False) as out,
        ):
            out.writestr(pack.META, dump_yaml(meta))
            for name in sorted(contents.folders):
                # So that ESPnet's own unpacking recognises it as a path, too.
                out.writestr(f"{name}/", "")
            for path, name in contents.names.items():
                logging.info(f"adding {name}")
                out.write(path, name)
            for name, text in contents.texts.items():
                out.writestr(name, text)


class _Contents:
    """Files of a pack and their names in it.

    Args:
        scratch: Folder for what is made for the pack.
    """

    def __init__(self, scratch: Path):
        self.scratch = scratch
        self.names: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.folders: set[str] = set()

    def add(self, path: Path | str) -> str:
        """Add a file; return its name in the pack."""
        # Not resolved: exp may be a link to another disk.
        absolute = os.path.abspath(path)
        if absolute not in self.names:
            self.names[absolute] = self._claim(_name_of(absolute), absolute)
        return self.names[absolute]

    def _claim(self, name: str, path: str) -> str:
        """Reserve a name in the pack for a file, and return it.

        Raises:
            ValueError: Another file has it.
        """
        other = self.sources.setdefault(name, path)
        if other != path:
            raise ValueError(
                f"{other} and {path} would both be {name} in the pack; pack in a "
                "folder above both"
            )
        return name

    def add_tree(self, path: Path) -> None:
        """Add a file, or all files of a folder."""
        if not path.is_dir():
            self.add(path)
            return
        name = _name_of(os.path.abspath(path))
        for file in sorted(path.rglob("*")):
            if file.is_file():
                inside = f"{name}/{file.relative_to(path).as_posix()}"
                absolute = os.path.abspath(file)
                if absolute not in self.names:
                    self.names[absolute] = self._claim(inside, absolute)

    def add_config(self, path: str) -> str:
        """Add a configuration and the files it needs; return its name in the pack."""
        config = read_yaml(path)
        absolute = os.path.abspath(path)
        name = self._claim(_name_of(absolute), absolute)
        self.names.pop(absolute, None)  # one of the options, unchanged
        if config.get("token_type") == "hugging_face":
            tokenizer = f"{os.path.dirname(name)}/{TOKENIZER}"
            model = own_tokenizer(config["bpemodel"], Path(path).parent)
            self._add_tokenizer(str(model), tokenizer)
            config["bpemodel"] = tokenizer
        elif config.get("bpemodel"):
            model = own_tokenizer(config["bpemodel"], Path(path).parent)
            config["bpemodel"] = self.add(str(model))
        if config.get("base_weights"):
            self.add(Path(path).parent / config["base_weights"]["file"])
        self.texts[name] = dump_yaml(map_strings(self._name_in_pack, config))
        return name

    def _add_tokenizer(self, model: str, name: str) -> None:
        """Add the files of a tokenizer, without the model weights beside it."""
        from transformers import AutoTokenizer

        folder = self.scratch / name
        AutoTokenizer.from_pretrained(
            hub.locate(model), trust_remote_code=False
        ).save_pretrained(folder)
        self.folders.add(name)
        for file in sorted(folder.iterdir()):
            self.names[str(file)] = f"{name}/{file.name}"

    def _name_in_pack(self, value: str) -> str:
        """Return a configuration's path as the name in the pack."""
        if "/" not in value:
            return value
        return self.names.get(os.path.abspath(value), value)


def _name_of(path: str) -> str:
    """Return a file's name in the pack: its relative path, or under exp/.

    It has a folder, by which an opened pack knows it for a path.
    """
    relative = os.path.relpath(path)
    if relative.startswith(os.pardir + os.sep) or os.sep not in relative:
        depth = 3 if Path(path).parent.name == TOKENIZER else 2
        relative = os.path.join("exp", *Path(path).parts[-depth:])
    return Path(relative).as_posix()


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
    log_to_stderr()
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
