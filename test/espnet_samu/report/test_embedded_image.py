import base64
import struct
import zlib

import pytest

from espnet_samu.report.embedded_image import embed_png


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
        f'<img src="data:image/png;base64,{content}" alt="heat &quot;map&quot;" '
        'width="3" height="2">'
    )
    (tmp_path / "b.png").write_text("<svg/>")
    with pytest.raises(ValueError, match="b.png: not a PNG file"):
        embed_png(tmp_path / "b.png", "")
