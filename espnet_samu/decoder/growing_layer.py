"""Keys and values of one layer in a buffer that is seldom copied."""

from typing import Tuple

import torch
from transformers.cache_utils import DynamicLayer


class GrowingLayer(DynamicLayer):
    """Cache of a layer that writes new tokens into spare room behind the old ones.

    transformers' DynamicLayer copies all of them for every new one. Not for training:
    the buffer is changed in place.
    """

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values (B, H, Q, D / H); all of them (B, H, S, D / H)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys = key_states[:, :, :0]
            self.values = value_states[:, :, :0]
            self._room = self.keys, self.values
        start = self.keys.size(2)
        end = start + key_states.size(2)
        if end > self._room[0].size(2):
            self._room = tuple(
                self._with_room(old, 2 * end) for old in (self.keys, self.values)
            )
        keys, values = self._room
        keys[:, :, start:end] = key_states
        values[:, :, start:end] = value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    @staticmethod
    def _with_room(old: torch.Tensor, size: int) -> torch.Tensor:
        room = old.new_empty(*old.shape[:2], size, old.size(3))
        room[:, :, : old.size(2)] = old
        return room
