"""Distillation of a sentence encoder into a speech encoder."""

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

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
from espnet_samu.loss.contrastive import SAME
from espnet_samu.pooling.abs_pooling import AbsPooling
from espnet_samu.projector.abs_projector import AbsProjector
from espnet_samu.train.update_counter import UpdateCounter
from espnet_samu.utils.waveform import check_waveforms


@dataclass(frozen=True)
class SAMUOutput:
    """What the student makes of a batch."""

    frames: torch.Tensor
    """Frame-level features (B, T, D)."""
    lengths: torch.Tensor
    """Number of frames (B,)."""
    embedding: torch.Tensor
    """Utterance embeddings (B, E), of length 1."""


class ESPnetSAMUModel(UpdateCounter, AbsESPnetModel):
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
        specaug: Masks the frontend's frames in training.
        normalize: Normalises the frontend's frames.
        freeze_encoder_updates: In the first so many updates only pooling and
            projector are trained; frontend and encoder stay in eval mode.
    """

    record: Optional[List[Tuple[Sequence[str], np.ndarray, np.ndarray]]] = None
    """A list here collects what forward compares: utterance ids, students (B, E),
    teachers (B, E)."""

    @typechecked
    def __init__(
        self,
        frontend: AbsFrontend,
        encoder: AbsEncoder,
        pooling: AbsPooling,
        projector: AbsProjector,
        loss: Dict[str, AbsLoss],
        loss_weights: Dict[str, float],
        specaug: Optional[AbsSpecAug] = None,
        normalize: Optional[AbsNormalize] = None,
        freeze_encoder_updates: int = 0,
    ):
        super().__init__()
        if not loss or set(loss) != set(loss_weights):
            raise ValueError(
                f"loss: {sorted(loss)} and its weights {sorted(loss_weights)} must "
                "name the same distances, at least one"
            )
        self.frontend = frontend
        self.specaug = specaug
        self.normalize = normalize
        self.encoder = encoder
        self.pooling = pooling
        self.projector = projector
        self.loss = torch.nn.ModuleDict(loss)
        self.loss_weights = loss_weights
        self.init_updates(freeze_encoder_updates)

    def encode(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Frames (B, T, D) and their number (B,).

        Args:
            speech: Waveforms (B, N).
            speech_lengths: Samples (B,).
        """
        speech = speech[:, : speech_lengths.max()]
        masked = self.training and not self.encoder_is_frozen()
        with self.encoder_mode():
            frames, lengths = self.frontend(speech, speech_lengths)
            if self.specaug is not None and masked:
                frames, lengths = self.specaug(frames, lengths)
            if self.normalize is not None:
                frames, lengths = self.normalize(frames, lengths)
            frames, lengths, _ = self.encoder(frames, lengths)
        return frames, lengths

    def embed(self, speech: torch.Tensor, speech_lengths: torch.Tensor) -> SAMUOutput:
        """Utterance embeddings.

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
        embed_lengths: Optional[torch.Tensor] = None,
        utt_id: Optional[Sequence[str]] = None,
        **kwargs,
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor], torch.Tensor]:
        """Distance to the teacher.

        Args:
            speech: Waveforms (B, N).
            speech_lengths: Samples (B,).
            embed: Teacher's sentence embeddings (B, E), of length 1.
            embed_lengths: Not used.
            utt_id: Names of the utterances.
            kwargs: Not used.

        Returns:
            Loss; statistics; batch size, for averaging.

        Raises:
            ValueError: An utterance is silent, is not finite, or the teacher's
                embeddings are not of the projector's size.
        """
        check_waveforms(speech, speech_lengths, utt_id)
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
        if self.record is not None:
            students = student.detach().cpu().numpy()
            self.record.append((utt_id, students, teacher.cpu().numpy()))
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
    """Cosine to the right sentence and to the others of the batch; R@1 among them."""
    cosine = student @ teacher.T
    right = cosine.diagonal()
    same = teacher @ teacher.T > SAME
    same.fill_diagonal_(True)
    others = max(student.size(0) - 1, 1)
    best_wrong = cosine.masked_fill(same, -2.0).amax(1)
    return {
        "cos_right": right.mean(),
        "cos_wrong": (cosine.sum(1) - right).mean() / others,
        "batch_r1": (right > best_wrong).float().mean(),
    }
