"""Tests of espnet_samu.samplers.batches."""

import numpy as np
import pytest

from espnet_samu.samplers.batches import cut_into_batches, sort_in_buckets


def test_sort_in_buckets():
    lengths = np.array([5, 1, 3, 2, 9, 4, 7, 7, 0, 6])
    order = sort_in_buckets(lengths, 4)
    assert lengths[order].tolist() == [1, 2, 3, 5, 9, 7, 7, 4, 0, 6]
    # equal lengths stay as they were
    assert order[5:7].tolist() == [6, 7]
    assert sort_in_buckets(lengths, 100).tolist() == np.argsort(lengths).tolist()


def test_by_hand():
    # two files; 2 x (4 + 10) = 28, with the third 3 x (5 + 10) = 45
    elements = np.array([[3, 10], [4, 1], [5, 1], [6, 1], [50, 1], [7, 2]])
    assert cut_into_batches(elements, 28).tolist() == [0, 2, 4, 5, 6]
    assert cut_into_batches(elements, 44).tolist() == [0, 2, 4, 5, 6]
    assert cut_into_batches(elements, 45).tolist() == [0, 3, 4, 5, 6]
    # fewest utterances go before bins, most do not
    assert cut_into_batches(elements, 28, 3).tolist() == [0, 3, 6]
    assert cut_into_batches(elements, 28, 4).tolist() == [0, 4, 6]
    assert cut_into_batches(elements, 10**6, 1, 4).tolist() == [0, 4, 6]
    assert cut_into_batches(elements, 10**6).tolist() == [0, 6]


def cut_slowly(elements, bins, smallest, most):
    borders = [0]
    for i in range(1, len(elements) + 1):
        batch = elements[borders[-1] : i]
        too_large = len(batch) * batch.max(axis=0).sum() > bins
        if (too_large and len(batch) > smallest) or len(batch) > most:
            borders.append(i - 1)
    return [*borders, len(elements)]


@pytest.mark.parametrize("smallest, most", [(1, 10**9), (4, 10**9), (1, 6), (3, 5)])
@pytest.mark.parametrize("bins", [1, 300, 2000, 60000])
def test_like_one_by_one(smallest, most, bins):
    elements = np.random.default_rng(0).integers(0, 100, (500, 3))
    borders = cut_into_batches(elements, bins, smallest, most)
    assert borders.tolist() == cut_slowly(elements, bins, smallest, most)


def test_counts_as_espnet(tmp_path):
    from espnet2.samplers.num_elements_batch_sampler import NumElementsBatchSampler

    # The longest in one file is the longest in both: the two count alike there.
    lengths = np.arange(20, 420)
    for name, dims in (("speech", ",3"), ("text", "")):
        lines = (f"u{i} {i}{dims}\n" for i in lengths)
        (tmp_path / name).write_text("".join(lines))
    elements = np.stack([3 * lengths, lengths], axis=1)
    for bins in (500, 3000, 20000):
        sampler = NumElementsBatchSampler(
            bins, [f"{tmp_path}/speech", f"{tmp_path}/text"]
        )
        # theirs ends after the utterance that is too much
        theirs = len(next(iter(sampler)))
        assert cut_into_batches(elements, bins)[1] == theirs - 1
