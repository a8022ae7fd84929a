"""Tests of espnet_samu.decoder.pretrained."""

import pytest
import torch
from transformers import (
    M2M100Config,
    MarianConfig,
    MBartForConditionalGeneration,
    T5Config,
)
from transformers.models.m2m_100.modeling_m2m_100 import (
    M2M100SinusoidalPositionalEmbedding,
)
from transformers.utils import logging

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.decoder.pretrained import (
    FAMILIES,
    TokenPositions,
    build_decoder,
    load_decoder_config,
)


@pytest.mark.parametrize("pad", [0, 1, 3])
def test_equals_transformers(pad):
    config = M2M100Config(d_model=8, max_position_embeddings=6, pad_token_id=pad)
    ours = TokenPositions(config)
    theirs = M2M100SinusoidalPositionalEmbedding(6, 8, pad)
    tokens = torch.tensor([[7, 8, 7, 9, 7, 7]])
    expected = theirs(tokens)
    assert torch.equal(ours(tokens), expected)
    assert torch.equal(ours(None, torch.zeros(1, 6, 8)), expected)
    assert torch.equal(ours(tokens[:, :2], past_key_values_length=3), expected[:, 3:5])
    positions = torch.tensor([4, 0, 4])
    assert torch.equal(ours(position_ids=positions), expected[:, positions])
    # padding is counted as any token is
    tokens[0, 1:3] = pad
    assert torch.equal(ours(tokens), expected)
    assert not torch.equal(theirs(tokens), expected)


VOCAB = 30


@pytest.mark.parametrize("family", ["mbart", "m2m_100", "bart"])
def test_fresh_has_espnets_special_tokens(mbart_conf, family):
    conf = {**mbart_conf, "model_type": family}
    config = load_decoder_config(VOCAB, None, conf)
    assert config.model_type == family
    assert (config.vocab_size, config.d_model, config.encoder_layers) == (VOCAB, 16, 0)
    assert (config.pad_token_id, config.eos_token_id) == (0, VOCAB - 1)
    assert getattr(config, "forced_eos_token_id", None) is None
    assert isinstance(build_decoder(None, config), FAMILIES[family])


def test_mbart_is_the_default(mbart_conf):
    assert load_decoder_config(VOCAB, None, mbart_conf).model_type == "mbart"


@pytest.mark.parametrize("config", [MarianConfig, T5Config])
def test_other_families(mbart_conf, tmp_path, config):
    config(vocab_size=VOCAB).save_pretrained(tmp_path)
    kind = config.model_type
    match = rf"model_type '{kind}' is not one of mbart .*, m2m_100 .*NLLB\), bart"
    with pytest.raises(ValueError, match=match):
        load_decoder_config(VOCAB, str(tmp_path), {})
    with pytest.raises(ValueError, match=match):
        load_decoder_config(VOCAB, None, {**mbart_conf, "model_type": kind})


def test_refused(plain, folder, mbart_conf, tmp_path):
    with pytest.raises(ValueError, match="model has 30 tokens, but .* list has 31"):
        load_decoder_config(31, folder, {})
    with pytest.raises(ValueError, match="'mbart', but model_conf says 'm2m_100'"):
        load_decoder_config(VOCAB, folder, {"model_type": "m2m_100"})
    with pytest.raises(ValueError, match="d_modell is not a field of MBartConfig"):
        load_decoder_config(VOCAB, None, {**mbart_conf, "d_modell": 16})
    config = plain.config
    config.tie_word_embeddings = False
    untied = MBartForConditionalGeneration(config)
    untied.save_pretrained(tmp_path / "untied")
    with pytest.raises(ValueError, match="output layer of .*untied is not its embed"):
        MBartDecoder(VOCAB, 16, model=str(tmp_path / "untied"))


@pytest.mark.parametrize("family", ["mbart", "m2m_100", "bart"])
def test_rebuilt(mbart_conf, family):
    conf = {**mbart_conf, "model_type": family}
    config = load_decoder_config(VOCAB, None, conf)
    verbosity = logging.get_verbosity()
    rebuilt = build_decoder(None, config, is_rebuilt=True)
    assert logging.get_verbosity() == verbosity
    fresh = build_decoder(None, config)
    expected = fresh.state_dict()
    assert rebuilt.state_dict().keys() == expected.keys()
    for key, value in rebuilt.state_dict().items():
        assert value.isfinite().all() and value.std() <= 1.3 * expected[key].std()
    assert rebuilt.lm_head.weight is rebuilt.model.shared.weight
