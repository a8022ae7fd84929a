#!/usr/bin/env python3
"""Record and check what a recipe's products were made from; samu_st.sh calls it."""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet_samu.teacher.cache import CACHE_FILE
from espnet_samu.teacher.cache import differences as teacher_differences
from espnet_samu.teacher.cache import identity, read_cache
from espnet_samu.utils import provenance
from espnet_samu.utils.command import run
from espnet_samu.utils.provenance import FileSums, Input

STALE = 3
"""Exit status where a product has to be made again."""
_AUDIO = "audio"
_PARTS = ("text", "utt2lang", "utt2tgt_lang", "segments")
"""Of a data directory's files, by their first letters: what decides a result."""
_BASE = "base.pth"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="record: write made_from.json of products that were just made. "
        "begin: the same before a product is made; a training that has begun with "
        "something else is refused. stale: exit status 3 and a line that says why, if "
        "a product must be made again. check: refuse what a stage would read if it was "
        "made from something else than is there now",
    )
    parser.add_argument("action", choices=("record", "begin", "stale", "check"))
    parser.add_argument(
        "what",
        help="sets, tokens, selection, student, retrieval, stats, model, translations, "
        "results; for check: the number of a stage",
    )
    for name in (
        "data_feats expdir train_set perturbed_set valid_set test_sets samu_train_set "
        "samu_valid_set retrieval_sets label_text transcripts translations teacher "
        "teacher_prompt teacher_dir samu_model samu_exp samu_stats_dir samu_config "
        "samu_args token_list bpemodel token_texts token_model token_args st_exp "
        "st_stats_dir st_config st_args inference_tag inference_config inference_args "
        "inference_st_model retrieval_dir baseline_exp durations named command"
    ).split():
        parser.add_argument(f"--{name}", default="", help="As in samu_st.sh")
    for name in ("own_student", "use_src_lang", "check_audio"):
        parser.add_argument(f"--{name}", default="false", help="true or false")
    return parser


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

    def check(self, stage: int) -> None:
        """Raise an error for products that a stage rests on and that are stale.

        Raises:
            ValueError: Names the product, what differs, and what to do.
        """
        args = self.args
        has_student = stage < 10 or self.starts_from_student()
        distilled = args.own_student == "true" and has_student
        names = []
        if distilled:
            names += [args.samu_train_set, args.samu_valid_set]
            names += args.retrieval_sets.split()
        if stage >= 10:
            names += [args.train_set, args.perturbed_set, args.valid_set]
            names += args.test_sets.split()
        for product in self.sets(*filter(None, names)):
            self._refuse(product)
        if distilled and stage >= 7:
            self._check_embeddings()
        if distilled and stage >= 9:
            self._refuse(*self.student(), named="student" in args.named.split())
        if stage >= 10:
            self._refuse(*self.tokens())
        if stage >= 12:
            self._refuse(*self.model(), named="model" in args.named.split())
        if stage >= 13:
            self._refuse(*self.translations())
            if args.baseline_exp:
                self._refuse(*self.translations(args.baseline_exp))
            if distilled:
                self._refuse(*self.retrieval())
        if stage >= 14:
            self._refuse(*self.results())
            page = Path(args.st_exp, "RESULTS.md")
            if page.is_file() and f": {args.inference_tag}\n" not in page.read_text(
                encoding="utf-8"
            ):
                raise ValueError(
                    f"{page} has no scores of {args.inference_tag}: run stage 13 again "
                    "(--stage 13)"
                )

    def _refuse(self, *products: Product, named: bool = False) -> None:
        for product in products:
            found = stale(product, named)
            if found:
                raise ValueError(
                    f"{product.folder} was made from something else: {found}; "
                    f"{product.mend}"
                )

    def _check_embeddings(self) -> None:
        args = self.args
        names = [args.samu_train_set, args.samu_valid_set, *args.retrieval_sets.split()]
        teachers = args.teacher.split() or [f"{args.teacher_dir}/model"]
        for name in dict.fromkeys(names):
            folder = Path(args.teacher_dir, name)
            text = self.feats / name / args.label_text
            found = teacher_differences(folder, teachers, args.teacher_prompt, text)
            if found:
                raise ValueError(
                    f"{folder} was made from something else: {', '.join(found)}; run "
                    "stage 6 again (--stage 6)"
                )


