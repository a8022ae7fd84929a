import os

import pytest
import torch

from espnet_samu.frontend.frames_cache import FramesCache, fingerprint, used_bytes
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.utils.waveform import UnusableWaveforms

LIMIT = 10**9


@pytest.fixture
def frontend(frontend_conf):
    torch.manual_seed(0)
    return SamuFrontend(**frontend_conf, freeze=True).eval()


@pytest.fixture
def cache(frontend, tmp_path):
    """Makes a cache in the same folder, of the frontend."""

    def make(limit=LIMIT, dtype=torch.float32):
        size = frontend.output_size()
        frontend.cache = FramesCache(tmp_path / "frames", size, dtype, limit)
        return frontend.cache

    return make


@pytest.fixture
def speech(noise):
    return noise(3000, 5000, 2000)


@torch.no_grad()
def plain(frontend, speech):
    """Frames without a cache."""
    kept, frontend.cache = frontend.cache, None
    frames, lengths = frontend(*speech)
    frontend.cache = kept
    return frames, lengths


def check(frontend, speech, atol=1e-5):
    expected, expected_lengths = plain(frontend, speech)
    frames, lengths = frontend(*speech)
    assert lengths.tolist() == expected_lengths.tolist()
    assert frames.shape == expected.shape and not frames.requires_grad
    for row, other, n in zip(frames, expected, lengths.tolist()):
        torch.testing.assert_close(row[:n], other[:n], rtol=0, atol=atol)
        assert (row[n:] == 0).all()


def test_computed_once(frontend, cache, speech):
    """In this process and in a later one, in another batch, whatever the padding."""
    first = cache()
    check(frontend, speech)
    check(frontend, speech)
    assert (first.n_computed, first.n_read) == (3, 3)
    waveforms, lengths = speech
    order = [2, 0]
    check(frontend, (waveforms[order, :3000], lengths[order]))
    assert (first.n_computed, first.n_read) == (3, 5)
    first.close()
    later = cache()
    assert len(later) == 3
    check(frontend, speech)
    assert (later.n_computed, later.n_read) == (0, 3)
    # two utterances that are equal, and a new one
    rows, n = (
        torch.stack([waveforms[0], -waveforms[0], -waveforms[0]]),
        lengths[[0] * 3],
    )
    check(frontend, (rows, n))
    assert (later.n_computed, later.n_read) == (1, 5)


def test_written_by_another_process(frontend, cache, speech, tmp_path):
    """Found by a refresh, each entry once."""
    one, size = cache(), frontend.output_size()
    other = FramesCache(tmp_path / "frames", size, torch.float32, LIMIT)
    waveforms, lengths = speech
    check(frontend, (waveforms[:2], lengths[:2]))
    frontend.cache = other
    other.refresh()
    check(frontend, speech)
    assert (other.n_computed, other.n_read) == (1, 2)
    frontend.cache = one
    assert len(one) == 2
    one.refresh()
    one.refresh()
    check(frontend, speech)
    assert (one.n_computed, one.n_read) == (2, 3)


@pytest.mark.parametrize("dtype, atol", [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_rounded_at_once(frontend, cache, speech, dtype, atol):
    """What is computed is what will be read."""
    cache(dtype=getattr(torch, dtype))
    check(frontend, speech, atol)
    frames, _ = frontend(*speech)
    assert frames.dtype == torch.float32
    assert torch.equal(frames, frames.to(getattr(torch, dtype)).float())
    # and of frames for which there is no room
    frontend.cache.close()
    cache(limit=0, dtype=getattr(torch, dtype))
    again, _ = frontend(*speech)
    assert torch.equal(again, frames)


def test_bad_row_is_that_of_the_batch(frontend, cache, speech):
    """Though only it is computed, as the others are there."""
    cache()
    waveforms, lengths = speech
    frontend(*speech)
    short = torch.tensor([3000, 5000, 10])
    with pytest.raises(UnusableWaveforms, match="^row 2 of the batch: 10 samples"):
        frontend(waveforms, short)


def test_means_of_what_is_kept(frontend, cache, speech):
    cache()
    check(frontend, speech)
    before = frontend.fingerprint()
    frontend.average_frames = frontend.options["average_frames"] = 3
    assert frontend.fingerprint() == before
    check(frontend, speech)
    assert frontend.cache.n_computed == 3


def test_limit(frontend, cache, speech, tmp_path):
    expected, lengths = plain(frontend, speech)
    size = int(lengths[0] + lengths[2]) * frontend.output_size() * 4
    found = cache(limit=size)
    check(frontend, speech)
    check(frontend, speech)
    assert (found.n_computed, found.n_read) == (4, 2) and len(found) == 2
    assert used_bytes(tmp_path) == size


def test_killed_while_it_writes(frontend, cache, speech, tmp_path):
    """Neither frames without an entry nor half an entry are trusted."""
    cache()
    check(frontend, speech)
    frontend.cache.close()
    (index,) = (tmp_path / "frames").glob("*.index")
    (frames,) = (tmp_path / "frames").glob("*.frames")
    content = index.read_bytes()
    entry = len(content) // 3
    index.write_bytes(content[: 2 * entry + 5])
    assert len(cache()) == 2
    check(frontend, speech)
    frontend.cache.close()
    # The frames of the last entry are cut off; those of one are damaged.
    index.write_bytes(content)
    data = bytearray(frames.read_bytes())
    data[3] ^= 1
    frames.write_bytes(bytes(data[:-1]))
    for other in (tmp_path / "frames").iterdir():
        if other.stem != index.stem:
            other.unlink()
    found = cache()
    assert len(found) == 2
    check(frontend, speech)
    assert (found.n_computed, found.n_read) == (2, 1)
    # an index alone
    frontend.cache.close()
    frames.unlink()
    assert len(cache()) == 2


def test_full_disk(frontend, cache, speech, monkeypatch, caplog):
    found = cache()
    check(frontend, speech)

    def full(content):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(
        found,
        "_frames",
        type(
            "Full",
            (),
            {
                "write": staticmethod(full),
                "tell": lambda self: 0,
                "close": lambda self: None,
            },
        )(),
    )
    check(frontend, (-speech[0], speech[1]))
    assert caplog.text.count("no more frames are kept") == 1
    assert "No space left on device" in caplog.text
    check(frontend, speech)
    assert found.n_read == 3


def test_beyond_the_range(cache, frontend, speech, caplog, monkeypatch):
    found = cache(dtype=torch.float16)
    compute = frontend._compute
    monkeypatch.setattr(
        frontend, "_compute", lambda *args: (compute(*args)[0] * 1e6, compute(*args)[1])
    )
    frontend(*speech)
    assert len(found) == 0 and "set frames_cache_dtype to bfloat16" in caplog.text


def test_fingerprint(frontend, frontend_conf):
    same = SamuFrontend(**frontend_conf)
    same.load_state_dict(frontend.state_dict())
    assert same.fingerprint() == frontend.fingerprint()
    other = SamuFrontend(**frontend_conf, layer=1)
    other.model.load_state_dict(frontend.model.state_dict())
    half = SamuFrontend(**frontend_conf, dtype="bfloat16")
    half.load_state_dict(frontend.state_dict())
    with torch.no_grad():
        next(same.parameters()).view(-1)[0] += 1e-3
    prints = {module.fingerprint() for module in (frontend, same, other, half)}
    assert len(prints) == 4
    layer = torch.nn.Linear(2, 2)
    assert fingerprint(layer, {"a": 1}) != fingerprint(layer, {"a": 2})
