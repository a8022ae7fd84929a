"""Make data sets of the study: parts of the transcribed speech, or sets joined.

Files are Kaldi-style; no audio is copied. What is chosen or shuffled follows from the
seed and the ids alone.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import read_text, write_text
from espnet_samu.utils.provenance import RECORD

from espnet2.utils.types import str2bool

TRANSCRIPTS = "text.tc.multi"
TRANSLATIONS = "text.tc.en"
SKIPPED = ("spk2utt", "feats_type", RECORD)  # by speaker, or of the set as a whole

Table = dict[str, str]


def read_set(folder: Path) -> dict[str, Table]:
    """Read the files of a data directory that have an utterance a line."""
    return {
        path.name: read_text(path)
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in SKIPPED and path.name[0] != "."
    }


def write_set(folder: Path, tables: Mapping[str, Table]) -> None:
    """Write a data directory, with spk2utt and feats_type."""
    with AtomicFolder(folder, "study_data.py") as temporary:
        for name, table in tables.items():
            write_text(temporary / name, dict(sorted(table.items())))
        speakers: dict[str, list[str]] = {}
        for utt, speaker in sorted(tables["utt2spk"].items()):
            speakers.setdefault(speaker, []).append(utt)
        lines = {speaker: " ".join(utts) for speaker, utts in speakers.items()}
        write_text(temporary / "spk2utt", lines)
        (temporary / "feats_type").write_text("raw\n", encoding="utf-8")


def by_language(utt2lang: Mapping[str, str]) -> dict[str, list[str]]:
    """Return sorted ids of every language."""
    ids: dict[str, list[str]] = {}
    for utt in sorted(utt2lang):
        ids.setdefault(utt2lang[utt], []).append(utt)
    return ids


def choose(
    utt2lang: Mapping[str, str],
    languages: Sequence[str],
    keep: Mapping[str, float],
    seed: int,
) -> list[str]:
    """Choose utterances.

    A smaller share of the same seed is part of a larger one.

    Args:
        utt2lang: Language of every utterance.
        languages: Languages that are left; none: all.
        keep: Share that is left by language, above 0; 1 by default.
        seed: Of the choice.

    Raises:
        ValueError: A language is not in the data.
    """
    groups = by_language(utt2lang)
    if unknown := {*languages, *keep} - set(groups):
        raise ValueError(f"languages must be of {[*groups]}: {sorted(unknown)}")
    chosen = []
    for lang, utts in groups.items():
        if languages and lang not in languages:
            continue
        random.Random(f"keep {lang} {seed}").shuffle(utts)
        chosen += utts[: max(1, round(len(utts) * keep.get(lang, 1.0)))]
    return sorted(chosen)


def shuffle(texts: Table, utt2lang: Mapping[str, str], seed: int) -> Table:
    """Give every utterance the transcript of another one of its language.

    The order of a language is shuffled and then turned by one, so that no utterance
    keeps its own (another may have the same words).

    Args:
        texts: Transcript of every utterance.
        utt2lang: Language of every utterance.
        seed: Of the shuffle.
    """
    shuffled: Table = {}
    for lang, utts in by_language({utt: utt2lang[utt] for utt in texts}).items():
        random.Random(f"shuffle {lang} {seed}").shuffle(utts)
        for utt, other in zip(utts, utts[1:] + utts[:1]):
            shuffled[utt] = texts[other]
    return shuffled


def translate(texts: Table, utt2lang: Mapping[str, str], english: Mapping) -> Table:
    """Return the English of every transcript.

    Args:
        texts: Transcript of every utterance.
        utt2lang: Language of every utterance.
        english: English by language and transcript.

    Raises:
        ValueError: A transcript has none.
    """
    try:
        return {utt: english[utt2lang[utt], text] for utt, text in texts.items()}
    except KeyError as e:
        raise ValueError(f"the bitext has no English of {e.args[0]}") from None


def read_english(bitext: Path, dev: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Read English by language and text.

    Args:
        bitext: TSV file of lang, text, english.
        dev: References of the development set, by id; contents have equal numbers in
            all languages.
    """
    english = {}
    lines = bitext.read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        lang, text, translation = line.split("\t")
        english[lang, text] = translation
    numbers = {utt.rsplit("-", 1)[1]: text for utt, text in dev.items()}
    for utt, text in read_text(Path("data/samu_dev") / TRANSCRIPTS).items():
        lang = utt.split("_", 1)[0]
        english[lang, text] = numbers[utt.rsplit("-", 1)[1]]
    return english


def parts(args: argparse.Namespace) -> None:
    """Write the changed training and development sets of a student."""
    keep = {lang: float(share) for lang, share in (kv.split("=") for kv in args.keep)}
    english: dict[tuple[str, str], str] = {}
    if args.translate:
        dev = read_text(Path("data/dev") / TRANSLATIONS)
        english = read_english(args.bitext, dev)
    for split, source in (("train", "samu_train"), ("dev", "samu_dev")):
        for root in (Path("data"), Path("dump/raw")):
            tables = read_set(root / source)
            utt2lang = tables["utt2lang"]
            utts = choose(
                utt2lang, args.languages, keep if split == "train" else {}, args.seed
            )
            tables = {
                name: {utt: table[utt] for utt in utts if utt in table}
                for name, table in tables.items()
            }
            texts = tables[TRANSCRIPTS]
            if args.shuffle and split == "train":
                tables[TRANSCRIPTS] = shuffle(texts, utt2lang, args.seed)
            if args.translate:
                tables[TRANSLATIONS] = translate(texts, utt2lang, english)
            write_set(root / args.name / split, tables)


def join(args: argparse.Namespace) -> None:
    """Write one formatted set of several, so that one process decodes them."""
    sets = [read_set(Path("dump/raw") / name) for name in args.join]
    tables: dict[str, Table] = {}
    for name in set.intersection(*(set(tables) for tables in sets)):
        tables[name] = {k: v for one in sets for k, v in one[name].items()}
        if len(tables[name]) < sum(len(one[name]) for one in sets):
            raise ValueError(f"{args.join} must have different ids in {name}")
    write_set(Path("dump/raw") / args.name, tables)


def get_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="Set, or folder of train and dev")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--languages", type=str.split, default=[], help="Languages that are kept"
    )
    parser.add_argument("--keep", action="append", default=[], metavar="LANG=SHARE")
    parser.add_argument("--shuffle", type=str2bool, default=False)
    parser.add_argument("--translate", type=str2bool, default=False)
    parser.add_argument("--bitext", type=Path, default=Path("data/bitext/bitext.tsv"))
    parser.add_argument("--join", type=str.split, default=[], help="Formatted sets")
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command line, in the folder of the recipe."""
    args = get_parser().parse_args(cmd)
    if args.join:
        join(args)
    else:
        parts(args)


if __name__ == "__main__":
    run(main)
