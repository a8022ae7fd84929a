import json

import pytest
import torch
import yaml
from transformers import AutoModel

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
    config = huggingface.load_config(folder, {"model_type": "any", "layerdrop": 0.25})
    assert (config.layerdrop, config.hidden_size) == (0.25, 16)
    # a field by the name that all of transformers knows
    mbart = {"model_type": "mbart", "hidden_size": 24}
    assert huggingface.load_config(None, mbart).d_model == 24


def test_refused(folder):
    message = "model_conf: a, layer_drop is not a field of Wav2Vec2Config"
    for model in (folder, None):
        conf = {"model_type": "wav2vec2", "layer_drop": 0.1, "a": 1}
        with pytest.raises(ValueError, match=message):
            huggingface.load_config(model, conf)
    with pytest.raises(ValueError, match="needs 'model_type'"):
        huggingface.load_config(None, {"layerdrop": 0.1})
    with pytest.raises(ValueError, match="model_type 'w2v' is not known"):
        huggingface.load_config(None, {"model_type": "w2v"})
    with pytest.raises(OSError):
        huggingface.load_config(f"{folder}/none", {})


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
    ):
        config = huggingface.load_config(folder, conf)
        with pytest.raises(ValueError, match=message):
            huggingface.build(AutoModel, folder, config)


@pytest.mark.parametrize("family", ["wav2vec2-group", "wavlm", "wav2vec2-bert"])
def test_portable(speech_models, family):
    config = huggingface.load_config(None, speech_models[family])
    fields = huggingface.portable(config)
    assert json.loads(json.dumps(fields)) == yaml.safe_load(yaml.safe_dump(fields))
    assert "transformers_version" not in fields and "_name_or_path" not in fields
    again = huggingface.load_config(None, fields)
    assert type(again) is type(config)
    assert again.to_dict() == config.to_dict()
