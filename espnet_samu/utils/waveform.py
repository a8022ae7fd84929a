"""Waveforms that are refused before a model makes something of them."""

from typing import Any, Callable, Dict, Optional, Sequence, Union

import numpy as np
import torch

from espnet_samu.utils.kaldi_io import read_text

SAMPLING_RATE = 16000  # Hz


def check_waveform(speech: Union[torch.Tensor, np.ndarray], name: str) -> torch.Tensor:
    """Refuse what is not one waveform in [-1, 1].

    Args:
        speech: Waveform (N,).
        name: Of the utterance, for the message.

    Returns:
        The waveform as a tensor.

    Raises:
        ValueError: It has several dimensions, integers, no sample, NaN or infinity.
    """
    speech = torch.as_tensor(speech)
    if speech.dim() != 1:
        raise ValueError(
            f"{name}: a waveform is (samples,), but this one is "
            f"{tuple(speech.shape)}; choose one channel, or take the mean of them"
        )
    if not speech.is_floating_point():
        raise ValueError(
            f"{name}: a waveform has floats in [-1, 1], but this one has "
            f"{speech.dtype}; divide 16-bit samples by 32768"
        )
    if len(speech) == 0:
        raise ValueError(f"{name}: the waveform has no samples")
    bad = len(speech) - int(speech.isfinite().sum())
    if bad:
        raise ValueError(f"{name}: {bad} of {len(speech)} samples are NaN or infinite")
    return speech


def check_waveforms(
    speech: torch.Tensor,
    lengths: torch.Tensor,
    names: Optional[Sequence[str]] = None,
) -> None:
    """Refuse waveforms that are silent (all samples equal) or not finite.

    Args:
        speech: Waveforms (B, N), anything where padded.
        lengths: Samples (B,).
        names: Utterance ids, for the message.

    Raises:
        ValueError: Naming the utterances.
    """
    inside = torch.arange(speech.size(1), device=speech.device) < lengths[:, None]
    highest = speech.masked_fill(~inside, float("-inf")).amax(1)
    lowest = speech.masked_fill(~inside, float("inf")).amin(1)
    # amax and amin hand NaN on; Inf - Inf and comparisons with NaN are not > 0.
    good = (highest - lowest > 0) & (highest - lowest).isfinite()
    if bool(good.all()):
        return
    bad = [i for i, ok in enumerate(good.tolist()) if not ok]
    what = {}
    for i in bad:
        silent = bool((highest[i] - lowest[i]).isfinite())
        name = names[i] if names is not None else f"number {i} of the batch"
        what.setdefault("silent" if silent else "not finite", []).append(name)
    raise ValueError(
        "; ".join(f"{kind}: utterance {', '.join(n)}" for kind, n in what.items())
        + ". Run samu_st.sh --stage 7 --check_audio true, which drops and counts them"
    )


class CheckedPreprocessor:
    """A preprocessor of ESPnet's data loader that refuses unusable waveforms.

    ESPnet's loader of sound files drops their rate. It is read here once more, from
    the header, in the loader's worker.

    Args:
        wav_scp: The loader's list of sound files, or None for other types of data
            (archives), whose rate is not looked at.
        preprocess: ESPnet's preprocessor, or None.
    """

    def __init__(self, wav_scp: Optional[str], preprocess: Optional[Callable] = None):
        self.files = {} if wav_scp is None else read_text(wav_scp)
        self.preprocess = preprocess

    def __call__(self, uid: str, data: Dict[str, Any]) -> Dict[str, Any]:
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
