"""The one door for data: `read` and `write` documents in any known format, named or recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, TextIO

from entsemble._lib.atomic import replacing
from entsemble.data import annotation_tools, brat, detect, docbin, html, jsonl, parquet, plain, tables
from entsemble.data.conll import reader as conll
from entsemble.data.conll import writer as conll_writer
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source, files_below, reading
from entsemble.data.unique_ids import Seen
from entsemble.errors import ConfigError, DataError, UnknownNameError
from entsemble.types import Document

Reader = Callable[[Source, ReadOptions], Iterator[Document]]
Writer = Callable[[Iterable[Document], TextIO], None]


@dataclass(frozen=True, slots=True)
class Format:
    """One way to store documents: as text, which may come from a stream, or as what only a path can name.

    Attributes:
        reader: documents of one text file or stream.
        writer: documents into one text stream.
        path_reader: documents of a path, called by a name.
        path_writer: documents to a path that does not exist.
    """

    reader: Reader | None = None
    writer: Writer | None = None
    path_reader: Callable[[Path, ReadOptions, str], Iterator[Document]] | None = None
    path_writer: Callable[[Iterable[Document], Path], None] | None = None


OnError = Callable[[DataError], None]

FORMATS: dict[str, Format] = {
    "brat": Format(path_reader=brat.read, path_writer=brat.write_folder),
    "conll": Format(conll.read, conll_writer.write),
    "csv": Format(tables.read_csv),
    "doccano": Format(jsonl.read_lines, annotation_tools.write_doccano),
    "html": Format(None, html.write),
    "json": Format(jsonl.read_array, jsonl.write_array),
    "jsonl": Format(jsonl.read_lines, jsonl.write_lines),
    "label-studio": Format(annotation_tools.read_label_studio, annotation_tools.write_label_studio),
    "parquet": Format(path_reader=parquet.read, path_writer=parquet.write),
    "prodigy": Format(annotation_tools.read_prodigy, annotation_tools.write_prodigy),
    "spacy": Format(path_reader=docbin.read, path_writer=docbin.write),
    "text": Format(plain.read),
    "tsv": Format(tables.read_tsv),
}

READABLE = tuple(n for n, f in FORMATS.items() if f.reader or f.path_reader)
WRITABLE = tuple(n for n, f in FORMATS.items() if f.writer or f.path_writer)


def read(
    paths: str | Path | Iterable[str | Path],
    format: str | None = None,  # noqa: A002 the word users know
    options: ReadOptions | None = None,
    on_error: OnError | None = None,
) -> Iterator[Document]:
    """The documents of files and folders, one at a time, in the order given.

    A folder with `.ann` files is one brat collection; of any other folder every file below it whose format is
    recognised is read, sorted by its path.

    Args:
        paths: one path or several.
        format: a name in `READABLE`; recognised file by file where not given.
        options: what the readers cannot know.
        on_error: told of a file that cannot be read, from the place where it cannot; the next file goes on. Without
            it, the error is raised.

    Raises:
        UnknownNameError: there is no such format. Raised at once, all others while reading.
        DataError: a file that is missing or cannot be read as asked, or an id that comes twice.
    """
    if format is not None:
        _known(format, READABLE)
    several = [paths] if isinstance(paths, (str, Path)) else list(paths)
    return _unique(_read_all([Path(p) for p in several], format, options or ReadOptions(), on_error))


def read_stream(
    stream: TextIO | BinaryIO,
    name: str = "stdin",
    format: str | None = None,  # noqa: A002
    options: ReadOptions | None = None,
) -> Iterator[Document]:
    """The documents of a stream, such as standard input, whose ids begin with `name` where it gives none.

    Raises:
        UnknownNameError: there is no such format.
        ConfigError: brat or Parquet, which are read where they lie.
        DataError: as for `read`.
    """
    source = Source.from_stream(stream, name)
    chosen = _known(format, READABLE) if format else None
    if chosen and chosen.reader is None:
        raise ConfigError(f"{format} cannot come from a stream; give its path")
    return _unique(_read_source(source, format, options or ReadOptions()))


def write(
    documents: Iterable[Document],
    path: str | Path,
    format: str | None = None,  # noqa: A002
    *,
    overwrite: bool = False,
) -> None:
    """Write documents so that `path` holds either all of them or what it held before.

    Args:
        documents: taken in one at a time.
        path: a file; for brat a folder that does not exist or is empty.
        format: a name in `WRITABLE`; told from the ending of `path` where not given.
        overwrite: whether a folder that holds something may be replaced, since an earlier part of this run wrote it.

    Raises:
        UnknownNameError: there is no such format, or `path` does not tell one.
        DataError: the documents cannot be held by the format, or the path cannot be written.
    """
    target = Path(path)
    known = check_target(target, format, overwrite=overwrite)
    try:
        with replacing(target) as temporary:
            if known.path_writer:
                known.path_writer(documents, temporary)
            elif known.writer:
                with temporary.open("w", encoding="utf-8", newline="\n") as stream:
                    known.writer(documents, stream)
    except UnicodeEncodeError as error:
        raise DataError("a document holds half of a surrogate pair, which no file can", target) from error
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}; check the path", target) from error


def write_stream(documents: Iterable[Document], stream: TextIO, format: str) -> None:  # noqa: A002
    """Write documents to an open text stream, such as standard output.

    Raises:
        UnknownNameError: there is no such format.
        ConfigError: brat or Parquet, which need a path.
    """
    check_stream(format)(documents, stream)


def check_target(target: Path, format: str | None = None, *, overwrite: bool = False) -> Format:  # noqa: A002
    """What `write` would refuse before it takes a document in, and the format that it would write; see there."""
    name = format or _named_by(target)
    known = _known(name, WRITABLE)
    if name == "brat" and target.exists() and not (target.is_dir() and (overwrite or not any(target.iterdir()))):
        raise DataError("exists and is no empty folder; brat needs a new one", target)
    if name != "brat" and target.is_dir():
        raise DataError(f"is a folder, and {name} is a file; give the file's name", target)
    return known


def check_stream(format: str) -> Writer:  # noqa: A002
    """What `write_stream` would refuse before it takes a document in, and what writes; see there."""
    writer = _known(format, WRITABLE).writer
    if writer is None:
        raise ConfigError(f"{format} cannot go to a stream; give a path")
    return writer


def _known(name: str, among: Sequence[str]) -> Format:
    if name not in among:
        raise UnknownNameError("format", name, among)
    return FORMATS[name]


def _named_by(target: Path) -> str:
    if not target.suffix or target.is_dir():
        return "brat" if target.is_dir() else _unnamed(target)
    return detect.by_ending(target) or _unnamed(target)


def _unnamed(target: Path) -> str:
    raise ConfigError(f"{target.name!r} tells no format; name one of {', '.join(WRITABLE)}")


def _read_all(
    paths: Sequence[Path], name: str | None, options: ReadOptions, on_error: OnError | None
) -> Iterator[Document]:
    names = [p.name for p in paths]
    for path in paths:
        shown = path.name if names.count(path.name) == 1 else path.as_posix()
        with reading(path):
            folder = path.is_dir()
        if folder:
            under = f"{shown}/" if len(paths) > 1 else ""
            yield from _tolerant(partial(_read_folder, path, under, name, options, on_error), on_error)
        else:
            yield from _tolerant(partial(_read_file, path, shown, name, options), on_error)


def _tolerant(reader: Callable[[], Iterator[Document]], on_error: OnError | None) -> Iterator[Document]:
    try:
        yield from reader()
    except DataError as error:
        if on_error is None:
            raise
        on_error(error)


def _read_folder(
    folder: Path, under: str, name: str | None, options: ReadOptions, on_error: OnError | None
) -> Iterator[Document]:
    files = files_below(folder, on_error)
    if name == "brat" or (name is None and any(p.suffix == ".ann" for p in files)):
        yield from brat.read_folder(folder, files, options, under)
        return
    wanted = [p for p in files if not p.name.startswith(".") and (name or _recognised(p))]
    if not wanted:
        raise DataError("the folder holds no file of a known format; name the format, or give the files", folder)
    for path in wanted:
        shown = under + path.relative_to(folder).as_posix()
        yield from _tolerant(partial(_read_file, path, shown, name, options), on_error)


def _recognised(path: Path) -> bool:
    """Whether a file in a folder is read: its ending is known, or its content is CoNLL."""
    named = detect.by_ending(path)
    if named == "html":
        return False
    try:
        return named is not None or detect.of(Source.from_file(path)) == "conll"
    except DataError:
        return False  # neither text nor named like one: a picture, a model


def _read_file(path: Path, shown: str, name: str | None, options: ReadOptions) -> Iterator[Document]:
    if not path.exists():
        raise DataError("there is no such file; check the path", path)
    return _read_source(Source.from_file(path, shown), name, options)


def _read_source(source: Source, name: str | None, options: ReadOptions) -> Iterator[Document]:
    chosen = name or ("conll" if options.conll else detect.of(source))
    reader, path_reader = FORMATS[chosen].reader, FORMATS[chosen].path_reader
    if path_reader and source.path:
        return path_reader(source.path, options, source.name)
    if reader is None:
        raise DataError(f"{chosen} cannot be read from one file", source.place)
    return reader(source, options)


def _unique(documents: Iterable[Document]) -> Iterator[Document]:
    """Documents as they come; ids name them in outputs, journals and errors, so a second one of a name is an error."""
    with closing(Seen()) as seen:
        for document in documents:
            if not seen.add(document.id):
                raise DataError(f"two documents have the id {document.id!r}; give each its own, or leave ids out")
            yield document
