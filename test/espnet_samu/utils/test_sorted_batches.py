import pytest
import torch

from espnet_samu.utils.sorted_batches import map_in_batches

ITEMS = [("a", [1.0]), ("b", [1.0, 2.0, 3.0]), ("c", [4.0, 4.0]), ("d", [5.0])]


def items():
    return ((key, torch.tensor(values)) for key, values in ITEMS)


def test_order_and_padding():
    seen = []

    def sums(waveforms, lengths):
        seen.append((waveforms.tolist(), lengths.tolist()))
        return waveforms.sum(1).tolist()

    results = list(map_in_batches(items(), sums, batch_size=2))
    assert results == [("a", 1), ("b", 6), ("c", 8), ("d", 5)]
    # the longest first, so that lengths are alike
    assert seen == [
        ([[1, 2, 3], [4, 4, 0]], [3, 2]),
        ([[1], [5]], [1, 1]),
    ]


def test_reads_no_more_than_its_window():
    taken = []

    def watched():
        for key, value in items():
            taken.append(key)
            yield key, value

    results = map_in_batches(watched(), lambda x, n: n.tolist(), batch_size=1, window=2)
    assert next(results) == ("a", 1)
    assert taken == ["a", "b"]
    assert list(results) == [("b", 3), ("c", 2), ("d", 1)]
    assert list(map_in_batches([], lambda x, n: [], batch_size=3)) == []


def test_names_the_utterances():
    def fail(waveforms, lengths):
        raise KeyError("x")

    with pytest.raises(RuntimeError, match="batch of utterances b, c: 'x'") as info:
        list(map_in_batches(items(), fail, batch_size=2))
    assert isinstance(info.value.__cause__, KeyError)
    # one result too few is not passed over
    with pytest.raises(ValueError):
        list(map_in_batches(items(), lambda x, n: [0], batch_size=2))
