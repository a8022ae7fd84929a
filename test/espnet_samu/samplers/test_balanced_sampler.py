"""Tests of espnet_samu.samplers.balanced_sampler."""

import dataclasses

import numpy as np
import pytest

from espnet_samu.samplers.balanced_sampler import (
    BalancedSampler,
    LanguageDraws,
    language_probabilities,
)
from espnet_samu.samplers.data_files import Languages, Shapes

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


COUNTS = {"ca": 60, "cy": 12, "fr": 1400, "mn": 300}


@pytest.fixture
def corpus():
    """1772 utterances of four languages, samples and tokens; seed 0."""
    rng = np.random.default_rng(0)
    n = sum(COUNTS.values())
    samples = (16000 * np.clip(rng.lognormal(1.5, 0.5, n), 1, 20)).astype(np.int64)
    tokens = samples // 4000 + rng.integers(0, 20, n)
    utterances = np.array([f"utt{i:04d}".encode() for i in range(n)])
    codes = np.repeat(np.arange(4), list(COUNTS.values())).astype(np.int32)
    shapes = Shapes(utterances, np.stack([samples, tokens], axis=1), (1, 50))
    return shapes, Languages(tuple(COUNTS), rng.permutation(codes))


def make_of_balanced_sampler(corpus, **options):
    options = {"upsampling_factor": 0.3, "batch_bins": 1280000, "seed": 3, **options}
    return BalancedSampler(*corpus, **options)


def read(batches):
    return list(batches.read(0, len(batches)))


def sizes_of(corpus, batches):
    """Padded elements of each batch, counted one by one."""
    lengths = dict(zip(corpus[0].utterances, corpus[0].lengths.tolist()))
    sizes = []
    for batch in batches:
        rows = [lengths[u.encode()] for u in batch]
        samples, tokens = (max(column) for column in zip(*rows))
        sizes.append(len(batch) * (samples + 50 * tokens))
    return sizes


def test_balanced_sampler_shares(corpus):
    sampler = make_of_balanced_sampler(corpus)
    p = np.array(list(COUNTS.values())) / 1772
    expected = p**0.3 / (p**0.3).sum()
    language = dict(zip(corpus[0].utterances, corpus[1].codes))
    drawn = np.zeros(4)
    for epoch in range(1, 11):
        utterances = [u for batch in read(sampler.batches(epoch)) for u in batch]
        assert len(utterances) == 1772
        drawn += np.bincount([language[u.encode()] for u in utterances])
        if epoch == 1:
            for name in ("ca", "cy", "mn"):
                code = list(COUNTS).index(name)
                used = {u for u in utterances if language[u.encode()] == code}
                assert len(used) == COUNTS[name]
    np.testing.assert_allclose(drawn / drawn.sum(), expected, atol=1e-4)


def test_bins(corpus):
    batches = read(make_of_balanced_sampler(corpus).batches(1))
    sizes = sizes_of(corpus, batches)
    assert max(sizes) <= 1280000
    # and full: another 16 % is as long as any utterance of that batch
    assert np.median(sizes) > 0.9 * 1280000
    # an utterance that is too long is a batch
    for batch in read(make_of_balanced_sampler(corpus, batch_bins=16000).batches(1)):
        assert len(batch) == 1


def test_bins_of_windows(corpus):
    """Of Whisper's window each utterance costs all, and still is near its likes."""
    shapes = dataclasses.replace(corpus[0], window=320000, dims=(1, 0))
    sampler = make_of_balanced_sampler((shapes, corpus[1]))
    batches = sampler.batches(1, shuffle=False)
    assert set(map(len, read(batches))) == {4}  # 1772 are 443 batches
    samples = shapes.lengths[batches.rows, 0]
    spread = np.ptp(samples.reshape(-1, 4), axis=1)
    assert np.median(spread) < 0.01 * np.ptp(samples)
    # padding is what the windows have beside speech
    assert batches.padding() == pytest.approx(1 - samples.mean() / 320000)


def test_batch_sizes(corpus):
    sizes = [
        len(b)
        for b in read(make_of_balanced_sampler(corpus, min_batch_size=7).batches(1))
    ]
    assert min(sizes) == 7 and max(sizes) > 20
    sizes = [
        len(b)
        for b in read(make_of_balanced_sampler(corpus, max_batch_size=9).batches(1))
    ]
    assert max(sizes) == 9 and sum(sizes) == 1772
    batches = read(
        make_of_balanced_sampler(corpus, min_batch_size=9, max_batch_size=9).batches(1)
    )
    # 1772 = 196 x 9 + 8: one draw is repeated
    assert [len(b) for b in batches] == 197 * [9]
    assert max(sizes_of(corpus, batches)) > 1280000


