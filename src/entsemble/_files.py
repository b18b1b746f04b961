"""What more than one layer does with files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path


def sha256(path: Path, done: Callable[[int], None] | None = None) -> str:
    """The SHA-256 of a file, in hexadecimal; `done` is told about the bytes read."""
    digest, read = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            read += len(block)
            if done is not None:
                done(read)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """On the disk, not only on the way there; folders cannot be opened on every system."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
