"""Where bytes come from: a file or a stream, read as UTF-8 with line numbers."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from entsemble.errors import DataError

HEAD_BYTES = 1 << 16
"""How much of a source its format is recognised from."""

_WIDE_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Source:
    """One file or stream.

    Args:
        name: what ids of its documents begin with.
        path: where it lies; `None` for a stream.
        stream: what to read instead of the file; read once.
    """

    def __init__(self, name: str, path: Path | None = None, stream: BinaryIO | None = None) -> None:
        self.name, self.path = name, path
        self._stream, self._head = stream, b""

    @classmethod
    def from_file(cls, path: Path, name: str | None = None) -> Source:
        """The file at `path`, called by its file name unless told otherwise."""
        return cls(readable_name(name or path.name), path)

    @classmethod
    def from_stream(cls, stream: TextIO | BinaryIO, name: str) -> Source:
        """A stream of text or bytes; of `sys.stdin` the bytes are taken."""
        binary = getattr(stream, "buffer", stream)
        if isinstance(binary, io.TextIOBase):
            binary = io.BytesIO(binary.read().encode("utf-8", "surrogatepass"))
        return cls(name, None, cast("BinaryIO", binary))

    @property
    def place(self) -> str:
        """The path for error messages; of a stream its name."""
        return str(self.path) if self.path else self.name

    def head(self) -> bytes:
        """The first bytes, which are read again by whoever reads next."""
        if self._stream is None and self._is_pipe():
            self._stream = self._open()  # until who reads next is done: what a pipe gave it does not give again
        with reading(self.place):
            if self._stream is not None:
                self._head = self._head or self._stream.read(HEAD_BYTES)
                return self._head
            with self._open() as file:
                return file.read(HEAD_BYTES)

    def lines(self) -> Iterator[tuple[int, str]]:
        r"""Line number from 1 and the line with its end. Only `\n` ends a line; a byte order mark is dropped.

        Raises:
            DataError: the file cannot be opened, or a line is no UTF-8.
        """
        for number, raw in enumerate(self._byte_lines(), 1):
            line = self.decode(raw, number)
            yield number, line.removeprefix("\ufeff") if number == 1 else line

    def text(self, keep_mark: bool = False) -> str:
        """Everything, newlines as they are, the byte order mark kept only on request."""
        text = "".join(self.decode(raw, number) for number, raw in enumerate(self._byte_lines(), 1))
        return text if keep_mark else text.removeprefix("\ufeff")

    def decode(self, raw: bytes, line: int) -> str:
        """`raw` as UTF-8; DataError with the place of the first wrong byte."""
        if line == 1 and raw.startswith(_WIDE_MARKS):
            raise DataError("this is UTF-16 or UTF-32; save it as UTF-8", self.place, line)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"byte {error.start + 1} of the line, 0x{raw[error.start]:02x}, is no UTF-8; save the file as UTF-8",
                self.place,
                line,
            ) from error

    def _open(self) -> BinaryIO:
        if self.path is None:
            raise DataError("a stream can be read only once; save it as a file", self.name)
        with reading(self.place):
            return self.path.open("rb")

    def _is_pipe(self) -> bool:
        """Whether the path is of something that is read once, such as a shell's `<(command)`."""
        with reading(self.place):
            return self.path is not None and self.path.exists() and not self.path.is_file()

    def _byte_lines(self) -> Iterator[bytes]:
        if self._stream is None:
            with reading(self.place), self._open() as file:
                yield from file
            return
        with reading(self.place), self._stream if self.path else nullcontext():
            yield from io.BytesIO(self._head + self._stream.readline())
            yield from self._stream


def files_below(folder: Path, on_error: Callable[[DataError], None] | None = None) -> list[Path]:
    """The files in `folder` and in its folders that are not hidden, sorted; links to folders are not followed.

    A link that leads nowhere is among them, so that whoever opens it says so. What can be opened only once, such as a
    pipe, is not.

    Raises:
        DataError: a folder cannot be listed; where `on_error` is given it is told, and the rest is there.
    """

    def unlisted(error: OSError) -> None:
        told = DataError(f"cannot be listed: {error.strerror or error}; check who may read it", error.filename)
        if on_error is None:
            raise told from error
        on_error(told)

    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=unlisted):
        folders[:] = [f for f in folders if not f.startswith(".")]
        found += (p for n in names if (p := Path(place, n)).is_file() or p.is_symlink())
    return sorted(found)


def readable_name(name: str) -> str:
    """A file's name as text, whose bytes that are no UTF-8 are written out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@contextmanager
def reading(place: str | Path) -> Iterator[None]:
    """What the system says against reading at `place`, as a DataError that names it."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}; check the path", place) from error
