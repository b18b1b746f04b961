"""brat standoff: a `.txt` and an `.ann` file per document, in a folder or in a tar or zip archive; also BioNLP.

In BioNLP's files, `.a1` holds the given mentions and `.a2` what is to be predicted; as in brat, they are read together,
and only where there is no `.ann`. A mention over a line end has a piece for each line. brat cannot store scores, votes,
tokens and meta, so they are not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, unquote

from entsemble.data import archives, standoff
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source, readable_name
from entsemble.errors import DataError, warn
from entsemble.types import Document, Mention

ANNOTATION_SUFFIXES = (".ann", ".a1", ".a2")
SUFFIXES = (".txt", *ANNOTATION_SUFFIXES)

_UNSAFE_IN_LABEL = re.compile(r"[\s%]")
_LINE_END = "[\\r\\n]"
_LINE_CONTENT = re.compile(r"[^\r\n]+")
_MAX_NAME_BYTES = 251
"""A file name of this many bytes, plus its suffix, works on all common file systems."""

_MAX_WAITING_BYTES = 1 << 28
"""How much of an archive is held in memory until the other files of a document come."""


def read_folder(folder: Path, files: Sequence[Path], options: ReadOptions, id_prefix: str = "") -> Iterator[Document]:
    """The documents among the `files` of a folder.

    Their ids are `id_prefix` and the relative path without the suffix. A `.txt` without annotations has no mentions.

    Raises:
        DataError: annotations have no `.txt`, a line is not a brat annotation, or a mention is not at its offsets.
    """
    paths: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and "__MACOSX" not in path.parts:
            name = _canonical_name(path.relative_to(folder).as_posix())
            if name in paths:
                raise DataError(f"{path.name} and {paths[name].name} are the same document; rename one of them", path)
            paths[name] = path
    for stem, suffixes in sorted(_annotation_suffixes(paths, str(folder)).items()):
        text = Source.from_file(paths[stem + ".txt"])
        annotations = [Source.from_file(paths[stem + suffix]) for suffix in suffixes]
        yield _document(id_prefix + unquote(stem), text, annotations, options)


def read(path: Path, options: ReadOptions, name: str) -> Iterator[Document]:  # noqa: ARG001 - the ids are file names
    """The documents of an archive, or the document one of whose files is at `path`."""
    return read_archive(path, options) if archives.is_archive(path) else read_document(path, options)


def read_document(path: Path, options: ReadOptions) -> Iterator[Document]:
    """The document one of whose files is at `path`."""
    text_path = find_file(path, ".txt")
    if text_path is None:
        raise DataError(f"its text {path.with_suffix('.txt').name} is missing; put it into the same folder", path)
    paths = {suffix: beside for suffix in ANNOTATION_SUFFIXES if (beside := find_file(path, suffix))}
    annotations = [Source.from_file(paths[suffix]) for suffix in _suffixes_to_read(paths)]
    yield _document(unquote(path.stem), Source.from_file(text_path), annotations, options)


def find_file(path: Path, suffix: str) -> Path | None:
    """The file beside `path`, or itself, that has this ending in lower or upper case."""
    if path.suffix.lower() == suffix:
        return path
    candidates = [path.with_suffix(suffix), path.with_suffix(suffix.upper())]
    return next((candidate for candidate in candidates if candidate.exists()), None)


def has_annotations(path: Path) -> bool:
    """Whether there is a file of annotations beside a text."""
    return any(find_file(path, suffix) for suffix in ANNOTATION_SUFFIXES)


def has_standoff(names: Iterable[str]) -> bool:
    """Whether there are annotations of brat or BioNLP among files."""
    return any(name.lower().endswith(ANNOTATION_SUFFIXES) for name in names)


def read_archive(path: Path, options: ReadOptions) -> Iterator[Document]:
    """The documents of a zip archive or a tar archive, which may be compressed.

    Their ids are the paths in the archive without the suffix. A document is yielded when all its files have been read.

    Raises:
        DataError: as for `read_folder`, or the archive is broken.
    """
    names = [_canonical_name(name) for name in archives.file_names(path) if name.lower().endswith(SUFFIXES)]
    suffixes_by_stem = _annotation_suffixes(names, str(path))
    waiting: dict[str, dict[str, bytes]] = {}
    waiting_bytes = 0
    for file_name, content in archives.read_files(path, SUFFIXES):
        stem, _, suffix = _canonical_name(file_name).rpartition(".")
        files = waiting.setdefault(stem, {})
        files[f".{suffix}"] = content
        waiting_bytes += len(content)
        if all(expected in files for expected in (".txt", *suffixes_by_stem[stem])):
            sources = {part: Source(f"{path}!{stem}{part}", None, BytesIO(raw)) for part, raw in files.items()}
            annotations = [sources[part] for part in suffixes_by_stem[stem]]
            yield _document(unquote(stem), sources[".txt"], annotations, options)
            waiting_bytes -= sum(map(len, waiting.pop(stem).values()))
        if waiting_bytes > _MAX_WAITING_BYTES:
            raise DataError("the files of a document are too far apart in the archive; unpack it", path)


def write_folder(documents: Iterable[Document], folder: Path) -> None:
    """A pair of files per document in a new folder.

    File names are percent-encoded ids. Whitespace and percent signs in labels are percent-encoded, too.

    Raises:
        DataError: two documents have the same id, or an id is too long for a file name.
    """
    folder.mkdir()
    refused_count = 0
    for document in documents:
        file_name = _file_name(document.id)
        if (folder / f"{file_name}.txt").exists():
            raise DataError(f"two documents would be the file {file_name}.txt; give each its own id")
        (folder / f"{file_name}.txt").write_bytes(document.text.encode())
        lines = "".join(_annotation_line(number, mention) for number, mention in enumerate(document.mentions, 1))
        (folder / f"{file_name}.ann").write_bytes(lines.encode())
        refused_count += sum(_is_refused_by_brat(mention) for mention in document.mentions)
    if refused_count:
        noun = "mention begins or ends" if refused_count == 1 else "mentions begin or end"
        warn(f"{refused_count} {noun} with a line end, which brat refuses, although entsemble reads it")


def _canonical_name(name: str) -> str:
    """A file's name with its suffix in lower case."""
    stem, dot, suffix = name.rpartition(".")
    return stem + dot + suffix.lower()


