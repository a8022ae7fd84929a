import json

import pytest

from espnet_samu.checkpoint.published_st import PublishedST


@pytest.fixture
def folder(published, tmp_path):
    return published(tmp_path / "published", add_adapter=True)


def change(path, part=None, **fields):
    """Fields of a JSON file."""
    content = json.loads(path.read_text())
    (content if part is None else content[part]).update(fields)
    path.write_text(json.dumps(content))


def test_fields_are_the_model_s(folder):
    """Those of older transformers are left out, the special tokens are there."""
    change(folder / "config.json", "decoder", static_position_embeddings=True)
    change(folder / "config.json", "encoder", feat_extract_dropout=0.1, layerdrop=0.2)
    published = PublishedST(str(folder))
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
def test_normalize_waveform(folder, normalize, name):
    content = json.loads((folder / "processor_config.json").read_text())
    (folder / "processor_config.json").unlink()
    content["feature_extractor"]["do_normalize"] = normalize
    if name == "preprocessor_config":
        content = content["feature_extractor"]
    (folder / f"{name}.json").write_text(json.dumps(content))
    conf = PublishedST(str(folder)).frontend_conf()
    assert conf["normalize_waveform"] is normalize


def test_token_list(folder, tmp_path):
    tokens = PublishedST(str(folder)).save_tokenizer(tmp_path / "tokenizer")
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
def test_other_types(folder, part, model_type):
    """Those that transformers no longer has among them."""
    change(folder / "config.json", part, model_type=model_type)
    found = {None: "model_type is", "encoder": "encoder is", "decoder": "decoder"}
    allowed = "st_import takes model_type 'speech-encoder-decoder' with an encoder of "
    allowed += "wav2vec2, hubert, wavlm and a decoder of mbart"
    with pytest.raises(ValueError, match=allowed) as info:
        PublishedST(str(folder))
    assert f"{found[part]} '{model_type}'" in str(info.value)
    assert str(folder) in str(info.value)


def test_other_files(folder, tmp_path):
    published = PublishedST(str(folder))
    change(folder / "config.json", "decoder", vocab_size=86)
    with pytest.raises(ValueError, match=r"has 86 tokens, but its tokeniser.* has 85"):
        PublishedST(str(folder)).save_tokenizer(tmp_path / "tokenizer")

    path = folder / "processor_config.json"
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
        (folder / name).unlink()
    with pytest.raises(ValueError, match="no tokeniser that can.*tokenizer_class"):
        published.save_tokenizer(tmp_path / "tokenizer")
    with pytest.raises(FileNotFoundError, match="has no config.json"):
        PublishedST(str(tmp_path))
