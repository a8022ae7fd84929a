"""The projector of SAMU-XLS-R."""

import torch
from typeguard import typechecked

from espnet_samu.projector.abs_projector import AbsProjector


class TanhProjector(AbsProjector):
    """Linear layer, tanh, L2 normalisation: the shape of LaBSE's own last layer.

    Reference: Khurana et al., "SAMU-XLSR", arXiv 2205.08180.

    Args:
        input_size: Dimension D of the pooled vector.
        output_size: Dimension E of the teacher's sentence embedding.
    """

    @typechecked
    def __init__(self, input_size: int, output_size: int):
        super().__init__()
        self.linear = torch.nn.Linear(input_size, output_size)

    def output_size(self) -> int:
        """Dimension E."""
        return self.linear.out_features

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Map (B, D) to (B, E)."""
        return torch.nn.functional.normalize(self.linear(pooled).tanh(), dim=-1)
