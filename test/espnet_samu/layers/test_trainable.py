"""Tests of espnet_samu.layers.trainable."""

import json
import re

import pytest
import torch

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.layers.adapters import add_adapters
from espnet_samu.layers.trainable import (
    count_parameters,
    format_budget,
    save_budget,
    set_trainable,
)


def make():
    model = torch.nn.ModuleDict(
        {"body": torch.nn.Linear(3, 4), "head": torch.nn.Linear(4, 3, bias=False)}
    )
    model["tied"] = torch.nn.Linear(3, 4, bias=False)
    model["tied"].weight = model["body"].weight
    model["body"].bias.requires_grad_(False)
    return model


def test_by_hand():
    counts = count_parameters(make())
    # body: 12 weights, 4 frozen biases; head: 12; tied: body's weights, not counted
    assert counts == {"body": (16, 12), "head": (12, 12), "all": (28, 24)}
    assert list(counts)[-1] == "all"
    assert counts["all"].trainable == 24
    frozen = make().requires_grad_(False)
    assert count_parameters(frozen)["all"] == (28, 0)
    assert count_parameters(torch.nn.Identity()) == {"all": (0, 0)}


def test_table_and_file(tmp_path):
    counts = count_parameters(make())
    assert format_budget(counts).splitlines() == [
        "module                   total     trainable      %",
        "body                        16            12   75.0",
        "head                        12            12  100.0",
        "all                         28            24   85.7",
    ]
    assert format_budget({"all": (0, 0)}).splitlines()[1].split() == [
        "all",
        "0",
        "0",
        "0.0",
    ]
    save_budget(counts, tmp_path / "budget.json")
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
    counts = count_parameters(full_size)
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
    counts = count_parameters(full_size)
    assert millions(counts["frontend"].trainable) == encoder
    assert millions(counts["decoder"].trainable) == decoder


def test_full_size_lna_ed(full_size):
    set_trainable(full_size_model(full_size), "lna_ed")
    counts = count_parameters(full_size)
    assert millions(counts["frontend"].trainable) == 100.9
    assert millions(counts["decoder"].trainable) == 100.8
    assert millions(counts["all"].trainable) == 201.7
    assert format_budget(counts).splitlines()[-1].split()[-1] == "26.1"


@pytest.mark.parametrize("size, each", [(64, 132160), (128, 263296), (256, 525568)])
def test_full_size_adapters(full_size, size, each):
    model = full_size_model(full_size)
    conf = {"type": "houlsby", "size": size}
    with torch.device("meta"):
        add_adapters(model, {"encoder": conf, "decoder": {**conf, "type": "pfeiffer"}})
    set_trainable(model, "adapters")
    counts = count_parameters(full_size)
    assert counts["frontend"].trainable == 24 * 2 * each
    assert counts["decoder"].trainable == 12 * each


def full_size_model(parts):
    """As ESPnet's models: parts are attributes."""
    model = torch.nn.Module()
    model.frontend, model.decoder = parts["frontend"], parts["decoder"]
    return model


WAV2VEC2 = """frontend.model.feature_projection.layer_norm
frontend.model.encoder.layer_norm
frontend.model.encoder.layers.*.attention.k_proj
frontend.model.encoder.layers.*.attention.v_proj
frontend.model.encoder.layers.*.attention.q_proj
frontend.model.encoder.layers.*.attention.out_proj
frontend.model.encoder.layers.*.layer_norm
frontend.model.encoder.layers.*.final_layer_norm"""
WAVLM = WAV2VEC2 + """
frontend.model.encoder.layers.*.attention.gru_rel_pos_const
frontend.model.encoder.layers.*.attention.gru_rel_pos_linear
frontend.model.encoder.layers.0.attention.rel_attn_embed"""
BERT = """frontend.model.feature_projection.layer_norm
frontend.model.encoder.layers.*.ffn1_layer_norm
frontend.model.encoder.layers.*.self_attn_layer_norm
frontend.model.encoder.layers.*.self_attn.linear_q
frontend.model.encoder.layers.*.self_attn.linear_k
frontend.model.encoder.layers.*.self_attn.linear_v
frontend.model.encoder.layers.*.self_attn.linear_out
frontend.model.encoder.layers.*.self_attn.distance_embedding
frontend.model.encoder.layers.*.conv_module.layer_norm
frontend.model.encoder.layers.*.conv_module.depthwise_layer_norm
frontend.model.encoder.layers.*.ffn2_layer_norm
frontend.model.encoder.layers.*.final_layer_norm"""
WHISPER = """frontend.model.layers.*.self_attn.k_proj
frontend.model.layers.*.self_attn.v_proj
frontend.model.layers.*.self_attn.q_proj
frontend.model.layers.*.self_attn.out_proj
frontend.model.layers.*.self_attn_layer_norm
frontend.model.layers.*.final_layer_norm
frontend.model.layer_norm"""
LNA_E = {
    "wav2vec2-layer": WAV2VEC2,
    "wav2vec2-group": WAV2VEC2,
    "hubert": WAV2VEC2,
    "wavlm": WAVLM,
    "wav2vec2-bert": BERT,
    "whisper": WHISPER,
}
CROSS = """decoder.model.model.decoder.layers.*.encoder_attn.k_proj
decoder.model.model.decoder.layers.*.encoder_attn.v_proj
decoder.model.model.decoder.layers.*.encoder_attn.q_proj
decoder.model.model.decoder.layers.*.encoder_attn.out_proj
decoder.model.model.decoder.layers.*.encoder_attn_layer_norm"""
M2M = CROSS + """
decoder.model.model.decoder.layers.*.self_attn.k_proj
decoder.model.model.decoder.layers.*.self_attn.v_proj
decoder.model.model.decoder.layers.*.self_attn.q_proj
decoder.model.model.decoder.layers.*.self_attn.out_proj
decoder.model.model.decoder.layers.*.self_attn_layer_norm
decoder.model.model.decoder.layers.*.final_layer_norm
decoder.model.model.decoder.layer_norm"""
BART = M2M.removesuffix("\ndecoder.model.model.decoder.layer_norm") + """
decoder.model.model.decoder.layernorm_embedding"""
LNA_D = {
    "m2m_100": M2M,
    "bart": BART,
    "mbart": BART + "\ndecoder.model.model.decoder.layer_norm",
}
FRESH = ["ctc", "decoder.linear_in"]


