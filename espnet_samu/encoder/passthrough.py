"""Encoder that returns the frontend's frames unchanged."""

import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from typeguard import typechecked


class PassthroughEncoder(AbsEncoder):
    """Identity: for models whose frontend is a complete speech encoder.

    ESPnet's tasks cannot be built without an encoder.

    Args:
        input_size: Dimension D of the frames.
    """

    keeps_batch_state = False

    @typechecked
    def __init__(self, input_size: int):
        super().__init__()
        self._output_size = input_size

    def output_size(self) -> int:
        """Dimension D of the frames."""
        return self._output_size

    def forward(
        self,
        xs_pad: torch.Tensor,
        ilens: torch.Tensor,
        prev_states: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return the arguments.

        Args:
            xs_pad: Frames (B, T, D).
            ilens: Number of frames (B,).
            prev_states: Not used.

        Returns:
            Frames (B, T, D), number of frames (B,), None.
        """
        return xs_pad, ilens, None
