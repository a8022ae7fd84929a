import json

import pytest

from espnet_samu.checkpoint.published_decoding import read

TOKENS = {"decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}
LANGUAGE = {"forced_bos_token_id": 7}


@pytest.fixture(params=["generation_config", "config", "decoder"])
def told(request, tmp_path):
    """Reads settings from the places where checkpoints have them."""

    def make(**settings):
        fields = {"model_type": "speech-encoder-decoder", "decoder": {}, "encoder": {}}
        if request.param == "generation_config":
            path = tmp_path / "generation_config.json"
            path.write_text(json.dumps(settings))
        elif request.param == "config":
            fields |= settings
        else:
            fields["decoder"] = settings
        return read(str(tmp_path), fields, None)

    return make


@pytest.mark.parametrize(
    "settings, options",
    [
        ({}, (1, True, -200, 0)),
        ({"num_beams": 5, "max_length": 200}, (5, True, -199, 0)),
        ({"num_beams": 5, "max_length": 200, **LANGUAGE}, (5, True, -198, 0)),
        ({"max_new_tokens": 30, "min_new_tokens": 4}, (1, True, -30, -4)),
        # transformers counts the forced token among the new ones.
        ({"max_new_tokens": 30, "min_new_tokens": 4, **LANGUAGE}, (1, True, -29, -3)),
        ({"min_length": 6, "max_length": 9, **LANGUAGE}, (1, True, -7, -4)),
        ({"min_length": 0, "length_penalty": 0.0}, (1, False, -200, 0)),
        ({"length_penalty": 1.0}, (1, True, -200, 0)),
    ],
)
def test_options(told, settings, options):
    decoding = told(**TOKENS, **settings)
    names = ("beam_size", "normalize_length", "maxlenratio", "minlenratio")
    assert decoding.options == dict(zip(names, options))
    assert not decoding.left_out
    assert (decoding.start, decoding.end, decoding.forced_end) == (2, 2, None)
    assert decoding.language == settings.get("forced_bos_token_id")


def test_tokens(told):
    decoding = told(bos_token_id=0, eos_token_id=[5], forced_eos_token_id=6)
    assert (decoding.start, decoding.end, decoding.forced_end) == (0, 5, 6)


def test_left_out(told):
    settings = {
        "early_stopping": True,
        "no_repeat_ngram_size": 3,
        "length_penalty": 0.6,
        "repetition_penalty": 1.0,
        "do_sample": False,
    }
    assert told(**TOKENS, **settings).left_out == {
        "early_stopping": True,
        "no_repeat_ngram_size": 3,
        "length_penalty": 0.6,
    }


def test_refused(told):
    with pytest.raises(ValueError, match="no decoder_start_token_id"):
        told(eos_token_id=2)
    for eos in ({}, {"eos_token_id": [2, 3]}):
        with pytest.raises(ValueError, match="eos_token_id is .*one end token"):
            told(decoder_start_token_id=2, **eos)
