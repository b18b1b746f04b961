"""The files in zip and tar archives, read one at a time, with limits, and without unpacking anything."""

from __future__ import annotations

import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from entsemble.data.source import readable_name
from entsemble.errors import DataError

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz", ".txz", ".zip")

MAX_MEMBERS = 1_000_000
MAX_MEMBER_BYTES = 1 << 28
"""256 MB: one text, or one file of documents."""

MAX_TOTAL_BYTES = 1 << 36
MAX_RATIO = 500
"""How many times its packed size an archive may have; texts are packed to a fifth, at most to a hundredth."""

UNSUSPICIOUS_BYTES = 1 << 24
"""Below 16 MB the ratio does not matter."""

ZIP_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    RuntimeError,  # zipfile's, for encrypted members and, as a subclass, for unknown compression
    ValueError,  # also for names that are not text
    OverflowError,
    IndexError,
    KeyError,
)
"""What reading a damaged archive raises."""


class _Member(NamedTuple):
    """A file in an archive: its name, its size, whether it is a link, and a function that reads it."""

    name: str
    size: int
    is_link: bool
    read: Callable[[], bytes]


class _Meter:
    """Counts the files of an archive, and raises DataError at a limit; sizes are those that the archive declares."""

    def __init__(self, path: Path) -> None:
        self._path, self._packed_bytes = path, path.stat().st_size
        self._member_count = self._total_bytes = 0

    def count(self, member: _Member) -> None:
        self._member_count += 1
        self._total_bytes += member.size
        is_suspicious = self._total_bytes > max(UNSUSPICIOUS_BYTES, self._packed_bytes * MAX_RATIO)
        if is_suspicious or self._total_bytes > MAX_TOTAL_BYTES or self._member_count > MAX_MEMBERS:
            problem = f"at {member.name!r}, the archive has become larger than one of texts should be"
            raise DataError(f"{problem}; unpack it yourself if you trust it", self._path)


def is_archive(path: Path) -> bool:
    """Whether the name of a file is that of an archive."""
    return path.name.lower().endswith(SUFFIXES)


def read_files(path: Path, suffixes: tuple[str, ...] | None = None) -> Iterator[tuple[str, bytes]]:
    """The names and contents of the files in an archive, in its order; hidden ones are left out.

    Args:
        path: a zip archive or a tar archive, which may be compressed.
        suffixes: read only files with one of these endings, in lower case.

    Raises:
        DataError: the archive cannot be read, has two files of one name or a link, or unpacks to too much.
    """
    names: set[str] = set()
    for member in _members(path):
        if suffixes and not member.name.lower().endswith(suffixes):
            continue
        suffix = PurePosixPath(member.name).suffix
        unique_name = member.name.removesuffix(suffix) + suffix.lower()
        if unique_name in names:
            raise DataError(f"the archive has two files {member.name!r}; rename or remove one of them", path)
        names.add(unique_name)
        if member.is_link:
            raise DataError(f"{member.name!r} in the archive is a link; put the file itself there", path)
        if member.size > MAX_MEMBER_BYTES:
            problem = f"{member.name!r} in the archive has {member.size:,} bytes, and {MAX_MEMBER_BYTES:,} may be read"
            raise DataError(f"{problem}; unpack the archive", path)
        with _reading(path):
            content = member.read()
        yield member.name, content


def file_names(path: Path) -> list[str]:
    """The names of the files in an archive; hidden ones are left out.

    Raises:
        DataError: the archive cannot be read, or unpacks to too much.
    """
    return [member.name for member in _members(path)]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise errors of the libraries as DataErrors."""
    try:
        yield
    except ZIP_ERRORS as error:
        problem = f"the archive cannot be read: {str(error) or type(error).__name__}"
        raise DataError(f"{problem}; is the file complete, and not encrypted?", path) from error


def _members(path: Path) -> Iterator[_Member]:
    """The files in an archive that are not hidden."""
    with _reading(path):
        meter = _Meter(path)
        for member in _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path):
            meter.count(member)
            if not _is_hidden(member.name):
                yield member


def _zip_members(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                is_link = stat.S_ISLNK(info.external_attr >> 16)
                yield _Member(readable_name(info.filename), info.file_size, is_link, partial(archive.read, info))


def _tar_members(path: Path) -> Iterator[_Member]:
    with tarfile.open(path) as archive:
        for info in archive:
            if not info.isdir():
                read = partial(_read_from_tar, archive, info)
                yield _Member(readable_name(info.name), info.size, not info.isfile(), read)


def _read_from_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(info)
    return b"" if stream is None else stream.read()


def _is_hidden(name: str) -> bool:
    """Whether a file, or a folder above it, is hidden, or was added by macOS for itself."""
    parts = PurePosixPath(name.replace(os.sep, "/")).parts
    return any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts)
