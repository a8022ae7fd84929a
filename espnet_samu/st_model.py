"""Translation with a target language for each utterance."""

import contextlib
from typing import ContextManager, Dict, Optional, Sequence, Tuple

import torch
from espnet2.st.espnet_model import ESPnetSTModel

from espnet_samu.train.update_counter import UpdateCounter


class SamuSTModel(UpdateCounter, ESPnetSTModel):
    """ESPnet's model of the same parameters, with what ``mbart`` makes possible.

    * The batch may say the target language of each utterance, ``tgt_lang``.
    * Frontend and encoder may be left alone in the first updates, while the length
      adaptor and the decoder settle.

    Args:
        args: ESPnetSTModel's.
        freeze_encoder_updates: In the first so many updates all up to the encoder's
            output is not trained; frontend and encoder stay in eval mode.
        kwargs: ESPnetSTModel's.
    """

    def __init__(self, *args, freeze_encoder_updates: int = 0, **kwargs):
        super().__init__(*args, **kwargs)
        self.init_updates(freeze_encoder_updates)
        if freeze_encoder_updates > 0:
            # ESPnet's encode() goes on to the post-encoder, which is trained.
            self.encoder.register_forward_hook(self._detach_if_frozen)

    @property
    def has_target_languages(self) -> bool:
        """Whether the decoder knows target-language tokens."""
        return hasattr(getattr(self, "decoder", None), "target_languages")

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        src_text: Optional[torch.Tensor] = None,
        src_text_lengths: Optional[torch.Tensor] = None,
        tgt_lang: Optional[torch.Tensor] = None,
        utt_id: Optional[Sequence[str]] = None,
        **kwargs,
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor], torch.Tensor]:
        """ESPnet's loss.

        Args:
            speech: Waveforms (B, N).
            speech_lengths: Samples (B,).
            text: Tokens of the translations (B, L), padded with -1.
            text_lengths: Number of tokens (B,).
            src_text: Tokens of the transcripts (B, L'), padded with -1.
            src_text_lengths: Number of tokens (B,).
            tgt_lang: Rows of the target-language tokens (B, 1) or (B,). None: all
                are of the decoder's ``lang_token_id``.
            utt_id: Names of the utterances.
            kwargs: Not used.

        Returns:
            Loss; statistics; batch size, for averaging.

        Raises:
            ValueError: A translation is longer than the decoder can read, or the
                decoder does not know target languages.
        """
        with self.target_languages(tgt_lang):
            self._check_lengths(text_lengths, tgt_lang, utt_id)
            return super().forward(
                speech,
                speech_lengths,
                text,
                text_lengths,
                src_text,
                src_text_lengths,
                **kwargs,
            )

    def target_languages(self, ids: Optional[torch.Tensor]) -> ContextManager[None]:
        """Say the target languages of the batch that comes.

        Args:
            ids: Rows of their tokens (B, 1) or (B,). None: the default.

        Raises:
            ValueError: The decoder does not know target languages.
        """
        if ids is None:
            return contextlib.nullcontext()
        if not self.has_target_languages:
            decoder = type(getattr(self, "decoder", None)).__name__
            raise ValueError(
                f"the data have target languages (tgt_lang), but decoder {decoder} has "
                "none; they are for decoder: mbart"
            )
        return self.decoder.target_languages(ids.reshape(len(ids)))

    def _check_lengths(
        self,
        text_lengths: torch.Tensor,
        tgt_lang: Optional[torch.Tensor],
        utt_id: Optional[Sequence[str]],
    ) -> None:
        """Name the utterance whose translation the decoder cannot read."""
        if not self.has_target_languages:
            return
        has_token = tgt_lang is not None or self.decoder.lang_token_id is not None
        longest = int(text_lengths.argmax())
        try:
            self.decoder.check_length(int(text_lengths[longest]) + 1 + has_token)
        except ValueError as error:
            name = longest if utt_id is None else utt_id[longest]
            raise ValueError(f"utterance {name}: {error}") from None

    def _extract_feats(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Frames (B, T, D) of the frontend and their number (B,)."""
        with self.encoder_mode():
            return super()._extract_feats(speech, speech_lengths)

    def _detach_if_frozen(self, encoder, inputs, outputs):
        """A hook of the encoder: no gradient goes into it, or below."""
        if not self.encoder_is_frozen():
            return outputs
        frames, *others = outputs
        return (frames.detach(), *others)
