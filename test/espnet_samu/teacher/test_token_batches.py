import pytest

from espnet_samu.teacher.token_batches import token_batches


@pytest.mark.parametrize(
    "batch_size, batch_tokens, expected",
    [
        (2, 100, [[1, 4], [0, 2], [3]]),
        (9, 12, [[1], [4, 0, 2], [3]]),  # 9 x 2 > 12, 4 x 3 = 12
        (9, 5, [[1], [4], [0], [2, 3]]),  # the first one is too long by itself
    ],
)
def test_bounded_by_sentences_and_by_padded_tokens(batch_size, batch_tokens, expected):
    batches = token_batches([3, 9, 2, 0, 4], batch_size, batch_tokens)
    assert list(batches) == expected


def test_nothing():
    assert list(token_batches([], 2, 10)) == []
