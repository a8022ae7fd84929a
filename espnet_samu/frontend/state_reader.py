"""Reading an encoder's hidden states while it runs."""

from typing import Optional, Sequence, Union

import torch


class StateReader:
    """Weighted sum of the hidden states of one forward pass.

    transformers has no state for a layer that LayerDrop skipped; here it is the
    state before that layer. Only the sum so far and the last state are kept.

    Args:
        weights: Weight of each of N + 1 states; None leaves a state out, the number
            1.0 takes it as it is.
        normalize: Layer norm without parameters for each state.
        last_is_output: State N is the encoder's output, not the last layer's.
    """

    def __init__(
        self,
        weights: Sequence[Union[None, float, torch.Tensor]],
        normalize: bool = False,
        last_is_output: bool = False,
    ):
        self.weights = weights
        self.normalize = normalize
        self.last_is_output = last_is_output
        self.count = 0
        self.last: Optional[torch.Tensor] = None
        self.sum: Optional[torch.Tensor] = None

    def read(self, index: int, before: torch.Tensor, after: torch.Tensor) -> None:
        """Take what went into a layer and what came out of it.

        Args:
            index: Of the layer, from 0; greater than that of the call before.
            before: (B, T, D).
            after: (B, T, D).
        """
        while self.count <= index:  # the layers between were skipped
            self._take(before)
        if not (self.last_is_output and self.count == len(self.weights) - 1):
            self._take(after)
        self.last = after

    def finish(self, output: torch.Tensor) -> torch.Tensor:
        """The sum over all states.

        Args:
            output: What the encoder gave (B, T, D). It also stands for every state if
                all layers were skipped.

        Returns:
            (B, T, D).
        """
        while self.count < len(self.weights):
            is_last = self.count == len(self.weights) - 1
            skipped = self.last is not None and not (is_last and self.last_is_output)
            self._take(self.last if skipped else output)
        return self.sum

    def _take(self, state: torch.Tensor) -> None:
        weight = self.weights[self.count]
        self.count += 1
        if weight is None:
            return
        if isinstance(weight, torch.Tensor):
            if self.normalize:
                size = state.shape[-1:]
                state = torch.nn.functional.layer_norm(state, size)
            # Autocast's rounding would add up over the states.
            state = weight * state.to(weight.dtype)
        self.sum = state if self.sum is None else self.sum + state
