"""Europarl-ST: the sets of a scenario's directions, and those of the distillation.

The corpus has whole interventions as audio, and for each direction the times of its
sentences. Each recording is decoded and checked once, and kept as FLAC of 16 kHz and
one channel; ``segments`` point into it. Everything is read and checked before a set is
written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from espnet_samu.corpora.audio_store import AudioStore
from espnet_samu.corpora.counts import WHOLE, Counts
from espnet_samu.corpora.data_dir import DataDir, text_file, write_data_dir
from espnet_samu.corpora.europarl_st_directions import (
    SPLITS,
    Corpus,
    Plan,
    languages,
    make_plan,
    needed,
    read_all,
)
from espnet_samu.corpora.europarl_st_reader import Recordings, Segment
from espnet_samu.corpora.marker import Marker
from espnet_samu.corpora.utterance import Utterance
from espnet_samu.utils.atomic import atomic_write

# Segments of the test sets as others have counted them. Extending short segments and
# dropping duplicates, which they do, too, makes small differences.
PUBLISHED = {
    "test.de-en": 2631,
    "test.es-en": 1816,
    "test.fr-en": 1804,
    "test.it-en": 1686,
    "test.pt-en": 2286,
    "test.en-de": 1253,
    "test.en-es": 1267,
    "test.en-fr": 1214,
}


def prepare(args: argparse.Namespace) -> None:
    """Write all sets, and print their counts.

    Raises:
        ValueError: The options, the corpus or the machine are not as needed.
    """
    options = ("src_langs", "tgt_langs", "st_src_langs", "samu_langs")
    chosen = {name: languages(name, getattr(args, name)) for name in options}
    plan = make_plan(args.scenario, **chosen)
    corpus = Corpus(args.root, args.with_noisy)
    folder = args.output_dir / "local" / args.tag
    distillation = (args.samu_train_set, args.samu_valid_set)
    tested = [f"{src}-{tgt}" for src, tgt in plan.tested]
    names = [f"{split}.{name}" for split in SPLITS for name in (*tested, args.tag)]
    outputs = [args.output_dir / name for name in (*distillation, *names)]

    def make() -> None:
        recordings = Recordings(args.root, AudioStore(args.clips_dir, jobs=args.nj))
        recordings.find(needed(read_all(corpus, plan)))
        sets = DataSets(corpus, plan, recordings, args.output_dir, args.tag)
        sets.write_distillation(*distillation)
        sets.write_directions()
        for (name, split), row in sets.counts.sets.items():
            row.published = PUBLISHED.get(f"{split}.{name}")
        sets.counts.save(folder)
        with atomic_write(folder / "sets") as out:
            out.writelines(f"{path.name}\n" for path in outputs)

    settings = {name: list(langs) for name, langs in chosen.items()} | {
        "scenario": args.scenario,
        "sets": [path.name for path in outputs],
        "with_noisy": args.with_noisy,
        "clips_dir": str(args.clips_dir),
    }
    inputs = corpus.inputs(corpus.all_directions(plan))
    Marker(folder / "done.json", settings, inputs).make(outputs, make)


class Tally:
    """Counts of one data directory, and its segments that were not taken as they are.

    Args:
        counts: Of the corpus.
        root: Of the corpus.
        name: Of the set, such as ``de-en``.
        split: Of the set.
    """

    def __init__(
        self, counts: Counts, root: Path, name: str, split: str = WHOLE
    ) -> None:
        self.counts = counts
        self.root = root
        self.key = name, split
        self.row = counts.of(name, split)
        self.row.seconds = 0.0

    @property
    def name(self) -> str:
        """Name of the data directory, such as ``train.de-en``."""
        name, split = self.key
        return name if split == WHOLE else f"{split}.{name}"

    def keep(self, segment: Segment) -> None:
        """Count the speech of a segment of the data directory."""
        start, end = segment.audio or (segment.start, segment.end)
        self.row.seconds = (self.row.seconds or 0.0) + (end - start) / 1000

    def change(self, segment: Segment, reason: str) -> None:
        """Count and list a segment that is kept with other times."""
        self.counts.change(*self.key, segment.piece, reason, *segment.place(self.root))

    def drop(self, segment: Segment, reason: str) -> None:
        """Count and list a segment that is left out."""
        self.counts.drop(*self.key, segment.piece, reason, *segment.place(self.root))

    def merge(self, reason: str) -> None:
        """Count a segment that the set has already, without listing it as a fault."""
        self.row.dropped[reason] += 1


SHORTEST = 200  # milliseconds
OVERHANG = 1000  # milliseconds that a training segment may reach beyond its audio
ROUNDING = 100  # milliseconds beyond the audio that are not reported

NO_TRANSCRIPT = "empty transcript"
NO_TRANSLATION = "empty translation"
DUPLICATE = "duplicate"
IMPOSSIBLE = "impossible times"
OUTSIDE = "outside the audio"
SHORT = "shorter than 0.2 s"
CUT = "cut at the end of the audio"
EXTENDED = "extended to 0.2 s"


def clean(
    segments: Iterable[Segment], recordings: Recordings, tally: Tally
) -> Iterator[Segment]:
    """Leave out or mend what cannot be used as it is.

    A held-out segment is mended where that is possible, so that scores are over the
    sets that others report on; in training it is left out, since its text does
    not match its audio.

    Args:
        segments: Of one set.
        recordings: Their audio.
        tally: Counts of the set.

    Yields:
        What is left, with times inside the audio.
    """
    taken: set[tuple[str, int, int]] = set()
    for segment in segments:
        tally.row.listed += 1
        if not segment.transcript:
            tally.drop(segment, NO_TRANSCRIPT)
        elif not segment.translation:
            tally.drop(segment, NO_TRANSLATION)
        elif segment.times in taken:
            tally.drop(segment, DUPLICATE)
        else:
            taken.add(segment.times)
            fitted = fit(segment, recordings, tally)
            if fitted is not None:
                tally.keep(fitted)
                yield fitted


def fit(segment: Segment, recordings: Recordings, tally: Tally) -> Segment | None:
    """Fit the times of a segment to its audio.

    Args:
        segment: The segment.
        recordings: Its audio among others.
        tally: Counts of its set.

    Returns:
        The segment with ``audio``; None if it is left out.
    """
    if segment.recording in recordings.faults:
        tally.drop(segment, recordings.faults[segment.recording])
        return None
    duration = recordings.milliseconds[segment.recording]
    training = segment.split.startswith("train")
    start, end = segment.start, min(segment.end, duration)
    fault = None
    if start < 0 or segment.end < start:
        fault = IMPOSSIBLE
    elif start >= duration or (training and segment.end > duration + OVERHANG):
        fault = OUTSIDE
    elif training and end - start < SHORTEST:
        fault = SHORT
    if fault is not None:
        tally.drop(segment, fault)
        return None
    if end - start < SHORTEST:
        tally.change(segment, EXTENDED)
        # Around its middle, inside the audio.
        start = max(0, min((start + end - SHORTEST) // 2, duration - SHORTEST))
        end = min(start + SHORTEST, duration)
    elif segment.end - duration > ROUNDING:
        tally.change(segment, CUT)
    return replace(segment, audio=(start, end))


HELD_OUT = "held out in another direction"
MERGED = "piece of audio that is there already"


class DataSets:
    """Writes the sets of a scenario and keeps their counts.

    Args:
        corpus: Where segments come from.
        plan: Directions.
        recordings: Found already for all segments.
        output: The folder ``data``.
        tag: Names the combined sets, ``train.<tag>``, and their translations.

    Raises:
        CorpusError: A speech is in two splits of one direction.
    """

    def __init__(
        self,
        corpus: Corpus,
        plan: Plan,
        recordings: Recordings,
        output: Path,
        tag: str,
    ) -> None:
        self.corpus = corpus
        self.plan = plan
        self.recordings = recordings
        self.output = output
        self.tag = tag
        self.counts = Counts()
        self.split_of = corpus.split_of(plan.tested)
        self.samu_directions = corpus.directions(plan.samu_langs)
        self.samu_split_of = corpus.split_of(self.samu_directions)

    def write_directions(self) -> None:
        """Write ``<split>.<src>-<tgt>`` and the sets combined of them.

        Raises:
            ValueError: A set would be empty.
        """
        for split in SPLITS:
            combined = self._tally(self.tag, split)
            own = self.plan.tested if split == "test" else self.plan.trained
            together = self._data("multi", self.tag)
            for src, tgt in self.plan.tested:
                tally = self._tally(f"{src}-{tgt}", split)
                data = self._data(src, tgt)
                segments = self.corpus.segments(src, tgt, split)
                used = (src, tgt) in own
                for segment in clean(segments, self.recordings, tally):
                    data.add(self._utterance(segment, f"-{tgt}"))
                    if not used:
                        continue
                    combined.row.listed += 1
                    if self.split_of[src, segment.speech] != split:
                        combined.drop(segment, HELD_OUT)
                        continue
                    combined.keep(segment)
                    together.add(self._utterance(segment, f"-{tgt}"))
                self._write(data, tally)
            self._write(together, combined)

    def write_distillation(self, train_set: str, valid_set: str) -> None:
        """Write the transcribed speech of all directions.

        Training has no piece of a speech that any direction holds out, validation none
        of a speech that any direction tests on. Directions of one language share most
        of their audio: each piece is taken once.

        Raises:
            ValueError: A set would be empty.
        """
        for split, name in (("train", train_set), ("dev", valid_set)):
            tally = self._tally(name)
            data = self._data("multi")
            for segment in self._transcribed(split, tally):
                data.add(self._utterance(segment))
            self._write(data, tally)

    def _transcribed(self, split: str, tally: Tally) -> Iterator[Segment]:
        """Pieces of audio with a transcript, each once."""
        taken: set[tuple[str, int, int]] = set()
        for src, tgt in self.samu_directions:
            for segment in self.corpus.segments(src, tgt, split):
                tally.row.listed += 1
                if self.samu_split_of[src, segment.speech] != split:
                    tally.drop(segment, HELD_OUT)
                elif not segment.transcript:
                    tally.drop(segment, NO_TRANSCRIPT)
                elif segment.times in taken:
                    tally.merge(MERGED)
                else:
                    taken.add(segment.times)
                    fitted = fit(segment, self.recordings, tally)
                    if fitted is not None:
                        tally.keep(fitted)
                        yield fitted

    def _tally(self, name: str, split: str = WHOLE) -> Tally:
        """Return the counts of a data directory."""
        return Tally(self.counts, self.corpus.root, name, split)

    @staticmethod
    def _data(src: str, tgt: str | None = None) -> DataDir:
        """Return an empty data directory; tgt None: without translations."""
        return DataDir([text_file(src)], [] if tgt is None else [text_file(tgt)])

    def _utterance(self, segment: Segment, suffix: str = "") -> Utterance:
        """Return a segment as an utterance, with a suffix to its id."""
        start, end = segment.audio or (segment.start, segment.end)
        return Utterance(
            id=f"{segment.utterance}{suffix}",
            speaker=segment.speaker_id,
            audio=self.recordings.entries[segment.recording],
            language=segment.src,
            transcript=segment.transcript,
            translation=segment.translation,
            target_language=segment.tgt,
            recording=segment.recording,
            start=f"{start / 1000:.3f}",
            end=f"{end / 1000:.3f}",
            line=segment.line,
        )

    def _write(self, data: DataDir, tally: Tally) -> None:
        """Write a data directory."""
        if not data:
            dropped = tally.row.dropped.items()
            reasons = "; ".join(f"{n}: {why}" for why, n in dropped)
            raise ValueError(
                f"{tally.name} would be empty: none of {tally.row.listed} segments is "
                "left" + (f" ({reasons})" if reasons else "")
            )
        write_data_dir(data, self.output / tally.name)
