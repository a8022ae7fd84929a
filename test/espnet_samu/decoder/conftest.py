"""A tiny model of each family as transformers makes it, and a padded batch."""

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    M2M100Config,
    M2M100ForConditionalGeneration,
    MBartConfig,
    MBartForConditionalGeneration,
)
from transformers.modeling_outputs import BaseModelOutput

_CLASSES = {
    "mbart": (MBartConfig, MBartForConditionalGeneration),
    "m2m_100": (M2M100Config, M2M100ForConditionalGeneration),
    "bart": (BartConfig, BartForConditionalGeneration),
}


@pytest.fixture
def family():
    """model_type of the plain model; tests may parametrize it."""
    return "mbart"


@pytest.fixture
def plain(family):
    """transformers' own tiny model, V = 30, pad 1, eos 2, torch seed 0."""
    make_config, model_class = _CLASSES[family]
    config = make_config(
        vocab_size=30,
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=32,
        scale_embedding=True,
        init_std=0.5,
        dropout=0.1,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
    )
    torch.manual_seed(0)
    model = model_class(config).eval()
    if hasattr(model, "final_logits_bias"):
        torch.nn.init.normal_(model.final_logits_bias)
    return model


@pytest.fixture
def folder(plain, tmp_path):
    """Where the plain model is saved."""
    plain.save_pretrained(tmp_path / "plain")
    return str(tmp_path / "plain")


@pytest.fixture
def frames():
    """Frames (3, 7, 16), 50 times too large where padded, and their number."""
    torch.manual_seed(1)
    frames, lengths = torch.randn(3, 7, 16), torch.tensor([4, 7, 5])
    for row, length in zip(frames, lengths):
        row[length:] *= 50
    return frames, lengths


@pytest.fixture
def tokens():
    """Start token and words (3, 5), and their number; what is padded varies."""
    ids = torch.tensor([[2, 5, 6, 7, 8], [2, 9, 4, 0, 1], [2, 3, 3, 29, 11]])
    return ids, torch.tensor([5, 3, 4])


@pytest.fixture
def plain_logits(plain):
    """Logits of the plain model for frames, lengths and all tokens that it reads."""

    def logits(frames, lengths, ids):
        return plain(
            encoder_outputs=BaseModelOutput(frames),
            attention_mask=(torch.arange(frames.size(1)) < lengths[:, None]).long(),
            decoder_input_ids=ids,
            use_cache=False,
        ).logits

    return logits
