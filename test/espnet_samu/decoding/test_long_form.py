import pytest
import torch

from espnet_samu.decoding.long_form import check_limit, cut, glue

RATE = 16000


def noise(seconds):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(int(seconds * RATE), generator=generator) * 0.1


def test_short_is_whole():
    speech = noise(2)
    pieces = cut(speech, 2 * RATE)
    assert len(pieces) == 1
    assert pieces[0].data_ptr() == speech.data_ptr()


def test_cuts_in_pauses():
    speech = noise(10)
    # 0.4 s each; the first of them is in the first half of a piece
    for start in (0.8, 3.2, 6.0):
        speech[int(start * RATE) : int((start + 0.4) * RATE)] *= 0.01
    pieces = cut(speech, 4 * RATE)
    assert torch.equal(torch.cat(pieces), speech)
    starts = torch.tensor([len(p) for p in pieces]).cumsum(0) / RATE
    assert starts[0].item() == pytest.approx(3.4, abs=0.06)
    assert starts[1].item() == pytest.approx(6.2, abs=0.06)
    assert len(pieces) == 3


@pytest.mark.parametrize("seconds", [4.01, 5, 7.9, 8.1, 61.3])
def test_sizes(seconds):
    speech, limit = noise(seconds), 4 * RATE
    pieces = cut(speech, limit)
    assert torch.equal(torch.cat(pieces), speech)
    assert all(limit // 4 <= len(piece) <= limit for piece in pieces)
    assert len(pieces) <= 2 * seconds / 4 + 1


def test_limit():
    check_limit(RATE)
    with pytest.raises(ValueError, match="chunk_seconds 0.25 must be 1 or more, or 0"):
        check_limit(RATE // 4)


def test_glue():
    assert [glue(code) for code in ("de_DE", "en", None, "kmr")] == [" "] * 4
    assert [glue(code) for code in ("ja_XX", "zh-CN", "__th__", "KM")] == [""] * 4
