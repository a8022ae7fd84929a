import numpy as np
import pytest

from espnet_samu.samplers.language_draws import LanguageDraws, language_probabilities

# CoVoST-2, 21 languages to English: utterances for training.
COVOST = {
    **{"fr": 207374, "de": 127834, "es": 79015, "ca": 95854, "it": 31698},
    **{"ru": 12112, "zh": 7085, "pt": 9158, "fa": 53949, "et": 1782, "mn": 2067},
    **{"nl": 7108, "tr": 3966, "ar": 2283, "sv": 2160, "lv": 2337, "sl": 1843},
    **{"ta": 1358, "ja": 1119, "id": 1243, "cy": 1241},
}


@pytest.mark.parametrize(
    "alpha, expected",
    [
        (1.0, [16 / 21, 4 / 21, 1 / 21]),
        (0.5, [4 / 7, 2 / 7, 1 / 7]),
        (0.0, [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_equation(alpha, expected):
    counts = np.array([16, 4, 1])
    np.testing.assert_allclose(language_probabilities(counts, alpha), expected)
    # as the paper has it: r_l = (1 / p_l) p_l^a / sum_k p_k^a is what p_l grows by
    p = counts / 21
    ratio = (1 / p) * p**alpha / (p**alpha).sum()
    np.testing.assert_allclose(language_probabilities(counts, alpha), p * ratio)


def test_covost():
    counts = np.array(list(COVOST.values()))
    before = dict(zip(COVOST, 100 * counts / counts.sum()))
    after = dict(zip(COVOST, 100 * language_probabilities(counts, 0.05)))
    assert round(before["fr"], 1) == 31.8 and round(after["fr"], 1) == 5.6
    assert round(before["cy"], 2) == 0.19 and round(after["cy"], 1) == 4.3
    assert sum(after.values()) == pytest.approx(100)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_refused(alpha):
    with pytest.raises(ValueError, match=f"upsampling_factor must be .*: {alpha}"):
        language_probabilities(np.array([1, 2]), alpha)


@pytest.fixture
def codes():
    """Languages of 1000 utterances: 800, 150, 40, 9, 1, mixed; seed 0."""
    codes = np.repeat(np.arange(5), [800, 150, 40, 9, 1])
    return np.random.default_rng(0).permutation(codes)


def make(codes, alpha, seed=3):
    probabilities = language_probabilities(np.bincount(codes), alpha)
    return LanguageDraws(codes, probabilities, seed), probabilities


def draw(draws, epoch):
    return draws.draw(epoch, np.random.default_rng(epoch))


@pytest.mark.parametrize("alpha", [0.0, 0.05, 0.5, 0.97])
def test_shares(codes, alpha):
    draws, probabilities = make(codes, alpha)
    total = np.zeros(5)
    for epoch in range(1, 41):
        rows = draw(draws, epoch)
        assert len(rows) == 1000 and rows.dtype == np.int32
        counts = np.bincount(codes[rows], minlength=5)
        assert counts.tolist() == draws.counts(epoch).tolist()
        total += counts
        # rounding does not add up
        np.testing.assert_allclose(total, 1000 * epoch * probabilities, atol=1)


@pytest.mark.parametrize("alpha", [0.0, 0.05, 0.5, 1.0])
def test_without_replacement(codes, alpha):
    draws, _ = make(codes, alpha)
    times = np.zeros(1000, dtype=int)
    for epoch in range(1, 8):
        times += np.bincount(draw(draws, epoch), minlength=1000)
        for language in range(5):
            of_language = times[codes == language]
            # nothing a second time before all others
            assert of_language.max() - of_language.min() <= 1
        if epoch == 1:
            upsampled = draws.counts(1) >= np.bincount(codes)
            assert upsampled[-1] and (times[upsampled[codes]] >= 1).all()
        if alpha == 1:
            assert (times == epoch).all()


def test_order(codes):
    draws, probabilities = make(codes, 0.0)
    rows = draw(draws, 1)
    # evenly mixed: every tenth of the epoch has every language's share
    for part in np.split(rows, 10):
        counts = np.bincount(codes[part], minlength=5)
        np.testing.assert_allclose(counts, 20, atol=2)
    # what is drawn is not up to the generator that mixes
    other = draws.draw(1, np.random.default_rng(99))
    assert other.tolist() != rows.tolist()
    assert sorted(other) == sorted(rows)


def test_seed(codes):
    draws, _ = make(codes, 0.3)
    epochs = [draw(draws, epoch).tolist() for epoch in (1, 2, 3)]
    assert epochs[0] != epochs[1] != epochs[2]
    again, _ = make(codes, 0.3)
    assert [draw(again, epoch).tolist() for epoch in (3, 1)] == [epochs[2], epochs[0]]
    other, _ = make(codes, 0.3, seed=4)
    assert sorted(draw(other, 1)) != sorted(epochs[0])
