"""brat standoff: a `.txt` and an `.ann` file per document, in a folder or in a tar or zip archive.

Offsets count the code points of the unchanged `.txt`, including a byte order mark and carriage returns. Only text-bound
annotations (`T`) are mentions; relations, events, attributes, normalisations and notes are skipped. brat cannot store
scores, votes, tokens and meta, so they are not written.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from entsemble.data.options import Discontinuous, ReadOptions
from entsemble.data.source import Source, readable_name
from entsemble.errors import DataError
from entsemble.types import Document, Mention

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz", ".zip")

_SKIPPED_ANNOTATIONS = "REAMN#*"
_TEXT_BOUND = re.compile(r"(T[^\t]*)\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?", re.DOTALL)
_UNSAFE_IN_LABEL = re.compile(r"[\s%]")
_MAX_NAME_BYTES = 240
"""A file name of this many bytes, plus its suffix, works on all common file systems."""


class _Annotation(NamedTuple):
    """A text-bound annotation.

    Attributes:
        start, end: from its first to its last character, as the file counts them.
        label: its type.
        surface: its text according to the file; `None` if the file does not give it.
        is_continuous: whether it has only one piece.
    """

    start: int
    end: int
    label: str
    surface: str | None
    is_continuous: bool


def read_folder(folder: Path, files: Sequence[Path], options: ReadOptions, id_prefix: str = "") -> Iterator[Document]:
    """The documents among the `files` of a folder.

    Their ids are `id_prefix` and the relative path without the suffix. A `.txt` without an `.ann` has no mentions.

    Raises:
        DataError: an `.ann` has no `.txt`, a line is not a brat annotation, or a mention is not at its offsets.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in files if path.suffix in (".txt", ".ann")}
    for stem in _document_stems(paths, str(folder)):
        annotation_path = paths.get(stem + ".ann")
        text = Source.from_file(paths[stem + ".txt"]).text(keep_byte_order_mark=True)
        annotations = Source.from_file(annotation_path) if annotation_path else None
        yield _document(id_prefix + unquote(stem), text, annotations, options.discontinuous)


def read(path: Path, options: ReadOptions, name: str) -> Iterator[Document]:  # noqa: ARG001 - the ids are file names
    """The documents of an archive, or the document whose `.txt` or `.ann` is at `path`."""
    return read_archive(path, options) if path.name.lower().endswith(ARCHIVE_SUFFIXES) else read_pair(path, options)


def read_pair(path: Path, options: ReadOptions) -> Iterator[Document]:
    """The document whose `.txt` or `.ann` is at `path`."""
    text_path, annotation_path = path.with_suffix(".txt"), path.with_suffix(".ann")
    if not text_path.exists():
        raise DataError(f"its text {text_path.name} is missing; put it into the same folder", path)
    text = Source.from_file(text_path).text(keep_byte_order_mark=True)
    annotations = Source.from_file(annotation_path) if annotation_path.exists() else None
    yield _document(unquote(path.stem), text, annotations, options.discontinuous)


def read_archive(path: Path, options: ReadOptions) -> Iterator[Document]:
    """The documents of a zip archive or a tar archive, which may be compressed.

    Their ids are the paths in the archive without the suffix. The archive is read once: a document is yielded when both
    its files have been read; those without an `.ann` come last.

    Raises:
        DataError: as for `read_folder`, or the archive is broken.
    """
    unpaired: dict[str, bytes] = {}
    try:
        for file_name, content in _zip_files(path) if zipfile.is_zipfile(path) else _tar_files(path):
            stem, suffix = file_name[:-4], file_name[-4:]
            counterpart = unpaired.pop(stem + (".txt" if suffix == ".ann" else ".ann"), None)
            if counterpart is None:
                unpaired[file_name] = content
            else:
                text, annotations = (content, counterpart) if suffix == ".txt" else (counterpart, content)
                yield _archived_document(path, stem, text, annotations, options)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error) as error:
        raise DataError(f"the archive cannot be read: {error}; is the file complete?", path) from error
    for stem in _document_stems(unpaired, str(path)):
        yield _archived_document(path, stem, unpaired[stem + ".txt"], None, options)


def write_folder(documents: Iterable[Document], folder: Path) -> None:
    """A pair of files per document in a new folder.

    File names are percent-encoded ids. Whitespace and percent signs in labels are percent-encoded, too. Line ends in a
    mention become spaces in its `.ann` line, as brat requires.

    Raises:
        DataError: two documents have the same id, or an id is too long for a file name.
    """
    folder.mkdir()
    for document in documents:
        file_name = _file_name(document.id)
        if (folder / f"{file_name}.txt").exists():
            raise DataError(f"two documents would be the file {file_name}.txt; give each its own id")
        (folder / f"{file_name}.txt").write_bytes(document.text.encode())
        lines = "".join(_annotation_line(number, mention) for number, mention in enumerate(document.mentions, 1))
        (folder / f"{file_name}.ann").write_bytes(lines.encode())


