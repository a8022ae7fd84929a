"""The configuration for ESPnet3 that the template's README.md shows."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

README = Path(__file__).parents[3] / "egs2/TEMPLATE/samu_st1/README.md"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """It, with six characters as tokens."""
    text = re.search(r"```yaml\n(task: .*?)```", README.read_text(), re.S)[1]
    config = OmegaConf.create(text)
    monkeypatch.chdir(tmp_path)
    tokens = ("<blank>", "<unk>", "a", "b", "<space>", "<sos/eos>")
    Path("tokens.txt").write_text("\n".join(tokens) + "\n")
    config.model.update(token_type="char", bpemodel=None)
    return config


@pytest.mark.timeout(60)
def test_a_model_is_built_trained_and_decoded_without_the_launcher(config):
    from espnet3.utils.task_utils import get_espnet_model, save_espnet_config

    from espnet_samu.speech2text import Speech2Text

    torch.manual_seed(1)
    model = get_espnet_model(config.task, config.model)
    trained = [p for p in model.parameters() if p.requires_grad]
    frozen = sum(p.numel() for p in model.frontend.parameters())
    assert frozen > 0 and not any(p.requires_grad for p in model.frontend.parameters())
    batch = {
        "speech": torch.randn(2, 8000),
        "speech_lengths": torch.tensor([8000, 6000]),
        "text": torch.tensor([[2, 3, 2], [3, 2, -1]]),
        "text_lengths": torch.tensor([3, 2]),
    }
    optimizer = torch.optim.Adam(trained, lr=1e-2)
    losses = []
    for _ in range(3):
        loss, _, _ = model(**batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]

    save_espnet_config(config.task, config, "exp")
    torch.save(model.state_dict(), "exp/model.pth")
    decode = Speech2Text(
        "exp/config.yaml", "exp/model.pth", beam_size=2, maxlenratio=-4
    )
    speech = np.random.default_rng(1).standard_normal(8000).astype(np.float32)
    best, *_ = decode(speech)
    assert 0 < len(best.token_int) <= 4
    assert set(best.text) <= set("ab ")
