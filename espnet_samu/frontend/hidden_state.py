"""Selection of hidden states: one layer, or a learned mix of all."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import torch
from typeguard import typechecked


class StateProjection(torch.nn.Module):
    """Linear layer of each hidden state of a mix, and layer norm of the mix.

    The identity at the start, but for the layer norm.

    Reference: Bouziane et al., "Learning Multiple Utterance-Level Attribute
    Representations with a Unified Speech Encoder", arXiv 2603.08312 (SENSE-2ATTR).

    Args:
        n_states: Number of states.
        size: Dimension D of the frames.
    """

    @typechecked
    def __init__(self, n_states: int, size: int):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(size).repeat(n_states, 1, 1))
        self.bias = torch.nn.Parameter(torch.zeros(n_states, size))
        self.norm = torch.nn.LayerNorm(size)

    def forward(self, state: torch.Tensor, index: int) -> torch.Tensor:
        """Return the projection of a state (B, T, D) of the mix, counted from 0."""
        weight, bias = self.weight[index], self.bias[index]
        return torch.nn.functional.linear(state, weight, bias)


class StateReader:
    """Weighted sum of the hidden states of one forward pass.

    transformers has no state for a layer that LayerDrop skipped; here it is the
    state before that layer. Only the sum so far and the last state are kept.

    Args:
        weights: Weight of each of N + 1 states; None leaves a state out, the number
            1.0 takes it as it is.
        normalize: Layer norm without parameters for each state.
        last_is_output: State N is the encoder's output, not the last layer's.
        projection: Of the states that have a weight; its layer norm follows the sum.
    """

    def __init__(
        self,
        weights: Sequence[None | float | torch.Tensor],
        normalize: bool = False,
        last_is_output: bool = False,
        projection: StateProjection | None = None,
    ):
        self.weights = weights
        self.normalize = normalize
        self.last_is_output = last_is_output
        self.projection = projection
        self.taken = 0
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
        return self.sum if self.projection is None else self.projection.norm(self.sum)

    def _take(self, state: torch.Tensor) -> None:
        weight = self.weights[self.count]
        self.count += 1
        if weight is None:
            return
        if isinstance(weight, torch.Tensor):
            if self.normalize:
                size = state.shape[-1:]
                state = torch.nn.functional.layer_norm(state, size)
            if self.projection is not None:
                state = self.projection(state, self.taken)
            self.taken += 1
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
        layer: The state to take, 0 to N; None mixes them with the softmax of learned
            weights, equal at the start.
        normalize: Normalise each state over D (layer norm without parameters) before
            it is mixed.
        first: First state of the mix.
        projected_size: Dimension D, for a linear layer of each state of the mix; None:
            there are none.
    """

    @typechecked
    def __init__(
        self,
        n_layers: int,
        layer: int | None = None,
        normalize: bool = False,
        first: int = 0,
        projected_size: int | None = None,
    ):
        super().__init__()
        if layer is not None and not 0 <= layer <= n_layers:
            raise ValueError(
                f"frontend_conf: layer is {layer}, but the encoder's hidden states "
                f"are 0 (into the first layer) to {n_layers} (out of the last)"
            )
        if not 0 <= first <= n_layers:
            raise ValueError(
                f"frontend_conf: layer_mix_first is {first}, but the encoder's hidden "
                f"states are 0 to {n_layers}"
            )
        self.n_layers = n_layers
        self.layer = layer
        self.normalize = normalize
        self.first = first
        self.projection = None
        if layer is None:
            n_states = n_layers + 1 - first
            self.weights = torch.nn.Parameter(torch.zeros(n_states))
            if projected_size is not None:
                self.projection = StateProjection(n_states, projected_size)

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
            weights = [None] * self.first + list(self.weights.softmax(0))
        else:
            weights = [None] * (self.n_layers + 1)
            weights[self.layer] = 1.0
        reader = StateReader(
            weights, self.normalize, self.last_is_output, self.projection
        )
        token = _reader.set(reader)
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
