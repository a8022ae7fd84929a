import pytest
from espnet2.iterators.abs_iter_factory import AbsIterFactory

from espnet_samu.iterators.paired_iter_factory import PairedIterFactory
from espnet_samu.iterators.paired_iterator import PairedIterator


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
