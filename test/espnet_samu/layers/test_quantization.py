"""Tests of espnet_samu.layers.quantization."""

import pytest
import torch

from espnet_samu.layers.quantization import check_quantize, quantize_linear
from espnet_samu.speech2embedding import Speech2Embedding
from espnet_samu.speech2text import Speech2Text

Int8 = torch.ao.nn.quantized.dynamic.Linear


def test_translation(st_exp, in_threads):
    files = {"st_model_file": st_exp / "1epoch.pth", "beam_size": 2}
    for backend in ("generate", "beam_search"):
        options = {**files, "maxlenratio": -4, "backend": backend}
        ours, exact = (Speech2Text(**options, quantize=q) for q in (True, False))
        decoder = ours.model.decoder
        assert type(decoder.model.lm_head) is Int8
        assert type(decoder.model.model.decoder.layers[0].fc1) is Int8
        assert decoder.model.model.shared.weight.dtype == torch.float32
        speech = torch.randn(4000, generator=torch.Generator().manual_seed(0)) * 0.1
        found = ours(speech)[0]
        # near the exact ones, and not the same
        assert 0 < abs(found.score - exact(speech)[0].score) < 0.1
        for again in in_threads(ours, [speech] * 8):
            assert again[0].score == pytest.approx(found.score, abs=1e-6)


def test_embedding(samu_exp, batch, threaded_frontend):
    """Every family; WavLM reads its attention's weights itself."""
    exact = Speech2Embedding(samu_model_file=samu_exp / "1epoch.pth")
    exact.samu_model.frontend = threaded_frontend
    speech = batch[0][0, :3000]
    expected = exact(speech)
    quantize_linear(exact.samu_model)
    kinds = {type(module) for module in threaded_frontend.modules()}
    is_wavlm = threaded_frontend.model.config.model_type == "wavlm"
    assert Int8 in kinds and (torch.nn.Linear in kinds) == is_wavlm
    found = exact(speech)
    assert torch.dot(found, expected) > 0.99
    assert (found - expected).abs().max() > 1e-5


def test_options(samu_exp):
    with pytest.raises(ValueError, match="quantize: true is for device cpu and dtype"):
        check_quantize("cuda", "float32")
    with pytest.raises(ValueError, match="not cpu and bfloat16; on a GPU use dtype"):
        Speech2Embedding(
            samu_model_file=samu_exp / "1epoch.pth", dtype="bfloat16", quantize=True
        )
