"""Values with a checksum, so that what a disk, a crash or another program damaged is computed again, not believed."""

from __future__ import annotations

import hashlib

_SEAL_SIZE = 16
"""Bytes of the checksum that stands before each value."""


def seal(key: bytes, value: bytes) -> bytes:
    """A value with a checksum of it and its key, to be stored under this key."""
    return _checksum(key, value) + value


def unseal(key: bytes, stored: object) -> bytes | None:
    """The value that was sealed for this key; `None` if what is stored is anything else, or damaged.

    Args:
        key: under which it is stored.
        stored: of any type, as SQLite has no types that a damaged file could not change.
    """
    if not isinstance(stored, bytes):
        return None
    value = stored[_SEAL_SIZE:]
    return value if stored[:_SEAL_SIZE] == _checksum(key, value) else None


def _checksum(key: bytes, value: bytes) -> bytes:
    digest = hashlib.blake2b(len(key).to_bytes(8, "little") + key, digest_size=_SEAL_SIZE)
    digest.update(value)
    return digest.digest()