def _zip_files(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for file_name in archive.namelist():
            if file_name.endswith((".txt", ".ann")):
                yield file_name, archive.read(file_name)


def _tar_files(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith((".txt", ".ann")):
                file = archive.extractfile(member)
                yield member.name, file.read() if file else b""


def _archived_document(
    path: Path, stem: str, raw_text: bytes, raw_annotations: bytes | None, options: ReadOptions
) -> Document:
    text = Source(f"{path}!{stem}.txt", None, BytesIO(raw_text)).text(keep_byte_order_mark=True)
    annotations = None if raw_annotations is None else Source(f"{path}!{stem}.ann", None, BytesIO(raw_annotations))
    return _document(unquote(stem), text, annotations, options.discontinuous)


def _document_stems(names: Iterable[str], place: str) -> list[str]:
    """The file names of the texts without their suffix; DataError if an `.ann` has no text."""
    all_names = set(names)
    without_text = sorted(name for name in all_names if name.endswith(".ann") and name[:-4] + ".txt" not in all_names)
    if without_text:
        raise DataError(f"{without_text[0]} has no .txt in the same folder; put its text there", place)
    return sorted(name[:-4] for name in all_names if name.endswith(".txt"))


def _document(document_id: str, text: str, annotations: Source | None, discontinuous: Discontinuous) -> Document:
    document_id = readable_name(document_id)
    if annotations is None:
        return Document(document_id, text)
    numbered_annotations = list(_read_annotations(annotations, discontinuous))
    shift = _byte_order_mark_shift(text, [annotation for _, annotation in numbered_annotations])
    mentions = []
    for line_number, (start, end, label, surface, is_continuous) in numbered_annotations:
        if not 0 <= start < end <= len(text) - shift:
            problem = f"[{start}, {end}) is not a range of a text of {len(text)} characters; correct the offsets"
            raise DataError(problem, annotations.place, line_number)
        actual = text[start + shift : end + shift]
        if is_continuous and surface is not None and not _same_surface(actual, surface):
            problem = f"the line says {surface!r}, but the text has {actual!r} at [{start}, {end}); correct one of them"
            raise DataError(problem, annotations.place, line_number)
        mentions.append(Mention(start + shift, end + shift, label, actual))
    return Document(document_id, text, tuple(mentions))


def _read_annotations(source: Source, discontinuous: Discontinuous) -> Iterator[tuple[int, _Annotation]]:
    """Line numbers and text-bound annotations."""
    for line_number, raw_line in source.lines():
        line = raw_line.rstrip("\r\n") if raw_line.strip("\r\n") else ""
        if not line.strip() or line[0] in _SKIPPED_ANNOTATIONS:
            continue
        match = _TEXT_BOUND.fullmatch(line)
        if not match:
            problem = "this is not a brat annotation, which looks like 'T1<TAB>label 0 5<TAB>words'"
            raise DataError(problem, source.place, line_number)
        pieces = match[3].split(";")
        if len(pieces) > 1 and discontinuous == "error":
            problem = f"{match[1]} has {len(pieces)} pieces, and a mention is one range; read with discontinuous='hull'"
            raise DataError(
                problem + " to take everything from its first to its last character", source.place, line_number
            )
        offsets = [int(offset) for piece in pieces for offset in piece.split()]
        annotation = _Annotation(min(offsets), max(offsets), unquote(match[2]), match[4], len(pieces) == 1)
        yield line_number, annotation


def _byte_order_mark_shift(text: str, annotations: list[_Annotation]) -> int:
    """1 if the text begins with a byte order mark that the offsets do not count, else 0."""
    if not text.startswith("\ufeff"):
        return 0
    surfaces = [(item.start, item.end, item.surface) for item in annotations if item.is_continuous]
    checkable = [(start, end, surface) for start, end, surface in surfaces if surface is not None]
    fits_shifted = checkable and all(
        _same_surface(text[start + 1 : end + 1], surface) for start, end, surface in checkable
    )
    fits_unshifted = all(_same_surface(text[start:end], surface) for start, end, surface in checkable)
    return 1 if fits_shifted and not fits_unshifted else 0


def _same_surface(actual: str, surface: str) -> bool:
    """Whether two surfaces differ in whitespace only; tools write line ends inside mentions in several ways."""
    return actual == surface or "".join(actual.split()) == "".join(surface.split())


def _file_name(document_id: str) -> str:
    name = quote(document_id, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if not name or len(name) > _MAX_NAME_BYTES:
        problem = f"the id {document_id[:50]!r} does not make a file name of 1 to {_MAX_NAME_BYTES} bytes"
        raise DataError(f"{problem}; give another id")
    return name


def _annotation_line(number: int, mention: Mention) -> str:
    label = _UNSAFE_IN_LABEL.sub(lambda match: quote(match[0], safe=""), mention.label)
    surface = re.sub(r"[\r\n]", " ", mention.text)
    return f"T{number}\t{label} {mention.start} {mention.end}\t{surface}\n"
