"""Tests of espnet_samu.checkpoint.published_model."""

import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from espnet_samu.checkpoint.published_model import (
    PublishedST,
    fill,
    read_decoding,
)
from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.text.checkpoint import find_weights

EMBEDDING = "decoder.model.decoder.embed_tokens.weight"
OUTPUT_LAYER = "decoder.lm_head.weight"


class Ours(torch.nn.Module):
    """What of an ESPnetSTModel has weights."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.frontend = SamuFrontend(model_conf=encoder)
        self.decoder = MBartDecoder(85, 24, model_conf=decoder)
        torch.nn.init.ones_(self.decoder.model.final_logits_bias)


@pytest.fixture
def folder(published, tmp_path):
    return published(tmp_path / "published", hidden_size=24)


@pytest.fixture
def ours(speech_models, mbart_conf):
    """Makes the model without weights."""

    def make(**fields):
        encoder = {**speech_models["wav2vec2-layer"], "hidden_size": 24, **fields}
        return Ours(encoder, {**mbart_conf, "vocab_size": 85})

    return make


@pytest.fixture
def checkpoint(folder):
    """Weights of the published model; writes others in their place."""
    state = load_file(folder / "model.safetensors")

    def write(drop=(), **new):
        new = {name.replace("__", "."): value for name, value in new.items()}
        changed = {k: v for k, v in (state | new).items() if k not in drop}
        save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
        return find_weights(str(folder))

    write.state = state
    return write


def check(model, state):
    """Every weight is the published one, under its own name."""
    embedding = state[EMBEDDING]
    tied = (model.decoder.model.lm_head.weight, model.decoder.model.model.shared.weight)
    assert all(torch.equal(weight, embedding) for weight in tied)
    found = model.state_dict()
    for ours, theirs in (
        (
            "frontend.model.encoder.pos_conv_embed.conv.parametrizations.weight."
            "original0",
            "encoder.encoder.pos_conv_embed.conv.parametrizations.weight.original0",
        ),
        ("decoder.linear_in.bias", "enc_to_dec_proj.bias"),
        (
            "decoder.model.model.decoder.layers.1.fc2.weight",
            "decoder.model.decoder.layers.1.fc2.weight",
        ),
    ):
        assert torch.equal(found[ours], state[theirs])
    assert len(found) == len(state) + 3  # shared, lm_head, bias of the logits
    assert not found["decoder.model.final_logits_bias"].any()


def test_fill(ours, checkpoint, folder):
    model = ours()
    fill(model, find_weights(str(folder)))
    check(model, checkpoint.state)


def test_parts_of_half_precision(ours, checkpoint, folder):
    """In two files, as large checkpoints are."""
    (folder / "model.safetensors").unlink()
    state = {name: value.half() for name, value in checkpoint.state.items()}
    names = sorted(state)
    parts = {"a.safetensors": names[:50], "b.safetensors": names[50:]}
    for part, inside in parts.items():
        save_file({name: state[name] for name in inside}, folder / part)
    weight_map = {name: part for part, inside in parts.items() for name in inside}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    model = ours()
    fill(model, find_weights(str(folder)))
    check(model, {name: value.float() for name, value in state.items()})
    assert model.decoder.linear_in.weight.dtype == torch.float32
    (folder / "b.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="lacks b.safetensors"):
        find_weights(str(folder))
    index.unlink()
    with pytest.raises(FileNotFoundError, match="has no model.safetensors or pyt"):
        find_weights(str(folder))


def test_embedding_and_output_layer(ours, checkpoint):
    embedding = checkpoint.state[EMBEDDING]
    both = {OUTPUT_LAYER.replace(".", "__"): embedding.clone()}
    for drop, tied in (([], True), ([], False), ([EMBEDDING], True)):
        model = ours()
        fill(model, checkpoint(drop, **both), tied)
        check(model, checkpoint.state)
    with pytest.raises(ValueError, match=rf"1 missing \['{OUTPUT_LAYER}'\]"):
        fill(ours(), checkpoint(), tied=False)
    both[OUTPUT_LAYER.replace(".", "__")][82, 3] += 1e-3
    with pytest.raises(ValueError, match=rf"{OUTPUT_LAYER}\) is not the embedding"):
        fill(ours(), checkpoint(**both))


def test_vector_of_spec_augment(ours, checkpoint, caplog):
    mask = "encoder.masked_spec_embed"
    with caplog.at_level(logging.INFO):
        model = ours(mask_time_prob=0.0)
        fill(model, checkpoint())
        assert f"{mask} is left out" in caplog.text
        model = ours()
        before = model.frontend.model.masked_spec_embed.clone()
        fill(model, checkpoint(drop=[mask]))
    assert f"{mask} is not in the checkpoint" in caplog.text
    assert torch.equal(model.frontend.model.masked_spec_embed, before)


def test_other_weights(ours, checkpoint):
    """Missing, unknown and of another shape, by the checkpoint's own names."""
    files = checkpoint(
        drop=["enc_to_dec_proj.weight", "encoder.feature_projection.layer_norm.bias"],
        decoder__final_logits_bias=torch.zeros(1, 85),
        quantizer=torch.zeros(3),
        enc_to_dec_proj__bias=torch.zeros(15),
    )
    with pytest.raises(ValueError) as info:
        fill(ours(), files)
    for part in (
        "2 missing ['enc_to_dec_proj.weight', "
        "'encoder.feature_projection.layer_norm.bias']",
        "2 unexpected ['decoder.final_logits_bias', 'quantizer']",
        "1 of another shape ['enc_to_dec_proj.bias [15] for [16]']",
    ):
        assert part in str(info.value)


