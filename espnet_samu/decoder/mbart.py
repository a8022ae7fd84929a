"""Decoder of mBART, M2M-100, NLLB, SeamlessM4T or BART as an ESPnet decoder."""

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import torch
from espnet2.asr.decoder.abs_decoder import AbsDecoder
from transformers.modeling_outputs import BaseModelOutput
from typeguard import typechecked

from espnet_samu.decoder.batch_languages import BatchLanguages, insert_language_tokens
from espnet_samu.decoder.cached_scorer import CachedScorer
from espnet_samu.decoder.generation import Generation
from espnet_samu.decoder.pretrained import build_decoder, load_decoder_config
from espnet_samu.utils import hub, huggingface
from espnet_samu.utils.torch_modules import (
    AUTOCAST_DTYPES,
    eval_frozen,
    parse_dtype,
    valid_mask,
)


class MBartDecoder(AbsDecoder, CachedScorer, Generation):
    """Decoder of mBART, M2M-100, NLLB, SeamlessM4T or BART over speech frames.

    Named by a hub id (``facebook/mbart-large-50-many-to-many-mmt``), a folder, or
    built fresh from ``model_conf``. The encoder of the checkpoint is neither built
    nor kept; the output layer shares the weights of the embedding. The text decoder
    of SeamlessM4T becomes an M2M-100's, and so do the names of its fields.

    The target-language token is a matter of this class alone: with
    ``lang_token_id`` set, or inside :meth:`target_languages`, the model reads
    ``</s> <lang> w1 w2 ...`` where ESPnet passes ``</s> w1 w2 ...``, and the
    prediction of ``<lang>`` is cut away, so that it is in no loss; :meth:`generate`
    forces it. So mBART-50, M2M-100, NLLB and SeamlessM4T were trained; mBART-25 was
    without ``</s>``, which training on speech teaches it.

    Token ids are ESPnet's: line n of the token list is row n of the embedding.

    Reference: Liu et al., arXiv 2001.08210; Tang et al. (mBART-50), arXiv 2008.00401;
    Fan et al. (M2M-100), arXiv 2010.11125; NLLB Team, arXiv 2207.04672; Seamless
    Communication et al., arXiv 2308.11596.

    Args:
        vocab_size: Length V of ESPnet's token list.
        encoder_output_size: Dimension D of the speech frames. Another one than the
            decoder's own gets a linear layer between them.
        model: Hub id or folder; None builds a fresh decoder from model_conf.
        model_conf: Fields of transformers' configuration (``d_model``, ``dropout``,
            ``attention_dropout``, ``decoder_layers``, ...): those that replace the
            pre-trained ones, or those of the fresh decoder, which is an mBART if
            there is no ``model_type``: ``mbart``, ``m2m_100`` or ``bart``.
        pretrained: False reads no weights although model is named: the trained
            checkpoint will bring them. Written so into an experiment's config.yaml.
        revision: Branch, tag or commit on the hub.
        lang_token_id: Row of the target-language token; None: there is no such token.
        frame_dropout: Dropout of the speech frames' features in training. It keeps
            the decoder from relying on features of a single source language, which
            helps languages without translations (our choice, not the paper's).
        gradient_checkpointing: Keep only what goes into each layer and compute the
            rest once more for the gradients: less memory, more time.
        attn_implementation: ``sdpa`` (PyTorch's fused attention) or ``eager``. None:
            sdpa.
        dtype: Autocast inside the decoder, ``bfloat16`` or ``float16``; logits are of
            the parameters' type all the same. ``float32``: no autocast but ESPnet's
            own (``use_amp``).

    Raises:
        ValueError: An option is not one of those allowed, or does not fit the model
            or the token list.
    """

    @typechecked
    def __init__(
        self,
        vocab_size: int,
        encoder_output_size: int,
        model: str | None = None,
        model_conf: dict[str, Any] | None = None,
        pretrained: bool = True,
        revision: str | None = None,
        lang_token_id: int | None = None,
        frame_dropout: float = 0.0,
        gradient_checkpointing: bool = False,
        attn_implementation: str | None = None,
        dtype: str = "float32",
    ):
        super().__init__()
        self.dtype = parse_dtype("decoder_conf: dtype", dtype, AUTOCAST_DTYPES)
        source = None
        if pretrained and model is not None:
            source = hub.locate(model, revision)
        self.source = source
        config = load_decoder_config(
            vocab_size, source, model_conf or {}, revision, is_written=not pretrained
        )
        self.languages = BatchLanguages(vocab_size, lang_token_id)
        self.model = build_decoder(
            source,
            config,
            revision,
            attn_implementation,
            is_rebuilt=model is not None and not pretrained,
        )
        if gradient_checkpointing:
            self.model.activation_checkpointing_enable()
        self.frame_dropout = torch.nn.Dropout(frame_dropout)
        self.linear_in = (
            torch.nn.Linear(encoder_output_size, config.d_model)
            if encoder_output_size != config.d_model
            else torch.nn.Identity()
        )
        self.options: dict[str, Any] = {
            "model": model,
            "revision": revision,
            "frame_dropout": frame_dropout,
            "gradient_checkpointing": gradient_checkpointing,
            "attn_implementation": attn_implementation,
            "dtype": dtype,
        }

    def reload_pretrained_parameters(self) -> None:
        """Load the pre-trained weights again, after ESPnet's ``init``."""
        if self.source is not None:
            config = deepcopy(self.model.config)
            again = build_decoder(self.source, config, self.options["revision"])
            self.model.load_state_dict(again.state_dict())

    def portable_conf(self) -> dict[str, Any]:
        """Return arguments that rebuild this decoder without a hub or folder."""
        return {
            **self.options,
            "model_conf": huggingface.portable(self.model.config),
            "pretrained": False,
            "lang_token_id": self.lang_token_id,
        }

    @property
    def lang_token_id(self) -> int | None:
        """Row of the default target-language token, or None."""
        return self.languages.default

    @lang_token_id.setter
    def lang_token_id(self, row: int | None) -> None:
        self.languages.default = row

    def target_languages(
        self, ids: torch.Tensor | None
    ) -> AbstractContextManager[None]:
        """Set the target languages of the next batch, in a with block.

        ``with decoder.target_languages(ids):`` holds for :meth:`forward`,
        :meth:`generate` and a beam search that begins inside.

        Args:
            ids: Row of the language token of each utterance (B,); None: no language
                tokens, also if there is a ``lang_token_id``.

        Raises:
            ValueError: A row is not in the token list, or (later) the batch has
                another number of utterances.
        """
        return self.languages.of_batch(ids)

    def train(self, mode: bool = True) -> "MBartDecoder":
        """Set training mode; frozen modules stay in eval mode."""
        super().train(mode)
        if mode:
            eval_frozen(self)
        return self

    def forward(
        self,
        hs_pad: torch.Tensor,
        hlens: torch.Tensor,
        ys_in_pad: torch.Tensor,
        ys_in_lens: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits of the next token at every position.

        Args:
            hs_pad: Speech frames (B, T, D).
            hlens: Number of frames (B,).
            ys_in_pad: Token ids (B, L), the start token first, padded on the right
                with any id, of the token list or below 0. They are not changed.
            ys_in_lens: Number of tokens (B,).

        Returns:
            Logits (B, L, V); ys_in_lens.

        Raises:
            ValueError: The targets are longer than the decoder can read.
        """
        rows = self.languages.rows(len(hs_pad), hs_pad.device)
        # ESPnet's mark of what is ignored, -1, has no embedding.
        padding = valid_mask(ys_in_lens, ys_in_pad.size(1)) == 0
        tokens = ys_in_pad.masked_fill(padding & (ys_in_pad < 0), 0)
        tokens = insert_language_tokens(tokens, rows)
        with self.autocast(hs_pad):
            hidden = self.hidden_states(hs_pad, hlens, tokens)
            # Here, since ESPnet needs contiguous logits, which are large to copy.
            hidden = hidden[:, tokens.size(1) - ys_in_pad.size(1) :]
            return self.logits(hidden), ys_in_lens

    def hidden_states(
        self, hs_pad: torch.Tensor, hlens: torch.Tensor, tokens: torch.Tensor
    ) -> torch.Tensor:
        """Return hidden states (B, L, D) of tokens (B, L) with language tokens."""
        self.check_length(tokens.size(1))
        # Padding is on the right and attention is causal: no position before it
        # sees it, so that no mask over the tokens is needed.
        return self.model.model(
            encoder_outputs=BaseModelOutput(self.encode_frames(hs_pad)),
            attention_mask=valid_mask(hlens, hs_pad.size(1)),
            decoder_input_ids=tokens,
            use_cache=False,
        ).last_hidden_state

    def encode_frames(self, hs_pad: torch.Tensor) -> torch.Tensor:
        """Project frames (B, T, D) to the decoder's dimension."""
        return self.linear_in(self.frame_dropout(hs_pad))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return logits (..., V) of hidden states (..., D)."""
        logits = self.model.lm_head(hidden)
        # M2M-100 has none.
        bias = getattr(self.model, "final_logits_bias", None)
        if bias is not None:
            logits = logits + bias
        if self.dtype != torch.float32:
            logits = logits.to(self.model.dtype)
        return logits

    def autocast(self, like: torch.Tensor) -> AbstractContextManager[None]:
        """Return the decoder's autocast context for a tensor's device."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(like.device.type, dtype=self.dtype)

    def check_length(self, n_tokens: int) -> None:
        """Raise a ValueError if the decoder has too few positions for the tokens."""
        limit = self.model.config.max_position_embeddings
        if n_tokens > limit:
            raise ValueError(
                f"the decoder would read {n_tokens} tokens, start and language token "
                f"among them, but has {limit} positions (max_position_embeddings); "
                "drop or split longer targets, and decode with a smaller maxlenratio"
            )
