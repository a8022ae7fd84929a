"""Translation model: target languages, auxiliary distillation, frozen first updates."""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from espnet2.asr.specaug.abs_specaug import AbsSpecAug
from espnet2.layers.abs_normalize import AbsNormalize
from espnet2.legacy.nets.pytorch_backend.transformer.label_smoothing_loss import (
    LabelSmoothingLoss,
)
from espnet2.st.espnet_model import ESPnetSTModel
from espnet2.torch_utils.device_funcs import force_gatherable
from typeguard import typechecked

from espnet_samu.loss.distillation import DistillationLoss
from espnet_samu.pooling.abs_pooling import AbsPooling
from espnet_samu.projector.abs_projector import AbsProjector
from espnet_samu.train.encoding import UpdateCounter, encode_waveforms
from espnet_samu.utils.distributed import process_share
from espnet_samu.utils.waveform import (
    CHECK_AUDIO,
    DURATIONS,
    UnusableWaveforms,
    check_waveforms,
    named_waveforms,
)

REPAIR = ". Repair these recordings, or leave them out in stage 1"

# Statistics of the distillation's batch that are reported, by DistillationLoss' names.
_STATS = {
    "loss": "loss_samu",
    "cos_right": "samu_cos_right",
    "cos_wrong": "samu_cos_wrong",
    "batch_r1": "samu_batch_r1",
}