def trained(model, prefix=""):
    """Trained modules, * being both layers."""
    names = {
        re.sub(r"\.(weight|bias|original\d)$", "", n)
        for n, p in model.named_parameters()
        if p.requires_grad and n.startswith(prefix)
    }
    starred = {re.sub(r"layers\.\d\.", "layers.*.", n) for n in names}
    whole = {
        s
        for s in starred
        if all(s.replace("*", str(layer)) in names for layer in range(2))
    }
    lone = {n for n in names if re.sub(r"layers\.\d\.", "layers.*.", n) not in whole}
    return sorted(whole | lone)


@pytest.mark.parametrize("encoder", LNA_E)
def test_lna_e(make_model, encoder):
    model = make_model(encoder)
    decoder = trained(model, "decoder")
    set_trainable(model, "lna_e")
    assert trained(model, "frontend") == sorted(LNA_E[encoder].split("\n"))
    assert trained(model, "decoder") == decoder
    set_trainable(model, {"decoder": "none"})
    assert trained(model, "decoder") == ["decoder.linear_in"]


@pytest.mark.parametrize("decoder", LNA_D)
def test_lna_d_and_cross_attention(make_model, decoder):
    model = make_model(decoder=decoder)
    encoder = trained(model, "frontend")
    set_trainable(model, "lna_d")
    names = LNA_D[decoder].split("\n") + ["decoder.linear_in"]
    assert trained(model, "decoder") == sorted(names)
    assert trained(model, "frontend") == encoder
    # of the whole model: nothing of the encoder
    set_trainable(model, "cross_attention")
    assert trained(model) == sorted(CROSS.split("\n") + FRESH)


def test_sizes_by_hand(make_model):
    model = make_model(d_model=16)
    # D 16. Norms of 32: 2 and 2 a layer; attention of 4 * (256 + 16).
    set_trainable(model, {"encoder": "lna_e", "decoder": "lna_d"})
    counts = count_parameters(model)
    assert counts["frontend"].trainable == 2 * 32 + 2 * (2 * 32 + 4 * 272)
    assert counts["decoder"].trainable == 2 * 32 + 2 * (3 * 32 + 2 * 4 * 272)
    assert counts["ctc"] == (51, 51)


@pytest.mark.parametrize("preset", ["all", "none"])
def test_all_and_none(make_model, preset):
    model = make_model()
    before = trained(model)
    set_trainable(model, preset)
    assert trained(model) == (before if preset == "all" else FRESH)
    assert "frontend.model.feature_extractor.conv_layers.0.conv" not in before


def test_length_adaptor_is_trained(make_model, speech_models):
    speech_models["wav2vec2-bert"]["add_adapter"] = True
    model = make_model("wav2vec2-bert")
    set_trainable(model, "none")
    adaptor = {name.split(".")[2] for name in trained(model, "frontend")}
    assert adaptor == {"adapter"}
    set_trainable(model, {"encoder": [["model.adapter", False]]})
    assert trained(model, "frontend") == []


