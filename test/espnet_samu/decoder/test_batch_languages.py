"""Tests of espnet_samu.decoder.batch_languages."""

import pytest
import torch

from espnet_samu.decoder.batch_languages import (
    BatchLanguages,
    insert_language_tokens,
)


def test_by_hand():
    languages = BatchLanguages(10, 7)
    assert languages.rows(2, "cpu").tolist() == [7, 7]
    with languages.of_batch(torch.tensor([3, 4])):
        assert languages.rows(2, "cpu").tolist() == [3, 4]
        # beams of each utterance in turn
        assert languages.rows(4, "cpu", repeat=True).tolist() == [3, 3, 4, 4]
        with languages.of_batch(None):
            assert languages.rows(2, "cpu") is None
        assert languages.rows(2, "cpu").tolist() == [3, 4]
        for n, repeat in ((3, True), (4, False), (1, False)):
            with pytest.raises(ValueError, match=f"2 target languages for {n} utter"):
                languages.rows(n, "cpu", repeat=repeat)
    assert languages.rows(1, "cpu").tolist() == [7]
    languages.default = None
    assert languages.rows(2, "cpu") is None


def test_what_was_said_ends_with_an_error():
    languages = BatchLanguages(10, None)
    with pytest.raises(KeyError):
        with languages.of_batch(torch.tensor([3])):
            raise KeyError
    assert languages.rows(1, "cpu") is None


def test_refused():
    with pytest.raises(ValueError, match="lang_token_id 10 is not in .* list of 10"):
        BatchLanguages(10, 10)
    languages = BatchLanguages(10, None)
    with pytest.raises(ValueError, match=r"languages \[10, -1\] are not in"):
        with languages.of_batch(torch.tensor([10, 3, -1])):
            pass


def test_insert():
    tokens = torch.tensor([[2, 5, 6], [2, 7, 8]])
    assert insert_language_tokens(tokens, None) is tokens
    inserted = insert_language_tokens(tokens, torch.tensor([3, 4]))
    assert inserted.tolist() == [[2, 3, 5, 6], [2, 4, 7, 8]]
