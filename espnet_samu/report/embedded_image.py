"""A PNG file inside a page."""

import base64
import os
import struct
from pathlib import Path

from espnet_samu.report.html import Html, start_tag

_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def embed_png(path: str | os.PathLike[str], alt: str) -> Html:
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
    # Known sizes keep the text from jumping when the image is decoded.
    width, height = struct.unpack_from(">II", data, len(_HEAD))
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return start_tag("img", src=source, alt=alt, width=str(width), height=str(height))
