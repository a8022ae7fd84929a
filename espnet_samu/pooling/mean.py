"""Mean pooling."""

import torch
from typeguard import typechecked

from espnet_samu.pooling.abs_pooling import AbsPooling
from espnet_samu.utils.torch_modules import valid_mask


class MeanPooling(AbsPooling):
    """Mean of an utterance's own frames.

    Args:
        input_size: Dimension D of the frames.
    """

    @typechecked
    def __init__(self, input_size: int):
        super().__init__()
        self._output_size = input_size

    def output_size(self) -> int:
        """Dimension D."""
        return self._output_size

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool (B, T, D) with lengths (B,) to (B, D)."""
        # Divided first: a sum over many frames may be beyond the range of float16,
        # which ESPnet's use_amp multiplies in.
        mask = valid_mask(lengths, frames.size(1)).to(frames.dtype)
        return torch.einsum("bt,btd->bd", mask / lengths[:, None], frames)
