import numpy as np
import pytest

from espnet_samu.scoring.unit_vectors import UnitVectors, pair_cosines


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
