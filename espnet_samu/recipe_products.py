"""What a recipe makes, stage by stage, and what each of it is made from."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet_samu.teacher.cache import CACHE_FILE, identity, read_cache
from espnet_samu.utils import provenance
from espnet_samu.utils.provenance import FileSums, Input

_AUDIO = "audio"
_PARTS = ("text", "utt2lang", "utt2tgt_lang", "segments")
"""Of a data directory's files, by their first letters: what decides a result."""
_BASE = "base.pth"


@dataclass(frozen=True)
class Product:
    """What a stage makes.

    Attributes:
        folder: Where its record is.
        inputs: As they are now, by their role.
        options: As they are now.
        mend: What a user can do where they are others than when it was made.
        sign: A file that is there when it is.
    """

    folder: Path
    inputs: Mapping[str, Input]
    options: Mapping[str, Any]
    mend: str
    sign: str


class Recipe:
    """Products of a recipe, as its options name them.

    Args:
        args: Of the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.sums = FileSums(Path(args.expdir))
        self.feats = Path(args.data_feats)

    def _set(self, role: str, name: str, files: Sequence[str]) -> dict[str, Input]:
        """Return files and audio of a set in dump/ as inputs."""
        folder = self.feats / name
        record = provenance.read_record(folder) or {"inputs": {}}
        audio = record["inputs"].get(_AUDIO, {})
        inputs = {
            f"{role}: {_AUDIO}": Input(
                str(folder),
                audio.get("sum"),
                (lambda: audio["content"]) if "content" in audio else None,
            )
        }
        for file in files:
            path = folder / file
            if path.exists() or not folder.is_dir():
                inputs[f"{role}: {file}"] = self.sums.input(path)
        return inputs

    def _weights(self, role: str, path: Path) -> dict[str, Input]:
        """Return a checkpoint, and the frozen weights that it lacks, as inputs."""
        inputs = {role: self.sums.input(path)}
        if (path.parent / _BASE).is_file():
            inputs[f"{role}'s frozen weights"] = self.sums.input(path.parent / _BASE)
        return inputs

    def _teacher(self, name: str) -> dict[str, Input]:
        """Return the teacher of a set's embeddings as an input."""
        folder = Path(self.args.teacher_dir, name)
        table = read_cache(folder)
        total = None
        if table:
            total = provenance.hash_text(json.dumps(identity(table), sort_keys=True))
        return {"teacher": Input(str(folder / CACHE_FILE), total)}

    def _options(
        self, config: str, arguments: str
    ) -> tuple[dict[str, Input], dict[str, str]]:
        options = provenance.flat_options(Path(config) if config else None, arguments)
        return provenance.split_paths(options, self.sums)

    def sets(self, *names: str) -> list[Product]:
        """Return sets in dump/ that are made from data/ (stages 3 and 4)."""
        products = []
        for name in dict.fromkeys(names):
            source = Path("data", name)
            if not (source / "wav.scp").is_file():
                continue
            inputs = {
                path.name: self.sums.input(path)
                for path in sorted(source.iterdir())
                if path.name.startswith(_PARTS) and path.is_file()
            }
            inputs[_AUDIO] = provenance.audio_input(source / "wav.scp")
            args = self.args
            is_filtered = name in (
                args.train_set,
                args.perturbed_set,
                args.valid_set,
                args.samu_train_set,
                args.samu_valid_set,
            )
            options = {"durations in s": args.durations} if is_filtered else {}
            mend = f"make it of data/{name} again: stages 3 and 4 (--stage 3)"
            folder = self.feats / name
            products.append(Product(folder, inputs, options, mend, "wav.scp"))
        return products

    def tokens(self) -> list[Product]:
        """Return the token list (stage 5)."""
        if not self.args.token_list:
            return []
        folder = Path(self.args.token_list).parent
        inputs = {
            f"text {i}": self.sums.input(path)
            for i, path in enumerate(self.args.token_texts.split(), 1)
        }
        mend = "run stage 5 again (--stage 5)"
        named = {"model": json.dumps(self.args.token_model)}
        paths, others = provenance.split_paths(named, self.sums)
        options = {**others, "options": json.dumps(self.args.token_args)}
        name = Path(self.args.token_list).name
        return [Product(folder, {**inputs, **paths}, options, mend, name)]

    def selection(self) -> list[Product]:
        """Return the utterances of the distillation (stage 7)."""
        products = []
        for part in ("train", "valid"):
            name = getattr(self.args, f"samu_{part}_set")
            inputs = self._set(name, name, [self.args.label_text, "utt2num_samples"])
            options = {"check_audio": self.args.check_audio}
            folder = Path(self.args.samu_stats_dir, part)
            products.append(Product(folder, inputs, options, "", "speech_shape"))
        return products

    def student(self) -> list[Product]:
        """Return the student of the distillation (stage 8), unless it is another's."""
        args = self.args
        if args.own_student != "true":
            return []
        paths, options = self._options(args.samu_config, args.samu_args)
        files = [args.label_text]
        if options.get("balance_languages") == "true":
            files.append("utt2lang")
        inputs = {
            **self._set("training set", args.samu_train_set, files),
            **self._set("validation set", args.samu_valid_set, files),
            **self._teacher(args.samu_train_set),
            **paths,
        }
        mend = (
            "train another student (another --samu_tag, --stage 8), or go back to what "
            "it was trained from"
        )
        return [Product(Path(args.samu_exp), inputs, options, mend, "*.pth")]

    def retrieval(self) -> list[Product]:
        """Return the retrieval scores of a student (stage 9)."""
        args, products = self.args, []
        for name in args.retrieval_sets.split():
            files = [args.label_text, args.translations, "utt2lang"]
            inputs = {
                **self._weights("student", Path(args.samu_model)),
                **self._set("set", name, files),
                **self._teacher(name),
            }
            folder = Path(args.retrieval_dir, name)
            mend = "run stage 9 again (--stage 9 --stop_stage 9)"
            products.append(Product(folder, inputs, {}, mend, "retrieval.json"))
        return products

    def stats(self) -> list[Product]:
        """Return the lengths for translation (stage 10)."""
        args = self.args
        inputs = self._model_sets([])
        inputs["token list"] = self.sums.input(args.token_list)
        return [Product(Path(args.st_stats_dir), inputs, {}, "", "train/speech_shape")]

    def _model_sets(self, files: Sequence[str]) -> dict[str, Input]:
        args = self.args
        files = [args.translations, *files]
        if args.use_src_lang == "true":
            files.append(args.transcripts)
        return {
            **self._set("training set", args.perturbed_set or args.train_set, files),
            **self._set("validation set", args.valid_set, files),
        }

    def starts_from_student(self) -> bool:
        """Return whether the translation model needs a student."""
        _, options = self._options(self.args.st_config, self.args.st_args)
        return options.get("init_from_samu") == "true" or "samu_weight" in options

    def model(self) -> list[Product]:
        """Return the translation model (stage 11)."""
        args = self.args
        paths, options = self._options(args.st_config, args.st_args)
        files = ["utt2tgt_lang"]
        if options.get("balance_languages") == "true":
            files.append("utt2lang")
        inputs = self._model_sets(files)
        if args.token_list:
            inputs["token list"] = self.sums.input(args.token_list)
        for role, path in (
            ("bpe model", Path(args.bpemodel)),
            ("trimmed decoder", Path(args.bpemodel).parent / "model.safetensors"),
        ):
            # What is in a folder that was removed is not known.
            if args.bpemodel and (path.is_file() or not path.parent.is_dir()):
                inputs[role] = self.sums.input(path)
        if self.starts_from_student():
            inputs.update(self._weights("student", Path(args.samu_model)))
        mend = (
            "train another model (another --st_tag, --stage 11), or go back to what it "
            "was trained from"
        )
        folder = Path(args.st_exp)
        return [Product(folder, {**inputs, **paths}, options, mend, "*.pth")]

    def translations(self, exp: str = "") -> list[Product]:
        """Return the translations of the test sets (stage 12) by a model."""
        args, products = self.args, []
        exp = exp or args.st_exp
        options = provenance.flat_options(
            Path(args.inference_config) if args.inference_config else None,
            args.inference_args,
            provenance.DECODING_WITHOUT_EFFECT,
            (),
        )
        paths, options = provenance.split_paths(options, self.sums)
        mend = f"decode {exp} again (stage 12)"
        for name in args.test_sets.split():
            inputs = {
                **self._weights("model", Path(exp, args.inference_st_model)),
                **self._set("test set", name, ["utt2tgt_lang"]),
                **paths,
            }
            folder = Path(exp, args.inference_tag, name)
            products.append(Product(folder, inputs, options, mend, "text"))
        return products

    def results(self) -> list[Product]:
        """Return the scores, tables and pages (stage 13)."""
        args = self.args
        inputs = {}
        for name in args.test_sets.split():
            text = Path(args.st_exp, args.inference_tag, name, "text")
            inputs[f"translations of {name}"] = self.sums.input(text)
            files = [args.translations, "utt2lang", "utt2tgt_lang"]
            inputs.update(self._set(name, name, files))
            if args.baseline_exp:
                text = Path(args.baseline_exp, args.inference_tag, name, "text")
                inputs[f"baseline's translations of {name}"] = self.sums.input(text)
        inputs.update(
            self._weights("model", Path(args.st_exp, args.inference_st_model))
        )
        folder = Path(args.st_exp, args.inference_tag)
        mend = "run stage 13 again (--stage 13)"
        return [Product(folder, inputs, {}, mend, "*/score_st/results.json")]