def _suffixes_to_read(suffixes: Iterable[str]) -> tuple[str, ...]:
    """Those of a document's files of annotations that are read: `.ann`, or else those of BioNLP."""
    present = set(suffixes)
    return (".ann",) if ".ann" in present else tuple(suffix for suffix in (".a1", ".a2") if suffix in present)


def _annotation_suffixes(names: Iterable[str], place: str) -> dict[str, tuple[str, ...]]:
    """Stem of each document -> the suffixes of its annotations; DataError if annotations have no text."""
    suffixes_by_stem: dict[str, set[str]] = {}
    for name in names:
        stem, _, suffix = name.rpartition(".")
        suffixes_by_stem.setdefault(stem, set()).add(f".{suffix}")
    for stem, suffixes in sorted(suffixes_by_stem.items()):
        if ".txt" not in suffixes:
            problem = f"{stem}{min(suffixes)} has no .txt in the same folder; put its text there"
            raise DataError(problem, place)
    return {stem: _suffixes_to_read(suffixes) for stem, suffixes in suffixes_by_stem.items()}


def _document(document_id: str, text: Source, annotations: Sequence[Source], options: ReadOptions) -> Document:
    content = text.text(keep_byte_order_mark=True)
    mentions = standoff.read_mentions(content, annotations, options.discontinuous)
    return Document(readable_name(document_id), content, mentions)


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
    pieces = _pieces(mention)
    offsets = ";".join(f"{mention.start + start} {mention.start + end}" for start, end in pieces)
    surface = " ".join(mention.text[start:end] for start, end in pieces)  # as brat joins pieces
    return f"T{number}\t{label} {offsets}\t{re.sub(_LINE_END, ' ', surface)}\n"


def _pieces(mention: Mention) -> list[tuple[int, int]]:
    """The parts of a mention's text that lie on different lines; all of it if one at its edge is blank."""
    lines = [match.span() for match in _LINE_CONTENT.finditer(mention.text) if match[0].strip()]
    if lines and lines[0][0] == 0 and lines[-1][1] == len(mention.text):
        return lines
    return [(0, len(mention.text))]


def _is_refused_by_brat(mention: Mention) -> bool:
    """Whether a line end is in one of its pieces."""
    return len(_pieces(mention)) == 1 and re.search(_LINE_END, mention.text) is not None
