import numpy as np
import pytest

from espnet_samu.teacher.vectors import check_vectors, unit_length


def test_unit_length_by_hand():
    vectors = np.array([[3.0, 4.0], [0.0, -2.0]], dtype=np.float32)
    result = unit_length(vectors)
    np.testing.assert_allclose(result, [[0.6, 0.8], [0.0, -1.0]], atol=1e-7)
    assert result.dtype == np.float32
    check_vectors(vectors, ["a", "b"], "t")


@pytest.mark.parametrize(
    "value, what", [(np.nan, "not finite"), (np.inf, "not finite"), (0, "all zeros")]
)
def test_refused(value, what):
    vectors = np.array([[1.0, 1.0], [value, 0.0]])
    with pytest.raises(ValueError, match=f"'t': 1 of 2 .* {what}, .* that of 'b b'"):
        check_vectors(vectors, ["a", "b b"], "t")
