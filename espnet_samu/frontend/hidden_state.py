"""Selection of hidden states: one layer, or a learned mix of all."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import torch
from typeguard import typechecked


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
        weights: Sequence[None | float | torch.Tensor],
        normalize: bool = False,
        last_is_output: bool = False,
    ):
        self.weights = weights
        self.normalize = normalize
        self.last_is_output = last_is_output
        self.count = 0
        self.last: torch.Tensor | None = None
        self.sum: torch.Tensor | None = None

    def read(self, index: int, before: torch.Tensor, after: torch.Tensor) -> None:
        """Add the input and output of a layer to the sum.

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
        """Return the weighted sum.

        Args:
            output: What the encoder gave (B, T, D). It also stands for every state if
                all layers were skipped.

        Returns:
            (B, T, D).
        """
        while self.count < len(self.weights):
            is_last = self.count == len(self.weights) - 1
            if self.last is None or (is_last and self.last_is_output):
                self._take(output)
            else:
                self._take(self.last)
        assert self.sum is not None  # at least one weight is not None
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


# The reader of the running forward pass. Hooks find it here and not in the module,
# since the hooks of DataParallel's copies are those of the original.
_reader: ContextVar[StateReader | None] = ContextVar("reader", default=None)


class StateChoice(torch.nn.Module):
    """One hidden state of an encoder, or a learned mix of all, as its output.

    States count as transformers' ``hidden_states``: 0 is what goes into the first
    layer, n what comes out of the n-th; LayerDrop does not change the count. What
    follows the encoder in the model (adapter) takes the choice.

    Reference of the mix: Yang et al., "SUPERB", arXiv 2105.01051, section 3.

    Args:
        n_layers: Number of the encoder's layers N.
        layer: The state to take, 0 to N; None mixes all N + 1 with the softmax of
            learned weights, equal at the start.
        normalize: Normalise each state over D (layer norm without parameters) before
            it is mixed.
    """

    @typechecked
    def __init__(
        self, n_layers: int, layer: int | None = None, normalize: bool = False
    ):
        super().__init__()
        if layer is not None and not 0 <= layer <= n_layers:
            raise ValueError(
                f"frontend_conf: layer is {layer}, but the encoder's hidden states "
                f"are 0 (into the first layer) to {n_layers} (out of the last)"
            )
        self.n_layers = n_layers
        self.layer = layer
        self.normalize = normalize
        if layer is None:
            self.weights = torch.nn.Parameter(torch.zeros(n_layers + 1))

    def attach(
        self,
        encoder: torch.nn.Module,
        final_norm: torch.nn.Module | None,
        last_is_output: bool,
    ) -> None:
        """Add hooks to an encoder, and freeze what the choice does not depend on.

        Args:
            encoder: Module of transformers with N ``layers``.
            final_norm: Layer norm after the last layer, if there is one.
            last_is_output: Whether state N is the encoder's output, final norm
                included, or what the last layer gave.
        """
        layers = list(encoder.get_submodule("layers").children())
        for index, layer in enumerate(layers):
            layer.register_forward_hook(partial(_read, index))
        encoder.register_forward_hook(_replace)
        self.last_is_output = last_is_output
        # DistributedDataParallel waits for the gradient of every trained parameter.
        if self.layer is not None:
            for layer in layers[self.layer :]:
                layer.requires_grad_(False)
        takes_output = last_is_output and self.layer in (None, self.n_layers)
        if final_norm is not None and not takes_output:
            final_norm.requires_grad_(False)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Replace the encoder's output by the choice, in a with block."""
        if self.layer is None:
            weights = list(self.weights.softmax(0))
        else:
            weights = [None] * (self.n_layers + 1)
            weights[self.layer] = 1.0
        token = _reader.set(StateReader(weights, self.normalize, self.last_is_output))
        try:
            yield
        finally:
            _reader.reset(token)


def _read(index, module, args, output) -> None:
    reader = _reader.get()
    if reader is not None:
        state = output[0] if isinstance(output, tuple) else output
        reader.read(index, args[0], state)


def _replace(module, args, output):
    reader = _reader.get()
    if reader is None:
        return None
    if isinstance(output, torch.Tensor):
        return reader.finish(output)
    return type(output)(last_hidden_state=reader.finish(output.last_hidden_state))
