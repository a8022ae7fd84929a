"""Speech encoder of transformers as an ESPnet frontend."""

from contextlib import nullcontext
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import humanfriendly
import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from typeguard import typechecked

from espnet_samu.frontend import padding
from espnet_samu.frontend.abs_family import AbsFamily
from espnet_samu.frontend.frames_cache import FramesCache, fingerprint
from espnet_samu.frontend.hidden_state import StateChoice
from espnet_samu.frontend.log_mel import LogMelFamily
from espnet_samu.frontend.seamless_family import SeamlessFamily
from espnet_samu.frontend.waveform_family import WaveformFamily
from espnet_samu.frontend.whisper_family import WhisperFamily
from espnet_samu.utils import hub, huggingface
from espnet_samu.utils.init_param import MASK_VECTOR
from espnet_samu.utils.torch_modules import (
    AUTOCAST_DTYPES,
    eval_frozen,
    parse_dtype,
    valid_mask,
)
from espnet_samu.utils.waveform import SAMPLING_RATE, UnusableWaveforms

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAMILIES = {
    "wav2vec2": WaveformFamily,
    "hubert": WaveformFamily,
    "wavlm": WaveformFamily,
    "wav2vec2-bert": LogMelFamily,
    "whisper": WhisperFamily,
    "seamless_m4t": SeamlessFamily,
    "seamless_m4t_v2": SeamlessFamily,
}


