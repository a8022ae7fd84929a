#!/usr/bin/env python3
"""Record and check what a recipe's products were made from; samu_st.sh calls it."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from espnet_samu.recipe_names import PRODUCT_OPTIONS
from espnet_samu.recipe_products import Product, Recipe
from espnet_samu.teacher.cache import differences as teacher_differences
from espnet_samu.utils import provenance
from espnet_samu.utils.command import run

STALE = 3
"""Exit status where a product has to be made again."""


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
    for name in PRODUCT_OPTIONS:
        parser.add_argument(f"--{name}", default="", help="As in samu_st.sh")
    return parser


def stale(product: Product, named: bool = False) -> str:
    """Return how a product's inputs differ from those it was made from; "" if not.

    Args:
        product: As it would be made now.
        named: A user has named its folder, and perhaps not the options and sets that
            it was made with: only those of the same path are compared.
    """
    if not any(product.folder.glob(product.sign)):
        return ""
    record = provenance.read_record(product.folder)
    if record is None:
        if not is_linked(product):
            logging.warning(
                f"{product.folder} has no {provenance.RECORD}: what it was made from "
                "is not known, and it is taken as it is"
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


def is_linked(product: Product) -> bool:
    """Return whether a product was made elsewhere: its files are links to there."""
    folder = product.folder.resolve()
    files = [file.resolve() for file in product.folder.glob(product.sign)]
    return not any(file.is_relative_to(folder) for file in files)


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


def missing(recipe: Recipe, stage: int) -> tuple[int, str] | None:
    """Return the first file that a stage lacks, and the stage that makes it."""
    args, feats, teacher = recipe.args, recipe.feats, Path(recipe.args.teacher_dir)
    exp, tests = Path(args.st_exp), args.test_sets.split()
    distilled = (args.samu_train_set, args.samu_valid_set)
    model = [(11, exp / "config.yaml"), (11, exp / args.inference_st_model)]
    embeddings = [(6, teacher / name / "embed.scp") for name in distilled]
    files: list[tuple[int, Path]] = []
    if stage == 7:
        files = [(4, feats / name / "wav.scp") for name in distilled] + embeddings
    elif stage == 8:
        stats = Path(args.samu_stats_dir)
        files = [(7, stats / part / "speech_shape") for part in ("train", "valid")]
        files += embeddings
    elif stage == 9:
        files = [(8, Path(args.samu_model))]
        for name in args.retrieval_sets.split():
            files += [(4, feats / name / "wav.scp"), (6, teacher / name / "embed.scp")]
    elif stage == 10:
        names = (args.perturbed_set or args.train_set, args.valid_set)
        files = [(4, feats / name / "wav.scp") for name in names]
    elif stage == 12:
        files = model + [(4, feats / name / "wav.scp") for name in tests]
    elif stage == 13:
        if not args.train_langs:
            files = [(1, Path("data", args.train_set, "utt2lang"))]
        files += [(12, exp / args.inference_tag / name / "text") for name in tests]
    elif stage == 14:
        files = [*model, (13, exp / "RESULTS.md")]
    elif stage == 15:
        files = [(13, exp / "README.md")]
    return next(((made_in, str(f)) for made_in, f in files if not f.exists()), None)


def check(recipe: Recipe, stage: int) -> None:
    """Raise an error for what a stage rests on and is missing or stale.

    Raises:
        ValueError: Names the product, what differs, and what to do.
    """
    args = recipe.args
    if found := missing(recipe, stage):
        raise ValueError(
            f"{found[1]} is missing: run stage {found[0]} first (--stage {found[0]})"
        )
    if stage > 14:
        return
    has_student = stage < 10 or recipe.starts_from_student()
    distilled = args.own_student == "true" and has_student
    names = []
    if distilled:
        names += [args.samu_train_set, args.samu_valid_set]
        names += args.retrieval_sets.split()
    if stage >= 10:
        names += [args.train_set, args.perturbed_set, args.valid_set]
        names += args.test_sets.split()
    for product in recipe.sets(*filter(None, names)):
        _refuse(product)
    if distilled and stage >= 7:
        _check_embeddings(recipe)
    if distilled and stage >= 9:
        _refuse(*recipe.student(), named="student" in args.named.split())
    if stage >= 10:
        _refuse(*recipe.tokens())
    if stage >= 12:
        _refuse(*recipe.model(), named="model" in args.named.split())
    if stage >= 13:
        _refuse(*recipe.translations())
        if args.baseline_exp:
            _refuse(*recipe.translations(args.baseline_exp))
        if distilled:
            _refuse(*recipe.retrieval())
    if stage >= 14:
        _refuse(*recipe.results())
        page = Path(args.st_exp, "RESULTS.md")
        if page.is_file() and f": {args.inference_tag}\n" not in page.read_text(
            encoding="utf-8"
        ):
            raise ValueError(
                f"{page} has no scores of {args.inference_tag}: run stage 13 again "
                "(--stage 13)"
            )


def _refuse(*products: Product, named: bool = False) -> None:
    for product in products:
        found = stale(product, named)
        if found:
            raise ValueError(
                f"{product.folder} was made from something else: {found}; "
                f"{product.mend}"
            )


def _check_embeddings(recipe: Recipe) -> None:
    args = recipe.args
    names = [args.samu_train_set, args.samu_valid_set, *args.retrieval_sets.split()]
    teachers = args.teacher.split() or [f"{args.teacher_dir}/model"]
    for name in dict.fromkeys(names):
        folder = Path(args.teacher_dir, name)
        text = recipe.feats / name / args.label_text
        found = teacher_differences(folder, teachers, args.teacher_prompt, text)
        if found:
            raise ValueError(
                f"{folder} was made from something else: {', '.join(found)}; run "
                "stage 6 again (--stage 6)"
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
        check(recipe, int(args.what))
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
