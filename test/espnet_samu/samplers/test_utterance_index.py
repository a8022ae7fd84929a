import numpy as np
import pytest

from espnet_samu.samplers.utterance_index import UtteranceIndex


@pytest.mark.parametrize("names", [[b"a", b"bb", b"d"], [b"d", b"a", b"bb"]])
def test_find(names):
    index = UtteranceIndex(np.array(names), "shape")
    queries = [b"bb", b"d", b"", b"b", b"bbb", b"zzzz", b"a", b"a"]
    rows = index.find(np.array(queries))
    expected = [names.index(q) if q in names else -1 for q in queries]
    assert rows.tolist() == expected


def test_twice():
    with pytest.raises(ValueError, match="shape: utterance 'b' is there twice"):
        UtteranceIndex(np.array([b"b", b"a", b"b"]), "shape")
