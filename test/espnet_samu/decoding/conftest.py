"""A tiny translation model without its encoder, random and sharpened."""

from types import SimpleNamespace

import pytest
import torch


@pytest.fixture
def tiny_model(mbart_conf):
    """Makes a model of V tokens, the last one sos and eos; D = 16."""
    from espnet_samu.decoder.mbart import MBartDecoder

    def make(vocab_size=12, seed=0, lang_token_id=None):
        torch.manual_seed(seed)
        decoder = MBartDecoder(
            vocab_size, 16, model_conf=mbart_conf, lang_token_id=lang_token_id
        )
        return SimpleNamespace(
            decoder=decoder.eval(),
            token_list=[f"t{i}" for i in range(vocab_size)],
            sos=vocab_size - 1,
            eos=vocab_size - 1,
            st_ctc=None,
        )

    return make


@pytest.fixture
def frames():
    """Frames (4, 9, 16), 50 times too large where padded, and their number."""
    generator = torch.Generator().manual_seed(1)
    frames = torch.randn(4, 9, 16, generator=generator)
    lengths = torch.tensor([9, 4, 7, 9])
    for row, length in zip(frames, lengths):
        row[length:] *= 50
    return frames, lengths
