"""Regular files: neither folders nor pipes and devices, whose reader would wait, or never come to an end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def regular_status(path: Path) -> os.stat_result:
    """The status of a regular file.

    Raises:
        OSError: there is none, or it is a folder, pipe or device.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return status


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: it cannot be read, or has more than `max_bytes`.
    """
    regular_status(path)
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"More than {max_bytes:,} bytes", str(path))
    return content
