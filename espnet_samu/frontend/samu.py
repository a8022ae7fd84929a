"""The speech encoder as an ESPnet frontend."""

from typing import Any, Dict, Optional, Tuple, Union

import humanfriendly
import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from typeguard import typechecked

from espnet_samu.frontend.log_mel import SAMPLING_RATE, LogMel
from espnet_samu.frontend.masked_group_norm import MaskedGroupNorm
from espnet_samu.utils import huggingface
from espnet_samu.utils.frozen import eval_frozen
from espnet_samu.utils.masks import valid_mask

WAVEFORM_FAMILIES = ("wav2vec2", "hubert", "wavlm")
LOG_MEL_FAMILIES = ("wav2vec2-bert",)


class SamuFrontend(AbsFrontend):
    """A Hugging Face speech encoder: waveforms in, frame-level features out.

    The student of the distillation and the encoder of the translation model are
    both this class, so that one state dict serves both. The encoder is named by a
    hub id (``facebook/wav2vec2-xls-r-300m``), a folder, or built fresh from
    ``model_conf``. Families: wav2vec2 (XLS-R), HuBERT, WavLM (waveforms in) and
    w2v-BERT (log-mel frames in).

    Lengths follow from the arithmetic of the convolutions, and an utterance in a
    padded batch has the frames that it has alone. Frozen parts stay in eval mode.

    Reference: Khurana et al., "SAMU-XLSR", arXiv 2205.08180; Babu et al., "XLS-R",
    arXiv 2111.09296.

    Args:
        fs: Sampling rate of the input in Hz; 16000 (``16k``) is the one allowed.
        model: Hub id or folder; None builds a fresh model from model_conf.
        model_conf: Fields of the transformers configuration: those that replace the
            pre-trained model's (``layerdrop``, ``mask_time_prob``, ...), or those of
            the fresh model, with ``model_type``.
        pretrained: False reads no weights although model is named: the trained
            checkpoint will bring them. Written so into an experiment's config.yaml.
        revision: Branch, tag or commit on the hub.
        normalize_waveform: Zero mean and unit variance for each waveform. None: as
            the checkpoint's preprocessor_config.json says, else False. Waveform
            families only.
        log_mel_conf: Options of LogMel; log-mel families only. Default: 80 bins, and
            as many stacked frames as the model's input size asks for.
        freeze: Train nothing.
        freeze_feature_encoder: Do not train the convolutions over the waveform.
        dtype: Autocast inside the frontend, ``bfloat16`` or ``float16``; ESPnet
            switches its own off around frontends. ``float32``: none.
    """

    @typechecked
    def __init__(
        self,
        fs: Union[int, str] = SAMPLING_RATE,
        model: Optional[str] = None,
        model_conf: Optional[Dict[str, Any]] = None,
        pretrained: bool = True,
        revision: Optional[str] = None,
        normalize_waveform: Optional[bool] = None,
        log_mel_conf: Optional[Dict[str, Any]] = None,
        freeze: bool = False,
        freeze_feature_encoder: bool = True,
        dtype: str = "float32",
    ):
        super().__init__()
        fs = humanfriendly.parse_size(fs) if isinstance(fs, str) else fs
        if fs != SAMPLING_RATE:
            raise ValueError(
                f"frontend_conf: fs is {fs}, but speech encoders take {SAMPLING_RATE} "
                "Hz; let the recipe resample with --fs 16k"
            )
        if dtype not in ("float32", "bfloat16", "float16"):
            raise ValueError(
                f"frontend_conf: dtype '{dtype}' is not one of float32, bfloat16, "
                "float16"
            )
        source = model if pretrained else None
        config = huggingface.load_config(source, model_conf or {}, revision)
        if config.model_type not in WAVEFORM_FAMILIES + LOG_MEL_FAMILIES:
            raise ValueError(
                f"frontend_conf: model_type '{config.model_type}' is not one of "
                f"{', '.join(WAVEFORM_FAMILIES + LOG_MEL_FAMILIES)}"
            )
        from transformers import AutoModel

        self.source = model
        self.revision = revision
        self.dtype = getattr(torch, dtype)
        self.model = huggingface.build(AutoModel, source, config, revision)
        self.takes_waveform = config.model_type in WAVEFORM_FAMILIES
        if self.takes_waveform:
            if normalize_waveform is None:
                normalize_waveform = source is not None and _normalizes(
                    source, revision
                )
            self.normalize_waveform = normalize_waveform
            self.log_mel = None
            if config.feat_extract_norm == "group":
                first = self.model.feature_extractor.conv_layers[0]
                first.layer_norm = MaskedGroupNorm.take_over(first.layer_norm)
        else:
            self.normalize_waveform = False
            size = config.feature_projection_input_dim
            log_mel_conf = dict(log_mel_conf or {"n_mels": 80, "stack": size // 80})
            self.log_mel = LogMel(**log_mel_conf)
            if self.log_mel.output_size() != size:
                raise ValueError(
                    f"log_mel_conf: {self.log_mel.n_mels} bins x "
                    f"{self.log_mel.stack} frames are not the model's "
                    f"feature_projection_input_dim {size}"
                )
        self.log_mel_conf = log_mel_conf
        if self.takes_waveform and (freeze or freeze_feature_encoder):
            self.model.feature_extractor._freeze_parameters()
        if freeze:
            self.model.requires_grad_(False)
        self.freeze = freeze
        self.freeze_feature_encoder = freeze_feature_encoder

    def portable_conf(self) -> Dict[str, Any]:
        """Arguments that rebuild this frontend without the hub or a folder."""
        return {
            "fs": SAMPLING_RATE,
            "model": self.source,
            "model_conf": huggingface.portable(self.model.config),
            "pretrained": False,
            "revision": self.revision,
            "normalize_waveform": self.normalize_waveform,
            "log_mel_conf": self.log_mel_conf,
            "freeze": self.freeze,
            "freeze_feature_encoder": self.freeze_feature_encoder,
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    def output_size(self) -> int:
        """Dimension D of the frames."""
        config = self.model.config
        if getattr(config, "add_adapter", False):
            return config.output_hidden_size
        return config.hidden_size

    def train(self, mode: bool = True) -> "SamuFrontend":
        """As usual, but what is frozen stays in eval mode."""
        super().train(mode)
        if mode:
            eval_frozen(self)
        return self

    def output_lengths(self, lengths: torch.Tensor) -> torch.Tensor:
        """Frames that come out of so many samples.

        Args:
            lengths: Samples at 16 kHz (B,).

        Returns:
            Frames (B,).
        """
        if self.takes_waveform:
            return self.model._get_feat_extract_output_lengths(lengths).long()
        lengths = self.log_mel.output_lengths(lengths)
        if self.model.adapter is not None:
            lengths = self.model._get_feat_extract_output_lengths(lengths)
        return lengths.long()

    def forward(
        self, input: torch.Tensor, input_lengths: torch.Tensor
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Waveforms to frames.

        Args:
            input: Waveforms (B, N) at 16 kHz.
            input_lengths: Samples (B,).

        Returns:
            Frames (B, T, D) of the parameters' type, autocast or not; number of
            frames (B,).

        Raises:
            ValueError: An utterance is too short for one frame.
        """
        out_lengths = self.output_lengths(input_lengths)
        if out_lengths.min() < 1:
            short = int(input_lengths[out_lengths < 1].min())
            raise ValueError(
                f"an utterance of {short} samples is too short for one frame of "
                f"{self.model.config.model_type}; raise --min_wav_duration"
            )
        autocast = torch.autocast(
            input.device.type,
            dtype=self.dtype if self.dtype != torch.float32 else None,
            enabled=self.dtype != torch.float32,
        )
        if self.takes_waveform:
            frames = self._forward_waveform(input, input_lengths, autocast)
        else:
            frames = self._forward_log_mel(input, input_lengths, autocast)
        frames = frames[:, : int(out_lengths.max())]
        return frames.to(self.model.dtype), out_lengths

    def _forward_log_mel(self, waveforms, lengths, autocast) -> torch.Tensor:
        feats, feats_lengths = self.log_mel(waveforms, lengths)
        # SpecAugment of transformers refuses a batch shorter than one of its masks.
        shortfall = self.model.config.mask_time_length - feats.size(1)
        if self.model.training and shortfall > 0:
            feats = torch.nn.functional.pad(feats, (0, 0, 0, shortfall))
        mask = valid_mask(feats_lengths, feats.size(1))
        with autocast:
            feats = feats.to(self.model.dtype)
            return self.model(feats, attention_mask=mask).last_hidden_state

    def _forward_waveform(self, waveforms, lengths, autocast) -> torch.Tensor:
        waveforms = waveforms.float()
        mask = valid_mask(lengths, waveforms.size(1))
        if self.normalize_waveform:
            count = lengths[:, None]
            mean = (waveforms * mask).sum(1, keepdim=True) / count
            waveforms = waveforms - mean
            variance = (waveforms * mask).square().sum(1, keepdim=True) / count
            waveforms = waveforms / (variance + 1e-7).sqrt()
        waveforms = waveforms * mask
        config = self.model.config
        # SpecAugment of transformers refuses a batch shorter than one of its masks.
        samples = config.mask_time_length
        for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1]):
            samples = (samples - 1) * stride + kernel
        shortfall = samples - waveforms.size(1)
        if self.model.training and shortfall > 0:
            waveforms = torch.nn.functional.pad(waveforms, (0, shortfall))
            mask = torch.nn.functional.pad(mask, (0, shortfall))
        if config.feat_extract_norm == "group":
            frames = torch.div(
                lengths - config.conv_kernel[0],
                config.conv_stride[0],
                rounding_mode="floor",
            )
            first = self.model.feature_extractor.conv_layers[0]
            first.layer_norm.lengths = frames + 1
        with autocast:
            waveforms = waveforms.to(self.model.dtype)
            return self.model(waveforms, attention_mask=mask).last_hidden_state


def _normalizes(model: str, revision: Optional[str]) -> bool:
    """What the checkpoint's preprocessor_config.json says of normalisation."""
    from transformers import AutoFeatureExtractor

    try:
        extractor = AutoFeatureExtractor.from_pretrained(model, revision=revision)
    except OSError:
        return False
    return bool(getattr(extractor, "do_normalize", False))
