"""Checksums of models' files: what is loaded, and whether it is what was downloaded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from entsemble._lib.digest import RememberedChecksums, sha256
from entsemble._lib.paths import real_path
from entsemble._lib.private import make_private_folder

CHECKSUMS_FILE = "checksums.json"
"""In the cache folder: remembers checksums, so that a file is read again only after a change."""

_SHA256, _GIT_SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


def ignore_bytes(_: int) -> None:
    """A callback that reports nothing."""


def file_checksum(path: Path, cache: Path, on_read: Callable[[int], None] = ignore_bytes) -> str:
    """The SHA-256 of a file; only looks at its size, times and inode if these are as they were.

    Args:
        path: the file; a link is followed.
        cache: entsemble's cache folder.
        on_read: called with the bytes read so far.

    Raises:
        OSError: it cannot be read.
    """
    with suppress(OSError):
        make_private_folder(cache)
    checksums = RememberedChecksums(cache / CHECKSUMS_FILE)
    checksum = checksums.sha256(real_path(path), on_read)
    checksums.save()
    return checksum


def is_named_after_content(
    path: Path, cache: Path, on_read: Callable[[int], None] = ignore_bytes, *, trust_memory: bool = True
) -> bool:
    """Whether a file of the hub's cache is what the hub stated: it is a link to a file that is named after its content.

    The name is the SHA-256 of a large file, or git's SHA-1 of a small one. Where there are no links, as on Windows, the
    name says nothing, and every file passes.

    Args:
        path: the link.
        cache: entsemble's cache folder.
        on_read: called with the bytes read so far.
        trust_memory: whether a file that is as it was when it was last read need not be read.

    Raises:
        OSError: it cannot be read.
    """
    blob = real_path(path)
    if _SHA256.fullmatch(blob.name):
        checksum = file_checksum(blob, cache, on_read) if trust_memory else sha256(blob, on_read)
        return checksum == blob.name
    if _GIT_SHA1.fullmatch(blob.name):
        if trust_memory and RememberedChecksums(cache / CHECKSUMS_FILE).is_unchanged(blob):
            return True
        content = blob.read_bytes()
        git_object = b"blob %d\0" % len(content) + content
        if hashlib.sha1(git_object, usedforsecurity=False).hexdigest() != blob.name:
            return False
        file_checksum(blob, cache)  # remembered only now that it is right
    return True
