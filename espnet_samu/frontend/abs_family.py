"""Interface of a family of speech encoders."""

from abc import ABC, abstractmethod
from typing import Any

import torch


class AbsFamily(torch.nn.Module, ABC):
    """Interface of a family: its input features and where its layers are.

    The model itself is given to each call: a family has no parameters and nothing in
    the state dict.
    """

    KEY_MAPPING: dict[str, str] | None = None
    """Regular expressions for names in a checkpoint, and what to put there."""

    UNUSED: str | None = None
    """Regular expression for names in a checkpoint that are not the encoder's."""

    LAYERS = "num_hidden_layers"
    """Field for the number of the encoder's layers."""

    LAYERDROP = "layerdrop"
    """Field for the probability of leaving out a layer in training."""

    LAST_STATE_IS_OUTPUT = False
    """Whether transformers' last hidden state is the encoder's output, after the final
    layer norm, or what the last layer gave."""

    def model_class(self, config):
        """Return the class of transformers to build."""
        from transformers import MODEL_MAPPING

        return MODEL_MAPPING[type(config)]

    @abstractmethod
    def portable_conf(self) -> dict[str, Any]:
        """Return the arguments of SamuFrontend that belong to this family."""
        raise NotImplementedError

    def adapt(self, model: torch.nn.Module) -> None:
        """Change a new model in place: the positions of its window, its layout."""

    def mask_padding(self, model: torch.nn.Module) -> None:
        """Replace the layers in which padding would change an utterance, in place.

        The names in the state dict do not change.
        """

    def encoder(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the module that has the transformer's ``layers``."""
        return model.get_submodule("encoder")

    def final_norm(self, model: torch.nn.Module) -> torch.nn.Module | None:
        """Return the layer norm between last layer and output, if any."""
        return None

    def freeze_feature_encoder(self, model: torch.nn.Module) -> None:
        """Freeze the convolutions over the waveform, if there are any."""

    def checkpoint_activations(self, model: Any) -> None:
        """Turn on activation checkpointing."""
        model.activation_checkpointing_enable()

    def longest(self) -> int | None:
        """Return the maximum number of samples at 16 kHz, or None."""
        return None

    @abstractmethod
    def frame_lengths(
        self, model: torch.nn.Module, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return the transformer's numbers of frames (B,) for samples (B,)."""
        raise NotImplementedError

    @abstractmethod
    def features(
        self, model: torch.nn.Module, waveforms: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return the model's input features, float32.

        Args:
            model: Of transformers.
            waveforms: (B, N) at 16 kHz, anything where padded.
            lengths: Samples (B,).
        """
        raise NotImplementedError

    @abstractmethod
    def encode(
        self, model: torch.nn.Module, features: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return frames (B, T, D) of features; called under autocast.

        Args:
            model: Of transformers.
            features: From :meth:`features`.
            lengths: Samples (B,).
        """
        raise NotImplementedError
