"""ESPnet's trainer: checkpoints that survive a kill, plots of ``decoder: mbart``."""

import copy
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from espnet2.legacy.nets.pytorch_backend.transformer.attention import (
    MultiHeadedAttention,
)
from espnet2.train.trainer import Trainer
from typeguard import suppress_type_checks

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.train.encoding import (
    UpdateCounter,
    close_frames_cache,
    open_frames_cache,
)
from espnet_samu.train.saved_state import (
    CHECKPOINT,
    EARLIER,
    EARLIER_CONFIG,
    changed_options,
    has_state,
    read_structure,
)
from espnet_samu.utils.distributed import is_distributed, is_first
from espnet_samu.utils.torch_modules import keep_freed_memory

CROSS_ATTENTION = "cross_attention"
"""Pictures are ``att_ws/<utterance>/cross_attention.<layer>.<epoch>ep.png``."""

_GRADIENTS = "accumulated_gradients"
"""Entry of an optimizer's saved state: gradients by the position of the parameter."""


class SafeTrainer(Trainer):
    """ESPnet's trainer, resumable at every moment.

    * ESPnet writes ``checkpoint.pth`` over the one before: killed in between, it
      leaves half a file. Here the earlier one is kept under another name until all
      files of an epoch are there; a run that finds it begins that epoch again, which
      gives the same weights, since epochs are seeded.
    * With ``accum_grad``, an epoch may end between two updates. The gradients that
      were accumulated until then are saved with the optimizer.
    * ESPnet takes hyperparameters of optimizer and scheduler from the checkpoint.
      Here those that were changed in the configuration are used.
    * The frames of a frozen encoder are kept, if the task says where.
    * ``num_att_plot`` plots the cross-attention of ``decoder: mbart``, too.
    """

    @classmethod
    def run(cls, model, optimizers, trainer_options, **kwargs) -> None:
        """Train, starting after the last epoch whose files are complete."""
        output_dir = Path(trainer_options.output_dir)
        if trainer_options.ngpu == 0:
            keep_freed_memory()
        if is_first():
            _restore(output_dir)
        if is_distributed():
            torch.distributed.barrier()
        if isinstance(model, UpdateCounter):
            model.restart_count()
        for optimizer in optimizers:
            optimizer.register_state_dict_post_hook(_save_gradients)
            optimizer.register_load_state_dict_pre_hook(_load_gradients)
        try:
            super().run(
                model=model,
                optimizers=optimizers,
                trainer_options=trainer_options,
                **kwargs,
            )
        finally:
            close_frames_cache(model)
        if is_first():
            _complete(output_dir)

    @classmethod
    def resume(cls, checkpoint, optimizers, schedulers, scaler, **kwargs) -> None:
        """Resume as ESPnet does, but with the hyperparameters of the configuration."""
        options = changed_options(Path(checkpoint).parent)
        changed = {name.partition(".")[0] for name in options}
        fresh = copy.deepcopy([_hyperparameters(x) for x in optimizers])
        begun = copy.deepcopy([x and x.state_dict() for x in schedulers])
        if scaler is not None and not read_structure(checkpoint)["scaler"]:
            scaler = None  # Trained until now without mixed precision, or on a CPU.
        super().resume(
            checkpoint=checkpoint,
            optimizers=optimizers,
            schedulers=schedulers,
            scaler=scaler,
            **kwargs,
        )
        if changed & {"optim_conf", "scheduler_conf"}:
            for optimizer, groups in zip(optimizers, fresh):
                for group, values in zip(optimizer.param_groups, groups):
                    group.update(values)
            for scheduler, state in zip(schedulers, begun):
                if scheduler is not None:
                    _replay(scheduler, state)

    @classmethod
    def train_one_epoch(cls, options, **kwargs) -> bool:
        """Train an epoch; the files of the epoch before it are complete."""
        if is_first():
            _complete(Path(options.output_dir))
        # Here: a resumed training has loaded its weights.
        model = kwargs["model"]
        open_frames_cache(getattr(model, "module", model))
        # The reporter's types, item by item, in every step.
        with suppress_type_checks():
            return super().train_one_epoch(options=options, **kwargs)

    @classmethod
    def validate_one_epoch(cls, options, **kwargs) -> None:
        """Validate, and rename the last checkpoint before ESPnet writes."""
        super().validate_one_epoch(options=options, **kwargs)
        if is_first():
            _put_aside(Path(options.output_dir))

    @classmethod
    def plot_attention(cls, model, **kwargs) -> None:
        """Plot attention weights, those of transformers' decoders among them."""
        with plotted_cross_attention(model):
            super().plot_attention(model=model, **kwargs)


