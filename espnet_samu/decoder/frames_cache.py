"""A cache whose keys and values of the frames are the same for all beams."""

import torch
from transformers import DynamicCache, EncoderDecoderCache


class FramesCache(EncoderDecoderCache):
    """transformers' cache for a search with beams.

    Beams of an utterance change places among themselves, and read the same frames:
    only what they have said has to follow them. transformers copies both, and the
    frames' part is the larger one.
    """

    def __init__(self) -> None:
        super().__init__(DynamicCache(), DynamicCache())

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Follow the beams.

        Args:
            beam_idx: Old place of each beam (B * n,).
        """
        self.self_attention_cache.reorder_cache(beam_idx)
