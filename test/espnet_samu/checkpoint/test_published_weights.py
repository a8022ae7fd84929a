import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from espnet_samu.checkpoint.published_weights import fill
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
    with pytest.raises(ValueError, match=rf"1 weights missing \['{OUTPUT_LAYER}'\]"):
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
        "2 weights missing ['enc_to_dec_proj.weight', "
        "'encoder.feature_projection.layer_norm.bias']",
        "2 not known ['decoder.final_logits_bias', 'quantizer']",
        "1 of another shape ['enc_to_dec_proj.bias [15] for [16]']",
    ):
        assert part in str(info.value)


def test_pickled_code_is_not_run(ours, folder):
    """weights_only."""
    import pickle

    (folder / "model.safetensors").unlink()
    torch.save({"x": print}, folder / "pytorch_model.bin")
    with pytest.raises(pickle.UnpicklingError):
        fill(ours(), find_weights(str(folder)))
