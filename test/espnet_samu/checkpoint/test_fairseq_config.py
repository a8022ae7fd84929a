import pytest
import torch

from espnet_samu.checkpoint.fairseq import encoder_part
from espnet_samu.checkpoint.fairseq_config import FairseqSettings, configuration

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")

# facebook/wav2vec2-xls-r-300m and facebook/wav2vec2-base, config.json on the hub.
XLS_R_300M = {
    "model_type": "wav2vec2",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "hidden_act": "gelu",
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_bias": True,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
}
BASE = {
    **XLS_R_300M,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "feat_extract_norm": "group",
    "do_stable_layer_norm": False,
    "conv_bias": False,
}
CONVOLUTIONS = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]"


def published(fairseq_wav2vec2, conf):
    """Shapes of a published model, and its settings."""
    layer = conf["feat_extract_norm"] == "layer"
    with torch.device("meta"):
        model, cfg = fairseq_wav2vec2(
            "layer" if layer else "group",
            conv_bias=layer,
            conv_feature_layers=CONVOLUTIONS,
            encoder_embed_dim=conf["hidden_size"],
            encoder_ffn_embed_dim=conf["intermediate_size"],
            encoder_layers=conf["num_hidden_layers"],
            encoder_attention_heads=conf["num_attention_heads"],
            conv_pos=128,
            conv_pos_groups=16,
        )
    return encoder_part(model.state_dict())[0], cfg


@pytest.mark.parametrize("conf", [XLS_R_300M, BASE], ids=["xls-r-300m", "base"])
def test_published_models(fairseq_wav2vec2, conf):
    state, cfg = published(fairseq_wav2vec2, conf)
    settings = FairseqSettings({"cfg": {"model": cfg, "task": {"normalize": False}}})
    assert configuration("wav2vec2", state, settings) == (conf, False, [])
    # Stripped of its settings: as the published ones, and said so.
    found, normalize, assumed = configuration("wav2vec2", state, FairseqSettings({}))
    assert found == conf
    assert normalize is (conf is XLS_R_300M)
    assert [line.split()[0] for line in assumed] == [
        "encoder_attention_heads",
        "layer_norm_first",
        "conv_feature_layers",
        "normalize",
    ]


@pytest.mark.parametrize(
    "told, message",
    [
        ({"encoder_attention_heads": None}, "encoder_attention_heads.*hidden size 24"),
        ({"conv_feature_layers": None}, r"conv_feature_layers.*kernels \(10, 8, 4\)"),
        ({"conv_feature_layers": "[(16,10,5)]*3"}, "are not those of the weights"),
        ({"conv_feature_layers": "print('x')"}, "is not of the form"),
        ({"activation_fn": "tanh"}, "activation_fn 'tanh' is not one of gelu, relu"),
        ({"sample_rate": 8000}, "sample_rate is 8000 Hz"),
    ],
)
def test_refused(fairseq_wav2vec2, told, message):
    model, cfg = fairseq_wav2vec2()
    state, _ = encoder_part(model.state_dict())
    settings = FairseqSettings({"cfg": {"model": {**cfg, **told}}})
    with pytest.raises(ValueError, match=message):
        configuration("wav2vec2", state, settings)


def test_settings_of_every_generation():
    convolutions = [[512, 10, 5]] + [[512, 3, 2]] * 4 + [[512, 2, 2]] * 2
    inner = {"conv_feature_layers": CONVOLUTIONS, "normalize": False, "_name": "x"}
    for checkpoint in (
        {"cfg": {"model": inner, "task": {"normalize": True}}},
        {"args": inner},
        {"cfg": {"model": {"w2v_args": {"model": inner}, "_name": "hubert_ctc"}}},
        {"model_cfg": inner, "task_cfg": {"sample_rate": 16000}},
    ):
        settings = FairseqSettings(checkpoint)
        assert settings.convolutions() == convolutions
        assert settings.get("normalize") is False
        assert settings.names_hubert is ("w2v_args" in str(checkpoint))
    assert FairseqSettings({"cfg": None}).get("normalize") is None