def stale(product: Product, named: bool = False) -> str:
    """Return in which way a product was made from something else; "" if not.

    Args:
        product: As it would be made now.
        named: A user has named its folder, and perhaps not the options and sets that
            it was made with: only those of the same path are compared.
    """
    if not any(product.folder.glob(product.sign)):
        return ""
    record = provenance.read_record(product.folder)
    if record is None:
        logging.warning(
            f"{product.folder} has no {provenance.RECORD}: what it was made from is "
            "not known, and it is taken as it is"
        )
        return ""
    if not record["finished"]:
        return "it was not finished"
    inputs, options = product.inputs, product.options
    if named:
        known = record["inputs"]
        inputs = {
            role: item
            for role, item in inputs.items()
            if role in known and known[role]["name"] == item.name
        }
        record = {"inputs": {role: known[role] for role in inputs}, "options": {}}
        options = {}
    return provenance.summarize(provenance.differences(record, inputs, options))


def begin(product: Product, command: str, trained: bool) -> None:
    """Write the record of what is about to be made.

    Args:
        product: What is about to be made.
        command: What makes it.
        trained: A training that has begun may go on, with other options too, which
            it checks itself, but not from other inputs.

    Raises:
        ValueError: It has begun with other inputs.
    """
    if trained and any(product.folder.glob(product.sign)):
        record = provenance.read_record(product.folder)
        if record is None:
            stale(product)
            return
        same = record["options"]
        # Options that name files are inputs.
        kept = {k: v for k, v in product.options.items() if k in record["inputs"]}
        found = provenance.differences(record, product.inputs, {**same, **kept})
        if found:
            raise ValueError(
                f"{product.folder} was trained from something else: "
                f"{provenance.summarize(found)}; {product.mend}"
            )
        return
    write(product, command, finished=trained)


def finish(product: Product) -> None:
    """Check that what stage 4 has filtered is what stage 3 has made of data/.

    Raises:
        ValueError: data/ has changed since.
    """
    record = provenance.read_record(product.folder)
    if record is not None and not record["finished"]:
        found = provenance.differences(record, product.inputs, product.options)
        if found:
            raise ValueError(
                f"{product.folder} was made from something else: "
                f"{provenance.summarize(found)}; {product.mend}"
            )


def write(product: Product, command: str, finished: bool = True) -> None:
    """Write the record of a product."""
    product.folder.mkdir(parents=True, exist_ok=True)
    provenance.write_record(
        product.folder, product.inputs, product.options, command, finished
    )


def main(cmd: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        cmd: Arguments; those of the process by default.
    """
    args = get_parser().parse_args(cmd)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    recipe = Recipe(args)
    if args.action == "check":
        recipe.check(int(args.what))
        return 0
    if args.what == "sets":
        names = [args.train_set, args.perturbed_set, args.valid_set]
        names += [*args.test_sets.split(), args.samu_train_set, args.samu_valid_set]
        products = recipe.sets(*filter(None, names))
    else:
        products = getattr(recipe, args.what)()
    trained = args.what in ("student", "model")
    for product in products:
        if args.action == "begin":
            begin(product, args.command, trained)
        elif args.action == "stale":
            found = stale(product)
            if found:
                print(f"{product.folder} is made again: {found}")
                return STALE
        elif any(product.folder.glob(product.sign)):
            if args.what == "sets":
                finish(product)
            # A training of an earlier version went on: what it began with is not known.
            if not trained or provenance.read_record(product.folder):
                write(product, args.command)
    return 0


if __name__ == "__main__":
    run(main)
