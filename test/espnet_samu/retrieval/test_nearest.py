"""Tests of espnet_samu.retrieval.nearest."""

import numpy as np
import pytest

from espnet_samu.retrieval import nearest
from espnet_samu.retrieval.nearest import (
    Ranking,
    UnitVectors,
    match_pairs,
    pair_cosines,
    search,
)


def test_rows_have_length_one_and_the_table_stays():
    table = np.array([[3.0, 4.0], [0.0, 2e-20]], dtype=np.float32)
    unit = UnitVectors(table)
    assert (len(unit), unit.size) == (2, 2)
    expected = [[0.6, 0.8], [0.0, 1.0]]
    np.testing.assert_allclose(unit.double(slice(0, 2)), expected, rtol=1e-7)
    single = unit.single(slice(0, 2))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-6)
    assert unit.vectors is table and table[0, 1] == 4


@pytest.mark.parametrize("places", ["few", "all"])
def test_pair_cosines(places):
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(50, 7)), generator.normal(size=(300, 7))
    if places == "few":
        i, j = generator.integers(50, size=200), generator.integers(300, size=200)
    else:
        i, j = (x.ravel() for x in np.indices((50, 300)))
    cosines = pair_cosines(UnitVectors(a), UnitVectors(b), i, j)
    expected = [
        x @ y / np.sqrt((x @ x) * (y @ y)) for x, y in zip(a[i], b[j], strict=True)
    ]
    np.testing.assert_allclose(cosines, expected, rtol=0, atol=2e-12)
    none = np.array([], dtype=int)
    assert pair_cosines(UnitVectors(a), UnitVectors(b), none, none).shape == (0,)


def test_equal_vectors_are_equally_near_wherever_they_stand():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(1, 769)), generator.normal(size=(1, 769))
    b = np.repeat(b, 100, axis=0) * generator.uniform(size=(100, 1))
    zeros, j = np.zeros(100, dtype=int), np.arange(100)
    assert len(set(pair_cosines(UnitVectors(a), UnitVectors(b), zeros, j))) == 1


def test_refused_by_name():
    vectors = np.ones((3, 2))
    vectors[1] = 0
    with pytest.raises(ValueError, match=r"^query .* 'u1' has length 0.0 \(1 of 3"):
        UnitVectors(vectors, ["u0", "u1", "u2"], "query")
    vectors[1, 0] = np.nan
    with pytest.raises(ValueError, match="^vectors .* row 1 has length nan"):
        UnitVectors(vectors)
    with pytest.raises(ValueError, match=r"must be \(N, D\): shape \(3,\)"):
        UnitVectors(np.ones(3))


def spaces(n=300, m=260, d=24):
    """Queries and pools of several shapes of space, by name; seed 0."""
    generator = np.random.default_rng(0)
    queries, pool = (generator.normal(size=(size, d)) for size in (n, m))
    near = 1 + 1e-7 * generator.normal(size=(n, d))
    return {
        "spread": (queries, pool),
        # nearer to each other than single precision can tell
        "nearly collapsed": (near, near[:m] + 1e-8 * pool),
        "collapsed": (np.ones((n, d)), np.outer(generator.uniform(size=m), near[0])),
        "copies": (queries[generator.integers(20, size=n)], queries[:m] * 3),
        "cone": (100 + queries, 100 + pool),
    }


def oracle(queries, pool, query_texts, pool_texts, k):
    """Sort the whole matrix in double precision, rounded to 12 decimals."""
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, pool)]
    cosine = np.einsum("nd,md->nm", *unit).round(12)
    right = query_texts[:, None] == pool_texts
    best = np.where(right, cosine, -np.inf).max(axis=1)
    rank = 1 + ((cosine >= best[:, None]) & ~right).sum(axis=1)
    index = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    return (
        np.where(right.any(axis=1), rank, 0),
        index,
        np.take_along_axis(cosine, index, axis=1),
    )


