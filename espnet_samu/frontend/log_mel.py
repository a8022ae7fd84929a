"""Encoders over stacked log-mel frames: w2v-BERT 2.0."""

from contextlib import nullcontext
from typing import Any

import torch
import torchaudio
from typeguard import typechecked

from espnet_samu.frontend.abs_family import AbsFamily
from espnet_samu.utils.torch_modules import CallLock, valid_mask
from espnet_samu.utils.waveform import SAMPLING_RATE

WINDOW = 400  # samples at 16 kHz: 25 ms
HOP = 160  # samples at 16 kHz: 10 ms
FFT = 512
FMIN = 20.0  # Hz
PREEMPHASIS = 0.97
FLOOR = torch.finfo(torch.float32).eps
INT16 = 2**15  # Kaldi reads samples as 16-bit integers


class LogMel(torch.nn.Module):
    """Normalised log-mel frames, stacked.

    Equal to transformers' ``SeamlessM4TFeatureExtractor`` (the input of
    w2v-BERT 2.0) for 80 bins and stack 2, but batched, in torch and on the device
    of its input. Each bin has zero mean and unit variance over the utterance's own
    frames; padding has no part in it.

    Args:
        n_mels: Number of mel bins M.
        stack: Number S of 10 ms frames that are joined to one output frame; what is
            left at the end (fewer than S frames) is cut.
        fmax: Upper edge of the bins in Hz. 4000 or less suits telephone speech (8 kHz)
            and wideband speech alike.

    Raises:
        ValueError: A size is not positive, or fmax is not from 1000 to 8000.
    """

    window: torch.Tensor
    filters: torch.Tensor

    @typechecked
    def __init__(
        self,
        n_mels: int = 80,
        stack: int = 2,
        fmax: float = SAMPLING_RATE / 2,
    ):
        super().__init__()
        if n_mels < 1 or stack < 1:
            raise ValueError(
                f"n_mels and stack must be 1 or more, but got {n_mels} and {stack}"
            )
        if not 1000 <= fmax <= SAMPLING_RATE / 2:
            raise ValueError(f"fmax must be from 1000 to 8000 Hz, but got {fmax}")
        self.n_mels = n_mels
        self.stack = stack
        window = torch.hann_window(WINDOW, periodic=False, dtype=torch.float64)
        filters, _ = torchaudio.compliance.kaldi.get_mel_banks(
            n_mels, FFT, SAMPLING_RATE, FMIN, fmax, 100.0, -500.0, 1.0
        )
        # Constants: rebuilt, not stored in checkpoints.
        self.register_buffer("window", window.pow(0.85).float(), persistent=False)
        self.register_buffer(
            "filters",
            torch.nn.functional.pad(filters, (0, 1)).T.contiguous(),
            persistent=False,
        )

    def output_size(self) -> int:
        """Dimension S * M of an output frame."""
        return self.n_mels * self.stack

    def output_lengths(self, lengths: torch.Tensor) -> torch.Tensor:
        """Return the numbers of frames for numbers of samples.

        Args:
            lengths: Samples at 16 kHz (B,).

        Returns:
            Frames (B,).
        """
        return _n_frames(lengths).clamp(min=0) // self.stack

    def _windowed_frames(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return windowed frames (B, T, 400) of waveforms (B, N).

        Each frame loses its mean m, is emphasised (x[i] - 0.97 x[i-1], where x[-1] is
        x[0]) and windowed. x is emphasised here before it is cut into frames, which
        overlap: half the memory traffic of the same arithmetic frame by frame. The
        mean then counts 1 - 0.97 times.
        """
        # A model that is cast to half precision casts its constants, too.
        window = self.window.float()
        mean = torch.nn.functional.avg_pool1d(waveforms[:, None], WINDOW, HOP)
        mean = mean[:, 0, :, None]
        first = waveforms.unfold(1, WINDOW, HOP)[..., 0]
        emphasised = waveforms.clone()
        emphasised[:, 1:] -= PREEMPHASIS * waveforms[:, :-1]
        frames = emphasised.unfold(1, WINDOW, HOP) * window
        frames[..., 0] = (1 - PREEMPHASIS) * first * window[0]
        return frames.addcmul_(mean, window, value=PREEMPHASIS - 1)

    def _log_mel(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return log-mel frames (B, T, M) of waveforms (B, N), not normalised."""
        frames = self._windowed_frames(waveforms.float() * INT16)
        spectrum = torch.view_as_real(torch.fft.rfft(frames, FFT))
        # Not sum(-1), which takes ten times as long for two summands.
        squares = spectrum.square_()
        power = squares[..., 0] + squares[..., 1]
        return (power @ self.filters.float()).clamp(min=FLOOR).log()

    @torch.no_grad()
    def forward(
        self, waveforms: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return frames of waveforms.

        Args:
            waveforms: (B, N) in [-1, 1], 16 kHz.
            lengths: Samples (B,).

        Returns:
            Frames (B, T, S * M), zero where padded; number of frames (B,).
        """
        # Autocast would round the spectrum.
        with torch.autocast(waveforms.device.type, enabled=False):
            if waveforms.device.type == "cpu":
                # The spectra of one utterance fit into a processor's cache.
                mel = torch.cat([self._log_mel(part) for part in waveforms.split(1)])
            else:
                mel = self._log_mel(waveforms)

            n_frames = _n_frames(lengths)
            mask = torch.arange(mel.size(1), device=mel.device) < n_frames[:, None]
            mask = mask[..., None]
            count = n_frames[:, None, None].clamp(min=2)
            mean = (mel * mask).sum(1, keepdim=True) / count
            centred = (mel - mean) * mask
            # A sum's rounding error depends on the padding. A second subtraction of
            # the mean, now near 0, leaves a much smaller error.
            centred = (centred - centred.sum(1, keepdim=True) / count) * mask
            variance = centred.square().sum(1, keepdim=True) / (count - 1)
            mel = centred / (variance + 1e-7).sqrt()

        out_lengths = self.output_lengths(lengths)
        n_out = mel.size(1) // self.stack
        mel = mel[:, : n_out * self.stack].reshape(mel.size(0), n_out, -1)
        # The frames left over at an utterance's end share a stacked frame with
        # padding; it is not one of the utterance's frames.
        keep = torch.arange(n_out, device=mel.device) < out_lengths[:, None]
        return mel * keep[..., None], out_lengths


def _n_frames(lengths: torch.Tensor) -> torch.Tensor:
    """Return the numbers of frames of 10 ms (B,), not stacked, below 1 for none."""
    return (lengths - WINDOW) // HOP + 1


class LogMelFamily(AbsFamily):
    """Stacked log-mel frames, then a conformer: w2v-BERT 2.0.

    ``ADAPTER`` has the fields for kernel and stride of the length adaptor.

    Args:
        config: Configuration of transformers.
        log_mel_conf: Options of LogMel. Default: 80 bins, and as many stacked frames
            as the model's input size asks for.

    Raises:
        ValueError: The frames are not of the model's input size, or transformers
            counts the frames of the adapter wrongly.
    """

    ADAPTER = ("adapter_kernel_size", "adapter_stride")

    @typechecked
    def __init__(self, config, log_mel_conf: dict[str, Any] | None = None):
        super().__init__()
        size = config.feature_projection_input_dim
        self.conf = dict(log_mel_conf or {"n_mels": 80, "stack": size // 80})
        self.log_mel = LogMel(**self.conf)
        if self.log_mel.output_size() != size:
            raise ValueError(
                f"log_mel_conf: {self.log_mel.n_mels} bins x {self.log_mel.stack} "
                f"frames are not the model's feature_projection_input_dim {size}"
            )
        kernel, stride = (getattr(config, name) for name in self.ADAPTER)
        if config.add_adapter and kernel // 2 != stride // 2:
            raise ValueError(
                f"model_conf: with {self.ADAPTER[0]} {kernel} and {self.ADAPTER[1]} "
                f"{stride} transformers attends to frames that are not there; half "
                "of both (rounded down) must be the same, as 3 and 2"
            )

        # transformers keeps these for the length of the last batch; the published
        # model has relative_key, which keeps nothing.
        is_cached = config.position_embeddings_type in ("relative", "rotary")
        self.lock = CallLock() if is_cached else nullcontext()

    def portable_conf(self) -> dict[str, Any]:
        """See :class:`AbsFamily`."""
        return {"log_mel_conf": self.conf}

    def frame_lengths(
        self, model: torch.nn.Module, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See :class:`AbsFamily`."""
        return self.log_mel.output_lengths(lengths)

    def features(
        self, model: torch.nn.Module, waveforms: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return stacked log-mel frames (B, T, S * M), zero in the padding."""
        frames, _ = self.log_mel(waveforms, lengths)
        # SpecAugment of transformers refuses a batch shorter than one of its masks.
        shortfall = model.config.mask_time_length - frames.size(1)
        if model.training and shortfall > 0:
            frames = torch.nn.functional.pad(frames, (0, 0, 0, shortfall))
        return frames

    def encode(
        self, model: torch.nn.Module, features: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See :class:`AbsFamily`."""
        mask = valid_mask(self.log_mel.output_lengths(lengths), features.size(1))
        features = features.to(model.dtype)
        with self.lock:
            return model(features, attention_mask=mask).last_hidden_state
