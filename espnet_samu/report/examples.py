"""Examples of the report: translations beside references, with the speech to hear."""

import base64
import dataclasses
import io
import os
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from espnet_samu.report.page import load_macros
from espnet_samu.scoring.directions import Direction

COMPRESSION = 0.8  # of 0 to 1: about 33 kbit/s for speech at 16 kHz


def embed_clip(path: str | os.PathLike[str], label: str) -> Markup:
    """Return a player that holds the sound, as MP3 of one channel.

    Every browser plays it, and the same sound is the same text whenever it is made; an
    Ogg stream has a random number in it.

    Args:
        path: Sound file.
        label: Name of the recording, for screen readers.

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
    return load_macros("components.html").clip(source, label)


_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def embed_png(path: str | os.PathLike[str], alt: str) -> Markup:
    """Return an image element that holds the file.

    Args:
        path: PNG file.
        alt: What it shows.

    Raises:
        ValueError: For a file that is no PNG.
    """
    data = Path(path).read_bytes()
    if not data.startswith(_HEAD) or len(data) < len(_HEAD) + 8:
        raise ValueError(f"{path}: not a PNG file")
    width, height = struct.unpack_from(">II", data, len(_HEAD))
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return load_macros("components.html").image(source, alt, width, height)


@dataclasses.dataclass(frozen=True)
class Example:
    """One utterance."""

    utt: str
    """Its id."""
    direction: Direction
    """Its languages."""
    source: str | None
    """Transcript; None where it is not known."""
    reference: str
    """Reference translation."""
    hypotheses: Mapping[str, str | None]
    """Translation by system; None where there is none."""
    sound: str | os.PathLike[str] | None = None
    """Sound file; None where there is none to hear."""


def draw_examples(
    directions: Mapping[str, Direction],
    refs: Mapping[str, str],
    sources: Mapping[str, str],
    systems: Mapping[str, Mapping[str, str]],
    number: int,
    seed: int,
    sounds: Mapping[str, str | os.PathLike[str]] | None = None,
) -> list[Example]:
    """Draw utterances of every direction.

    Which ones depends on seed, direction and ids: not on the order of files, nor on
    what other directions there are.

    Args:
        directions: Utterances of every direction.
        refs: Reference of every utterance.
        sources: Transcripts; some may lack.
        systems: Hypotheses by system; some may lack.
        number: Utterances a direction, at most.
        seed: Seed.
        sounds: Sound files; some may lack.
    """
    examples = []
    for direction in directions.values():
        ids: Sequence[str] = sorted(direction.utterances)
        # A string as seed gives the same numbers in every process.
        rng = random.Random(f"{seed} {direction.source} {direction.target}")
        for utt in rng.sample(ids, min(number, len(ids))):
            examples.append(
                Example(
                    utt=utt,
                    direction=direction,
                    source=sources.get(utt),
                    reference=refs[utt],
                    hypotheses={name: hyps.get(utt) for name, hyps in systems.items()},
                    sound=(sounds or {}).get(utt),
                )
            )
    return examples