def make_family(
    config,
    source: str | None = None,
    revision: str | None = None,
    normalize_waveform: bool | None = None,
    log_mel_conf: dict[str, Any] | None = None,
    window_seconds: float | int | None = None,
) -> AbsFamily:
    """Build the family of a configuration, with its options.

    Args:
        config: Configuration of transformers.
        source: Hub id or folder with preprocessor_config.json.
        revision: Branch, tag or commit on the hub.
        normalize_waveform: See WaveformFamily.
        log_mel_conf: See LogMelFamily.
        window_seconds: See WhisperFamily.

    Raises:
        ValueError: There is no such family, or an option is another family's.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise ValueError(
            f"frontend_conf: model_type '{config.model_type}' is not one of "
            f"{', '.join(FAMILIES)}"
        )
    for option, value, owner in (
        ("normalize_waveform", normalize_waveform, WaveformFamily),
        ("log_mel_conf", log_mel_conf, LogMelFamily),
        ("window_seconds", window_seconds, WhisperFamily),
    ):
        if value and not issubclass(family, owner):
            names = [name for name, cls in FAMILIES.items() if issubclass(cls, owner)]
            raise ValueError(
                f"frontend_conf: {option} is for {', '.join(names)}, but the model is "
                f"{config.model_type}; leave it out"
            )
    if family is WaveformFamily:
        return WaveformFamily(normalize_waveform, source, revision)
    if issubclass(family, LogMelFamily):
        return family(config, log_mel_conf)
    return WhisperFamily(config, window_seconds)


class SamuFrontend(AbsFrontend):
    """Speech encoder of transformers: waveforms to frame-level features.

    The student of the distillation and the encoder of the translation model are
    both this class, so that one state dict serves both. The encoder is named by a
    hub id (``facebook/wav2vec2-xls-r-300m``), a folder, or built fresh from
    ``model_conf``. Families: wav2vec2 (XLS-R), HuBERT, WavLM (waveforms in),
    w2v-BERT and the speech encoder of SeamlessM4T (stacked log-mel frames in) and the
    encoder of Whisper (log-mel frames of a fixed window in).

    Lengths follow from the arithmetic of the convolutions, and an utterance in a
    padded batch has the frames that it has alone, whatever other threads compute.
    Frozen parts stay in eval mode.

    Reference: Khurana et al., "SAMU-XLSR", arXiv 2205.08180; Babu et al., "XLS-R",
    arXiv 2111.09296.

    Args:
        fs: Sampling rate of the input in Hz; 16000 (``16k``) is the one allowed.
        model: Hub id or folder; None builds a fresh model from model_conf.
        model_conf: Fields of the transformers configuration: those that replace the
            pre-trained model's (``apply_spec_augment``, ``mask_time_prob``, ...), or
            those of the fresh model, with ``model_type``.
        pretrained: False reads no weights although model is named: the trained
            checkpoint will bring them. Written so into an experiment's config.yaml.
        revision: Branch, tag or commit on the hub.
        keep_layers: Build and load only the first so many layers of the transformer.
        layer: Frames are this hidden state, counted as in transformers: 0 goes into
            the first layer, n comes out of the n-th. None: the model's output, after
            its final layer norm if it has one. Layers above are frozen, but run;
            keep_layers leaves them out.
        layerdrop: Probability of leaving out a layer in training, whatever the family
            calls it. None: as model_conf or the checkpoint says.
        layer_mix: Frames are the sum of all hidden states, weighted with the softmax
            of learned weights, which are equal at the start.
        layer_mix_norm: Normalise each hidden state before it is mixed (layer norm
            without parameters): in models with a final layer norm, as XLS-R, states
            grow from layer to layer.
        layer_mix_first: First hidden state of the mix.
        layer_mix_projection: A linear layer for each hidden state before it is mixed,
            and layer norm of the mix: the semantic branch of SENSE-2ATTR.
        normalize_waveform: Zero mean and unit variance for each waveform. None: as
            the checkpoint's preprocessor_config.json says, else False. Waveform
            families only.
        log_mel_conf: Options of LogMel; w2v-BERT and SeamlessM4T only. Default: 80
            bins, and as many stacked frames as the model's input size asks for.
        window_seconds: Length in seconds of the window that each utterance fills, for
            Whisper only: longer utterances are refused, shorter ones cost as much.
            None: as the model was trained, 30 s.
        average_frames: Frames are means of so many in a row, the last one of what is
            left: 4 frames of 20 ms make one of 80 ms, so that an encoder behind a
            frozen model has a quarter of the work. 1: as they are.
        freeze: Train nothing of the model; weights and linear layers of layer_mix are
            trained.
        freeze_feature_encoder: Do not train the convolutions over the waveform.
        gradient_checkpointing: Keep only what goes into each layer and compute the
            rest once more for the gradients: less memory, more time.
        attn_implementation: ``sdpa`` (PyTorch's fused attention) or ``eager``. None:
            sdpa where the family has it.
        dtype: Autocast inside the frontend, ``bfloat16`` or ``float16``; ESPnet
            switches its own off around frontends. ``float32``: none.

    Raises:
        ValueError: An option is not one of those allowed, or does not fit the model.
    """

    keeps_batch_state = False
    input_dtype = torch.float32
    cache: FramesCache | None = None
    """Frames of an earlier epoch, in the training of a model that it is frozen in."""

    @typechecked
    def __init__(
        self,
        fs: int | str = SAMPLING_RATE,
        model: str | None = None,
        model_conf: dict[str, Any] | None = None,
        pretrained: bool = True,
        revision: str | None = None,
        keep_layers: int | None = None,
        layerdrop: float | None = None,
        layer: int | None = None,
        layer_mix: bool = False,
        layer_mix_norm: bool = False,
        layer_mix_first: int = 0,
        layer_mix_projection: bool = False,
        normalize_waveform: bool | None = None,
        log_mel_conf: dict[str, Any] | None = None,
        window_seconds: float | int | None = None,
        average_frames: int = 1,
        freeze: bool = False,
        freeze_feature_encoder: bool = True,
        gradient_checkpointing: bool = False,
        attn_implementation: str | None = None,
        dtype: str = "float32",
    ):
        super().__init__()
        fs = humanfriendly.parse_size(fs) if isinstance(fs, str) else fs
        if fs != SAMPLING_RATE:
            raise ValueError(
                f"frontend_conf: fs is {fs}, but speech encoders take {SAMPLING_RATE} "
                "Hz; let the recipe resample with --fs 16k"
            )
        self.dtype = parse_dtype("frontend_conf: dtype", dtype, AUTOCAST_DTYPES)
        if average_frames < 1:
            raise ValueError(
                f"frontend_conf: average_frames is {average_frames}; 1 or more"
            )
        self.average_frames = average_frames
        if layerdrop is not None and not 0 <= layerdrop < 1:
            raise ValueError(f"frontend_conf: layerdrop is {layerdrop}; 0 <= p < 1")
        if layer_mix and layer is not None:
            raise ValueError(
                f"frontend_conf: layer {layer} is one hidden state and layer_mix all "
                "of them; leave one of the two out"
            )
        for name, value in (
            ("layer_mix_norm", layer_mix_norm),
            ("layer_mix_first", layer_mix_first),
            ("layer_mix_projection", layer_mix_projection),
        ):
            if value and not layer_mix:
                raise ValueError(f"frontend_conf: {name} needs layer_mix: true")
        source = None
        if pretrained and model is not None:
            source = hub.locate(model, revision)
        self.source = source
        config = huggingface.load_config(
            source, model_conf or {}, revision, is_written=not pretrained
        )
        self.family = make_family(
            config, source, revision, normalize_waveform, log_mel_conf, window_seconds
        )
        huggingface.set_attention(
            config, self.family.model_class(config), attn_implementation
        )
        if keep_layers is not None:
            huggingface.cut_layers(config, keep_layers, self.family.LAYERS)
        if layerdrop is not None:
            setattr(config, self.family.LAYERDROP, layerdrop)
        self.state_choice = None
        if layer_mix or layer is not None:
            n_layers = getattr(config, self.family.LAYERS)
            size = config.hidden_size if layer_mix_projection else None
            self.state_choice = StateChoice(
                n_layers, layer, layer_mix_norm, layer_mix_first, size
            )
        self._config = config
        self.model = self._build(revision, keep_layers is not None)
        self.family.mask_padding(self.model)
        self.has_adapter = getattr(self.model, "adapter", None) is not None
        if self.has_adapter:
            padding.mask_adapter(self.model.get_submodule("adapter"))
        if freeze or freeze_feature_encoder:
            self.family.freeze_feature_encoder(self.model)
        if freeze:
            self.model.requires_grad_(False)
        if gradient_checkpointing:
            self.family.checkpoint_activations(self.model)
        if self.state_choice is not None:
            self.state_choice.attach(
                self.family.encoder(self.model),
                self.family.final_norm(self.model),
                self.family.LAST_STATE_IS_OUTPUT,
            )
        self.register_load_state_dict_pre_hook(_drop_mask_vector)
        self.options: dict[str, Any] = {
            "model": model,
            "revision": revision,
            "keep_layers": keep_layers,
            "layerdrop": layerdrop,
            "layer": layer,
            "layer_mix": layer_mix,
            "layer_mix_norm": layer_mix_norm,
            "layer_mix_first": layer_mix_first,
            "layer_mix_projection": layer_mix_projection,
            "average_frames": average_frames,
            "freeze": freeze,
            "freeze_feature_encoder": freeze_feature_encoder,
            "gradient_checkpointing": gradient_checkpointing,
            "attn_implementation": attn_implementation,
            "dtype": dtype,
        }

    def _build(self, revision: str | None, is_cut: bool) -> "PreTrainedModel":
        family, config = self.family, deepcopy(self._config)
        unused = [family.UNUSED] if family.UNUSED else []
        if is_cut:
            unused.append(r"(\w+\.)?encoder\.layers\.|layers\.")
        model = huggingface.build(
            family.model_class(config),
            self.source,
            config,
            revision,
            family.KEY_MAPPING,
            "|".join(unused) or None,
        )
        family.adapt(model)
        return model

    def reload_pretrained_parameters(self) -> None:
        """Load the pre-trained weights again, after ESPnet's ``init``."""
        if self.source is not None:
            is_cut = self.options["keep_layers"] is not None
            again = self._build(self.options["revision"], is_cut)
            self.model.load_state_dict(again.state_dict())

    def portable_conf(self) -> dict[str, Any]:
        """Return arguments that rebuild this frontend without a hub or folder."""
        return {
            **self.options,
            **self.family.portable_conf(),
            "fs": SAMPLING_RATE,
            "model_conf": huggingface.portable(self.model.config),
            "pretrained": False,
        }

    def fingerprint(self) -> str:
        """Return a hash of weights and options that decide the frames."""
        # Where it came from, and how it computes, make no difference; means are made of
        # what is kept.
        others = {"model", "revision", "freeze", "freeze_feature_encoder", "pretrained"}
        others |= {"average_frames"}
        others |= {"gradient_checkpointing", "attn_implementation", "layerdrop"}
        settings = {k: v for k, v in self.portable_conf().items() if k not in others}
        return fingerprint(self, settings)

    def output_size(self) -> int:
        """Dimension D of the frames."""
        config: Any = self.model.config
        if getattr(config, "add_adapter", False):
            return getattr(config, "output_hidden_size", config.hidden_size)
        return config.hidden_size

    def train(self, mode: bool = True) -> "SamuFrontend":
        """Set training mode; frozen modules stay in eval mode."""
        super().train(mode)
        if mode:
            eval_frozen(self)
        return self

    def _check(
        self, speech: torch.Tensor, lengths: torch.Tensor, out_lengths: torch.Tensor
    ) -> None:
        """Raise an error for waveforms too short, too long or not finite."""
        longest = self.family.longest()
        # A sum is not finite if a sample is not, and takes a fraction of the time.
        bad = (out_lengths < 1) | ~speech.sum(1, dtype=torch.float32).isfinite()
        if longest is not None:
            bad |= lengths > longest
        reasons = {}
        for row in bad.nonzero()[:, 0].tolist():
            samples, kind = int(lengths[row]), self.model.config.model_type
            if out_lengths[row] < 1:
                reasons[row] = f"{samples} samples are too short for a frame of {kind}"
            elif longest is not None and samples > longest:
                reasons[row] = (
                    f"{samples} samples are longer than the window of {kind}, "
                    f"{longest} samples ({longest / SAMPLING_RATE:g} s)"
                )
            elif not bool(speech[row].isfinite().all()):
                reasons[row] = "samples are NaN or infinite"
        if reasons:
            raise UnusableWaveforms(reasons)

    def output_lengths(self, lengths: torch.Tensor) -> torch.Tensor:
        """Return the numbers of frames for numbers of samples.

        Args:
            lengths: Samples at 16 kHz (B,).

        Returns:
            Frames (B,).
        """
        return self._averaged(self._model_lengths(lengths))

    def _averaged(self, lengths: torch.Tensor) -> torch.Tensor:
        """Return the numbers of averaged frames (B,)."""
        return (lengths + self.average_frames - 1) // self.average_frames

    def _model_lengths(self, lengths: torch.Tensor) -> torch.Tensor:
        """Return the numbers of frames (B,) that the model makes of samples (B,)."""
        lengths = self.family.frame_lengths(self.model, lengths)
        if self.has_adapter:
            adapter = self.model.get_submodule("adapter")
            lengths = padding.output_lengths(adapter, lengths)
        return lengths.long()

    def forward(
        self, input: torch.Tensor, input_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return frames of waveforms, of the cache where there is one.

        Args:
            input: Waveforms (B, N) at 16 kHz.
            input_lengths: Samples (B,).

        Returns:
            Frames (B, T, D) of the parameters' type, autocast or not; number of
            frames (B,).

        Raises:
            UnusableWaveforms: Utterances are too short for one frame, longer than
                Whisper's window, or have samples that are not finite.
        """
        if self.cache is not None:
            with torch.no_grad():
                frames, lengths = self.cache.frames(self._compute, input, input_lengths)
            frames = frames.to(self.model.dtype)
        else:
            frames, lengths = self._compute(input, input_lengths)
        if self.average_frames > 1:
            frames = _average(frames, lengths, self.average_frames)
            lengths = self._averaged(lengths)
        return frames, lengths

    def _compute(
        self, input: torch.Tensor, input_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the model's frames and their numbers, which a cache keeps."""
        out_lengths = self._model_lengths(input_lengths)
        self._check(input, input_lengths, out_lengths)
        lengths = {}
        if self.has_adapter:
            frames = self.family.frame_lengths(self.model, input_lengths)
            lengths = padding.adapter_lengths(
                self.model.get_submodule("adapter"), frames
            )
        features = self.family.features(self.model, input, input_lengths)
        autocast = torch.autocast(
            input.device.type,
            dtype=self.dtype if self.dtype != torch.float32 else None,
            enabled=self.dtype != torch.float32,
        )
        choice = self.state_choice
        state = nullcontext() if choice is None else choice.active()
        with autocast, padding.batch_lengths(lengths), state:
            frames = self.family.encode(self.model, features, input_lengths)
        frames = frames[:, : int(out_lengths.max())]
        return frames.to(self.model.dtype), out_lengths


def _average(frames: torch.Tensor, lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Return means (B, T / size, D) of the first lengths (B,) frames (B, T, D)."""
    mask = valid_mask(lengths, frames.size(1))[..., None].to(frames)
    missing = -frames.size(1) % size
    summands = torch.cat([frames * mask, mask], dim=2)
    summands = torch.nn.functional.pad(summands, (0, 0, 0, missing))
    sums = summands.unflatten(1, (-1, size)).sum(2)
    return sums[..., :-1] / sums[..., -1:].clamp(min=1)


def _drop_mask_vector(frontend, state: dict[str, Any], prefix: str, *_) -> None:
    """Drop the mask vector from a load of a model without masking (hook)."""
    if getattr(frontend.model, "masked_spec_embed", None) is None:
        state.pop(f"{prefix}model.{MASK_VECTOR}", None)
