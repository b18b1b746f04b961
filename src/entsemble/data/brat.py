"""brat standoff: a `.txt` and an `.ann` file per document, in a folder or in a tar or zip archive.

Offsets count the code points of the unchanged `.txt`, including a byte order mark and carriage returns. Only text-bound
annotations (`T`) are mentions; relations, events, attributes, normalisations and notes are skipped. A mention over a
line end has a piece for each line. brat cannot store scores, votes, tokens and meta, so they are not written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from entsemble.data import archives
from entsemble.data.json_values import same_but_whitespace
from entsemble.data.options import Discontinuous, ReadOptions
from entsemble.data.source import Source, readable_name
from entsemble.errors import DataError
from entsemble.types import Document, Mention

SUFFIXES = (".txt", ".ann")

_SKIPPED_ANNOTATIONS = "REAMN#*"
_PIECE = "[0-9]{1,15} +[0-9]{1,15}"
_TEXT_BOUND = re.compile(rf"(T[^\t]*?) *\t *(\S+) +({_PIECE}(?:;{_PIECE})*) *(?:\t(.*))?", re.DOTALL)
_UNSAFE_IN_LABEL = re.compile(r"[\s%]")
_LINE_CONTENT = re.compile(r"[^\r\n]+")
_MAX_NAME_BYTES = 251
"""A file name of this many bytes, plus its suffix, works on all common file systems."""

_MAX_WAITING_BYTES = 1 << 28
"""How much of an archive is held in memory until the other file of a pair comes."""


class _Annotation(NamedTuple):
    """A text-bound annotation.

    Attributes:
        name: its id.
        label: its type.
        pieces: start and end of each, as the file counts them.
        surface: its text according to the file; `None` if the file does not give it.
    """

    name: str
    label: str
    pieces: list[tuple[int, int]]
    surface: str | None

    @property
    def start(self) -> int:
        """Its first character."""
        return min(start for start, _ in self.pieces)

    @property
    def end(self) -> int:
        """The end of its last character."""
        return max(end for _, end in self.pieces)


FindOffset = Callable[[int], int]
"""A function from offsets in an `.ann` file to those in the text."""


def read_folder(folder: Path, files: Sequence[Path], options: ReadOptions, id_prefix: str = "") -> Iterator[Document]:
    """The documents among the `files` of a folder.

    Their ids are `id_prefix` and the relative path without the suffix. A `.txt` without an `.ann` has no mentions.

    Raises:
        DataError: an `.ann` has no `.txt`, a line is not a brat annotation, or a mention is not at its offsets.
    """
    paths: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and "__MACOSX" not in path.parts:
            name = path.relative_to(folder).as_posix()[:-4] + path.suffix.lower()
            if name in paths:
                raise DataError(f"{path.name} and {paths[name].name} are the same document; rename one of them", path)
            paths[name] = path
    for stem in _document_stems(paths, str(folder)):
        annotation_path = paths.get(stem + ".ann")
        text = Source.from_file(paths[stem + ".txt"]).text(keep_byte_order_mark=True)
        annotations = Source.from_file(annotation_path) if annotation_path else None
        yield _document(id_prefix + unquote(stem), text, annotations, options.discontinuous)


def read(path: Path, options: ReadOptions, name: str) -> Iterator[Document]:  # noqa: ARG001 - the ids are file names
    """The documents of an archive, or the document whose `.txt` or `.ann` is at `path`."""
    return read_archive(path, options) if archives.is_archive(path) else read_pair(path, options)


def read_pair(path: Path, options: ReadOptions) -> Iterator[Document]:
    """The document whose `.txt` or `.ann` is at `path`."""
    text_path, annotation_path = find_file(path, ".txt"), find_file(path, ".ann")
    if text_path is None:
        raise DataError(f"its text {path.with_suffix('.txt').name} is missing; put it into the same folder", path)
    text = Source.from_file(text_path).text(keep_byte_order_mark=True)
    annotations = Source.from_file(annotation_path) if annotation_path else None
    yield _document(unquote(path.stem), text, annotations, options.discontinuous)


def find_file(path: Path, suffix: str) -> Path | None:
    """The file beside `path`, or itself, that has this ending in lower or upper case."""
    if path.suffix.lower() == suffix:
        return path
    candidates = [path.with_suffix(suffix), path.with_suffix(suffix.upper())]
    return next((candidate for candidate in candidates if candidate.exists()), None)


def read_archive(path: Path, options: ReadOptions) -> Iterator[Document]:
    """The documents of a zip archive or a tar archive, which may be compressed.

    Their ids are the paths in the archive without the suffix. A document is yielded when both its files have been read;
    one without an `.ann` at once.

    Raises:
        DataError: as for `read_folder`, or the archive is broken.
    """
    names = [name[:-4] + name[-4:].lower() for name in archives.file_names(path) if name.lower().endswith(SUFFIXES)]
    _check_texts(names, str(path))
    annotated = {name[:-4] for name in names if name.endswith(".ann")}
    waiting: dict[str, bytes] = {}
    waiting_bytes = 0
    for file_name, content in archives.read_files(path, SUFFIXES):
        stem, suffix = file_name[:-4], file_name[-4:].lower()
        counterpart = waiting.pop(stem, None)
        if counterpart is not None:
            waiting_bytes -= len(counterpart)
            text, annotations = (content, counterpart) if suffix == ".txt" else (counterpart, content)
            yield _archived_document(path, stem, text, annotations, options)
        elif stem not in annotated:
            yield _archived_document(path, stem, content, None, options)
        else:
            waiting[stem] = content
            waiting_bytes += len(content)
            if waiting_bytes > _MAX_WAITING_BYTES:
                raise DataError("the two files of a document are too far apart in the archive; unpack it", path)


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


def _archived_document(
    path: Path, stem: str, raw_text: bytes, raw_annotations: bytes | None, options: ReadOptions
) -> Document:
    text = Source(f"{path}!{stem}.txt", None, BytesIO(raw_text)).text(keep_byte_order_mark=True)
    annotations = None if raw_annotations is None else Source(f"{path}!{stem}.ann", None, BytesIO(raw_annotations))
    return _document(unquote(stem), text, annotations, options.discontinuous)


def _document_stems(names: Iterable[str], place: str) -> list[str]:
    """The file names of the texts without their suffix; DataError if an `.ann` has no text."""
    all_names = set(names)
    _check_texts(all_names, place)
    return sorted(name[:-4] for name in all_names if name.endswith(".txt"))


def _check_texts(names: Iterable[str], place: str) -> None:
    """Raise DataError if an `.ann` has no text."""
    all_names = set(names)
    without_text = sorted(name for name in all_names if name.endswith(".ann") and name[:-4] + ".txt" not in all_names)
    if without_text:
        raise DataError(f"{without_text[0]} has no .txt in the same folder; put its text there", place)


def _document(document_id: str, text: str, annotations: Source | None, discontinuous: Discontinuous) -> Document:
    document_id = readable_name(document_id)
    if annotations is None:
        return Document(document_id, text)
    numbered_annotations = list(_read_annotations(annotations))
    find_offset = _fitting_count(text, [annotation for _, annotation in numbered_annotations])
    mentions, line_number = [], 0
    try:
        for line_number, annotation in numbered_annotations:  # noqa: B007 - the error names it
            mentions.append(_mention(annotation, text, find_offset, discontinuous))
    except DataError as error:
        raise DataError(error.problem, annotations.place, line_number) from None
    return Document(document_id, text, tuple(mentions))


def _read_annotations(source: Source) -> Iterator[tuple[int, _Annotation]]:
    """Line numbers and text-bound annotations."""
    for line_number, raw_line in source.lines():
        line = raw_line.rstrip("\r\n")
        if not line.strip() or line[0] in _SKIPPED_ANNOTATIONS:
            continue
        match = _TEXT_BOUND.fullmatch(line)
        if not match:
            problem = "this is not a brat annotation, which looks like 'T1<TAB>label 0 5<TAB>words'"
            raise DataError(f"{problem}; correct the line", source.place, line_number)
        pieces = [(int(start), int(end)) for start, end in (piece.split() for piece in match[3].split(";"))]
        yield line_number, _Annotation(match[1], unquote(match[2]), pieces, match[4])


def _mention(annotation: _Annotation, text: str, find_offset: FindOffset, discontinuous: Discontinuous) -> Mention:
    start, end = find_offset(annotation.start), find_offset(annotation.end)
    reversed_pieces = [piece for piece in annotation.pieces if piece[0] >= piece[1]]
    if reversed_pieces or not 0 <= start < end <= len(text):
        wrong_start, wrong_end = (*reversed_pieces, (annotation.start, annotation.end))[0]
        problem = f"[{wrong_start}, {wrong_end}) is not a range of a text of {len(text)} characters"
        raise DataError(f"{problem}; correct the offsets")
    if not _is_continuous(annotation, text, find_offset):
        if discontinuous == "error":
            problem = f"{annotation.name} has {len(annotation.pieces)} pieces, and a mention is one range"
            raise DataError(
                f"{problem}; read with discontinuous='hull' to take everything from its first to its last character"
            )
    elif not _fits(annotation, text, find_offset):
        says = f"the line says {annotation.surface!r}, but the text has {text[start:end]!r}"
        raise DataError(f"{says} at [{annotation.start}, {annotation.end}); correct one of them")
    return Mention(start, end, annotation.label, text[start:end])


def _is_continuous(annotation: _Annotation, text: str, find_offset: FindOffset) -> bool:
    """Whether only whitespace lies between the pieces, as where brat splits a mention at line ends."""
    gaps = [(find_offset(left[1]), find_offset(right[0])) for left, right in pairwise(annotation.pieces)]
    return all(start <= end and not text[start:end].strip() for start, end in gaps)


def _fits(annotation: _Annotation, text: str, find_offset: FindOffset) -> bool:
    """Whether an annotation's text is at its offsets; a comment may follow it behind a TAB."""
    start, end = find_offset(annotation.start), find_offset(annotation.end)
    actual, surface = text[max(start, 0) : max(end, 0)], annotation.surface
    return surface is None or any(same_but_whitespace(actual, part) for part in (surface, surface.partition("\t")[0]))


