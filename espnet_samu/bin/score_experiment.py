#!/usr/bin/env python3
"""Score what an ST experiment has decoded (stage 13): tables, pages and model card."""

import argparse
import logging
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.types import str_or_none

from espnet_samu.bin import model_card, report, score_st
from espnet_samu.text.languages import find_tgt_langs
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import read_text
from espnet_samu.utils.language_codes import merge_spellings, parse_code

# Token types whose vocabulary a ceiling can be computed for.
_TOKEN_TYPE = re.compile(r"^token_type: (bpe|char|word|hugging_face)$", re.MULTILINE)
# In init_param.
_STUDENT = re.compile(r"([^\s'\"]+):frontend:")


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Score the decoded test sets of an ST experiment by score_st, make "
        "a page of each by report, and RESULTS.md and the model card by model_card",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--st_exp", type=Path, required=True, help="Experiment folder")
    parser.add_argument(
        "--baseline_exp",
        type=str_or_none,
        default=None,
        help="Experiment folder of the system to test against",
    )
    parser.add_argument(
        "--inference_tag", required=True, help="Decoding folder in both experiments"
    )
    parser.add_argument(
        "--test_sets", type=str.split, required=True, help="Names, in one string"
    )
    parser.add_argument(
        "--data_feats", type=Path, required=True, help="Folder of the test sets' data"
    )
    parser.add_argument("--ref", required=True, help="Name of a set's references")
    parser.add_argument("--src", required=True, help="Name of a set's transcripts")
    parser.add_argument(
        "--src_lang", required=True, help="Source language in names of experiments"
    )
    parser.add_argument("--tgt_lang", required=True, help="Target language")
    parser.add_argument(
        "--train_langs", default="", help="Of score_st: what training has"
    )
    parser.add_argument(
        "--train_utt2lang",
        default="",
        help="Has it, with utt2tgt_lang beside it, without --train_langs",
    )
    parser.add_argument(
        "--retrieval_dir", type=Path, required=True, help="Folder of stage 9"
    )
    parser.add_argument(
        "--retrieval_sets", type=str.split, default=[], help="Sets of stage 9"
    )
    parser.add_argument("--samu_model", default="", help="Student of the experiment")
    parser.add_argument(
        "--command", required=True, help="Command that trained the model"
    )
    parser.add_argument(
        "--score_args", type=shlex.split, default=[], help="Further options of score_st"
    )
    parser.add_argument(
        "--report_args", type=shlex.split, default=[], help="Further options of report"
    )
    return parser


def system_name(exp: str | Path, src_lang: str, tgt_lang: str) -> str:
    """Return a system's name in tables: its configuration and what was replaced in it.

    ``exp/st_train_st_raw_fr_en_max_epoch5`` is ``train_st_max_epoch5``.
    """
    name = Path(exp).name.replace(f"_raw_{src_lang}_{tgt_lang}", "", 1)
    return name.removeprefix("st_")


def is_retrieved(retrieval_dir: Path, data_feats: Path, dset: str) -> bool:
    """Return whether retrieval was scored on just the utterances of a set."""
    folder = retrieval_dir / dset
    if not (folder / "retrieval.json").exists():
        return False
    scored = set(read_text(folder / "embed.scp"))
    if (folder / "failed.scp").exists():
        scored |= set(read_text(folder / "failed.scp"))
    return scored == set(read_text(data_feats / dset / "wav.scp"))


def starts_from(path: Path, config: str, student: str) -> bool:
    """Return whether a model started from a student.

    Args:
        path: Its configuration, or a link to that of another recipe, whose paths begin
            in the folder of that recipe.
        config: What it says.
        student: File of the student, or a link to it.
    """
    for name in _STUDENT.findall(config):
        if name == student:
            return True
        places = [folder / name for folder in path.resolve().parents]
        if Path(student).exists() and any(
            place.exists() and place.samefile(student) for place in places
        ):
            return True
    return False


def training_directions(args: argparse.Namespace) -> str:
    """Return the directions of the training translations, as score_st takes them.

    Args:
        args: Command line.

    Returns:
        Source languages where all translations are into one language, else directions.
    """
    folders = [args.data_feats / dset for dset in args.test_sets]
    targets = {lang for folder in folders for lang in target_langs(folder, args)}
    utt2lang = read_text(args.train_utt2lang)
    utt2tgt_lang = find_tgt_langs(args.train_utt2lang) or {}
    tgt_langs = {utt: utt2tgt_lang.get(utt, args.tgt_lang) for utt in utt2lang}
    (spoken,) = merge_spellings(args.train_utt2lang, utt2lang)
    (written,) = merge_spellings("target languages of the training", tgt_langs)
    pairs = {(spoken[utt], written[utt]) for utt in utt2lang}
    if len({parse_code(lang) for lang in targets | {t for _, t in pairs}}) == 1:
        return " ".join(sorted({source for source, _ in pairs}))
    return " ".join(sorted(f"{source}:{target}" for source, target in pairs))


def target_langs(folder: Path, args: argparse.Namespace) -> set[str]:
    """Return the target languages of a data directory."""
    found = find_tgt_langs(folder / "utt2lang")
    return {args.tgt_lang} if found is None else {*found.values()}


