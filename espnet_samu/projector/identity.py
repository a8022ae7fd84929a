"""Projector without parameters."""

import torch
from typeguard import typechecked

from espnet_samu.projector.abs_projector import AbsProjector


class IdentityProjector(AbsProjector):
    """L2 normalisation alone: the encoder has the teacher's dimension.

    Reference: SENSE, arXiv 2509.12093 (w2v-BERT 2.0 and BGE-M3, 1024 each).

    Args:
        input_size: Dimension D of the pooled vector.
        output_size: Dimension E of the teacher's sentence embedding, which has to be D.

    Raises:
        ValueError: It is not.
    """

    @typechecked
    def __init__(self, input_size: int, output_size: int | None = None):
        super().__init__()
        if output_size not in (None, input_size):
            raise ValueError(
                f"projector_conf: output_size is {output_size}, but projector: "
                f"identity keeps the {input_size} dimensions of the pooled frames; "
                "use projector: tanh"
            )
        self._output_size = input_size

    def output_size(self) -> int:
        """Dimension D."""
        return self._output_size

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Normalise (B, D)."""
        return torch.nn.functional.normalize(pooled, dim=-1)
