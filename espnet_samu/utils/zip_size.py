"""Sizes of zip files, which checkpoints are, too, before they are unpacked."""

import os
import zipfile

# Weights hardly become smaller (by 1.1), token lists and configurations by 10.
MOST_TIMES = 10
ALWAYS = 2**28
"""Bytes that may come out of any file."""


def check_zip_size(path: str | os.PathLike[str]) -> int:
    """Refuse a file out of which much more would come than it is itself.

    Python and torch read no more of a member than its header says.

    Args:
        path: Any file.

    Returns:
        Bytes when unpacked; 0 if it is no zip file.

    Raises:
        ValueError: It is one of a few MB that would fill a disk or the memory.
    """
    if not zipfile.is_zipfile(path):
        return 0
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path} is a damaged zip file: {error}") from error
    packed = os.path.getsize(path)
    if total > max(ALWAYS, MOST_TIMES * packed):
        raise ValueError(
            f"{path} has {packed / 1e6:.1f} MB, but would become {total / 1e6:.0f} MB "
            "when unpacked: it is no model, and was not unpacked"
        )
    return total
