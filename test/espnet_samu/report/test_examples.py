"""Tests of espnet_samu.report.examples."""

import base64
import io
import re
import struct
import zlib

import numpy as np
import pytest
import soundfile

from espnet_samu.report.examples import draw_examples, embed_clip, embed_png
from espnet_samu.scoring.directions import split_directions


def test_clip_is_small_mono_and_the_same_sound(tmp_path):
    time = np.arange(2 * 16000) / 16000
    tone = 0.3 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "a.flac", np.stack([tone, tone], axis=1), 16000)
    player = embed_clip(tmp_path / "a.flac", "it <1>")
    assert embed_clip(tmp_path / "a.flac", "it <1>") == player
    assert 'preload="none"' in player and 'aria-label="it &lt;1&gt;"' in player
    (data,) = re.findall(r"data:audio/mpeg;base64,([^\"]*)", player)
    data = base64.b64decode(data)
    wave, rate = soundfile.read(io.BytesIO(data))
    assert rate == 16000 and wave.ndim == 1 and len(wave) == len(tone)
    assert len(data) < len(tone) * 2 / 4
    assert np.corrcoef(wave, tone)[0, 1] > 0.99


def test_not_a_sound_file(tmp_path):
    (tmp_path / "a.wav").write_text("text")
    with pytest.raises(ValueError, match="a.wav: not a sound file"):
        embed_clip(tmp_path / "a.wav", "a")


def _chunk(kind, data):
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def test_png(tmp_path):
    head = struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0\1\2\3" * 2)
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", rows)
    data += _chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    element = embed_png(tmp_path / "a.png", 'heat "map"')
    content = base64.b64encode(data).decode()
    assert element == (
        f'<img src="data:image/png;base64,{content}" alt="heat &#34;map&#34;" '
        'width="3" height="2">'
    )
    (tmp_path / "b.png").write_text("<svg/>")
    with pytest.raises(ValueError, match="b.png: not a PNG file"):
        embed_png(tmp_path / "b.png", "")


LANGS = {f"{lang}{i}": lang for lang in ("es", "fr") for i in range(20)}
REFS = {utt: f"reference of {utt}" for utt in LANGS}
SYSTEMS = {"a": {utt: f"a of {utt}" for utt in REFS}, "b": {"es0": ""}}


def _draw(refs, number=3, seed=1):
    directions = split_directions(refs, LANGS, dict.fromkeys(LANGS, "en"))
    return draw_examples(directions, refs, {"es0": "s"}, SYSTEMS, number, seed)


def test_seed_direction_and_ids_decide():
    examples = _draw(REFS)
    assert [e.direction.name for e in examples] == ["es"] * 3 + ["fr"] * 3
    utts = [e.utt for e in examples]
    assert len(set(utts)) == 6
    backwards = dict(reversed(REFS.items()))
    assert [e.utt for e in _draw(backwards)] == utts
    spanish = {utt: ref for utt, ref in REFS.items() if utt.startswith("es")}
    assert [e.utt for e in _draw(spanish)] == utts[:3]
    assert [e.utt for e in _draw(REFS, seed=2)] != utts


def test_all_of_few():
    (example,) = _draw({"es0": "reference of es0"}, number=9)
    assert (example.source, example.reference) == ("s", "reference of es0")
    assert example.hypotheses == {"a": "a of es0", "b": ""}
    (other,) = _draw({"es1": "r"}, number=9)
    assert (other.source, other.hypotheses["b"]) == (None, None)
