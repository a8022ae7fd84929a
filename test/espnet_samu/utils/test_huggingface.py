import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModel, Wav2Vec2Model, WavLMModel

from espnet_samu.utils import huggingface


@pytest.fixture
def folder(speech_models, tmp_path):
    """A tiny wav2vec2 saved there, torch seed 0."""
    torch.manual_seed(0)
    config = huggingface.load_config(None, speech_models["wav2vec2-layer"])
    huggingface.build(AutoModel, None, config).save_pretrained(tmp_path)
    return str(tmp_path)


def test_fresh_config(speech_models):
    conf = speech_models["wav2vec2-layer"]
    config = huggingface.load_config(None, conf)
    assert {key: config.to_dict()[key] for key in conf} == conf
    # derived fields follow those that were given
    assert config.num_feat_extract_layers == 3
    assert config.output_hidden_size == 16
    assert conf["model_type"] == "wav2vec2"


def test_config_of_a_folder(folder):
    conf = {"model_type": "wav2vec2", "layerdrop": 0.25}
    config = huggingface.load_config(folder, conf)
    assert (config.layerdrop, config.hidden_size) == (0.25, 16)
    # a field by the name that all of transformers knows
    mbart = {"model_type": "mbart", "hidden_size": 24}
    assert huggingface.load_config(None, mbart).d_model == 24


def test_refused(folder):
    message = (
        "model_conf: a, layer_drop is not a field of Wav2Vec2Config; near layer_drop: "
        "layerdrop"
    )
    for model in (folder, None):
        conf = {"model_type": "wav2vec2", "layer_drop": 0.1, "a": 1}
        with pytest.raises(ValueError, match=message):
            huggingface.load_config(model, conf)
    with pytest.raises(ValueError, match="needs 'model_type'"):
        huggingface.load_config(None, {"layerdrop": 0.1})
    with pytest.raises(ValueError, match="model_type 'w2v' is not known"):
        huggingface.load_config(None, {"model_type": "w2v"})
    with pytest.raises(ValueError, match="is of model_type 'wav2vec2', but .* 'hub"):
        huggingface.load_config(folder, {"model_type": "hubert"})


@pytest.mark.parametrize(
    "model_type, name, message",
    [
        ("whisper", "layerdrop", "near layerdrop: encoder_layerdrop, decoder_layerdr"),
        ("mbart", "num_beams", "num_beams: search options belong to"),
        ("wav2vec2", "dtype", "dtype is not a field of Wav2Vec2Config$"),
        ("wav2vec2", "gradient_checkpointing", "gradient_checkpointing is not a field"),
    ],
)
def test_field_of_the_users_own(model_type, name, message):
    with pytest.raises(ValueError, match=message):
        huggingface.load_config(None, {"model_type": model_type, name: 1})


def test_published_fields_that_describe_nothing(folder, tmp_path, caplog):
    fields = json.loads((tmp_path / "config.json").read_text())
    foreign = {
        # of older versions; taken up by transformers, it would slow training down
        "gradient_checkpointing": True,
        "feat_extract_dropout": 0.5,
        # of decoding, of outputs, of the stored weights
        "max_length": 20,
        "num_beams": 5,
        "return_dict": False,
        "output_hidden_states": True,
        "torch_dtype": "float16",
        "id2label": {"0": "yes", "1": "no", "2": "maybe"},
    }
    (tmp_path / "config.json").write_text(json.dumps({**fields, **foreign}))
    caplog.set_level("INFO")
    config = huggingface.load_config(folder, {"layerdrop": 0.25})
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{folder}: config.json has fields that do not describe a Wav2Vec2Config and "
        "are left out: feat_extract_dropout, gradient_checkpointing, max_length, "
        "num_beams"
    )
    assert config.to_dict().keys() == type(config)().to_dict().keys()
    assert (config.return_dict, config.output_hidden_states) == (True, False)
    built = huggingface.build(AutoModel, folder, config)
    assert not built.is_activation_checkpointing
    assert next(built.parameters()).dtype == torch.float32
    assert not foreign.keys() & huggingface.portable(config).keys()


def test_written_by_another_version(speech_models, caplog):
    """What config.yaml of an experiment says is no mistake of the user's."""
    conf = {**speech_models["wav2vec2-layer"], "feat_extract_dropout": 0.0}
    config = huggingface.load_config(None, conf, is_written=True)
    assert "feat_extract_dropout left out: no field of Wav2Vec2Config" in caplog.text
    assert not hasattr(config, "feat_extract_dropout")
    assert config.hidden_size == 16


def test_build_is_complete(folder):
    config = huggingface.load_config(folder, {})
    first = huggingface.build(AutoModel, folder, config)
    second = AutoModel.from_pretrained(folder)
    for one, other in zip(first.state_dict().values(), second.state_dict().values()):
        assert torch.equal(one, other)
    # one layer more than the checkpoint has; one size that it has not
    for conf, message in (
        ({"num_hidden_layers": 3}, r"missing \['encoder.layers.2"),
        ({"intermediate_size": 48}, "of another shape .*intermediate_dense"),
        # half of the checkpoint would not be used
        ({"num_hidden_layers": 1}, r"unexpected \['encoder.layers.1"),
    ):
        config = huggingface.load_config(folder, conf)
        with pytest.raises(ValueError, match=message):
            huggingface.build(AutoModel, folder, config)


