"""The decoder of mBART as an ESPnet decoder."""

from typing import Any, Dict, List, Optional, Tuple

import torch
from espnet2.asr.decoder.abs_decoder import AbsDecoder
from espnet2.legacy.nets.scorer_interface import BatchScorerInterface
from transformers import MBartForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput
from typeguard import typechecked

from espnet_samu.utils import huggingface
from espnet_samu.utils.frozen import eval_frozen
from espnet_samu.utils.masks import valid_mask


class MBartDecoder(AbsDecoder, BatchScorerInterface):
    """mBART's decoder over frame-level speech features.

    Named by a hub id (``facebook/mbart-large-50-many-to-many-mmt``), a folder, or
    built fresh from ``model_conf``. The encoder of the checkpoint is neither built
    nor kept; the output layer shares the weights of the embedding.

    The target-language token is a matter of this class alone: with
    ``lang_token_id`` set, the model reads ``</s> <lang> w1 w2 ...`` where ESPnet
    passes ``</s> w1 w2 ...``, and the prediction of ``<lang>`` is cut away, so that
    it is in no loss; :meth:`generate` forces it.

    Token ids are ESPnet's: line n of the token list is row n of the embedding.

    Reference: Liu et al., arXiv 2001.08210; Tang et al. (mBART-50), arXiv 2008.00401.

    Args:
        vocab_size: Length V of ESPnet's token list.
        encoder_output_size: Dimension D of the speech frames. Another one than the
            decoder's own gets a linear layer between them.
        model: Hub id or folder; None builds a fresh decoder from model_conf.
        model_conf: Fields of transformers' MBartConfig (``d_model``, ``dropout``,
            ``decoder_layers``, ...): those that replace the pre-trained ones, or
            those of the fresh decoder.
        pretrained: False reads no weights although model is named: the trained
            checkpoint will bring them. Written so into an experiment's config.yaml.
        revision: Branch, tag or commit on the hub.
        lang_token_id: Row of the target-language token; None: there is no such token.
        frame_dropout: Dropout of the speech frames' features in training. It keeps
            the decoder from leaning on what sets one source language apart, which
            helps languages without translations (our choice, not the paper's).
    """

    @typechecked
    def __init__(
        self,
        vocab_size: int,
        encoder_output_size: int,
        model: Optional[str] = None,
        model_conf: Optional[Dict[str, Any]] = None,
        pretrained: bool = True,
        revision: Optional[str] = None,
        lang_token_id: Optional[int] = None,
        frame_dropout: float = 0.0,
    ):
        super().__init__()
        conf = {"model_type": "mbart", **(model_conf or {})}
        source = model if pretrained else None
        if source is None:
            # Tokens of a list made by ESPnet: <blank> first, <sos/eos> last. They
            # are only names here; sos and eos come with the batches.
            last = vocab_size - 1
            special = {
                "vocab_size": vocab_size,
                "pad_token_id": 0,
                "bos_token_id": last,
                "eos_token_id": last,
                "decoder_start_token_id": last,
                "forced_eos_token_id": None,
            }
            conf = {**special, **conf}
        config = huggingface.load_config(source, conf, revision)
        if config.model_type != "mbart":
            raise ValueError(
                f"decoder_conf: model_type '{config.model_type}' is not mbart"
            )
        if config.vocab_size != vocab_size:
            raise ValueError(
                f"decoder_conf: the model has {config.vocab_size} tokens, but the "
                f"token list has {vocab_size}; use --tgt_token_type hugging_face "
                f"--hugging_face_model_name_or_path {model}"
            )
        self._check_lang(lang_token_id, vocab_size)
        # No layers of the text encoder: they would be built and loaded for nothing.
        config.encoder_layers = 0
        config.tie_word_embeddings = True
        self.source = model
        self.revision = revision
        self.model = huggingface.build(
            MBartForConditionalGeneration, source, config, revision
        )
        self.model.model.encoder = _NoEncoder()
        self.lang_token_id = lang_token_id
        self.frame_dropout = torch.nn.Dropout(frame_dropout)
        self.linear_in = (
            torch.nn.Linear(encoder_output_size, config.d_model)
            if encoder_output_size != config.d_model
            else torch.nn.Identity()
        )

    @staticmethod
    def _check_lang(lang_token_id: Optional[int], vocab_size: int) -> None:
        if lang_token_id is not None and not 0 <= lang_token_id < vocab_size:
            raise ValueError(
                f"decoder_conf: lang_token_id {lang_token_id} is not in the token "
                f"list of {vocab_size}"
            )

    def portable_conf(self) -> Dict[str, Any]:
        """Arguments that rebuild this decoder without the hub or a folder."""
        return {
            "model": self.source,
            "model_conf": huggingface.portable(self.model.config),
            "pretrained": False,
            "revision": self.revision,
            "lang_token_id": self.lang_token_id,
            "frame_dropout": self.frame_dropout.p,
        }

    def train(self, mode: bool = True) -> "MBartDecoder":
        """As usual, but what is frozen stays in eval mode."""
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
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Logits of the next token at every position.

        Args:
            hs_pad: Speech frames (B, T, D).
            hlens: Number of frames (B,).
            ys_in_pad: Token ids (B, L), the start token first, padded on the right
                with any valid id. They are not changed.
            ys_in_lens: Number of tokens (B,).

        Returns:
            Logits (B, L, V); ys_in_lens.
        """
        tokens = ys_in_pad
        if self.lang_token_id is not None:
            lang = torch.full_like(ys_in_pad[:, :1], self.lang_token_id)
            tokens = torch.cat([ys_in_pad[:, :1], lang, ys_in_pad[:, 1:]], dim=1)
        # Padding is on the right and attention is causal: no position before it
        # sees it, so that no mask over the tokens is needed.
        hidden = self.model.model(
            encoder_outputs=BaseModelOutput(self.linear_in(self.frame_dropout(hs_pad))),
            attention_mask=valid_mask(hlens, hs_pad.size(1)),
            decoder_input_ids=tokens,
            use_cache=False,
        ).last_hidden_state
        if self.lang_token_id is not None:
            # Here, since ESPnet needs contiguous logits, which are large to copy.
            hidden = hidden[:, 1:]
        return self.model.lm_head(hidden) + self.model.final_logits_bias, ys_in_lens

    @torch.no_grad()
    def generate(
        self,
        hs_pad: torch.Tensor,
        hlens: torch.Tensor,
        sos: int,
        eos: int,
        **options: Any,
    ):
        """Translate by transformers' cached ``generate``.

        Args:
            hs_pad: Speech frames (B, T, D).
            hlens: Number of frames (B,).
            sos: Id of the start token.
            eos: Id of the end token.
            options: Of ``GenerationMixin.generate``: num_beams, max_new_tokens, ...

        Returns:
            transformers' output object. ``sequences`` (B * num_return_sequences, L)
            begin with the start token and, if there is one, the language token.
        """
        prefix = [sos] if self.lang_token_id is None else [sos, self.lang_token_id]
        tokens = torch.tensor([prefix], device=hs_pad.device)
        return self.model.generate(
            encoder_outputs=BaseModelOutput(self.linear_in(hs_pad)),
            attention_mask=valid_mask(hlens, hs_pad.size(1)),
            decoder_input_ids=tokens.expand(hs_pad.size(0), -1),
            decoder_start_token_id=sos,
            eos_token_id=eos,
            pad_token_id=self.model.config.pad_token_id,
            # The prefix has it already.
            forced_bos_token_id=None,
            return_dict_in_generate=True,
            **options,
        )

    def score(
        self, ys: torch.Tensor, state: Any, x: torch.Tensor
    ) -> Tuple[torch.Tensor, None]:
        """Log-probabilities of the next token of one hypothesis.

        Args:
            ys: Token ids (L,), the start token first.
            state: Not used: the whole prefix is read again.
            x: Speech frames (T, D).

        Returns:
            Log-probabilities (V,); None.
        """
        scores, _ = self.batch_score(ys[None], [state], x[None])
        return scores[0], None

    def batch_score(
        self, ys: torch.Tensor, states: List[Any], xs: torch.Tensor
    ) -> Tuple[torch.Tensor, List[None]]:
        """Log-probabilities of the next token of hypotheses of equal length.

        Args:
            ys: Token ids (N, L), the start token first.
            states: Not used: the whole prefix is read again.
            xs: Speech frames (N, T, D), none of them padding.

        Returns:
            Log-probabilities (N, V); a list of None.
        """
        hlens = torch.full((xs.size(0),), xs.size(1), device=xs.device)
        ys_lens = torch.full((ys.size(0),), ys.size(1), device=ys.device)
        logits, _ = self.forward(xs, hlens, ys, ys_lens)
        return logits[:, -1].log_softmax(-1), [None] * ys.size(0)


class _NoEncoder(torch.nn.Module):
    """Stands where mBART's text encoder was; has no parameters."""

    main_input_name = "input_ids"

    def forward(self, *args: Any, **kwargs: Any):
        raise RuntimeError("mBART's text encoder is not part of this decoder")
