"""A sound file inside a page."""

import base64
import io
import os

from espnet_samu.report.html import Html, tag

COMPRESSION = 0.8  # of 0 to 1: about 33 kbit/s for speech at 16 kHz


def embed_clip(path: str | os.PathLike[str], label: str) -> Html:
    """Return a player that holds the sound, as MP3 of one channel.

    Every browser plays it, and the same sound is the same text whenever it is made; an
    Ogg stream has a random number in it.

    Args:
        path: Sound file.
        label: What is heard.

    Raises:
        ValueError: For a file that is no sound file.
    """
    import soundfile

    try:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as e:
        raise ValueError(f"{path}: not a sound file: {e}") from None
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        wave.mean(axis=1),
        rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="VARIABLE",
        compression_level=COMPRESSION,
    )
    source = f"data:audio/mpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    # Without `preload` all clips would be decoded when the page is opened.
    return tag(
        "audio", controls="", preload="none", src=source, aria_label=label, title=label
    )
