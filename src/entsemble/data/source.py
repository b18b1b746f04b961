"""Files and streams that are read as UTF-8 with line numbers, and plain text."""

from __future__ import annotations

import codecs
import io
import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from entsemble.data.options import ReadOptions
from entsemble.errors import DataError
from entsemble.types import Document

HEAD_BYTES = 1 << 16
"""How much of a source is read to detect its format."""

_WIDE_BYTE_ORDER_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Source:
    """One file or stream.

    Args:
        name: the ids of its documents begin with it.
        path: the file; `None` for a stream.
        stream: read instead of the file, and only once.
    """

    def __init__(self, name: str, path: Path | None = None, stream: BinaryIO | None = None) -> None:
        self.name, self.path = name, path
        self._stream, self._head = stream, b""

    @classmethod
    def from_file(cls, path: Path, name: str | None = None) -> Source:
        """The file at `path`; its name is the file's name unless another one is given."""
        return cls(readable_name(name or path.name), path)

    @classmethod
    def from_stream(cls, stream: TextIO | BinaryIO, name: str) -> Source:
        """A stream of text or bytes; of a text stream such as `sys.stdin`, the bytes below it."""
        binary = getattr(stream, "buffer", stream)
        if isinstance(binary, io.TextIOBase):
            binary = io.BytesIO(binary.read().encode("utf-8", "surrogatepass"))
        return cls(name, None, cast("BinaryIO", binary))

    @property
    def place(self) -> str:
        """The path for error messages; the name if it is a stream."""
        return str(self.path) if self.path else self.name

    def head(self) -> bytes:
        """The first bytes; whoever reads the source next gets them again."""
        if self._stream is None and self._is_pipe():
            self._stream = self._open()  # a pipe can be read only once, so it stays open for the next reader
        with reading(self.place):
            if self._stream is not None:
                self._head = self._head or self._stream.read(HEAD_BYTES)
                return self._head
            with self._open() as file:
                return file.read(HEAD_BYTES)

    def content(self, max_bytes: int) -> bytes:
        """All bytes, of a source that is not text.

        Raises:
            DataError: the file cannot be opened, or has more than `max_bytes`.
        """
        with reading(self.place):
            if self._stream is None:
                with self._open() as file:
                    content = file.read(max_bytes + 1)
            else:
                content = self._head + self._stream.read(max_bytes + 1 - len(self._head))
        if len(content) > max_bytes:
            raise DataError(f"has more than {max_bytes >> 20} MB, too many for this format; split it", self.place)
        return content

    def lines(self) -> Iterator[tuple[int, str]]:
        r"""Line numbers from 1, and lines with their ends; a byte order mark is dropped.

        Only `\n` ends a line; `\r` does in a file without `\n`, as old Macintosh computers wrote it.

        Raises:
            DataError: the file cannot be opened, or a line is not UTF-8.
        """
        for line_number, raw_line in enumerate(split_carriage_returns(self._byte_lines()), 1):
            line = self.decode(raw_line, line_number)
            yield line_number, line.removeprefix("\ufeff") if line_number == 1 else line

    def text(self, keep_byte_order_mark: bool = False) -> str:
        """The whole text with its line ends, by default without a byte order mark."""
        text = "".join(self.decode(raw_line, line_number) for line_number, raw_line in enumerate(self._byte_lines(), 1))
        return text if keep_byte_order_mark else text.removeprefix("\ufeff")

    def decode(self, raw_line: bytes, line_number: int) -> str:
        """A line as UTF-8.

        Raises:
            DataError: it is not UTF-8; the message says where the first wrong byte is.
        """
        if line_number == 1 and raw_line.startswith(_WIDE_BYTE_ORDER_MARKS):
            problem = f"this is UTF-16 or UTF-32; save it as UTF-8{self._conversion('UTF-16')}"
            raise DataError(problem, self.place, line_number)
        try:
            return raw_line.decode("utf-8")
        except UnicodeDecodeError as error:
            encoding = "WINDOWS-1252" if _may_be_windows(raw_line) else "LATIN1"
            raise DataError(
                f"not UTF-8: byte {error.start + 1} of the line is 0x{raw_line[error.start]:02x}; "
                f"save the file as UTF-8{self._conversion(encoding)}",
                self.place,
                line_number,
            ) from error

    def _conversion(self, encoding: str) -> str:
        """The command that converts the file, if it is one."""
        if self.path is None:
            return f" (iconv -f {encoding} -t UTF-8)"
        target = self.path.with_name(f"{self.path.stem}-utf8{self.path.suffix}")
        return f": iconv -f {encoding} -t UTF-8 {shlex.quote(str(self.path))} > {shlex.quote(str(target))}"

    def _open(self) -> BinaryIO:
        if self.path is None:
            raise DataError("a stream can be read only once; save it as a file", self.name)
        with reading(self.place):
            return self.path.open("rb")

    def _is_pipe(self) -> bool:
        """Whether the path can be read only once, as a shell's `<(command)`."""
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


def _may_be_windows(raw_line: bytes) -> bool:
    """Whether the bytes of a line are characters in Windows-1252, which has all that texts in Latin-1 have."""
    try:
        raw_line.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return True


def split_carriage_returns(raw_lines: Iterable[bytes]) -> Iterator[bytes]:
    r"""The lines; if there is only one and it contains `\r`, its parts that end in `\r`."""
    remaining = iter(raw_lines)
    first_line, second_line = next(remaining, b""), next(remaining, b"")
    if not second_line and b"\r" in first_line.rstrip(b"\r\n"):
        yield from first_line.splitlines(keepends=True)
        return
    yield from (line for line in (first_line, second_line) if line)
    yield from remaining


def read_text(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """A plain text as one document, whose id is the source's name. Line ends are kept, a byte order mark is not."""
    yield Document(source.name, source.text())


def files_below(folder: Path, on_error: Callable[[DataError], None] | None = None) -> list[Path]:
    """The files in a folder and its subfolders, sorted.

    Hidden folders, links to folders, and what can be opened only once (pipes) are left out. Broken links are included,
    so that opening them reports the error.

    Args:
        folder: where to look.
        on_error: called for each subfolder that cannot be listed; by default such an error is raised.

    Raises:
        DataError: the folder cannot be listed, or a subfolder, and there is no `on_error`.
    """

    def report_unlisted(error: OSError) -> None:
        data_error = DataError(f"cannot be listed: {error.strerror or error}; check the permissions", error.filename)
        if on_error is None or Path(error.filename) == folder:
            raise data_error from error
        on_error(data_error)

    files: list[Path] = []
    for parent, subfolders, names in os.walk(folder, onerror=report_unlisted):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += (path for name in names if _may_be_file(path := Path(parent, name)))
    return sorted(files)


def _may_be_file(path: Path) -> bool:
    """Whether a path is a file, or will say why it is not when it is opened."""
    try:
        return path.is_file() or path.is_symlink()
    except OSError:  # the names in its folder may be read, but not what they stand for
        return True


def readable_name(name: str) -> str:
    """A file's name as text; bytes that are not UTF-8 become escape sequences."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@contextmanager
def reading(place: str | Path) -> Iterator[None]:
    """Raise the operating system's errors as DataErrors that name `place`."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}; check the path", place) from error
