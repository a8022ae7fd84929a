import json

import numpy as np
import pytest

from espnet_samu.samplers.balanced_sampler import BalancedSampler
from espnet_samu.samplers.data_files import Languages, Shapes
from espnet_samu.samplers.language_table import (
    describe_languages,
    format_languages,
    save_languages,
)


@pytest.fixture
def sampler():
    """Two utterances of cy, one hour each, and eight of fr, half an hour each."""
    codes = np.repeat(np.arange(2), [2, 8]).astype(np.int32)
    utterances = np.array([f"utt{i}".encode() for i in range(10)])
    lengths = np.where(codes == 0, 57600000, 28800000)[:, None]
    shapes = Shapes(utterances, lengths, (1,))
    return BalancedSampler(shapes, Languages(("cy", "fr"), codes), 0.5, 10**9)


def test_table(sampler, tmp_path):
    languages = describe_languages(sampler, in_samples=True)
    # sqrt(2) : sqrt(8) = 1 : 2
    assert languages["cy"] == {
        "hours": 2.0,
        "utterances": 2,
        "share": 0.2,
        "expected_share": pytest.approx(1 / 3),
        "first_epoch_share": 0.3,
    }
    assert languages["fr"]["hours"] == 4.0
    assert languages["fr"]["first_epoch_share"] == 0.7
    save_languages(tmp_path, languages, upsampling_factor=0.5)
    content = json.loads((tmp_path / "languages.json").read_text())
    assert content["upsampling_factor"] == 0.5
    assert content["languages"]["fr"]["share"] == 0.8
    lines = (tmp_path / "languages.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    names = ["language", "hours", "utterances", "%", "% expected", "% in epoch 1"]
    assert rows[0] == names
    assert rows[2] == ["fr", "4.0", "8", "80.00", "66.67", "70.00"]
    assert rows[3] == ["cy", "2.0", "2", "20.00", "33.33", "30.00"]


def test_hours_are_unknown(sampler):
    languages = describe_languages(sampler, in_samples=False)
    assert languages["cy"]["hours"] is None
    assert "| fr       |     - |" in format_languages(languages)