def find_cross_attention(exp: Path) -> dict[str, Path]:
    """Return pictures of ``num_att_plot`` by their captions.

    Args:
        exp: Experiment folder.

    Returns:
        Of up to three utterances, the last layer in the last epoch.
    """
    found: dict[str, Path] = {}
    for folder in sorted((exp / "att_ws").glob("*")):
        pictures = {
            (int(match[2]), int(match[1])): path
            for path in folder.glob("*.png")
            if (match := re.fullmatch(r"cross_attention\.(\d+)\.(\d+)ep", path.stem))
        }
        if pictures and len(found) < 3:
            epoch, layer = max(pictures)
            name = f"cross-attention of {folder.name}, layer {layer + 1}, epoch {epoch}"
            found[f"{name}, mean over its heads"] = pictures[epoch, layer]
    return found


def score_options(args: argparse.Namespace, dset: str) -> tuple[list[str], list[str]]:
    """Return the options of a test set for score_st and for report.

    Args:
        args: Command line.
        dset: Name of the test set.
    """
    data = args.data_feats / dset
    both = ["--ref", str(data / args.ref), "--utt2lang", str(data / "utt2lang")]
    both += ["--tgt_lang", args.tgt_lang]
    scores: list[str] = []
    page: list[str] = []
    retrieved = is_retrieved(args.retrieval_dir, args.data_feats, dset)
    names: list[str] = []
    for exp in filter(None, (args.st_exp, args.baseline_exp)):
        name = system_name(exp, args.src_lang, args.tgt_lang)
        # That of another recipe may be called the same.
        name = str(exp) if name in names else name
        names.append(name)
        text = Path(exp, args.inference_tag, dset, "text")
        if exp == args.baseline_exp and not text.exists():
            logging.info(f"{dset} is scored without {exp}, which has not decoded it")
            continue
        both += ["--system", f"{name}={text}"]
        path = Path(exp, "config.yaml")
        config = path.read_text(encoding="utf-8") if path.exists() else ""
        if _TOKEN_TYPE.search(config):
            scores += ["--ceiling", f"{name}={path}"]
        if exp == args.baseline_exp:
            scores += ["--baseline", name]
        if path.with_name("train.log").exists():
            page += ["--training", f"{name}={path.with_name('train.log')}"]
        # A frozen encoder retrieves as the student that it started from.
        from_student = retrieved and starts_from(path, config, args.samu_model)
        if from_student and "freeze: true" in config:
            json = args.retrieval_dir / dset / "retrieval.json"
            scores += ["--retrieval", f"{name}={json}"]
    log = Path(args.samu_model).with_name("train.log")
    if args.samu_model and log.exists():
        page += ["--training", f"distillation of {log.parent.name}={log}"]
    for name, png in find_cross_attention(args.st_exp).items():
        page += ["--figure", f"{name}={png}"]
        page += ["--command", f"{name}={args.command} (stage 11)"]
    if (data / "utt2tgt_lang").exists():
        both += ["--utt2tgt_lang", str(data / "utt2tgt_lang")]
    if (data / args.src).exists() and (data / args.src).stat().st_size:
        both += ["--src", str(data / args.src)]
    # A set without retrieval of its own shows the figures of the first that has one.
    shown: str | None = dset
    if not retrieved:
        searched = args.retrieval_sets[:1]
        shown = next(
            (
                s
                for s in searched
                if is_retrieved(args.retrieval_dir, args.data_feats, s)
            ),
            None,
        )
    if shown is not None:
        for png in sorted((args.retrieval_dir / shown).glob("*.png")):
            name = f"retrieval of {shown}: {png.stem}"
            page += ["--figure", f"{name}={png}"]
            page += ["--command", f"{name}={args.command} (stage 9)"]
    return [*both, *scores], [*both, *page]


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train_langs = args.train_langs or training_directions(args)
    card = ["--st_exp", str(args.st_exp), "--train_langs", train_langs]
    card += ["--tgt_lang", args.tgt_lang, "--command", args.command]
    for dset in args.test_sets:
        output_dir = args.st_exp / args.inference_tag / dset / "score_st"
        scores, page = score_options(args, dset)
        scores += ["--train_langs", train_langs, "--output_dir", str(output_dir)]
        score_st.main([*scores, *args.score_args])
        page += ["--results", str(output_dir / "results.json")]
        page += ["--output", str(output_dir / "report.html")]
        page += ["--title", f"{dset}: {args.st_exp.name}, {args.inference_tag}"]
        page += ["--command", f"recipe={args.command}"]
        tree = (
            f"python -m espnet_samu.bin.provenance {args.st_exp / args.inference_tag}"
        )
        page += ["--command", f"what it all came from, as a tree={tree}"]
        report.main([*page, *args.report_args])
        table = output_dir / "table.md"
        card += ["--table", f"{dset}: {args.inference_tag}={table}"]
        data = args.data_feats / dset
        card += ["--utt2lang", str(data / "utt2lang")]
        if (data / "utt2tgt_lang").exists():
            card += ["--utt2tgt_lang", str(data / "utt2tgt_lang")]
    model_card.main(card)


if __name__ == "__main__":
    run(main)
