"""Student of the distillation: a speech encoder trained towards sentence embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.asr.specaug.abs_specaug import AbsSpecAug
from espnet2.layers.abs_normalize import AbsNormalize
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from typeguard import typechecked

from espnet_samu.loss.abs_loss import AbsLoss
from espnet_samu.loss.distillation import DistillationLoss
from espnet_samu.pooling.abs_pooling import AbsPooling
from espnet_samu.projector.abs_projector import AbsProjector
from espnet_samu.train.encoding import UpdateCounter, encode_waveforms
from espnet_samu.utils.waveform import (
    CHECK_AUDIO,
    DURATIONS,
    check_waveforms,
    named_waveforms,
)


@dataclass(frozen=True)
class SAMUOutput:
    """Output of the student for a batch."""

    frames: torch.Tensor
    """Frame-level features (B, T, D)."""
    lengths: torch.Tensor
    """Number of frames (B,)."""
    embedding: torch.Tensor
    """Utterance embeddings (B, E), L2-normalised."""


class ESPnetSAMUModel(UpdateCounter, AbsESPnetModel):
    """Speech encoder, pooling and projector, trained towards the teacher's embeddings.

    The teacher does not take part: its sentence embeddings come with the data.

    Reference: Khurana et al., "SAMU-XLSR", arXiv 2205.08180, section III.

    Args:
        frontend: Waveforms (B, N) to frames.
        encoder: Frames to frames (B, T, D).
        pooling: Frames to one vector (B, D).
        projector: Vector to utterance embedding (B, E).
        loss: Distances between student and teacher, summed with loss_weights.
        loss_weights: Weight of each.
        specaug: Masks the frontend's frames in training.
        normalize: Normalises the frontend's frames.
        freeze_encoder_updates: In the first so many updates only pooling and
            projector are trained; frontend and encoder stay in eval mode.
    """

    record: list[tuple[Sequence[str], np.ndarray, np.ndarray]] | None = None
    """A list here collects what forward compares: utterance ids, students (B, E),
    teachers (B, E)."""

    @typechecked
    def __init__(
        self,
        frontend: AbsFrontend,
        encoder: AbsEncoder,
        pooling: AbsPooling,
        projector: AbsProjector,
        loss: dict[str, AbsLoss],
        loss_weights: dict[str, float],
        specaug: AbsSpecAug | None = None,
        normalize: AbsNormalize | None = None,
        freeze_encoder_updates: int = 0,
    ):
        super().__init__()
        self.frontend = frontend
        self.specaug = specaug
        self.normalize = normalize
        self.encoder = encoder
        self.pooling = pooling
        self.projector = projector
        self.loss = DistillationLoss(loss, loss_weights)
        self.init_updates(freeze_encoder_updates)

    def encode(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return encoder frames (B, T, D) and their numbers (B,).

        Args:
            speech: Waveforms (B, N).
            speech_lengths: Samples (B,).
        """
        return encode_waveforms(
            self, speech, speech_lengths, self.specaug, self.normalize
        )

    def embed(self, speech: torch.Tensor, speech_lengths: torch.Tensor) -> SAMUOutput:
        """Return utterance embeddings.

        Args:
            speech: Waveforms (B, N).
            speech_lengths: Samples (B,).
        """
        frames, lengths = self.encode(speech, speech_lengths)
        embedding = self.projector(self.pooling(frames, lengths))
        return SAMUOutput(frames, lengths, embedding)

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        embed: torch.Tensor,
        embed_lengths: torch.Tensor | None = None,
        utt_id: Sequence[str] | None = None,
        **kwargs,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Return the distillation loss.

        Args:
            speech: Waveforms (B, N).
            speech_lengths: Samples (B,).
            embed: Teacher's sentence embeddings (B, E).
            embed_lengths: Not used.
            utt_id: Names of the utterances.
            kwargs: Not used.

        Returns:
            Loss; statistics; batch size, for averaging.

        Raises:
            ValueError: Utterances are silent, not finite, too loud, too short or too
                long, or the teacher's embeddings are not of the projector's size.
        """
        check_waveforms(speech, speech_lengths, utt_id, advice=CHECK_AUDIO)
        with named_waveforms(utt_id, DURATIONS):
            student = self.embed(speech, speech_lengths).embedding
        total, stats = self.loss(student, embed)
        if self.record is not None:
            rows = [x.detach().float().cpu().numpy() for x in (student, embed)]
            assert utt_id is not None  # ESPnet gives every batch its names
            self.record.append((utt_id, rows[0], rows[1]))
        loss, stats, weight = force_gatherable(
            (total, stats, student.size(0)), total.device
        )
        return loss, stats, weight

    def collect_feats(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor, **kwargs
    ) -> dict[str, torch.Tensor]:
        """Return the waveforms: statistics are their shapes only."""
        return {"feats": speech, "feats_lengths": speech_lengths}
