"""The data directories of a scenario."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from europarl_st.cleaning import NO_TRANSCRIPT, clean, fit
from europarl_st.corpus import SPLITS, Corpus
from europarl_st.plan import Plan
from europarl_st.recordings import Recordings
from europarl_st.segment import Segment
from europarl_st.tally import Tally

from espnet_samu.data.data_dir import DataDir, write_data_dir

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
        utt = segment.utterance
        if tgt is not None:
            utt += f"-{segment.tgt}"
            data.put("utt2tgt_lang", utt, segment.tgt)
            data.put(f"text.tc.{tgt}", utt, segment.translation)
        data.put("utt2spk", utt, segment.speaker_id)
        data.put("utt2lang", utt, segment.src)
        data.put(f"text.tc.{src}", utt, segment.transcript)
        start, end = segment.audio or (segment.start, segment.end)
        times = f"{start / 1000:.3f} {end / 1000:.3f}"
        data.put("segments", utt, f"{segment.recording} {times}")
        data.wavs[segment.recording] = self.recordings.entries[segment.recording]

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