def test_padding(corpus):
    batches = make_of_balanced_sampler(corpus).batches(1)
    real = corpus[0].elements(batches.rows).sum()
    share = 1 - real / sum(sizes_of(corpus, read(batches)))
    assert batches.padding() == pytest.approx(share)
    assert f"{100 * share:.1f} % padding" in str(batches)
    # as good as one sort of them all; one without sorting wastes half
    assert share < 0.05
    rows = np.random.default_rng(1).permutation(batches.rows)
    elements = corpus[0].elements(rows)[: len(rows) // 15 * 15].reshape(-1, 15, 2)
    random = 1 - elements.sum() / (15 * elements.max(axis=1).sum())
    assert random > 0.4 > 8 * share


def test_sorted_in_batch(corpus):
    lengths = dict(zip(corpus[0].utterances, corpus[0].lengths[:, 0]))
    for order, sign in (("descending", -1), ("ascending", 1)):
        for batch in read(
            make_of_balanced_sampler(corpus, sort_in_batch=order).batches(1)
        ):
            assert (np.diff([sign * lengths[u.encode()] for u in batch]) >= 0).all()


def test_repeated_utterances_are_apart():
    # 10 to 11 draws of each of 400; one sort of all draws would put them side by side
    rng = np.random.default_rng(0)
    lengths = rng.integers(16000, 160000, (8400, 1))
    utterances = np.array([f"utt{i:04d}".encode() for i in range(8400)])
    codes = np.repeat(np.arange(2), [400, 8000])
    corpus = Shapes(utterances, lengths, (1,)), Languages(("cy", "fr"), codes)
    sampler = make_of_balanced_sampler(corpus, upsampling_factor=0.0, batch_bins=320000)
    assert sampler.draws.counts(1).tolist() == [4200, 4200]
    batches = sampler.batches(1)
    repeated = sum(len(batch) - len(set(batch)) for batch in read(batches))
    in_one_sort = batches.rows[np.argsort(lengths[batches.rows, 0], kind="stable")]
    assert (np.diff(in_one_sort) == 0).sum() > 3700
    # some are left where one permutation ends and the next begins
    assert repeated < 300


def test_epochs(corpus):
    sampler = make_of_balanced_sampler(corpus)
    epochs = {k: read(sampler.batches(k)) for k in (1, 2, 3)}
    assert epochs[1] != epochs[2] != epochs[3]
    # any epoch, by another object, in any order
    again = make_of_balanced_sampler(corpus)
    assert {k: read(again.batches(k)) for k in (3, 1, 2)} == epochs
    other = make_of_balanced_sampler(corpus, seed=4)
    assert sorted(read(other.batches(1))) != sorted(epochs[2])
    assert sorted(read(other.batches(1))) != sorted(epochs[1])


def test_shuffle(corpus):
    sampler = make_of_balanced_sampler(corpus)
    shuffled, plain = sampler.batches(1), sampler.batches(1, shuffle=False)
    assert sorted(read(shuffled)) == sorted(read(plain))
    assert plain.order.tolist() == list(range(len(plain)))
    assert shuffled.order.tolist() != plain.order.tolist()


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks(corpus, world_size):
    alone = make_of_balanced_sampler(corpus, min_batch_size=world_size)
    ranks = [
        make_of_balanced_sampler(corpus, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for epoch in (1, 2):
        whole = read(alone.batches(epoch))
        parts = [read(sampler.batches(epoch)) for sampler in ranks]
        for batch, *pieces in zip(whole, *parts, strict=True):
            assert all(pieces)
            assert pieces == [batch[rank::world_size] for rank in range(world_size)]


def test_balanced_sampler_refused(corpus):
    for options, message in (
        ({"batch_bins": 0}, "batch_bins must be positive: 0"),
        ({"upsampling_factor": 1.5}, "upsampling_factor must be .*: 1.5"),
        ({"min_batch_size": 3, "max_batch_size": 2}, "max_batch_size .* least 3.*: 2"),
        ({"max_batch_size": 2, "world_size": 4}, "max_batch_size .* least 4.*: 2"),
        ({"min_batch_size": 1773}, "at least 1773 training utterances, .*: 1772"),
    ):
        with pytest.raises(ValueError, match=message):
            make_of_balanced_sampler(corpus, **options)
