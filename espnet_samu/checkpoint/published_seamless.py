"""Reading of published SeamlessM4T models, as speech translation models."""

import re
from pathlib import Path
from typing import Any

import torch
from typeguard import typechecked

from espnet_samu.checkpoint.published_model import (
    equal_tensors,
    read_decoding,
    read_extractor,
)
from espnet_samu.text.checkpoint import open_tensors
from espnet_samu.text.tokenizer_files import save_tokenizer
from espnet_samu.utils import hub, huggingface, seamless
from espnet_samu.utils.language_codes import to_code
from espnet_samu.utils.state_dict import check_tensors

# The one tensor that is embedding and output layer, by all of its names.
_TIED = ("shared.weight", "text_decoder.embed_tokens.weight", "lm_head.weight")
# Translation of texts, speech output, and positions that are computed.
_NOT_USED = re.compile(
    r"(text_encoder|t2u_model|vocoder)\.|.*embed_positions\.weights$"
)


class PublishedSeamless:
    """Configuration, decoding and tokeniser of a SeamlessM4T; no weights.

    Args:
        source: Hub id or folder.
        revision: Branch, tag or commit on the hub.

    Raises:
        OSError: There is no such model, no network, or a file is missing.
        ValueError: It has no start token, or not one end token.
    """

    @typechecked
    def __init__(self, source: str, revision: str | None = None):
        self.source = source = hub.locate(source, revision)
        self.revision = revision
        self.config = huggingface.load_config(source, {}, revision)
        # The language is given to generate, not forced by its settings.
        fields = self.config.to_dict()
        self.decoding = read_decoding(source, fields, revision, n_given=1)

    def target_language(self, name: str | None, tokens: list[str]) -> str | None:
        """Return the token of a target language.

        Args:
            name: Any name of a language: ``fra``, ``fr``, ``__fra__``.
            tokens: Token list.

        Raises:
            ValueError: The model does not translate into that language, or its
                generation_config.json is of another token list.
        """
        languages = self.decoding.languages
        for code, row in languages.items():
            if not 0 <= row < len(tokens) or tokens[row] != f"__{code}__":
                found = tokens[row] if 0 <= row < len(tokens) else "not a token"
                raise ValueError(
                    f"{self.source}: generation_config.json has row {row} for the "
                    f"language '{code}', which is {found} in the tokeniser"
                )
        if name is None or not languages:
            return name
        return to_code(name, [f"__{code}__" for code in languages])

    def frontend_conf(self) -> dict[str, Any]:
        """Return ``frontend_conf`` of the speech encoder."""
        from transformers import SeamlessM4TFeatureExtractor

        extractor = read_extractor(
            self.source,
            self.revision,
            SeamlessM4TFeatureExtractor,
            "no preprocessor_config.json, which describes the encoder's input; copy it "
            "from the published model",
        )
        return {
            "model_conf": huggingface.portable(self.config),
            "pretrained": False,
            "log_mel_conf": {
                "n_mels": extractor.num_mel_bins,
                "stack": extractor.stride,
            },
        }

    def decoder_conf(self) -> dict[str, Any]:
        """Return ``decoder_conf`` of ``mbart``."""
        fields = {**seamless.decoder_fields(self.config), "encoder_layers": 0}
        return {"model_conf": fields, "pretrained": False}

    def save_tokenizer(self, folder: Path) -> list[str]:
        """Write the tokeniser; see :meth:`PublishedST.save_tokenizer`."""
        size = self.config.vocab_size
        return save_tokenizer(self.source, self.revision, folder, size)

    @torch.no_grad()
    def fill(self, model: torch.nn.Module, files: list[Path]) -> None:
        """Load the speech encoder's and text decoder's weights.

        Args:
            model: An ``ESPnetSTModel`` as the configuration says.
            files: From ``text.checkpoint.find_weights``.

        Raises:
            ValueError: Weights are missing, unknown or of another shape; names them.
                Or the output layer is not the embedding.
        """
        opened = open_tensors(files)
        tensors = {k: v for k, v in opened.items() if not _NOT_USED.match(k)}
        wanted = {_published_name(k): v for k, v in model.state_dict().items()}
        first, *others = [n for n in _TIED if n in tensors] or _TIED
        for name in others:
            if name in tensors and not equal_tensors(tensors[first], tensors[name]):
                raise ValueError(
                    f"{name} is not {first}; decoder: mbart has one tensor for both"
                )
        for name in _TIED:
            if name != first:
                tensors.pop(name, None)
                wanted.pop(name)
        check_tensors("the checkpoint does not fit its config.json", tensors, wanted)
        for name, value in wanted.items():
            value.copy_(tensors[name][...])


def _published_name(name: str) -> str:
    """Return the published name of a weight of ours."""
    if name.startswith("frontend.model."):
        return name.replace("frontend.model.", "speech_encoder.", 1)
    name = name.removeprefix("decoder.model.").removeprefix("model.")
    for theirs, ours in (
        ("text_decoder.", "decoder."),
        ("cross_attention", "encoder_attn"),
        (".ffn_layer_norm", ".final_layer_norm"),
        (".ffn.fc", ".fc"),
    ):
        name = name.replace(ours, theirs)
    return name
