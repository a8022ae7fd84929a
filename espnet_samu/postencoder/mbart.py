"""mBART's encoder of texts over speech frames, behind an adapter."""

from copy import copy, deepcopy
from typing import Any

import torch
from espnet2.asr.postencoder.abs_postencoder import AbsPostEncoder
from espnet2.asr.postencoder.length_adaptor_postencoder import LengthAdaptorPostEncoder
from transformers.models.mbart.modeling_mbart import MBartEncoder
from typeguard import typechecked

from espnet_samu.utils import hub, huggingface
from espnet_samu.utils.torch_modules import eval_frozen, valid_mask

# Of a whole model: the decoder, and what embeds tokens.
_UNUSED = r"(model\.)?(decoder|shared|encoder\.embed_tokens|lm_head)\."


class _FrameEncoder(MBartEncoder):
    """mBART's encoder without the embedding of tokens, which is a third of it."""

    def __init__(self, config: Any) -> None:
        config = copy(config)
        config.vocab_size = config.pad_token_id + 1
        super().__init__(config)
        del self.embed_tokens


class MBartPostEncoder(AbsPostEncoder):
    """Adapter, length adaptor, and mBART's encoder: the whole mBART reads speech.

    frames -> linear, GELU -> adapter -> convolutions of stride 2 -> mBART's encoder.
    With ``decoder: mbart`` behind it, mBART translates the frames like a sentence.
    ESPnet's ``hugging_face_transformers`` has no adapter, and needs the hub or folder
    whenever a model is loaded.

    Reference: the layers of LIA's speech translation on SAMU-XLSR (SpeechBrain's
    recipe of IWSLT 2022); length adaptor: Li et al., 2021,
    https://aclanthology.org/2021.acl-long.68.

    Args:
        input_size: Dimension D of the frames.
        model: Hub id or folder; None: a fresh encoder of model_conf.
        model_conf: Fields of transformers' configuration that replace the pre-trained
            ones, or those of the fresh encoder.
        pretrained: False reads no weights although model is named: the trained
            checkpoint will bring them. Written so into an experiment's config.yaml.
        revision: Branch, tag or commit on the hub.
        adapter_size: Dimension of the adapter's hidden layer. 0: no adapter.
        length_adaptor_n_layers: Convolutions; each makes half as many frames.

    Raises:
        ValueError: The model is no mBART, or an option does not fit it.
    """

    keeps_batch_state = False

    @typechecked
    def __init__(
        self,
        input_size: int,
        model: str | None = None,
        model_conf: dict[str, Any] | None = None,
        pretrained: bool = True,
        revision: str | None = None,
        adapter_size: int = 4096,
        length_adaptor_n_layers: int = 3,
    ):
        super().__init__()
        conf = model_conf or {}
        self.source = None
        if pretrained and model is not None:
            self.source = hub.locate(model, revision)
        elif model is None:
            conf = {"model_type": "mbart", **conf}
        config = huggingface.load_config(
            self.source, conf, revision, is_written=not pretrained
        )
        if config.model_type != "mbart":
            raise ValueError(
                f"postencoder_conf: {model} is of model_type '{config.model_type}', "
                "but postencoder: mbart reads mbart (mBART-25, mBART-50)"
            )
        size = config.d_model
        self.linear_in = torch.nn.Linear(input_size, size)
        self.adapter = None
        if adapter_size:
            self.adapter = torch.nn.Sequential(
                torch.nn.Linear(size, adapter_size),
                torch.nn.GELU(),
                torch.nn.Linear(adapter_size, size),
            )
        self.length_adaptor = LengthAdaptorPostEncoder(
            input_size=size, length_adaptor_n_layers=length_adaptor_n_layers
        )
        self.model = self._build(config, revision)
        self.options: dict[str, Any] = {
            "model": model,
            "revision": revision,
            "adapter_size": adapter_size,
            "length_adaptor_n_layers": length_adaptor_n_layers,
        }

    def _build(self, config: Any, revision: str | None) -> Any:
        return huggingface.build(
            _FrameEncoder,
            self.source,
            config,
            revision,
            key_mapping={r"^(model\.)?encoder\.": ""},
            unused=_UNUSED,
        )

    def reload_pretrained_parameters(self) -> None:
        """Load the pre-trained weights again, after ESPnet's ``init``."""
        if self.source is not None:
            config = deepcopy(self.model.config)
            again = self._build(config, self.options["revision"])
            self.model.load_state_dict(again.state_dict())

    def portable_conf(self) -> dict[str, Any]:
        """Return arguments that rebuild this module without a hub or folder."""
        conf = huggingface.portable(self.model.config)
        return {**self.options, "model_conf": conf, "pretrained": False}

    def output_size(self) -> int:
        """Dimension of mBART."""
        return self.model.config.d_model

    def train(self, mode: bool = True) -> "MBartPostEncoder":
        """Set training mode; frozen modules stay in eval mode."""
        super().train(mode)
        if mode:
            eval_frozen(self)
        return self

    def forward(
        self, input: torch.Tensor, input_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mBART's frames.

        Args:
            input: Frames (B, T, D).
            input_lengths: Number of frames (B,).

        Returns:
            Frames (B, T // 2 ** length_adaptor_n_layers, E), and their numbers (B,).

        Raises:
            TooShortUttError: No utterance has a frame left, as in ESPnet's modules.
            ValueError: There are more frames than mBART has positions.
        """
        frames = torch.nn.functional.gelu(self.linear_in(input))
        if self.adapter is not None:
            frames = frames + self.adapter(frames)
        frames, lengths = self.length_adaptor(frames, input_lengths)
        limit = self.model.config.max_position_embeddings
        if frames.size(1) > limit:
            raise ValueError(
                f"postencoder: mbart would read {frames.size(1)} frames, but has "
                f"{limit} positions; drop or split longer utterances, or raise "
                "length_adaptor_n_layers"
            )
        output = self.model(
            inputs_embeds=frames, attention_mask=valid_mask(lengths, frames.size(1))
        )
        return output.last_hidden_state, lengths
