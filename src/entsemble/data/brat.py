"""brat standoff: a `.txt` and an `.ann` a document, in a folder or in a tar or zip archive.

Offsets count code points of the `.txt` as it is, a byte order mark and carriage returns included. Only text-bound
annotations (`T`) are mentions; relations, events, attributes, normalisations and notes are passed over. Scores, votes,
tokens and meta have no place in brat and are not written.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, unquote

from entsemble.data.options import Discontinuous, ReadOptions
from entsemble.data.source import Source, readable_name
from entsemble.errors import DataError
from entsemble.types import Document, Mention

ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz", ".zip")

_OTHER_LINES = "REAMN#*"
_T_LINE = re.compile(r"(T[^\t]*)\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?", re.DOTALL)
_UNSAFE_IN_LABEL = re.compile(r"[\s%]")
_LONGEST_NAME = 240
"""Bytes of a file name that all common file systems take, without its ending."""


def read_folder(folder: Path, files: Sequence[Path], options: ReadOptions, under: str = "") -> Iterator[Document]:
    """All pairs among the `files` below `folder`; ids are relative paths without the ending, behind `under`.

    A `.txt` without an `.ann` is a document without mentions.

    Raises:
        DataError: an `.ann` without its `.txt`, a line that is no annotation, or a mention that is not where it says.
    """
    paths = {p.relative_to(folder).as_posix(): p for p in files if p.suffix in (".txt", ".ann")}
    for stem in _stems(paths, str(folder)):
        ann = paths.get(stem + ".ann")
        text = Source.from_file(paths[stem + ".txt"]).text(keep_mark=True)
        yield _document(under + unquote(stem), text, Source.from_file(ann) if ann else None, options.discontinuous)


def read(path: Path, options: ReadOptions, name: str) -> Iterator[Document]:  # noqa: ARG001 - ids are names of files
    """The documents of an archive, or the one whose `.txt` or `.ann` is at `path`."""
    return read_archive(path, options) if path.name.lower().endswith(ARCHIVES) else read_pair(path, options)


def read_pair(path: Path, options: ReadOptions) -> Iterator[Document]:
    """The document whose `.txt` or `.ann` is at `path`."""
    text_path, ann = path.with_suffix(".txt"), path.with_suffix(".ann")
    if not text_path.exists():
        raise DataError(f"its text {text_path.name} is missing; put it beside", path)
    text = Source.from_file(text_path).text(keep_mark=True)
    yield _document(unquote(path.stem), text, Source.from_file(ann) if ann.exists() else None, options.discontinuous)


def read_archive(path: Path, options: ReadOptions) -> Iterator[Document]:
    """All pairs in a tar (also compressed) or zip archive; ids are the members' paths without the ending.

    The archive is read once from front to back: documents come as their pair is complete, those without an `.ann` last.

    Raises:
        DataError: as for `read_folder`, or the archive is broken.
    """
    waiting: dict[str, bytes] = {}
    try:
        for name, content in _zipped(path) if zipfile.is_zipfile(path) else _tarred(path):
            stem, ending = name[:-4], name[-4:]
            other = waiting.pop(stem + (".txt" if ending == ".ann" else ".ann"), None)
            if other is None:
                waiting[name] = content
            else:
                text, ann = (content, other) if ending == ".txt" else (other, content)
                yield _archived(path, stem, text, ann, options)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error) as error:
        raise DataError(f"no archive that can be read: {error}; is the file complete?", path) from error
    for stem in _stems(waiting, str(path)):
        yield _archived(path, stem, waiting[stem + ".txt"], None, options)


def write_folder(documents: Iterable[Document], folder: Path) -> None:
    """A pair a document in `folder`, which is made.

    The file name is the id, percent-encoded so that it can be read back.
    Blanks and percent signs in labels are percent-encoded too, and line ends inside a mention become blanks in its
    `.ann` line, as brat wants.

    Raises:
        DataError: two documents have one id, or an id is too long for a file name.
    """
    folder.mkdir()
    for document in documents:
        name = _file_name(document.id)
        if (folder / f"{name}.txt").exists():
            raise DataError(f"two documents would be the file {name}.txt; give each its own id")
        (folder / f"{name}.txt").write_bytes(document.text.encode())
        lines = "".join(_t_line(i, m) for i, m in enumerate(document.mentions, 1))
        (folder / f"{name}.ann").write_bytes(lines.encode())


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith((".txt", ".ann")):
                yield name, archive.read(name)


def _tarred(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith((".txt", ".ann")):
                file = archive.extractfile(member)
                yield member.name, file.read() if file else b""


def _archived(path: Path, stem: str, text: bytes, ann: bytes | None, options: ReadOptions) -> Document:
    whole = Source(f"{path}!{stem}.txt", None, BytesIO(text)).text(keep_mark=True)
    annotations = None if ann is None else Source(f"{path}!{stem}.ann", None, BytesIO(ann))
    return _document(unquote(stem), whole, annotations, options.discontinuous)


def _stems(names: Iterable[str], place: str) -> list[str]:
    """The names without ending of all pairs, where any `.ann` is; README files and the like are no pairs."""
    known = set(names)
    lonely = sorted(n for n in known if n.endswith(".ann") and n[:-4] + ".txt" not in known)
    if lonely:
        raise DataError(f"{lonely[0]} has no .txt beside it; put its text there", place)
    return sorted(n[:-4] for n in known if n.endswith(".txt"))


def _document(identity: str, text: str, annotations: Source | None, discontinuous: Discontinuous) -> Document:
    identity = readable_name(identity)
    if annotations is None:
        return Document(identity, text)
    found = list(_annotations(annotations, discontinuous))
    shift = _shift(text, found)
    mentions = []
    for line, (start, end, label, surface, whole) in found:
        if not 0 <= start < end <= len(text) - shift:
            problem = f"[{start}, {end}) is no range of a text of {len(text)} characters; mend the offsets"
            raise DataError(problem, annotations.place, line)
        own = text[start + shift : end + shift]
        if whole and surface is not None and not _same(own, surface):
            problem = f"the line says {surface!r}, but the text has {own!r} at [{start}, {end}); mend one of them"
            raise DataError(problem, annotations.place, line)
        mentions.append(Mention(start + shift, end + shift, label, own))
    return Document(identity, text, tuple(mentions))


_Annotation = tuple[int, int, str, "str | None", bool]


def _annotations(source: Source, discontinuous: Discontinuous) -> Iterator[tuple[int, _Annotation]]:
    """Line number and `(start, end, label, surface, in one piece)` of each T line."""
    for number, raw in source.lines():
        line = raw.rstrip("\r\n") if raw.strip("\r\n") else ""
        if not line.strip() or line[0] in _OTHER_LINES:
            continue
        match = _T_LINE.fullmatch(line)
        if not match:
            raise DataError("no annotation; one looks like 'T1<TAB>label 0 5<TAB>words'", source.place, number)
        pieces = match[3].split(";")
        if len(pieces) > 1 and discontinuous == "error":
            problem = f"{match[1]} has {len(pieces)} pieces, and a mention is one range; read with discontinuous='hull'"
            raise DataError(problem + " to take everything from its first to its last character", source.place, number)
        numbers = [int(n) for piece in pieces for n in piece.split()]
        yield number, (min(numbers), max(numbers), unquote(match[2]), match[4], len(pieces) == 1)


def _shift(text: str, found: list[tuple[int, _Annotation]]) -> int:
    """1 where the text begins with a byte order mark that the offsets do not count, else 0."""
    if not text.startswith("\ufeff"):
        return 0
    telling = [(s, e, surface) for _, (s, e, _, surface, whole) in found if whole and surface is not None]
    uncounted = telling and all(_same(text[s + 1 : e + 1], surface) for s, e, surface in telling)
    return 1 if uncounted and not all(_same(text[s:e], surface) for s, e, surface in telling) else 0


def _same(own: str, surface: str) -> bool:
    """Whether two surfaces are the same but for blanks; tools write line ends inside mentions in several ways."""
    return own == surface or "".join(own.split()) == "".join(surface.split())


def _file_name(identity: str) -> str:
    name = quote(identity, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if not name or len(name) > _LONGEST_NAME:
        raise DataError(f"the id {identity[:50]!r} makes no file name of 1 to {_LONGEST_NAME} bytes; give another id")
    return name


def _t_line(number: int, mention: Mention) -> str:
    label = _UNSAFE_IN_LABEL.sub(lambda m: quote(m[0], safe=""), mention.label)
    surface = re.sub(r"[\r\n]", " ", mention.text)
    return f"T{number}\t{label} {mention.start} {mention.end}\t{surface}\n"