def test_cut_weights(folder):
    """What a download leaves that was stopped."""
    weights = Path(folder, "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1000])
    config = huggingface.load_config(folder, {})
    with pytest.raises(ValueError, match=f"{folder}: a file of its weights is damaged"):
        huggingface.build(AutoModel, folder, config)


@pytest.mark.parametrize("prefix", ["", "wav2vec2."])
def test_weights_that_are_not_the_models(folder, tmp_path, caplog, prefix):
    """Heads of other tasks are left out in silence; of the model nothing is."""
    path = tmp_path / "model.safetensors"
    state = {f"{prefix}{k}": v for k, v in load_file(path).items()}
    # feature_extractor: Wav2Vec2ForXVector's head has the name of a part
    names = ["quantizer.codevectors", "feature_extractor.weight", "lm_head.bias"]
    computed = [f"{prefix}encoder.embed_positions.inv_freq"]
    save_file(
        {**state, **{k: torch.ones(1) for k in names + computed}},
        path,
        {"format": "pt"},
    )
    caplog.set_level("INFO")
    config = huggingface.load_config(folder, {})
    huggingface.build(AutoModel, folder, config)
    (record,) = caplog.records
    assert record.getMessage().endswith("weights loaded, 4 tensors not used")
    name = f"{prefix}adapter.layers.0.conv.weight"
    if not prefix:
        name = "encoder.layers.0.gate.weight"
    save_file({**state, name: torch.ones(1)}, path, {"format": "pt"})
    with pytest.raises(ValueError, match=f"1 unexpected .'{name}'.$"):
        huggingface.build(AutoModel, folder, config)
    huggingface.build(AutoModel, folder, config, unused=name)


@pytest.mark.parametrize("family", ["wav2vec2-group", "wavlm", "wav2vec2-bert"])
def test_portable(speech_models, family, tmp_path):
    config = huggingface.load_config(None, speech_models[family])
    fields = huggingface.portable(config)
    assert json.loads(json.dumps(fields)) == yaml.safe_load(yaml.safe_dump(fields))
    assert "transformers_version" not in fields and "_name_or_path" not in fields
    again = huggingface.load_config(None, fields)
    assert type(again) is type(config)
    assert again.to_dict() == config.to_dict()
    # also through a folder that transformers writes
    again.save_pretrained(tmp_path)
    assert huggingface.portable(huggingface.load_config(str(tmp_path), {})) == fields


def test_attention_and_layers(speech_models):
    config = huggingface.load_config(None, speech_models["wavlm"])
    huggingface.set_attention(config, WavLMModel, "eager")
    assert config._attn_implementation == "eager"
    with pytest.raises(ValueError, match="'sdpa' is not one that wavlm has: eager;"):
        huggingface.set_attention(config, WavLMModel, "sdpa")
    huggingface.cut_layers(config, 1)
    assert huggingface.portable(config)["num_hidden_layers"] == 1
    with pytest.raises(ValueError, match="keep_layers is 2, but wavlm has 1 to 1"):
        huggingface.cut_layers(config, 2)


def test_key_mapping(folder, tmp_path):
    path = tmp_path / "model.safetensors"
    expected = load_file(path)
    save_file({f"old.{k}": v for k, v in expected.items()}, path)
    config = huggingface.load_config(folder, {})
    built = huggingface.build(
        Wav2Vec2Model, folder, config, key_mapping={r"^old\.": ""}
    )
    for name, value in expected.items():
        assert torch.equal(built.state_dict()[name], value)


def test_pickled_weights_run_no_code(folder, tmp_path):
    weights = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    config = huggingface.load_config(folder, {})
    torch.save(weights, tmp_path / "pytorch_model.bin")
    built = huggingface.build(AutoModel, folder, config)
    assert torch.equal(
        built.state_dict()["encoder.layer_norm.bias"],
        weights["encoder.layer_norm.bias"],
    )

    class Code:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    torch.save({**weights, "code": Code()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(Exception, match="(?i)weights.only"):
        huggingface.build(AutoModel, folder, config)
    assert not (tmp_path / "ran").exists()


def test_code_of_a_model_is_not_run(tmp_path):
    """As on the hub: a configuration that names a class in a file beside it."""
    (tmp_path / "evil.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
        "from transformers import PretrainedConfig\n"
        "class Config(PretrainedConfig):\n    model_type = 'evil'\n"
    )
    conf = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(conf))
    with pytest.raises(ValueError, match="model_type 'evil' is not known"):
        huggingface.load_config(str(tmp_path), {})
    assert not (tmp_path / "ran").exists()


def test_revision(speech_models, tmp_path, monkeypatch):
    """A hub's cache with two commits, read offline."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cache = tmp_path / "models--someone--something"
    (cache / "refs").mkdir(parents=True)
    expected = {}
    for seed, (name, commit) in enumerate({"main": "a" * 40, "old": "b" * 40}.items()):
        (cache / "refs" / name).write_text(commit)
        torch.manual_seed(seed)
        config = huggingface.load_config(None, speech_models["wav2vec2-layer"])
        config.layerdrop = seed / 10
        model = huggingface.build(AutoModel, None, config)
        model.save_pretrained(cache / "snapshots" / commit)
        expected[name] = model.state_dict()["encoder.layers.0.attention.k_proj.weight"]
    expected.update({None: expected["main"], "b" * 40: expected["old"]})
    for revision, weight in expected.items():
        source = "someone/something"
        config = huggingface.load_config(source, {}, revision)
        assert config.layerdrop == (0.0 if revision in (None, "main") else 0.1)
        state = huggingface.build(AutoModel, source, config, revision).state_dict()
        assert torch.equal(state["encoder.layers.0.attention.k_proj.weight"], weight)
    with pytest.raises(OSError):
        huggingface.load_config("someone/something", {}, "c" * 40)
