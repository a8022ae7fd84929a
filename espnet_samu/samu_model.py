"""Distillation of a sentence encoder into a speech encoder."""

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from typeguard import typechecked

from espnet_samu.loss.abs_loss import AbsLoss
from espnet_samu.pooling.abs_pooling import AbsPooling
from espnet_samu.projector.abs_projector import AbsProjector


@dataclass(frozen=True)
class SAMUOutput:
    """What the student makes of a batch."""

    frames: torch.Tensor
    """Frame-level features (B, T, D)."""
    lengths: torch.Tensor
    """Number of frames (B,)."""
    embedding: torch.Tensor
    """Utterance embeddings (B, E), of length 1."""


class ESPnetSAMUModel(AbsESPnetModel):
    """Speech encoder, pooling and projector, trained to the teacher's embedding.

    The teacher does not take part: its sentence embeddings come with the data.

    Reference: Khurana et al., "SAMU-XLSR", arXiv 2205.08180, section III.

    Args:
        frontend: Waveforms (B, N) to frames.
        encoder: Frames to frames (B, T, D).
        pooling: Frames to one vector (B, D).
        projector: Vector to utterance embedding (B, E).
        loss: Distances between student and teacher, summed with loss_weights.
        loss_weights: Weight of each.
    """

    @typechecked
    def __init__(
        self,
        frontend: AbsFrontend,
        encoder: AbsEncoder,
        pooling: AbsPooling,
        projector: AbsProjector,
        loss: Dict[str, AbsLoss],
        loss_weights: Dict[str, float],
    ):
        super().__init__()
        if not loss or set(loss) != set(loss_weights):
            raise ValueError(
                f"loss: {sorted(loss)} and its weights {sorted(loss_weights)} must "
                "name the same distances, at least one"
            )
        self.frontend = frontend
        self.encoder = encoder
        self.pooling = pooling
        self.projector = projector
        self.loss = torch.nn.ModuleDict(loss)
        self.loss_weights = loss_weights

    def embed(self, speech: torch.Tensor, speech_lengths: torch.Tensor) -> SAMUOutput:
        """Utterance embeddings.

        Args:
            speech: Waveforms (B, N).
            speech_lengths: Samples (B,).
        """
        speech = speech[:, : speech_lengths.max()]
        frames, lengths = self.frontend(speech, speech_lengths)
        frames, lengths, _ = self.encoder(frames, lengths)
        embedding = self.projector(self.pooling(frames, lengths))
        return SAMUOutput(frames, lengths, embedding)

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        embed: torch.Tensor,
        embed_lengths: Optional[torch.Tensor] = None,
        **kwargs,
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor], torch.Tensor]:
        """Distance to the teacher.

        Args:
            speech: Waveforms (B, N).
            speech_lengths: Samples (B,).
            embed: Teacher's sentence embeddings (B, E), of length 1.
            embed_lengths: Not used.
            kwargs: ``utt_id`` is among them.

        Returns:
            Loss; statistics; batch size, for averaging.
        """
        # Under ESPnet's autocast the projector gives half precision: too coarse here.
        student = self.embed(speech, speech_lengths).embedding.float()
        if embed.shape != student.shape:
            raise ValueError(
                f"the teacher's embeddings have {embed.size(-1)} dimensions, the "
                f"projector {student.size(-1)}: set output_size in projector_conf"
            )
        teacher = embed.to(student.dtype)
        parts = {name: loss(student, teacher) for name, loss in self.loss.items()}
        total = sum(self.loss_weights[name] * part for name, part in parts.items())

        stats = {f"loss_{name}": part.detach() for name, part in parts.items()}
        stats.update(loss=total.detach(), **_similarities(student, teacher))
        loss, stats, weight = force_gatherable(
            (total, stats, student.size(0)), total.device
        )
        return loss, stats, weight

    def collect_feats(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor, **kwargs
    ) -> Dict[str, torch.Tensor]:
        """Waveforms as they are: shapes are all that is collected."""
        return {"feats": speech, "feats_lengths": speech_lengths}


@torch.no_grad()
def _similarities(
    student: torch.Tensor, teacher: torch.Tensor
) -> Dict[str, torch.Tensor]:
    """Cosine to the right sentence and to the others of the batch."""
    cosine = student @ teacher.T
    right = cosine.diagonal()
    others = max(student.size(0) - 1, 1)
    wrong = (cosine.sum(1) - right) / others
    return {"cos_right": right.mean(), "cos_wrong": wrong.mean()}
