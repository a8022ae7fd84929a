"""Whisper's encoder."""

import math
from functools import cache
from typing import Any

import torch
import torchaudio
from typeguard import typechecked

from espnet_samu.frontend.abs_family import AbsFamily
from espnet_samu.utils.torch_modules import valid_mask
from espnet_samu.utils.waveform import SAMPLING_RATE

HOP = 160  # samples at 16 kHz: 10 ms
FFT = 400  # samples at 16 kHz: 25 ms
RANGE = 8.0  # powers of ten below the loudest bin of the window


class WhisperLogMel(torch.nn.Module):
    """Log-mel frames of a fixed window, padded with silence.

    Equal to transformers' ``WhisperFeatureExtractor``, but batched, in torch and on
    the device of its input.

    Reference: Radford et al., "Robust Speech Recognition via Large-Scale Weak
    Supervision", arXiv 2212.04356, section 2.2.

    Args:
        n_mels: Number of mel bins M: 80, or 128 (large-v3).
        window: Samples at 16 kHz of the window; a multiple of 160. 480000 is 30 s.
    """

    filters: torch.Tensor
    taper: torch.Tensor

    @typechecked
    def __init__(self, n_mels: int = 80, window: int = 480000):
        super().__init__()
        self.window = window
        filters = torchaudio.functional.melscale_fbanks(
            FFT // 2 + 1,
            0.0,
            SAMPLING_RATE / 2,
            n_mels,
            SAMPLING_RATE,
            norm="slaney",
            mel_scale="slaney",
        )
        # Constants: rebuilt, not stored in checkpoints.
        self.register_buffer("filters", filters.T.contiguous(), persistent=False)
        self.register_buffer("taper", torch.hann_window(FFT), persistent=False)

    def output_lengths(self, lengths: torch.Tensor) -> torch.Tensor:
        """Return the numbers of frames (B,) that cover samples (B,)."""
        return (lengths + HOP - 1) // HOP

    @torch.no_grad()
    def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return frames of waveforms.

        Args:
            waveforms: (B, N) in [-1, 1], 16 kHz, anything where padded.
            lengths: Samples (B,), at most the window's.

        Returns:
            Frames (B, M, window / 160).
        """
        # Autocast would round the spectrum.
        with torch.autocast(waveforms.device.type, enabled=False):
            waveforms = waveforms.float() * valid_mask(lengths, waveforms.size(1))
            missing = self.window - waveforms.size(1)  # below 0: padding is cut
            waveforms = torch.nn.functional.pad(waveforms, (0, missing))
            spectrum = torch.stft(
                waveforms, FFT, HOP, window=self.taper.float(), return_complex=True
            )
            spectrum = spectrum[..., :-1]
            power = spectrum.real.square() + spectrum.imag.square()
            mel = (self.filters.float() @ power).clamp(min=1e-10).log10()
            loudest = mel.amax((1, 2), keepdim=True)
            return (torch.maximum(mel, loudest - RANGE) + 4.0) / 4.0


def _channels_last(module: torch.nn.Module, _: object, frames: torch.Tensor):
    """Lay out frames (B, D, T) by time (hook): all layers work on (B, T, D)."""
    return frames.transpose(1, 2).contiguous().transpose(1, 2)


def _attend(attention, hidden_states: torch.Tensor, **_: object):
    """Return frames (B, T, D) that attend to all frames, and no weights (forward).

    transformers' own copies queries, keys and values first, which takes 5 % of the
    encoder's time.
    """
    shape = (*hidden_states.shape[:2], attention.num_heads, attention.head_dim)
    queries, keys, values = (
        layer(hidden_states).view(shape).transpose(1, 2)
        for layer in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    dropout = attention.dropout if attention.training else 0.0
    frames = torch.nn.functional.scaled_dot_product_attention(
        queries, keys, values, dropout_p=dropout
    )
    return attention.out_proj(frames.transpose(1, 2).flatten(2)), None


@cache
def _fused(attention: type) -> type:
    """Return a subclass of transformers' attention that computes :func:`_attend`."""
    return type("FusedAttention", (attention,), {"forward": _attend})