def test_pickled_code_is_not_run(ours, folder):
    """weights_only."""
    import pickle

    (folder / "model.safetensors").unlink()
    torch.save({"x": print}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pytorch_model.bin is damaged, or") as end:
        fill(ours(), find_weights(str(folder)))
    assert isinstance(end.value.__cause__, pickle.UnpicklingError)


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
        return read_decoding(str(tmp_path), fields, None)

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


@pytest.fixture
def folder_of_published_st(published, tmp_path):
    return published(tmp_path / "published", add_adapter=True)


def change(path, part=None, **fields):
    """Fields of a JSON file."""
    content = json.loads(path.read_text())
    (content if part is None else content[part]).update(fields)
    path.write_text(json.dumps(content))


def test_fields_are_the_model_s(folder_of_published_st):
    """Those of older transformers are left out, the special tokens are there."""
    change(
        folder_of_published_st / "config.json",
        "decoder",
        static_position_embeddings=True,
    )
    change(
        folder_of_published_st / "config.json",
        "encoder",
        feat_extract_dropout=0.1,
        layerdrop=0.2,
    )
    published = PublishedST(str(folder_of_published_st))
    frontend, decoder = published.frontend_conf(), published.decoder_conf()
    assert frontend["model_conf"]["model_type"] == "wav2vec2"
    assert frontend["model_conf"]["add_adapter"] is True
    assert frontend["model_conf"]["layerdrop"] == 0.2
    assert "feat_extract_dropout" not in frontend["model_conf"]
    expected = {
        "model_type": "mbart",
        "vocab_size": 85,
        "scale_embedding": True,
        "max_position_embeddings": 64,
        "is_decoder": False,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "forced_eos_token_id": 2,
    }
    found = decoder["model_conf"]
    assert {name: found.get(name) for name in expected} == expected
    assert not {"static_position_embeddings", "add_cross_attention"} & found.keys()
    assert published.tied


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("name", ["processor_config", "preprocessor_config"])
def test_normalize_waveform(folder_of_published_st, normalize, name):
    content = json.loads((folder_of_published_st / "processor_config.json").read_text())
    (folder_of_published_st / "processor_config.json").unlink()
    content["feature_extractor"]["do_normalize"] = normalize
    if name == "preprocessor_config":
        content = content["feature_extractor"]
    (folder_of_published_st / f"{name}.json").write_text(json.dumps(content))
    conf = PublishedST(str(folder_of_published_st)).frontend_conf()
    assert conf["normalize_waveform"] is normalize


def test_token_list(folder_of_published_st, tmp_path):
    tokens = PublishedST(str(folder_of_published_st)).save_tokenizer(
        tmp_path / "tokenizer"
    )
    assert len(tokens) == 85
    assert tokens[:5] == ["<s>", "<pad>", "</s>", "<unk>", "▁the"]
    assert (tokens[32], tokens[35], tokens[84]) == ("ar_AR", "en_XX", "<mask>")


@pytest.mark.parametrize(
    "part, model_type",
    [
        (None, "wav2vec2"),
        ("encoder", "wav2vec2-bert"),
        ("encoder", "whisper"),
        ("decoder", "bert"),
        ("decoder", "speech_to_text_2"),
        ("decoder", "m2m_100"),
    ],
)
def test_other_types(folder_of_published_st, part, model_type):
    """Those that transformers no longer has among them."""
    change(folder_of_published_st / "config.json", part, model_type=model_type)
    found = {None: "model_type is", "encoder": "encoder is", "decoder": "decoder"}
    allowed = "st_import takes model_type 'speech-encoder-decoder' with an encoder of "
    allowed += "wav2vec2, hubert, wavlm and a decoder of mbart"
    with pytest.raises(ValueError, match=allowed) as info:
        PublishedST(str(folder_of_published_st))
    assert f"{found[part]} '{model_type}'" in str(info.value)
    assert str(folder_of_published_st) in str(info.value)


def test_other_files(folder_of_published_st, tmp_path):
    published = PublishedST(str(folder_of_published_st))
    change(folder_of_published_st / "config.json", "decoder", vocab_size=86)
    with pytest.raises(ValueError, match=r"has 86 tokens, but its tokeniser.* has 85"):
        PublishedST(str(folder_of_published_st)).save_tokenizer(tmp_path / "tokenizer")

    path = folder_of_published_st / "processor_config.json"
    before = path.read_text()
    content = json.loads(before)
    content["feature_extractor"]["sampling_rate"] = 8000
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="Wav2Vec2FeatureExtractor at 8000 Hz; only"):
        published.frontend_conf()
    path.unlink()
    with pytest.raises(ValueError, match="do_normalize"):
        published.frontend_conf()

    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder_of_published_st / name).unlink()
    with pytest.raises(ValueError, match="no tokeniser that can.*tokenizer_class"):
        published.save_tokenizer(tmp_path / "tokenizer")
    with pytest.raises(FileNotFoundError, match="has no config.json"):
        PublishedST(str(tmp_path))
