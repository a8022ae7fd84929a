import base64
import io
import re

import numpy as np
import pytest
import soundfile

from espnet_samu.report.embedded_clip import embed_clip


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