STRIDE = 2  # of the second convolution: frames of 20 ms
POSITION = STRIDE * HOP  # samples at 16 kHz of a position: 20 ms


class WhisperFamily(AbsFamily):
    """Log-mel frames of a fixed window, then Whisper's encoder, without its decoder.

    As in its training the model attends to the silence that fills the window, so that
    a short utterance costs as much as a long one, and has the same frames in every
    batch. The frames of the silence are cut off afterwards. The published models have
    positions for 30 s; a shorter window uses the first ones alone, which costs less
    and changes the frames somewhat.

    Args:
        config: Configuration of transformers.
        window_seconds: Length of the window in seconds; rounded up to whole positions
            of 20 ms. None: that of all positions.

    Raises:
        ValueError: The window is not positive, or longer than the model has positions.
    """

    # The checkpoint is of the whole model.
    KEY_MAPPING = {r"^model\.encoder\.": "", r"^encoder\.": ""}
    UNUSED = r"(model\.)?decoder\."
    LAYERDROP = "encoder_layerdrop"
    LAST_STATE_IS_OUTPUT = True

    @typechecked
    def __init__(self, config, window_seconds: float | int | None = None):
        super().__init__()
        self.window_seconds = window_seconds
        self.positions = most = config.max_source_positions
        if window_seconds is not None:
            # Rounded first: 8.2 s are 410.00000000000006 positions.
            positions = round(window_seconds * SAMPLING_RATE / POSITION, 6)
            if not 0 < positions <= most:
                raise ValueError(
                    f"frontend_conf: window_seconds is {window_seconds}, but must be "
                    f"more than 0 and at most {most * POSITION / SAMPLING_RATE:g}: the "
                    f"model has {most} positions of 20 ms"
                )
            self.positions = math.ceil(positions)
        self.log_mel = WhisperLogMel(config.num_mel_bins, self.positions * POSITION)

    def model_class(self, config):
        """See :class:`AbsFamily`."""
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return WhisperEncoder

    def portable_conf(self) -> dict[str, Any]:
        """See :class:`AbsFamily`."""
        return {"window_seconds": self.window_seconds}

    def adapt(self, model: torch.nn.Module) -> None:
        """See :class:`AbsFamily`."""
        whole: Any = model
        whole.conv2.register_forward_hook(_channels_last)
        if whole.config._attn_implementation == "sdpa":
            for layer in whole.layers:
                # Not a method of the instance: DataParallel's copies would share it.
                layer.self_attn.__class__ = _fused(type(layer.self_attn))
        embedding = whole.embed_positions
        rows = embedding.weight.detach()[: self.positions].clone()
        # Sinusoids; transformers freezes those of a fresh model only.
        embedding.weight = torch.nn.Parameter(rows, requires_grad=False)
        embedding.num_embeddings = self.positions
        whole.max_source_positions = self.positions
        whole.config.max_source_positions = self.positions

    def encoder(self, model: torch.nn.Module) -> torch.nn.Module:
        """See :class:`AbsFamily`."""
        return model

    def final_norm(self, model: torch.nn.Module) -> torch.nn.Module | None:
        """See :class:`AbsFamily`."""
        return model.get_submodule("layer_norm")

    def longest(self) -> int | None:
        """See :class:`AbsFamily`."""
        return self.log_mel.window

    def frame_lengths(
        self, model: torch.nn.Module, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See :class:`AbsFamily`."""
        return (self.log_mel.output_lengths(lengths) + STRIDE - 1) // STRIDE

    def features(
        self, model: torch.nn.Module, waveforms: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return log-mel frames (B, M, T) of the window."""
        return self.log_mel(waveforms, lengths)

    def encode(
        self, model: torch.nn.Module, features: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See :class:`AbsFamily`."""
        from transformers import WhisperModel

        # A method of the whole model, but it reads only the configuration and the
        # training mode, which the encoder has, too.
        mask = valid_mask(self.log_mel.output_lengths(lengths), features.size(2))
        features = WhisperModel._mask_input_features(model, features, mask)
        return model(features.to(model.dtype)).last_hidden_state
