"""Where a path leads."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def real_path(path: Path) -> Path:
    """The absolute path, without symbolic links.

    Raises:
        OSError: the links lead back to one another; `Path.resolve` raises RuntimeError before Python 3.13.
    """
    try:
        return path.resolve()
    except RuntimeError as error:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error
