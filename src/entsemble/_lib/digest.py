"""Checksums of files, which may be remembered, and fingerprints of values."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from entsemble._lib.atomic import replacing
from entsemble._lib.regular import regular_status
from entsemble.errors import InUseError

_SETTLED_SECONDS = 2.0
"""A file that changed less long ago is not remembered: another change might leave its times as they are."""

FileIdentity = list[int]
"""Size, time of the last change of the content, of the last change at all, and inode of a file."""


def sha256(path: Path, on_read: Callable[[int], None] | None = None) -> str:
    """The SHA-256 of a file, in hexadecimal; `on_read` is called with the bytes read so far."""
    digest, bytes_read = hashlib.sha256(), 0
    regular_status(path)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            bytes_read += len(block)
            if on_read is not None:
                on_read(bytes_read)
    return digest.hexdigest()


class RememberedChecksums:
    """SHA-256 of files, or summaries, computed again only after a change of a file's size, times or inode.

    Args:
        path: the file that remembers them from one process to the next; damaged content is ignored.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, tuple[FileIdentity, str]] = {}
        self._is_changed = False
        with suppress(OSError, ValueError, AttributeError, TypeError, RecursionError):
            checksum_of_entries, entries = json.loads(path.read_bytes())
            if checksum_of_entries == fingerprint(entries):
                self._entries = {
                    name: (list(identity), str(checksum)) for name, (identity, checksum) in entries.items()
                }

    def is_unchanged(self, path: Path) -> bool:
        """Whether the checksum of a file is remembered, and the file as it was then."""
        remembered = self._entries.get(str(path))
        return remembered is not None and remembered[0] == _file_identity(path)

    def is_known(self, path: Path) -> bool:
        """Whether a checksum of a file is remembered, even if it has changed since."""
        return str(path) in self._entries

    def sha256(self, path: Path, on_read: Callable[[int], None] | None = None) -> str:
        """See `sha256`."""
        return self.summary(path, lambda: sha256(path, on_read))

    def summary(self, path: Path, summarize: Callable[[], str]) -> str:
        """A summary of a file other than its checksum; each file has one or the other."""
        identity = _file_identity(path)
        remembered = self._entries.get(str(path))
        if remembered is not None and remembered[0] == identity:
            return remembered[1]
        summary = summarize()
        _, content_changed, changed, _ = identity
        is_settled = max(content_changed, changed) < time.time_ns() - _SETTLED_SECONDS * 1e9
        if is_settled and _file_identity(path) == identity:
            self._entries[str(path)], self._is_changed = (identity, summary), True
        return summary

    def save(self) -> None:
        """Remember the checksums of the files that still exist; if they cannot be written, they are computed again."""
        if not self._is_changed or not self._path.parent.is_dir():
            return
        existing = {name: entry for name, entry in self._entries.items() if Path(name).exists()}
        with suppress(OSError, InUseError), replacing(self._path, private=True) as new_file:
            new_file.write_text(json.dumps([fingerprint(existing), existing]), encoding="utf-8")
        self._is_changed = False


def _file_identity(path: Path) -> FileIdentity:
    status = regular_status(path)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def fingerprint(value: object) -> str:
    """The SHA-256 of a value, in hexadecimal: equal for equal values, whatever the order of their keys.

    Args:
        value: anything that JSON can hold; tuples count as lists.

    Raises:
        TypeError: JSON cannot hold it.
    """
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
