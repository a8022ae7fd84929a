"""Rules for what is wrong with single segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from europarl_st.recordings import Recordings
from europarl_st.segment import Segment
from europarl_st.tally import Tally

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
