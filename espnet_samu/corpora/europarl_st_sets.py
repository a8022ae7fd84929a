"""Data directories of Europarl-ST: which segments they take, and their counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from espnet_samu.corpora.data_dir import DataDir, write_data_dir
from espnet_samu.corpora.europarl_st_directions import SPLITS, Corpus, Plan
from espnet_samu.corpora.europarl_st_reader import Recordings, Segment
from espnet_samu.corpora.utterance import Utterance


@dataclass
class Tally:
    """Counts of one data directory, and its segments that were not taken as they are.

    Attributes:
        name: Of the data directory.
        seen: Segments of the corpus that were looked at.
        kept: Segments in the data directory.
        milliseconds: Of the kept ones.
        reasons: Number of segments by reason, dropped and changed ones.
        listed: Action (dropped, changed), reason, segment.
    """

    name: str
    seen: int = 0
    kept: int = 0
    milliseconds: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    listed: list[tuple[str, str, Segment]] = field(default_factory=list)

    @property
    def hours(self) -> float:
        """Of the kept segments."""
        return self.milliseconds / 3_600_000

    def keep(self, segment: Segment) -> None:
        """Count a segment of the data directory."""
        start, end = segment.audio or (segment.start, segment.end)
        self.kept += 1
        self.milliseconds += end - start

    def change(self, segment: Segment, reason: str) -> None:
        """Count and list a segment that is kept with other times."""
        self.reasons[reason] += 1
        self.listed.append(("changed", reason, segment))

    def drop(self, segment: Segment, reason: str) -> None:
        """Count and list a segment that is left out."""
        self.reasons[reason] += 1
        self.listed.append(("dropped", reason, segment))

    def merge(self, reason: str) -> None:
        """Count a segment that the set has already: that is no fault to list."""
        self.reasons[reason] += 1


SHORTEST = 200  # milliseconds
OVERHANG = 1000  # milliseconds that a training segment may reach beyond its audio
ROUNDING = 100  # milliseconds beyond the audio that are not worth a word

NO_TRANSCRIPT = "empty transcript"
NO_TRANSLATION = "empty translation"
DUPLICATE = "duplicate"
IMPOSSIBLE = "impossible times"
OUTSIDE = "outside the audio"
SHORT = "shorter than 0.2 s"
CUT = "cut at the end of the audio"
EXTENDED = "extended to 0.2 s"


def clean(
    segments: Iterable[Segment],
    recordings: Recordings,
    tally: Tally,
    translated: bool = True,
) -> Iterator[Segment]:
    """Leave out or mend what cannot be used as it is.

    A held-out segment is mended where that is possible, so that scores are over the
    sets that others report on; in training it is left out, since its text is not what
    is heard.

    Args:
        segments: Of one set.
        recordings: Their audio.
        tally: Counts of the set.
        translated: Whether translations are needed.

    Yields:
        What is left, with times inside the audio.
    """
    taken: set[tuple[str, int, int]] = set()
    for segment in segments:
        tally.seen += 1
        if not segment.transcript:
            tally.drop(segment, NO_TRANSCRIPT)
        elif translated and not segment.translation:
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
        self.tallies: list[Tally] = []
        self.split_of = corpus.split_of(plan.tested)
        self.samu_directions = corpus.directions(plan.samu_langs)
        self.samu_split_of = corpus.split_of(self.samu_directions)

    def write_directions(self) -> None:
        """Write ``<split>.<src>-<tgt>`` and the sets combined of them.

        Raises:
            ValueError: A set would be empty.
        """
        for split in SPLITS:
            combined = Tally(f"{split}.{self.tag}")
            own = self.plan.tested if split == "test" else self.plan.trained
            together = DataDir()
            for src, tgt in self.plan.tested:
                tally = Tally(f"{split}.{src}-{tgt}")
                data = DataDir()
                segments = self.corpus.segments(src, tgt, split)
                used = (src, tgt) in own
                for segment in clean(segments, self.recordings, tally):
                    self._put(data, segment, src, tgt)
                    if not used:
                        continue
                    combined.seen += 1
                    if self.split_of[src, segment.speech] != split:
                        combined.drop(segment, HELD_OUT)
                        continue
                    combined.keep(segment)
                    self._put(together, segment, "multi", self.tag)
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
            tally = Tally(name)
            data = DataDir()
            for segment in self._transcribed(split, tally):
                self._put(data, segment, "multi", None)
            self._write(data, tally)

    def _transcribed(self, split: str, tally: Tally) -> Iterator[Segment]:
        """Pieces of audio with a transcript, each once."""
        taken: set[tuple[str, int, int]] = set()
        for src, tgt in self.samu_directions:
            for segment in self.corpus.segments(src, tgt, split):
                tally.seen += 1
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

    def _put(self, data: DataDir, segment: Segment, src: str, tgt: str | None) -> None:
        """Add a segment to a data directory; tgt None: without its translation."""
        start, end = segment.audio or (segment.start, segment.end)
        utterance = Utterance(
            id=(
                segment.utterance
                if tgt is None
                else f"{segment.utterance}-{segment.tgt}"
            ),
            speaker=segment.speaker_id,
            audio=self.recordings.entries[segment.recording],
            language=segment.src,
            transcript=segment.transcript,
            translation=segment.translation,
            target_language=segment.tgt,
            split=segment.split,
            recording=segment.recording,
            start=f"{start / 1000:.3f}",
            end=f"{end / 1000:.3f}",
            line=segment.line,
        )
        translations = [] if tgt is None else [f"text.tc.{tgt}"]
        data.add(utterance, [f"text.tc.{src}"], translations)

    def _write(self, data: DataDir, tally: Tally) -> None:
        """Write a data directory."""
        if not data.wavs:
            reasons = "; ".join(f"{n}: {why}" for why, n in tally.reasons.items())
            raise ValueError(
                f"{tally.name} would be empty: none of {tally.seen} segments is left"
                + (f" ({reasons})" if reasons else "")
            )
        write_data_dir(data, self.output / tally.name)
        self.tallies.append(tally)
