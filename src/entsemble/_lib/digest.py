"""Checksums of files and fingerprints of values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path


def sha256(path: Path, on_read: Callable[[int], None] | None = None) -> str:
    """The SHA-256 of a file, in hexadecimal; `on_read` is called with the bytes read so far."""
    digest, bytes_read = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            bytes_read += len(block)
            if on_read is not None:
                on_read(bytes_read)
    return digest.hexdigest()


def fingerprint(value: object) -> str:
    """The SHA-256 of a value, in hexadecimal: equal for equal values, whatever the order of their keys.

    Args:
        value: anything that JSON can hold; tuples count as lists.

    Raises:
        TypeError: JSON cannot hold it.
    """
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
