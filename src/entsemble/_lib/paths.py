"""Where a path leads."""

from __future__ import annotations

import errno
from pathlib import Path


def real_path(path: Path) -> Path:
    """The absolute path, without symbolic links.

    Raises:
        OSError: the links lead back to one another, which `Path.resolve` says by RuntimeError, or from Python 3.13 on
            not at all.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise
    return path.resolve()
