import pytest
import torch

from espnet_samu.bin.fairseq_convert import get_parser, main
from espnet_samu.checkpoint.fairseq import rename


def test_converts(tmp_path, speech_models):
    """Weights of transformers, under the names that fairseq has for them."""
    import transformers

    conf = {**speech_models["wav2vec2-layer"], "conv_bias": True}
    conf.pop("model_type")
    torch.manual_seed(0)
    model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**conf))
    names = {
        "masked_spec_embed": "mask_emb",
        "feature_projection.layer_norm": "layer_norm",
        "feature_projection.projection": "post_extract_proj",
        "encoder.pos_conv_embed.conv.bias": "encoder.pos_conv.0.bias",
        "encoder.pos_conv_embed.conv.parametrizations.weight.original0": (
            "encoder.pos_conv.0.weight_g"
        ),
        "encoder.pos_conv_embed.conv.parametrizations.weight.original1": (
            "encoder.pos_conv.0.weight_v"
        ),
        "encoder.layer_norm": "encoder.layer_norm",
    }
    for i in range(3):
        new, old = (f"feature_extractor.conv_layers.{i}." for _ in range(2))
        names |= {f"{new}conv": f"{old}0", f"{new}layer_norm": f"{old}2.1"}
    for i in range(2):
        layer = f"encoder.layers.{i}."
        names |= {
            f"{layer}attention": f"{layer}self_attn",
            f"{layer}layer_norm": f"{layer}self_attn_layer_norm",
            f"{layer}feed_forward.intermediate_dense": f"{layer}fc1",
            f"{layer}feed_forward.output_dense": f"{layer}fc2",
            f"{layer}final_layer_norm": f"{layer}final_layer_norm",
        }
    state = {}
    for key, value in model.state_dict().items():
        new = max((n for n in names if key.startswith(n)), key=len)
        state[names[new] + key.removeprefix(new)] = value
    assert rename(state).keys() == model.state_dict().keys()
    cfg = {"encoder_attention_heads": 2, "layer_norm_first": True, "normalize": True}
    cfg["conv_feature_layers"] = "[(16, 10, 5), (16, 8, 4), (16, 4, 2)]"
    torch.save({"model": state, "cfg": {"model": cfg}}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="holds an input, .*/model.pt"):
        main(["--checkpoint", f"{tmp_path}/model.pt", "--output_dir", str(tmp_path)])
    main(["--checkpoint", f"{tmp_path}/model.pt", "--output_dir", f"{tmp_path}/out"])

    converted = transformers.AutoModel.from_pretrained(tmp_path / "out")
    for key, value in model.state_dict().items():
        assert torch.equal(converted.state_dict()[key], value), key


def test_help(capsys):
    with pytest.raises(SystemExit):
        get_parser().parse_args(["--help"])
    assert "nothing in the file is run" in " ".join(capsys.readouterr().out.split())
