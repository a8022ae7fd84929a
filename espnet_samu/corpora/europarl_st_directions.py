"""Europarl-ST's directions, those of a scenario, and the split of each speech."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from espnet_samu.corpora.counts import CorpusError, listed
from espnet_samu.corpora.europarl_st_reader import UNPACK, Segment, SplitReader
from espnet_samu.utils.command import progress

LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "pt", "ro")
SCENARIOS = ("x2en", "m2m", "zeroshot")

Direction = tuple[str, str]  # spoken, written


def languages(option: str, chosen: Sequence[str]) -> tuple[str, ...]:
    """Return the languages of an option, sorted.

    Raises:
        ValueError: Not a language of the corpus, or one twice.
    """
    for code in chosen:
        if code not in LANGUAGES:
            raise ValueError(
                f"--{option}: '{code}' is not one of {' '.join(LANGUAGES)}"
            )
        if chosen.count(code) > 1:
            raise ValueError(f"--{option}: '{code}' stands twice")
    return tuple(sorted(chosen))


@dataclass(frozen=True)
class Plan:
    """The directions of a scenario.

    Attributes:
        trained: Directions whose training and development sets are used.
        tested: Directions whose test sets are used; all of ``trained`` among them.
        samu_langs: Languages of the distillation's speech.
    """

    trained: tuple[Direction, ...]
    tested: tuple[Direction, ...]
    samu_langs: tuple[str, ...]


def make_plan(
    scenario: str,
    src_langs: Sequence[str] = (),
    tgt_langs: Sequence[str] = (),
    st_src_langs: Sequence[str] = (),
    samu_langs: Sequence[str] = (),
) -> Plan:
    """Work out the directions.

    Args:
        scenario: ``x2en``, all languages to English; ``m2m``, all to all;
            ``zeroshot``, tested as ``x2en`` and trained on some of the languages.
        src_langs: Languages spoken; default: all.
        tgt_langs: Languages of the translations; default: English, for m2m all.
        st_src_langs: For ``zeroshot`` only: the languages spoken in training.
        samu_langs: Languages of the distillation; default: all.

    Raises:
        ValueError: The options do not fit each other.
    """
    if scenario not in SCENARIOS:
        raise ValueError(f"--scenario {scenario} is not one of {' '.join(SCENARIOS)}")
    if scenario != "m2m" and tuple(tgt_langs) not in ((), ("en",)):
        raise ValueError(
            f"--tgt_langs {' '.join(tgt_langs)}: --scenario {scenario} translates to "
            "en; other targets need --scenario m2m"
        )
    targets = tgt_langs or (LANGUAGES if scenario == "m2m" else ("en",))
    tested = tuple(
        (src, tgt) for src in src_langs or LANGUAGES for tgt in targets if src != tgt
    )
    if not tested:
        raise ValueError(
            f"no direction is left of --src_langs {' '.join(src_langs)} and "
            f"--tgt_langs {' '.join(targets)}"
        )
    trained = tested
    if scenario == "zeroshot":
        spoken = {src for src, _ in tested}
        if not st_src_langs or not set(st_src_langs) < spoken:
            raise ValueError(
                f"--st_src_langs '{' '.join(st_src_langs)}': --scenario zeroshot "
                f"trains on some, not all, of {' '.join(sorted(spoken))}"
            )
        trained = tuple(pair for pair in tested if pair[0] in st_src_langs)
    elif st_src_langs:
        raise ValueError(
            f"--st_src_langs {' '.join(st_src_langs)} is for --scenario zeroshot; "
            f"--scenario {scenario} trains on all of --src_langs"
        )
    return Plan(trained, tested, tuple(samu_langs) or LANGUAGES)


# From training to what must be kept apart most.
SPLITS = ("train", "dev", "test")


class Corpus:
    """A copy of Europarl-ST v1.1.

    Args:
        root: The folder that holds ``<src>/audios``.
        with_noisy: Whether train-noisy, of which its authors trust the alignment
            less, belongs to the training sets.
    """

    def __init__(self, root: Path, with_noisy: bool = False) -> None:
        self.root = root
        self.folders = {
            "train": ("train", "train-noisy") if with_noisy else ("train",),
            "dev": ("dev",),
            "test": ("test",),
        }
        self.segments = cache(self._segments)

    def directions(self, src_langs: Iterable[str]) -> list[Direction]:
        """All directions that this copy has for languages spoken.

        Raises:
            ValueError: A language has none.
        """
        found = []
        for src in src_langs:
            targets = [t for t in LANGUAGES if (self.root / src / t).is_dir()]
            if not targets:
                raise ValueError(
                    f"{self.root}/{src} holds no direction such as {src}/"
                    f"{'de' if src == 'en' else 'en'}; {UNPACK}, or leave {src} out of "
                    "--src_langs and --samu_langs"
                )
            found += [(src, tgt) for tgt in targets]
        return found

    def all_directions(self, plan: Plan) -> list[Direction]:
        """Return the directions that are read: for the distillation, and tested.

        Raises:
            ValueError: A language has none.
        """
        return [*dict.fromkeys((*self.directions(plan.samu_langs), *plan.tested))]

    def inputs(self, directions: Iterable[Direction]) -> set[Path]:
        """Return the folders of the splits and recordings of directions."""
        found = set()
        for src, tgt in directions:
            found.add(self.root / src / "audios")
            for folders in self.folders.values():
                found.update(self.root / src / tgt / name for name in folders)
        return found

    def _segments(self, src: str, tgt: str, split: str) -> tuple[Segment, ...]:
        """Segments of a direction, faulty ones too."""
        return tuple(
            segment
            for folder in self.folders[split]
            for segment in SplitReader(self.root, src, tgt, folder).read()
        )

    def speeches(self, src: str, tgt: str, split: str) -> Iterator[tuple[str, Path]]:
        """Speeches of a direction, each with the folder that lists it."""
        for name in self.folders[split]:
            reader = SplitReader(self.root, src, tgt, name)
            for speech in reader.speakers():
                yield speech, reader.folder

    def split_of(self, directions: Sequence[Direction]) -> dict[tuple[str, str], str]:
        """Split of each speech, by language spoken and speech id.

        Each direction has splits of its own. A speech that is held out in one of the
        directions must not be trained on in another: it belongs to the last of train,
        dev and test that it is in.

        Raises:
            CorpusError: A speech is in two splits of one direction.
        """
        strictest: dict[tuple[str, str], str] = {}
        for src, tgt in directions:
            here: dict[str, str] = {}
            for split in SPLITS:
                for speech, folder in self.speeches(src, tgt, split):
                    if here.setdefault(speech, split) != split:
                        path = folder / "speeches.lst"
                        lines = path.read_text("utf-8-sig").split("\n")
                        stripped = [line.strip() for line in lines]
                        raise CorpusError(
                            path,
                            stripped.index(speech) + 1,
                            f"speech '{speech}' is in {here[speech]}, too",
                            f"take it out of one of them, or {UNPACK}",
                        )
                    known = strictest.get((src, speech), split)
                    strictest[src, speech] = max(known, split, key=SPLITS.index)
        return strictest


def read_all(corpus: Corpus, plan: Plan) -> Iterator[Segment]:
    """Read all that the plan needs; the corpus keeps it.

    Raises:
        ValueError: Splits are malformed or not aligned: all of them, counted.
    """
    faults: list[CorpusError] = []
    directions = corpus.all_directions(plan)
    needed = [(*pair, split) for pair in directions for split in SPLITS]
    for src, tgt, split in progress(needed, len(needed), "splits"):
        try:
            yield from corpus.segments(src, tgt, split)
        except CorpusError as fault:
            faults.append(fault)
    if len(faults) > 1:
        title = f"{len(faults)} of {len(needed)} splits are faulty:"
        raise ValueError(listed(title, faults))
    if faults:
        raise faults[0]


def needed(segments: Iterable[Segment]) -> list[Segment]:
    """One segment of each recording."""
    first: dict[str, Segment] = {}
    for segment in segments:
        first.setdefault(segment.recording, segment)
    return list(first.values())
