import json

import pytest
import torch

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.layers.adapters import add_adapters
from espnet_samu.layers.budget import budget, save, table
from espnet_samu.layers.trainable import set_trainable


def make():
    model = torch.nn.ModuleDict(
        {"body": torch.nn.Linear(3, 4), "head": torch.nn.Linear(4, 3, bias=False)}
    )
    model["tied"] = torch.nn.Linear(3, 4, bias=False)
    model["tied"].weight = model["body"].weight
    model["body"].bias.requires_grad_(False)
    return model


def test_by_hand():
    counts = budget(make())
    # body: 12 weights, 4 frozen biases; head: 12; tied: body's weights, not counted
    assert counts == {"body": (16, 12), "head": (12, 12), "all": (28, 24)}
    assert list(counts)[-1] == "all"
    assert counts["all"].trainable == 24
    frozen = make().requires_grad_(False)
    assert budget(frozen)["all"] == (28, 0)
    assert budget(torch.nn.Identity()) == {"all": (0, 0)}


def test_table_and_file(tmp_path):
    counts = budget(make())
    assert table(counts).splitlines() == [
        "module                   total     trainable      %",
        "body                        16            12   75.0",
        "head                        12            12  100.0",
        "all                         28            24   85.7",
    ]
    assert table({"all": (0, 0)}).splitlines()[1].split() == ["all", "0", "0", "0.0"]
    save(counts, tmp_path / "budget.json")
    assert json.loads((tmp_path / "budget.json").read_text()) == {
        "body": {"total": 16, "trainable": 12},
        "head": {"total": 12, "trainable": 12},
        "all": {"total": 28, "trainable": 24},
    }


# Of XLS-R 300M and mBART-50, as far as they say what there is.
XLSR = {
    "model_type": "wav2vec2",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}
MBART = {
    "d_model": 1024,
    "decoder_layers": 12,
    "decoder_attention_heads": 16,
    "decoder_ffn_dim": 4096,
    "max_position_embeddings": 1024,
}


@pytest.fixture
def full_size():
    """Frontend and decoder without memory."""
    with torch.device("meta"):
        return torch.nn.ModuleDict(
            {
                "frontend": SamuFrontend(model_conf=XLSR),
                "decoder": MBartDecoder(250054, 1024, model_conf=MBART),
            }
        )


def millions(count):
    return round(count / 1e6, 1)


def test_full_size(full_size):
    counts = budget(full_size)
    decoder = full_size["decoder"].model.model.decoder
    layers = sum(p.numel() for p in decoder.layers.parameters())
    assert millions(counts["frontend"].total) == 315.4
    assert millions(layers) == 201.6
    assert millions(decoder.embed_tokens.weight.numel()) == 256.1
    # the rest are positions (1026 x 1024) and two norms
    rest = counts["decoder"].total - layers - decoder.embed_tokens.weight.numel()
    assert rest == 1026 * 1024 + 2 * 2048
    # the convolutions over the waveform are frozen
    assert counts["frontend"].total - counts["frontend"].trainable == 4210176
    assert round(counts["all"].total / 1e6) == 774


@pytest.mark.parametrize(
    "preset, encoder, decoder", [("lna_e", 100.9, 458.7), ("lna_d", 311.2, 100.8)]
)
def test_full_size_lna(full_size, preset, encoder, decoder):
    set_trainable(full_size_model(full_size), preset)
    counts = budget(full_size)
    assert millions(counts["frontend"].trainable) == encoder
    assert millions(counts["decoder"].trainable) == decoder


def test_full_size_lna_ed(full_size):
    set_trainable(full_size_model(full_size), "lna_ed")
    counts = budget(full_size)
    assert millions(counts["frontend"].trainable) == 100.9
    assert millions(counts["decoder"].trainable) == 100.8
    assert millions(counts["all"].trainable) == 201.7
    assert table(counts).splitlines()[-1].split()[-1] == "26.1"


@pytest.mark.parametrize("size, each", [(64, 132160), (128, 263296), (256, 525568)])
def test_full_size_adapters(full_size, size, each):
    model = full_size_model(full_size)
    conf = {"type": "houlsby", "size": size}
    with torch.device("meta"):
        add_adapters(model, {"encoder": conf, "decoder": {**conf, "type": "pfeiffer"}})
    set_trainable(model, "adapters")
    counts = budget(full_size)
    assert counts["frontend"].trainable == 24 * 2 * each
    assert counts["decoder"].trainable == 12 * each


def full_size_model(parts):
    """As ESPnet's models: parts are attributes."""
    model = torch.nn.Module()
    model.frontend, model.decoder = parts["frontend"], parts["decoder"]
    return model