def test_last_rule_wins(make_model):
    model = make_model()
    rules = ["none", ["layer_norm", True], [r"layers\.1\.", False], ["1.layer", True]]
    set_trainable(model, {"encoder": rules})
    assert trained(model, "frontend") == [
        "frontend.model.encoder.layer_norm",
        "frontend.model.encoder.layers.*.layer_norm",
        "frontend.model.encoder.layers.0.final_layer_norm",
        "frontend.model.feature_projection.layer_norm",
    ]
    model = make_model()
    set_trainable(model, [["", False], "lna_e", ["ctc", True], ["bias", False]])
    assert trained(model, "decoder") == [] and trained(model, "ctc") == ["ctc"]
    assert not any("bias" in n for n, p in model.named_parameters() if p.requires_grad)
    model = make_model()
    set_trainable(model, ["lna_ed", ["linear_in|ctc.bias", False], ["q_proj", False]])
    names = (WAV2VEC2 + "\n" + LNA_D["mbart"]).split("\n")
    assert trained(model) == sorted(
        ["ctc"] + [name for name in names if "q_proj" not in name]
    )
    assert model.ctc.weight.requires_grad and not model.ctc.bias.requires_grad


def test_names_of_tied_weights(make_model):
    for name in ("lm_head", "shared", "embed_tokens"):
        model = make_model()
        set_trainable(model, [[name, False]])
        assert not model.decoder.model.lm_head.weight.requires_grad


def test_unknown_family_has_rules(make_model):
    model = make_model()
    model.frontend = torch.nn.ModuleDict({"upstream": torch.nn.Linear(2, 2)})
    model.encoder = torch.nn.Linear(2, 2)
    set_trainable(model, {"encoder": [["^encoder", False]], "decoder": "all"})
    assert trained(model, "encoder") == []
    assert trained(model, "frontend") == ["frontend.upstream"]
    message = "for the encoder of a known family .frontend: samu.*frontend is ModuleD"
    for trainable in ("lna_ed", {"encoder": "none"}):
        with pytest.raises(ValueError, match=message):
            set_trainable(model, trainable)


@pytest.mark.parametrize(
    "trainable, message",
    [
        (
            "lna",
            "trainable: 'lna' is not one of the presets all, none, adapters, lna_e",
        ),
        ({"encoder": "lna_d"}, "encoder: 'lna_d' is not one of .* adapters, lna_e;"),
        ({"encoders": "all"}, "'encoders' is not one of encoder, decoder"),
        ("adapters", "there are no adapters to train; set --adapters"),
        ({"decoder": "adapters"}, "decoder: adapters: there are no adapters"),
        ([], r"\[\] is neither a preset \(all, none"),
        (True, "True is neither a preset"),
        ([["layer_norn", False]], "'layer_norn' matches no parameter; .* layer_norm"),
        (
            {"decoder": [[r"layers\.0\.fc3", False]]},
            r"decoder: the rule 'layers\\.0\\.fc3' .* near are .*layers.0.fc\d.weight",
        ),
        (["none", ["(", True]], "is not a rule .*: missing \\)"),
        ([["ctc", "yes"]], "is not a rule .*: 'yes' is neither true nor false"),
        ([["ctc"]], "is not a rule"),
        ([3], "3 is not a rule"),
        ([["ctc", True]], "freezes nothing .* as .none, .layer_norm, true"),
        (["none", ["feature_extractor", True]], "conv.weight .*9 in all.* frozen by"),
    ],
)
def test_mistakes(make_model, trainable, message):
    with pytest.raises(ValueError, match=message):
        set_trainable(make_model(), trainable)


def test_what_is_frozen_stays_frozen(make_model):
    model = make_model(freeze=True)
    set_trainable(model, "all")
    assert trained(model, "frontend") == []
    with pytest.raises(ValueError, match="'lna_e' would train .* frozen by frontend_c"):
        set_trainable(model, "lna_e")
    model = make_model(layer=1)
    set_trainable(model, "lna_e")
    assert not any("layers.1" in name for name in trained(model, "frontend"))
    assert any("layers.0" in name for name in trained(model, "frontend"))


def test_model_without_decoder(make_model):
    model = make_model()
    del model.decoder
    set_trainable(model, "lna_e")
    assert trained(model, "frontend") == sorted(WAV2VEC2.split("\n"))
    set_trainable(model, "none")
    assert trained(model) == ["ctc"]
    model.requires_grad_(True)
    with pytest.raises(ValueError, match="lna_ed: the model has no decoder; leave it"):
        set_trainable(model, "lna_ed")
    with pytest.raises(ValueError, match="the model has no decoder"):
        set_trainable(model, {"decoder": "all"})


@pytest.mark.parametrize(
    "trainable, adapters",
    [
        ("lna_ed", None),
        ({"encoder": "none", "decoder": [["", False], ["encoder_attn", True]]}, None),
        ("adapters", {"encoder": {"type": "houlsby", "size": 3}}),
    ],
)
def test_an_update_changes_what_is_trained(make_model, noise, trainable, adapters):
    model = make_model()
    if adapters:
        add_adapters(model, adapters)
    set_trainable(model, trainable)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    model.train()
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.5
    )
    model(*noise(3000, 2000)).backward()
    optimizer.step()
    after = dict(model.named_parameters())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    # weight decay leaves zeros zero: those without a gradient yet
    assert changed <= names
    still = {name for name in names - changed if before[name].any()}
    assert not still