@pytest.mark.parametrize("tile", [1, 50, 64, 1000])
@pytest.mark.parametrize("space", spaces())
def test_equals_a_sorted_matrix(space, tile):
    queries, pool = (v.astype(np.float32) for v in spaces()[space])
    if tile == 1:
        queries, pool = queries[:40], pool[:30]
    generator = np.random.default_rng(1)
    texts = [generator.integers(200, size=len(v)) for v in (queries, pool)]
    found = search(UnitVectors(queries), UnitVectors(pool), *texts, k=5, tile=tile)
    sides = [np.float64(queries), np.float64(pool)]
    for side, expected in (
        (found[0], oracle(*sides, *texts, 5)),
        (found[1], oracle(*sides[::-1], *texts[::-1], 5)),
    ):
        np.testing.assert_array_equal(side.rank, expected[0])
        np.testing.assert_array_equal(side.index, expected[1])
        np.testing.assert_allclose(side.cosine, expected[2], rtol=0, atol=1e-12)
        assert (side.rank == 0).any()


def test_dense_and_sparse_ways_agree(monkeypatch):
    queries, pool = (UnitVectors(v) for v in spaces()["spread"])
    texts = [np.arange(len(v)) for v in (queries, pool)]
    results = []
    for dense in (0.0, 1.0):
        monkeypatch.setattr(nearest, "DENSE", dense)
        results.append(search(queries, pool, *texts, k=3, tile=100))
    for one, other in zip(results[0][:2], results[1][:2]):
        np.testing.assert_array_equal(one.rank, other.rank)
        np.testing.assert_array_equal(one.index, other.index)
        np.testing.assert_array_equal(one.cosine, other.cosine)


def test_ranks_alone():
    queries, pool = (UnitVectors(v) for v in spaces()["spread"])
    texts = [np.arange(len(v)) for v in (queries, pool)]
    alone = search(queries, pool, *texts, tile=70)
    with_neighbours = search(queries, pool, *texts, k=2)
    assert alone[0].index.shape == (300, 0)
    for one, other in zip(alone[:2], with_neighbours[:2]):
        np.testing.assert_array_equal(one.rank, other.rank)
    assert alone[2] == with_neighbours[2]


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_noise_bounds_single_precision(scale):
    generator = np.random.default_rng(0)
    for vectors in (generator.normal(size=(200, 768)), np.ones((3, 768)) * 0.1):
        unit = UnitVectors((vectors * scale).astype(np.float32))
        whole, n = slice(0, len(unit)), len(unit)
        similarity = unit.single(whole) @ unit.single(whole).T
        i, j = (x.ravel() for x in np.indices((n, n)))
        error = np.abs(similarity.ravel() - pair_cosines(unit, unit, i, j)).max()
        bound = Ranking(unit, unit, np.ones(n), i[:n], j[:n], k=0).error
        assert error < bound < 1e-4


def test_match_pairs_lists_each_once(monkeypatch):
    queries, pool = np.array([3, 1, 1, 9, 2]), np.array([1, 2, 1, 3, 7, 1])
    expected = {(i, j) for i in range(5) for j in range(6) if queries[i] == pool[j]}
    for limit in (1, 2, 100):
        monkeypatch.setattr(nearest, "MATCHES", limit)
        parts = [*match_pairs(queries, pool)]
        pairs = [pair for i, j in parts for pair in zip(i.tolist(), j.tolist())]
        assert len(pairs) == 8 and set(pairs) == expected
        assert limit == 100 or len(parts) > 2


def test_by_hand():
    queries, pool = UnitVectors(np.eye(2)), UnitVectors(np.array([[3.0, 4.0], [0, 1]]))
    texts = np.array([5, 6]), np.array([5, 5])
    forward, backward, mean = search(queries, pool, *texts, k=1)
    # Both candidates are right for the first query, none for the second one.
    assert (forward.rank.tolist(), backward.rank.tolist()) == ([1, 0], [2, 2])
    assert (forward.index.tolist(), backward.index.tolist()) == ([[0], [1]], [[1], [1]])
    np.testing.assert_array_equal(forward.cosine, [[0.6], [1.0]])
    np.testing.assert_array_equal(backward.cosine, [[0.8], [1.0]])
    assert mean == pytest.approx(0.3)


def test_refused():
    two, three = UnitVectors(np.eye(2)), UnitVectors(np.eye(3))
    numbers = np.arange(3)
    with pytest.raises(ValueError, match="one size D: 2 and 3"):
        search(two, three, numbers[:2], numbers)
    with pytest.raises(ValueError, match="k must be 0 to 2, the smaller side: 3"):
        search(two, UnitVectors(np.eye(3)[:, :2] + 1), numbers[:2], numbers, k=3)
