"""Tiny models in fairseq's layout, made by s3prl's copy of fairseq's classes."""

import dataclasses

import pytest
import torch

_TINY = {
    "conv_feature_layers": "[(16, 10, 5)] + [(16, 8, 4)] * 1 + [(16,4,2)]",
    "encoder_embed_dim": 24,
    "encoder_ffn_embed_dim": 40,
    "encoder_layers": 2,
    "encoder_attention_heads": 3,
    "conv_pos": 4,
    "conv_pos_groups": 2,
    "final_dim": 8,
}
VARIANTS = {
    "layer": {"extractor_mode": "layer_norm", "layer_norm_first": True},
    "group": {"extractor_mode": "default", "layer_norm_first": False},
    # As wav2vec 2.0 large of 960 hours has it not, but the options allow it.
    "group-first": {"extractor_mode": "default", "layer_norm_first": True},
}


@pytest.fixture(scope="session", autouse=True)
def _imports():
    """The first model of transformers imports half of torch: not a test's time."""
    import torch._dynamo  # noqa: F401
    from transformers import AutoModel, HubertModel, Wav2Vec2Model  # noqa: F401


def _random(model: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    return model.eval()


@pytest.fixture
def fairseq_wav2vec2():
    """Makes a wav2vec 2.0 and its settings, random weights of seed 0."""
    module = pytest.importorskip("s3prl.upstream.wav2vec2.wav2vec2_model")

    def make(variant="layer", **options):
        cfg = module.Wav2Vec2Config(
            **{
                **_TINY,
                **VARIANTS[variant],
                "conv_bias": variant == "layer",
                "quantize_targets": True,
                "latent_vars": 4,
                **options,
            }
        )
        return _random(module.Wav2Vec2Model(cfg)), dataclasses.asdict(cfg)

    return make


@pytest.fixture
def fairseq_hubert():
    """Makes a HuBERT and its settings, random weights of seed 0."""
    module = pytest.importorskip("s3prl.upstream.hubert.hubert_model")

    def make(variant="group"):
        cfg = module.HubertConfig(label_rate=50, **_TINY, **VARIANTS[variant])
        task = module.HubertPretrainingConfig()
        model = module.HubertModel(cfg, task, [list(range(5))])
        return _random(model), dataclasses.asdict(cfg)

    return make
