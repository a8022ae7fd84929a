import numpy as np
import pytest

from espnet_samu.samplers.balanced_sampler import BalancedSampler
from espnet_samu.samplers.languages import Languages
from espnet_samu.samplers.shapes import Shapes

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


def make(corpus, **options):
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


def test_shares(corpus):
    sampler = make(corpus)
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
    batches = read(make(corpus).batches(1))
    sizes = sizes_of(corpus, batches)
    assert max(sizes) <= 1280000
    # and full: another 16 % is as long as any utterance of that batch
    assert np.median(sizes) > 0.9 * 1280000
    # an utterance that is too long is a batch
    for batch in read(make(corpus, batch_bins=16000).batches(1)):
        assert len(batch) == 1


def test_batch_sizes(corpus):
    sizes = [len(b) for b in read(make(corpus, min_batch_size=7).batches(1))]
    assert min(sizes) == 7 and max(sizes) > 20
    sizes = [len(b) for b in read(make(corpus, max_batch_size=9).batches(1))]
    assert max(sizes) == 9 and sum(sizes) == 1772
    batches = read(make(corpus, min_batch_size=9, max_batch_size=9).batches(1))
    # 1772 = 196 x 9 + 8: one draw is repeated
    assert [len(b) for b in batches] == 197 * [9]
    assert max(sizes_of(corpus, batches)) > 1280000


def test_padding(corpus):
    batches = make(corpus).batches(1)
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
        for batch in read(make(corpus, sort_in_batch=order).batches(1)):
            assert (np.diff([sign * lengths[u.encode()] for u in batch]) >= 0).all()


def test_repeated_utterances_are_apart():
    # 10 to 11 draws of each of 400; one sort of all draws would put them side by side
    rng = np.random.default_rng(0)
    lengths = rng.integers(16000, 160000, (8400, 1))
    utterances = np.array([f"utt{i:04d}".encode() for i in range(8400)])
    codes = np.repeat(np.arange(2), [400, 8000])
    corpus = Shapes(utterances, lengths, (1,)), Languages(("cy", "fr"), codes)
    sampler = make(corpus, upsampling_factor=0.0, batch_bins=320000)
    assert sampler.draws.counts(1).tolist() == [4200, 4200]
    batches = sampler.batches(1)
    repeated = sum(len(batch) - len(set(batch)) for batch in read(batches))
    in_one_sort = batches.rows[np.argsort(lengths[batches.rows, 0], kind="stable")]
    assert (np.diff(in_one_sort) == 0).sum() > 3700
    # some are left where one permutation ends and the next begins
    assert repeated < 300


def test_epochs(corpus):
    sampler = make(corpus)
    epochs = {k: read(sampler.batches(k)) for k in (1, 2, 3)}
    assert epochs[1] != epochs[2] != epochs[3]
    # any epoch, by another object, in any order
    again = make(corpus)
    assert {k: read(again.batches(k)) for k in (3, 1, 2)} == epochs
    other = make(corpus, seed=4)
    assert sorted(read(other.batches(1))) != sorted(epochs[2])
    assert sorted(read(other.batches(1))) != sorted(epochs[1])


def test_shuffle(corpus):
    sampler = make(corpus)
    shuffled, plain = sampler.batches(1), sampler.batches(1, shuffle=False)
    assert sorted(read(shuffled)) == sorted(read(plain))
    assert plain.order.tolist() == list(range(len(plain)))
    assert shuffled.order.tolist() != plain.order.tolist()


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks(corpus, world_size):
    alone = make(corpus, min_batch_size=world_size)
    ranks = [
        make(corpus, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    for epoch in (1, 2):
        whole = read(alone.batches(epoch))
        parts = [read(sampler.batches(epoch)) for sampler in ranks]
        for batch, *pieces in zip(whole, *parts, strict=True):
            assert all(pieces)
            assert pieces == [batch[rank::world_size] for rank in range(world_size)]


def test_refused(corpus):
    for options, message in (
        ({"batch_bins": 0}, "batch_bins must be positive: 0"),
        ({"upsampling_factor": 1.5}, "upsampling_factor must be .*: 1.5"),
        ({"min_batch_size": 3, "max_batch_size": 2}, "max_batch_size .* least 3.*: 2"),
        ({"max_batch_size": 2, "world_size": 4}, "max_batch_size .* least 4.*: 2"),
        ({"min_batch_size": 1773}, "at least 1773 training utterances, .*: 1772"),
    ):
        with pytest.raises(ValueError, match=message):
            make(corpus, **options)