class DistillationHead(torch.nn.Module):
    """Pooling, projector and loss of a student, for a model that has its encoder.

    Its state dict has the student's names: ``pooling.*``, ``projector.*``.

    Args:
        pooling: Frames to one vector (B, D).
        projector: Vector to utterance embedding (B, E).
        loss: Compares with the teacher.
        weight: Factor of the loss beside the model's own.
        specaug: Masks the frontend's frames of this loss.
        normalize: Normalises the frontend's frames of this loss.
    """

    @typechecked
    def __init__(
        self,
        pooling: AbsPooling,
        projector: AbsProjector,
        loss: DistillationLoss,
        weight: float,
        specaug: AbsSpecAug | None = None,
        normalize: AbsNormalize | None = None,
    ):
        super().__init__()
        self.pooling = pooling
        self.projector = projector
        self.loss = loss
        self.weight = weight
        self.specaug = specaug
        self.normalize = normalize

    def forward(
        self, frames: torch.Tensor, lengths: torch.Tensor, teacher: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the distillation loss.

        Args:
            frames: The encoder's (B, T, D).
            lengths: Number of frames (B,).
            teacher: Sentence embeddings (B, E), of any norm.

        Returns:
            Loss, without the weight; statistics.

        Raises:
            ValueError: The embeddings are not of the projector's size.
        """
        return self.loss(self.projector(self.pooling(frames, lengths)), teacher)


class SmoothedCrossEntropy(LabelSmoothingLoss):
    """ESPnet's loss with label smoothing, by torch's cross entropy.

    ESPnet's makes a distribution over all V tokens for each position, and several
    tensors of its size. Its smoothing s is shared by the V - 1 wrong tokens, torch's by
    all V: that of torch is s * V / (V - 1) for the same loss, less the entropy of the
    distribution.
    """

    def forward(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss.

        Args:
            x: Logits (B, L, V).
            target: Token ids (B, L), ``padding_idx`` where padded.
        """
        cross_entropy = torch.nn.functional.cross_entropy(
            x.flatten(0, 1),
            target.flatten(),
            ignore_index=self.padding_idx,
            reduction="sum",
            label_smoothing=self.smoothing * self.size / (self.size - 1),
        )
        n_tokens = (target != self.padding_idx).sum()
        entropy = 0.0
        if self.smoothing > 0:
            entropy = -self.confidence * math.log(self.confidence)
            entropy -= self.smoothing * math.log(self.smoothing / (self.size - 1))
        total = n_tokens if self.normalize_length else len(x)
        return (cross_entropy - entropy * n_tokens) / total


class SamuSTModel(UpdateCounter, ESPnetSTModel):
    """ESPnet's translation model with the same parameters, extended for ``mbart``.

    * The batch may say the target language of each utterance, ``tgt_lang``.
    * Frontend and encoder may be left alone in the first updates, while the length
      adaptor and the decoder settle.
    * A batch of the distillation may come beside that of translation, for a model that
      was given a head for it (``distillation``). A model without reads checkpoints of
      one that has it.

    Args:
        args: ESPnetSTModel's.
        freeze_encoder_updates: In the first so many updates all up to the encoder's
            output is not trained; frontend and encoder stay in eval mode.
        kwargs: ESPnetSTModel's.
    """

    decoder: Any
    """MBartDecoder where ``has_target_languages``."""
    token_list: list[str]
    matches_tokens = True
    """``--init_param`` matches rows of another token list by the names of tokens."""

    def __init__(self, *args, freeze_encoder_updates: int = 0, **kwargs):
        super().__init__(*args, **kwargs)
        loss = getattr(self, "criterion_st", None)
        if isinstance(loss, LabelSmoothingLoss):
            self.criterion_st = SmoothedCrossEntropy(
                loss.size, loss.padding_idx, loss.smoothing, loss.normalize_length
            )
        self.distillation: DistillationHead | None = None
        self.register_load_state_dict_post_hook(_ignore_distillation)
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
        src_text: torch.Tensor | None = None,
        src_text_lengths: torch.Tensor | None = None,
        tgt_lang: torch.Tensor | None = None,
        utt_id: Sequence[str] | None = None,
        samu_speech: torch.Tensor | None = None,
        samu_speech_lengths: torch.Tensor | None = None,
        samu_embed: torch.Tensor | None = None,
        samu_utt_id: Sequence[str] | None = None,
        **kwargs,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Return ESPnet's loss plus the weighted distillation loss.

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
            samu_speech: Waveforms of the distillation (B', N').
            samu_speech_lengths: Samples (B',).
            samu_embed: The teacher's sentence embeddings (B', E), of any norm.
            samu_utt_id: Names of these utterances.
            kwargs: Not used.

        Returns:
            Loss; statistics, ``loss_samu`` and ``samu_*`` of the distillation among
            them; batch size B, for averaging.

        Raises:
            ValueError: A translation is longer than the decoder can read, the decoder
                does not know target languages, utterances are not finite, too loud,
                too short or too long, or those of the distillation are silent.
        """
        check_waveforms(
            speech, speech_lengths, utt_id, allow_silence=True, advice=REPAIR
        )
        with self.target_languages(tgt_lang), named_waveforms(utt_id, DURATIONS):
            self._check_lengths(text_lengths, tgt_lang, utt_id)
            loss, stats, weight = super().forward(
                speech,
                speech_lengths,
                text,
                text_lengths,
                src_text,
                src_text_lengths,
                **kwargs,
            )
        if samu_speech is None:
            return loss, stats, weight
        head = self.distillation
        assert head is not None
        assert samu_speech_lengths is not None and samu_embed is not None
        check_waveforms(
            samu_speech, samu_speech_lengths, samu_utt_id, advice=CHECK_AUDIO
        )
        with named_waveforms(samu_utt_id, DURATIONS):
            distance, samu_stats = self._distil(
                head, samu_speech, samu_speech_lengths, samu_embed
            )
        share = process_share(len(samu_speech), len(speech), loss.device)
        loss = loss + head.weight * share * distance
        samu_stats = {
            _STATS[name]: share * value
            for name, value in samu_stats.items()
            if name in _STATS
        }
        stats = {**stats, **samu_stats, "loss": loss.detach()}
        return force_gatherable((loss, stats, weight), loss.device)

    def encode(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        return_int_enc: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ESPnet's encoder frames and their numbers, at least 1 each.

        ESPnet's post-encoders leave no frame of a short utterance beside longer ones,
        and the decoder would make up a translation.

        Raises:
            UnusableWaveforms: Utterances are too short for one frame.
        """
        encoded = super().encode(speech, speech_lengths, return_int_enc)
        short = (encoded[1] < 1).nonzero()[:, 0].tolist()
        if short:
            raise UnusableWaveforms(
                {
                    row: f"{int(speech_lengths[row])} samples are too short for a "
                    "frame behind encoder and post-encoder"
                    for row in short
                }
            )
        return encoded

    def _distil(
        self,
        head: DistillationHead,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        teacher: torch.Tensor,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the distillation loss and its statistics."""
        # As around ESPnet's frontends: half precision is too coarse for a distance.
        with torch.autocast(speech.device.type, enabled=False):
            frames, lengths = encode_waveforms(
                self, speech, speech_lengths, head.specaug, head.normalize
            )
            return head(frames, lengths, teacher)

    def target_languages(
        self, ids: torch.Tensor | None
    ) -> contextlib.AbstractContextManager[None]:
        """Set the target languages of the next batch, in a with block.

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
        tgt_lang: torch.Tensor | None,
        utt_id: Sequence[str] | None,
    ) -> None:
        """Raise an error that names an utterance too long for the decoder."""
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
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the frontend's frames (B, T, D) and their numbers (B,)."""
        with self.encoder_mode():
            return super()._extract_feats(speech, speech_lengths)

    def _detach_if_frozen(self, encoder, inputs, outputs):
        """Stop gradients at a frozen encoder (hook)."""
        if not self.encoder_is_frozen():
            return outputs
        frames, *others = outputs
        return (frames.detach(), *others)


def _ignore_distillation(model: SamuSTModel, incompatible) -> None:
    """Drop the distillation's weights from a load for decoding (hook)."""
    if model.distillation is None:
        incompatible.unexpected_keys[:] = [
            key
            for key in incompatible.unexpected_keys
            if not key.startswith("distillation.")
        ]
