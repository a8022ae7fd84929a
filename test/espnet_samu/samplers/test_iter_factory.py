"""Tests of espnet_samu.samplers.iter_factory."""

import numpy as np
import pytest
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from torch.utils.data import Dataset

from espnet_samu.samplers.balanced_sampler import BalancedSampler
from espnet_samu.samplers.data_files import Languages, Shapes
from espnet_samu.samplers.iter_factory import (
    BalancedIterFactory,
    PairedIterator,
    PairedIterFactory,
)


class Passes(AbsIterFactory):
    """Each pass has so many batches, which say their pass and their number."""

    def __init__(self, size, wrap=list):
        self.size = size
        self.wrap = wrap

    def build_iter(self, epoch, shuffle=None):
        batches = [([f"{epoch}.{i}"], {"x": (epoch, i)}) for i in range(self.size)]
        return self.wrap(batches)


def test_side_by_side():
    factory = PairedIterFactory(Passes(3), Passes(5), "samu_")
    iterator = factory.build_iter(4)
    assert len(iterator) == 3
    expected = [
        (
            [f"4.{i}"],
            {"x": (4, i), "samu_x": (4, i), "samu_utt_id": [f"4.{i}"]},
        )
        for i in range(3)
    ]
    # and once more
    assert list(iterator) == expected == list(iterator)


def test_begins_again():
    """Passes that are added to an epoch are those of no other epoch."""
    seen = {}
    for epoch in (1, 2):
        iterator = PairedIterator(Passes(5).build_iter(epoch), Passes(2), epoch, "b_")
        seen[epoch] = [batch["b_x"] for _, batch in iterator]
        passes, numbers = zip(*seen[epoch])
        assert numbers == (0, 1, 0, 1, 0)
        assert passes[0] == passes[1] == epoch
        assert len({passes[0], passes[2], passes[4]}) == 3
    assert not {x for x, _ in seen[1]} & {x for x, _ in seen[2]}


def test_of_unknown_length():
    iterator = PairedIterFactory(Passes(3, iter), Passes(1), "b_").build_iter(1)
    with pytest.raises(TypeError):
        len(iterator)
    assert len(list(iterator)) == 3


class Names(Dataset):
    """Data set that returns what it is asked for."""

    def __getitem__(self, name):
        return name


@pytest.fixture
def sampler():
    """Batches of 60 utterances, whose number is not the same in all epochs; seed 0."""
    rng = np.random.default_rng(0)
    utterances = np.array([f"utt{i:02d}".encode() for i in range(60)])
    codes = np.repeat(np.arange(2), [50, 10]).astype(np.int32)
    lengths = np.where(codes == 0, 10, 100) + rng.integers(0, 30, 60)
    shapes = Shapes(utterances, lengths[:, None], (1,))
    languages = Languages(("cy", "fr"), codes)
    return BalancedSampler(shapes, languages, 0.5, batch_bins=300, seed=5)


def make(sampler, **options):
    return BalancedIterFactory(Names(), sampler, collate_fn=list, **options)


def read(iterator):
    return [tuple(batch) for batch in iterator]


def read_sampler(sampler, epoch):
    batches = sampler.batches(epoch)
    return list(batches.read(0, len(batches)))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_whole_epochs(sampler, num_workers):
    factory = make(sampler, num_workers=num_workers)
    for epoch in (1, 2):
        iterator = factory.build_iter(epoch)
        assert read(iterator) == read_sampler(sampler, epoch)
        assert len(iterator) == len(sampler.batches(epoch))


@pytest.mark.parametrize("num_iters", [1, 7, 50])
def test_num_iters_per_epoch(sampler, num_iters):
    sizes = [len(sampler.batches(k)) for k in range(1, 11)]
    assert len(set(sizes)) > 1 and 1 < min(sizes) < 50
    expected = [batch for k in range(1, 31) for batch in read_sampler(sampler, k)]
    factory = make(sampler, num_iters_per_epoch=num_iters)
    n_epochs = 2 * sizes[0] if num_iters == 1 else 4
    found = []
    for epoch in range(1, n_epochs + 1):
        iterator = factory.build_iter(epoch)
        assert len(iterator) == num_iters
        found += read(iterator)
    assert found == expected[: n_epochs * num_iters]


@pytest.mark.parametrize("num_iters", [None, 7, 50])
def test_resume(sampler, num_iters):
    factory = make(sampler, num_iters_per_epoch=num_iters)
    epochs = [read(factory.build_iter(epoch)) for epoch in range(1, 6)]
    for epoch in (5, 3):
        resumed = make(sampler, num_iters_per_epoch=num_iters)
        assert read(resumed.build_iter(epoch)) == epochs[epoch - 1]
    assert epochs[3] != epochs[4]


def test_shuffle(sampler):
    factory = make(sampler)
    plain = read(factory.build_iter(1, shuffle=False))
    assert plain != read(factory.build_iter(1)) == read(factory.build_iter(1, True))
    assert sorted(plain) == sorted(read(factory.build_iter(1)))
