"""Checks of waveforms before a model uses them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from espnet_samu.utils.kaldi_io import read_text

if TYPE_CHECKING:
    import torch  # slow to import, and data preparation needs the limits alone

SAMPLING_RATE = 16000  # Hz
LOUDEST = 10.0
"""Largest amplitude of a waveform in [-1, 1]: decoders and filters overshoot it, but
not by 20 dB."""

_READ = "read the file by espnet_samu.corpora.audio.read_speech(path)"
# Advice for training.
CHECK_AUDIO = (
    ". Run samu_st.sh --stage 7 --check_audio true, which drops and counts them"
)
DURATIONS = (
    ". In training and validation sets stage 4 drops what is not between "
    "--min_wav_duration and --max_wav_duration (seconds)"
)


class UnusableWaveforms(ValueError):
    """Error for waveforms of a batch that cannot be used.

    Args:
        reasons: What is wrong, by row of the batch (from 0).
        names: Utterance ids (B,), for the message.
        advice: What to do about it, for the message.
        what: What stands before each name.
    """

    def __init__(
        self,
        reasons: Mapping[int, str],
        names: Sequence[str] | None = None,
        advice: str = "",
        what: str = "utterance ",
    ):
        self.reasons = dict(reasons)
        rows: dict[str, list[str]] = {}
        for row, reason in self.reasons.items():
            name = f"row {row} of the batch"
            if names is not None:
                name = f"{what}{names[row]}"
            rows.setdefault(reason, []).append(name)
        parts = [f"{', '.join(those)}: {reason}" for reason, those in rows.items()]
        super().__init__("; ".join(parts) + advice)


@contextmanager
def named_waveforms(
    names: Sequence[str] | None, advice: str = "", what: str = "utterance "
) -> Iterator[None]:
    """Add names to errors about waveforms, in a with block.

    Args:
        names: Utterance ids (B,); None: rows of the batch are named.
        advice: What to do about it, for the message.
        what: What stands before each name.

    Raises:
        UnusableWaveforms: With names and advice.
    """
    try:
        yield
    except UnusableWaveforms as error:
        raise UnusableWaveforms(error.reasons, names, advice, what) from None


def check_waveform(
    speech: torch.Tensor | np.ndarray,
    name: str,
    sampling_rate: int | None = None,
) -> torch.Tensor:
    """Raise an error unless this is one waveform in [-1, 1] at 16 kHz.

    Args:
        speech: Waveform (N,).
        name: Of the utterance, for the message.
        sampling_rate: Of the waveform in Hz; None: taken to be 16000.

    Returns:
        The waveform as a tensor.

    Raises:
        ValueError: It is something else, has several dimensions, integers, no sample,
            NaN, infinity, samples far outside of [-1, 1], or another rate.
    """
    import torch

    if sampling_rate not in (None, SAMPLING_RATE):
        raise ValueError(
            f"{name}: the waveform has {sampling_rate} Hz, but speech encoders take "
            f"{SAMPLING_RATE}; resample it, or {_READ}"
        )
    if isinstance(speech, (str, os.PathLike)):
        raise ValueError(f"{name}: '{speech}' is a path, not a waveform; {_READ}")
    try:
        speech = torch.as_tensor(speech)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"{name}: a waveform is a tensor or array (samples,), but this one is a "
            f"{type(speech).__name__}; soundfile.read gives a pair, waveform and rate; "
            f"{_READ}"
        ) from None
    if speech.dim() != 1:
        raise ValueError(
            f"{name}: a waveform is (samples,), but this one is "
            f"{tuple(speech.shape)}; choose one channel, take the mean of them, or "
            f"{_READ}"
        )
    if not speech.is_floating_point():
        raise ValueError(
            f"{name}: a waveform has floats in [-1, 1], but this one has "
            f"{speech.dtype}; divide 16-bit samples by 32768"
        )
    if len(speech) == 0:
        raise ValueError(f"{name}: the waveform has no samples")
    # Both are NaN if a sample is.
    lowest, highest = (float(bound) for bound in torch.aminmax(speech))
    if not np.isfinite(highest - lowest):
        bad = len(speech) - int(speech.isfinite().sum())
        if bad:
            raise ValueError(
                f"{name}: {bad} of {len(speech)} samples are NaN or infinite"
            )
    loudest = max(highest, -lowest)
    if loudest > LOUDEST:
        raise ValueError(f"{name}: {_too_loud(loudest)}")
    return speech


def check_speeches(
    speeches: Sequence[torch.Tensor | np.ndarray],
    sampling_rate: int | None,
    dtype: torch.dtype,
) -> tuple[list[str], list[torch.Tensor]]:
    """Check the waveforms of a call.

    Args:
        speeches: B waveforms (N,).
        sampling_rate: Of the waveforms in Hz; None: taken to be 16000.
        dtype: What they are converted to.

    Returns:
        Names for messages, and the waveforms as tensors.

    Raises:
        ValueError: There is none, or see :func:`check_waveform`; says which.
    """
    if len(speeches) == 0:
        raise ValueError("speeches is empty: give one waveform or more")
    names = [f"speeches[{i}]" for i in range(len(speeches))]
    names = names if len(names) > 1 else ["speech"]
    checked = [check_waveform(s, n, sampling_rate) for s, n in zip(speeches, names)]
    return names, [speech.to(dtype) for speech in checked]


def _too_loud(loudest: float) -> str:
    return (
        f"a waveform has floats in [-1, 1], but this one has samples of up to "
        f"{loudest:.6g}; divide samples of 16 bits by 32768"
    )


def check_waveforms(
    speech: torch.Tensor,
    lengths: torch.Tensor,
    names: Sequence[str] | None = None,
    allow_silence: bool = False,
    advice: str = "",
) -> None:
    """Raise an error for waveforms of a batch that cannot be trained on.

    Args:
        speech: Waveforms (B, N), anything where padded.
        lengths: Samples (B,).
        names: Utterance ids (B,), for the message.
        allow_silence: Log those that are silent in place of refusing them.
        advice: What to do about it, for the message.

    Raises:
        UnusableWaveforms: Some are silent (all samples equal), not finite, or far
            outside of [-1, 1].
    """
    import torch

    # Row by row: masking the padding would copy the whole batch. An utterance without
    # a sample is silent.
    rows = zip(speech, lengths.clamp(min=1).tolist())
    bounds = [torch.stack(torch.aminmax(row[:n])) for row, n in rows]
    lowest, highest = torch.stack(bounds).unbind(1)
    # aminmax propagates NaN; comparisons with NaN are false.
    good = (highest > lowest) & (highest <= LOUDEST) & (lowest >= -LOUDEST)
    if bool(good.all()):
        return
    reasons = {}
    for row in (~good).nonzero()[:, 0].tolist():
        high, low = float(highest[row]), float(lowest[row])
        if not np.isfinite(high - low):
            reasons[row] = "samples are NaN or infinite"
        elif high == low:
            reasons[row] = "silent, all samples are equal"
        else:
            reasons[row] = _too_loud(max(high, -low))
    if allow_silence:
        silent = {row: why for row, why in reasons.items() if why.startswith("silent")}
        if silent:
            logging.warning(str(UnusableWaveforms(silent, names)))
        reasons = {row: why for row, why in reasons.items() if row not in silent}
    if reasons:
        raise UnusableWaveforms(reasons, names, advice)


class CheckedPreprocessor:
    """Preprocessor of ESPnet's data loader that checks waveforms.

    ESPnet's loader of sound files drops their rate. It is read here once more, from
    the header, in the loader's worker.

    Args:
        wav_scp: The loader's list of sound files, or None for other types of data
            (archives), whose rate is not looked at.
        preprocess: ESPnet's preprocessor, or None.
    """

    def __init__(self, wav_scp: str | None, preprocess: Callable | None = None):
        self.files = {} if wav_scp is None else read_text(wav_scp)
        self.preprocess = preprocess

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, Any]:
        """Preprocess an utterance and check its ``speech``.

        Raises:
            ValueError: Names the utterance.
        """
        import soundfile

        if uid in self.files:
            rate = soundfile.info(self.files[uid]).samplerate
            if rate != SAMPLING_RATE:
                raise ValueError(
                    f"utterance {uid}: {self.files[uid]} has {rate} Hz, but speech "
                    f"encoders take {SAMPLING_RATE}; let stage 3 of the recipe "
                    "resample with --fs 16k"
                )
        if self.preprocess is not None:
            data = self.preprocess(uid, data)
        check_waveform(data["speech"], f"utterance {uid}")
        return data