def _fitting_count(text: str, annotations: Sequence[_Annotation]) -> FindOffset:
    """The first way of counting that fits the texts of all annotations; if none does, code points.

    Tools may leave out a byte order mark, or count a CRLF as one character.
    """
    counts: list[FindOffset] = [lambda offset: offset]
    mark = len(text) - len(text.removeprefix("\ufeff"))
    if mark:
        counts.append(lambda offset: offset + 1)
    if "\r\n" in text:
        widths = (0 if left + right == "\r\n" else 1 for left, right in pairwise(text[mark:] + " "))
        numbered_counts = list(enumerate(accumulate(widths, initial=0), mark))
        offsets = {count: index for index, count in reversed(numbered_counts)}
        counts.append(lambda offset: offsets.get(offset, -1))
    for find_offset in counts:
        if all(_fits(annotation, text, find_offset) for annotation in annotations):
            return find_offset
    return counts[0]


def _file_name(document_id: str) -> str:
    """The id, percent-encoded; if that is too long, letters outside ASCII stay as they are."""
    name = quote(document_id, safe="")
    if len(name) > _MAX_NAME_BYTES:
        name = "".join(character if character.isalnum() else quote(character, safe="") for character in document_id)
    if name.startswith("."):
        name = "%2E" + name[1:]
    if not name or len(name.encode()) > _MAX_NAME_BYTES:
        problem = f"the id {document_id[:50]!r} does not make a file name of 1 to {_MAX_NAME_BYTES} bytes"
        raise DataError(f"{problem}; give another id")
    return name


def _annotation_line(number: int, mention: Mention) -> str:
    label = _UNSAFE_IN_LABEL.sub(lambda match: quote(match[0], safe=""), mention.label)
    lines = [
        (mention.start + match.start(), mention.start + match.end()) for match in _LINE_CONTENT.finditer(mention.text)
    ]
    pieces = [(start, end) for start, end in lines if mention.text[start - mention.start : end - mention.start].strip()]
    if not pieces or (pieces[0][0], pieces[-1][1]) != (mention.start, mention.end):
        pieces = [(mention.start, mention.end)]  # it begins or ends with a line end, which brat does not support
    offsets = ";".join(f"{start} {end}" for start, end in pieces)
    surface = re.sub(r"[\r\n]", " ", mention.text)
    return f"T{number}\t{label} {offsets}\t{surface}\n"
