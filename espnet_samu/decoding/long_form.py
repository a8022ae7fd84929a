"""Long recordings in pieces that a model can read."""

from typing import List, Optional

import torch

from espnet_samu.utils.waveform import SAMPLING_RATE

_FRAME = SAMPLING_RATE // 50  # samples, 20 ms
_SMOOTH = 15  # frames, 0.3 s: a pause between words, not a closed mouth

# Written without blanks.
_UNSPACED = ("zh", "ja", "th", "my", "km", "lo")


def check_limit(limit: int) -> None:
    """Raise a ValueError if pieces of so many samples are too short to be cut."""
    if limit < SAMPLING_RATE:
        raise ValueError(
            f"chunk_seconds {limit / SAMPLING_RATE:g} must be 1 or more, or 0 to leave "
            "utterances whole"
        )


def cut(speech: torch.Tensor, limit: int) -> List[torch.Tensor]:
    """Cut a waveform where it is quiet.

    Each cut is in the middle of the quietest 0.3 s in the second half of the longest
    possible piece; the last piece has a quarter of the limit or more.

    Args:
        speech: Waveform (N,).
        limit: Greatest number of samples of a piece.

    Returns:
        The pieces in turn, views of the waveform.
    """
    pieces = []
    while len(speech) > limit:
        last = min(limit, len(speech) - limit // 4)
        place = limit // 2 + _quietest(speech[limit // 2 : last])
        pieces.append(speech[:place])
        speech = speech[place:]
    return [*pieces, speech]


def _quietest(speech: torch.Tensor) -> int:
    """Sample in the middle of the quietest 0.3 s."""
    frames = speech[: len(speech) // _FRAME * _FRAME].double().view(-1, _FRAME)
    energy = frames.square().mean(1)
    width = min(_SMOOTH, len(energy))
    smooth = energy.unfold(0, width, 1).mean(1)
    return int(smooth.argmin() * _FRAME + width * _FRAME // 2)


def glue(language: Optional[str]) -> str:
    """What stands between the translations of two pieces.

    Args:
        language: Code of the target language (``ja_XX``, ``ja``); None: not known.
    """
    code = (language or "").strip("_").replace("-", "_").partition("_")[0].lower()
    return "" if code in _UNSPACED else " "
