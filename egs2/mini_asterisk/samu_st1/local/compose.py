"""Compose the mini corpus: spoken sentences out of recorded units.

Reads the unpacked ``downloads`` folder and writes 16 kHz mono FLAC files and Kaldi data
directories. Which content is train, dev or test follows from its English sentence.
``--seed`` chooses the training contents; the dev and test sets are the same for every
seed, so that scores can be compared. Prints a table of what was written.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from corpus import Corpus, Utterance
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.command import run
from espnet_samu.utils.kaldi_io import write_text
from grammar import (
    LANGUAGES,
    SLOT_WORDS,
    TEMPLATES,
    Content,
    contents_of,
    single_words,
    split_of,
)
from spoken import speak, transcript

Pools = dict[str, list[Content]]  # template -> contents
SUPERVISED = ("es", "fr")  # it and ru are zero-shot languages: no translations
SPEAKERS = {
    "es": "es_allison",
    "fr": "fr_june",
    "it": "it_carlo",
    "ru": "ru_ivrvoice",
}
SECOND_SPEAKER = "it_menardi"
SETS = ("samu_train", "samu_dev", "train", "dev", "dev_menardi")
TESTS = ("test", "test_menardi", "test_prompts")
OUTPUTS = (*SETS, *TESTS, "audio", "bitext", "template_floor")


def choose(pools: Pools, size: int, rng: random.Random) -> list[Content]:
    """Choose distinct contents, as evenly over the templates as these allow.

    Args:
        pools: Template -> its contents. Small templates are used up; the others share
            what remains.
        size: How many; all contents if there are fewer.
        rng: Source of the choice.

    Returns:
        The chosen contents in a random order.
    """
    chosen: list[Content] = []
    by_size = sorted(pools.values(), key=len)
    for i, pool in enumerate(by_size):
        share = (size - len(chosen)) / (len(by_size) - i)
        chosen += rng.sample(pool, min(len(pool), round(share)))
    rng.shuffle(chosen)
    return chosen


def group(contents: Iterable[Content]) -> Pools:
    """Group contents by template."""
    pools: Pools = {}
    for content in contents:
        pools.setdefault(content.template, []).append(content)
    return pools


def check_disjoint(train: Iterable[Content], held_out: Iterable[Content]) -> None:
    """Refuse an English sentence on both sides.

    Raises:
        ValueError: One of them is.
    """
    both = {c.english for c in train} & {c.english for c in held_out}
    if both:
        raise ValueError(f"{len(both)} held-out sentences in training: {min(both)}")


def compose(corpus: Corpus, args: argparse.Namespace) -> None:
    """Write all sets."""

    every = [c for template in TEMPLATES for c in contents_of(template)]
    pools = {s: group(c for c in every if split_of(c) == s) for s in ("dev", "test")}
    pools["train"] = group(c for c in every if split_of(c) == "train")
    test = choose(pools["test"], args.test_per_lang, random.Random("test"))
    dev = choose(pools["dev"], args.dev_per_lang, random.Random("dev"))
    # The teacher's bitext is the pool that training speech is drawn from.
    words = single_words()
    bitext = choose(
        pools["train"], args.bitext_contents, random.Random(f"bitext {args.seed}")
    )
    check_disjoint(bitext + words, test + dev)

    trains: list[Utterance] = []
    devs: list[Utterance] = []
    tests: list[Utterance] = []
    for lang, speaker in SPEAKERS.items():
        size = max(args.train_per_lang - len(words), 0)
        contents = words + choose(
            group(bitext), size, random.Random(f"train {lang} {args.seed}")
        )
        contents = contents[: args.train_per_lang]
        trains += corpus.utterances("train", lang, speaker, contents)
        devs += corpus.utterances("dev", lang, speaker, dev)
        tests += corpus.utterances("test", lang, speaker, test)
    second = corpus.utterances("test", "it", SECOND_SPEAKER, test)
    second_dev = corpus.utterances("dev", "it", SECOND_SPEAKER, dev)
    prompts = corpus.prompts(args.downloads)
    corpus.write_audio(trains + devs + second_dev + tests + second + prompts, args.nj)

    corpus.write_set("samu_train", trains, translated=False)
    corpus.write_set("samu_dev", devs, translated=False)
    for name, utts in (("train", trains), ("dev", devs)):
        supervised = [utt for utt in utts if utt.lang in SUPERVISED]
        corpus.write_set(name, supervised, translated=True)
    corpus.write_set("dev_menardi", second_dev, translated=True)
    corpus.write_set("test", tests, translated=True)
    corpus.write_set("test_menardi", second, translated=True)
    corpus.write_set("test_prompts", prompts, translated=True)

    lines = ["lang\ttext\tenglish\n"]
    for lang in LANGUAGES:
        for content in words + bitext:
            text = transcript(speak(content, lang, corpus.texts[lang]))
            lines.append(f"{lang}\t{text}\t{content.english}\n")
    (corpus.folders["bitext"] / "bitext.tsv").write_text("".join(lines), "utf-8")
    (corpus.output / "slots.txt").write_text("".join(f"{w}\n" for w in SLOT_WORDS))
    # A floor for the scores, without listening: the right template with the contents
    # of a random utterance of it.
    whole = group(every + [utt.content for utt in prompts])
    floor = {}
    for utt in sorted(tests + second + prompts, key=lambda utt: utt.utt):
        draw = random.Random(f"floor {utt.utt}")
        floor[utt.utt] = draw.choice(whole[utt.content.template]).english
    write_text(corpus.folders["template_floor"] / "text", floor)


def get_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--downloads", type=Path, default=Path("downloads"))
    parser.add_argument("--output_dir", type=Path, default=Path("data"))
    parser.add_argument("--seed", type=int, default=1, help="Seed of the training sets")
    parser.add_argument("--train_per_lang", type=int, default=1750)
    parser.add_argument("--dev_per_lang", type=int, default=60)
    parser.add_argument("--test_per_lang", type=int, default=140)
    parser.add_argument("--bitext_contents", type=int, default=6000)
    parser.add_argument("--nj", type=int, default=2, help="Threads")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = get_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with ExitStack() as stack:
        outputs = [
            AtomicFolder(args.output_dir / name, "compose.py") for name in OUTPUTS
        ]
        folders = dict(zip(OUTPUTS, map(stack.enter_context, outputs)))
        corpus = Corpus(args.downloads, args.output_dir, folders)
        compose(corpus, args)
    print(f"{'set':<14}{'language':<10}{'utterances':>10}{'hours':>8}{'contents':>10}")
    for name, lang, count, hours, distinct in corpus.table:
        print(f"{name:<14}{lang:<10}{count:>10}{hours:>8.2f}{distinct:>10}")


if __name__ == "__main__":
    run(main)