def _put_aside(output_dir: Path) -> None:
    """Rename the last checkpoint; an empty file marks that there was none."""
    if (output_dir / CHECKPOINT).exists():
        os.replace(output_dir / CHECKPOINT, output_dir / EARLIER)
    else:
        (output_dir / EARLIER).touch()


def _complete(output_dir: Path) -> None:
    """Remove the renamed checkpoint and configuration of a finished epoch."""
    if (output_dir / EARLIER).exists():
        (output_dir / EARLIER).unlink()
        (output_dir / EARLIER_CONFIG).unlink(missing_ok=True)


def _restore(output_dir: Path) -> None:
    """Restore the last checkpoint after an epoch whose files may be half-written."""
    earlier = output_dir / EARLIER
    if not earlier.exists():
        return
    if has_state(output_dir):
        os.replace(earlier, output_dir / CHECKPOINT)
    else:
        (output_dir / CHECKPOINT).unlink(missing_ok=True)
        earlier.unlink()


def _parameters(optimizer: torch.optim.Optimizer) -> Iterator[torch.nn.Parameter]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _save_gradients(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Add accumulated gradients to a state dict (hook of state_dict)."""
    gradients = {
        position: parameter.grad
        for position, parameter in enumerate(_parameters(optimizer))
        if parameter.grad is not None
    }
    if gradients:
        state[_GRADIENTS] = gradients


def _load_gradients(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restore accumulated gradients (hook of load_state_dict)."""
    gradients = state.get(_GRADIENTS, {})
    for position, parameter in enumerate(_parameters(optimizer)):
        if position in gradients:
            parameter.grad = gradients[position].to(parameter)


def _hyperparameters(optimizer: torch.optim.Optimizer) -> Sequence[dict[str, Any]]:
    return [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]


def _replay(
    scheduler: torch.optim.lr_scheduler.LRScheduler, begun: dict[str, Any]
) -> None:
    """Advance a new scheduler to the step of the resumed one.

    Args:
        scheduler: With the state of the resumed one.
        begun: State of the new one before its first step.
    """
    steps = scheduler.last_epoch - begun["last_epoch"]
    scheduler.load_state_dict(begun)
    with warnings.catch_warnings():
        # torch misses the optimizer's own steps.
        warnings.simplefilter("ignore")
        for _ in range(steps):
            scheduler.step()


class _Weights(MultiHeadedAttention):
    """Attention weights of a layer, where ESPnet looks for them."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.attn: torch.Tensor | None = None

    def forward(self, weights: torch.Tensor) -> None:
        """Keep weights (B, heads, L, T)."""
        self.attn = weights


@contextmanager
def plotted_cross_attention(model: torch.nn.Module) -> Iterator[None]:
    """Let ``calculate_all_attentions`` find the cross-attention of ``decoder: mbart``.

    It knows ESPnet's own attention classes alone. Inside, the model has a module of
    such a class for each decoder layer, which gets the layer's weights, averaged over
    the heads. Fused attention has no weights: the decoder uses ``eager`` inside.

    Args:
        model: A model of which the decoder may be another one; then nothing changes.
    """
    decoder = getattr(model, "decoder", None)
    if not isinstance(decoder, MBartDecoder):
        yield
        return
    layers = [
        module
        for name, module in decoder.model.named_modules()
        if name.endswith(".encoder_attn")
    ]
    found = torch.nn.ModuleList(_Weights() for _ in layers)
    implementation = decoder.model.config._attn_implementation
    hooks = []
    model.add_module(CROSS_ATTENTION, found)
    try:
        decoder.model.set_attn_implementation("eager")
        for layer, weights in zip(layers, found, strict=True):
            hooks.append(layer.register_forward_hook(_pass_to(weights)))
        yield
    finally:
        for hook in hooks:
            hook.remove()
        decoder.model.set_attn_implementation(implementation)
        delattr(model, CROSS_ATTENTION)


def _pass_to(weights: torch.nn.Module) -> Any:
    """Return a forward hook that passes a layer's mean weights to a module."""

    def hook(layer: torch.nn.Module, args: Any, output: Any) -> None:
        weights(output[1].mean(1, keepdim=True))

    return hook
