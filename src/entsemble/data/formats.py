"""Reads and writes documents in all formats: the entry point of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TextIO

from entsemble._lib.atomic import replacing
from entsemble._lib.locks import OutputLock
from entsemble.data import archives, brat, class_names, detect, label_studio, losses, unread
from entsemble.data.format_table import FORMATS, READABLE, WRITABLE, Format, Writer, find_format
from entsemble.data.options import ReadOptions, WriteOptions
from entsemble.data.source import Source, files_below, reading
from entsemble.data.unique_ids import check_unique
from entsemble.errors import ConfigError, DataError
from entsemble.types import Document

OnError = Callable[[DataError], None]


def read(
    paths: str | Path | Iterable[str | Path],
    format: str | None = None,  # noqa: A002 the word users know
    options: ReadOptions | None = None,
    on_error: OnError | None = None,
) -> Iterator[Document]:
    """The documents of files and folders, one at a time, in the order of the paths.

    A folder with `.ann` files is one brat collection. In any other folder, all files of a detected format are read,
    subfolders included, sorted by path.

    Args:
        paths: one path or several.
        format: a name in `READABLE`; by default it is detected for each file.
        options: what the readers cannot detect.
        on_error: called for each file that cannot be read, or not to its end; reading continues with the next file. By
            default the error is raised.

    Raises:
        UnknownNameError: there is no such format. Raised at once, all other errors while reading.
        DataError: a file is missing or cannot be read, or two documents have the same id.
    """
    if format is not None:
        find_format(format, READABLE)
    path_list = [paths] if isinstance(paths, (str, Path)) else list(paths)
    documents = _read_paths([Path(path) for path in path_list], format, options or ReadOptions(), on_error)
    return check_unique(documents, path_list[0] if len(path_list) == 1 else None)


def read_stream(
    stream: TextIO | BinaryIO,
    name: str = "stdin",
    format: str | None = None,  # noqa: A002
    options: ReadOptions | None = None,
) -> Iterator[Document]:
    """The documents of a stream, such as standard input.

    Args:
        stream: of text or bytes.
        name: the ids of documents without an id begin with it.
        format: a name in `READABLE`; detected by default.
        options: what the readers cannot detect.

    Raises:
        UnknownNameError: there is no such format.
        ConfigError: the format can only be read from a path (brat, Parquet, DocBin).
        DataError: as for `read`.
    """
    source = Source.from_stream(stream, name)
    stream_format = find_format(format, READABLE) if format else None
    if stream_format and stream_format.reader is None:
        raise ConfigError(f"{format} cannot come from a stream; give its path")
    return check_unique(_read_source(source, format, options or ReadOptions()), name)


def write(
    documents: Iterable[Document],
    path: str | Path,
    format: str | None = None,  # noqa: A002
    *,
    overwrite: bool = False,
    lock: OutputLock | None = None,
    options: WriteOptions | None = None,
) -> None:
    """Write documents to `path`; after an error it is as it was before.

    Args:
        documents: read one at a time.
        path: a file; for brat, and for texts if it has no suffix, a folder that does not exist or is empty.
        format: a name in `WRITABLE`; by default the one that the suffix of `path` stands for.
        overwrite: whether a folder that is not empty may be replaced, because an earlier part of this run wrote it.
        lock: the lock of `path`, if the caller has it.
        options: names in the tasks of Label Studio.

    Raises:
        UnknownNameError: there is no such format.
        ConfigError: the suffix of `path` does not stand for a format.
        DataError: the format cannot represent the documents, or the path cannot be written.
        InUseError: another process is writing to `path`.
    """
    target = Path(path)
    target_format = check_target(target, format, overwrite=overwrite)
    documents = documents if target_format.stores_scores else losses.warn_of_scores(documents, target)
    try:
        with replacing(target, lock=lock) as replacement:
            if target_format.path_writer:
                target_format.path_writer(documents, replacement)
            elif target_format.writer:
                with replacement.open("w", encoding="utf-8", newline="\n") as stream:
                    _write_text(target_format.writer, documents, stream, options)
    except UnicodeEncodeError as error:
        problem = "a document contains half of a surrogate pair, which cannot be written to a file"
        raise DataError(problem, target) from error
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}; check the path", target) from error


def write_stream(
    documents: Iterable[Document],
    stream: TextIO,
    format: str,  # noqa: A002
    options: WriteOptions | None = None,
) -> None:
    """Write documents to an open text stream, such as standard output.

    Raises:
        UnknownNameError: there is no such format.
        ConfigError: the format needs a path (brat, Parquet, DocBin).
    """
    writer = check_stream(format)
    documents = documents if FORMATS[format].stores_scores else losses.warn_of_scores(documents, format)
    _write_text(writer, documents, stream, options)


def _write_text(writer: Writer, documents: Iterable[Document], stream: TextIO, options: WriteOptions | None) -> None:
    if writer is label_studio.write and options:
        label_studio.write(documents, stream, options)
    else:
        writer(documents, stream)


def check_target(target: Path, format: str | None = None, *, overwrite: bool = False) -> Format:  # noqa: A002
    """The format in which `write` would write; raises at once what `write` would raise before the first document."""
    format_name = format or format_of_target(target)
    target_format = find_format(format_name, WRITABLE)
    is_folder = format_name == "brat" or (format_name == "text" and not target.suffix)
    if is_folder and target.exists() and not (target.is_dir() and (overwrite or not any(target.iterdir()))):
        raise DataError(f"exists and is not an empty folder; {format_name} needs a new one", target)
    if not is_folder and target.is_dir():
        raise DataError(f"is a folder, but {format_name} is written to a file; give the file's name", target)
    return target_format


def check_stream(format: str) -> Writer:  # noqa: A002
    """The writer that `write_stream` would use; raises at once what `write_stream` would raise."""
    writer = find_format(format, WRITABLE).writer
    if writer is None:
        raise ConfigError(f"{format} cannot go to a stream; give a path")
    return writer


def format_of_target(target: Path) -> str:
    """The format that the name of an output stands for; ConfigError if it stands for none."""
    if target.is_dir():
        return "brat"
    suffix_format = "xlsx" if target.suffix.lower() == ".xlsx" else detect.format_of_name(target)
    if suffix_format is None or not target.suffix:
        raise ConfigError(f"the name {target.name!r} does not say the format; name one of {', '.join(WRITABLE)}")
    return suffix_format


def _read_paths(
    paths: Sequence[Path], format_name: str | None, options: ReadOptions, on_error: OnError | None
) -> Iterator[Document]:
    file_names = [path.name for path in paths]
    for path in paths:
        unique_name = path.name if file_names.count(path.name) == 1 else path.as_posix()
        id_prefix = f"{unique_name}/" if len(paths) > 1 else ""
        in_folder = partial(_read_folder, path, id_prefix, format_name, options, on_error)
        as_file = partial(_read_file, path, unique_name, format_name, options)
        yield from _catch(lambda: in_folder() if path.is_dir() else as_file(), path, on_error)  # noqa: B023 - called at once


def _catch(reader: Callable[[], Iterator[Document]], path: Path, on_error: OnError | None) -> Iterator[Document]:
    """The documents of a reader; its DataError goes to `on_error` if there is one, as does what the system refuses."""
    try:
        with reading(path):
            yield from reader()
    except DataError as error:
        if on_error is None:
            raise
        on_error(error)


def _read_folder(
    folder: Path, id_prefix: str, format_name: str | None, options: ReadOptions, on_error: OnError | None
) -> Iterator[Document]:
    files = files_below(folder, on_error)
    visible = [path for path in files if not path.name.startswith(".") and not class_names.is_description(path)]
    names = [path.relative_to(folder).as_posix() for path in visible]
    if format_name == "brat" or (format_name is None and brat.has_standoff(names)):
        unread.warn_of_unread(folder, [name for name in names if detect.is_data(name)])
        yield from brat.read_folder(folder, files, options, id_prefix)
        return
    if splits := class_names.splits(folder):
        problem = f"a saved data set of the splits {', '.join(splits)}; give one of them, such as {folder / splits[0]}"
        raise DataError(problem, folder)
    readable = [path for path in visible if format_name or _has_detected_format(path)]
    if not readable:
        listed = f": {unread.describe(names)}" if names else "; name the format, or give the files"
        raise DataError(f"the folder has no file of a known format{listed}", folder)
    unread.warn_of_unread(folder, [name for name, path in zip(names, visible, strict=True) if path not in {*readable}])
    for path in readable:
        source_name = id_prefix + path.relative_to(folder).as_posix()
        yield from _catch(partial(_read_file, path, source_name, format_name, options), path, on_error)


def _has_detected_format(path: Path) -> bool:
    """Whether a file in a folder is read: because of its suffix, or because its content is annotated beyond doubt."""
    return detect.format_of_name(path) is not None or detect.is_annotated(Source.from_file(path))


def _read_file(path: Path, source_name: str, format_name: str | None, options: ReadOptions) -> Iterator[Document]:
    if not path.exists():
        raise DataError("there is no such file; check the path", path)
    source = Source.from_file(path, source_name)
    if archives.is_archive(path) and format_name != "brat":
        return _read_archive(source, path, format_name, options)
    return _read_source(source, format_name, options)


def _read_archive(source: Source, path: Path, format_name: str | None, options: ReadOptions) -> Iterator[Document]:
    """The documents of an archive: texts with annotations beside them, or files that are read each by itself."""
    names = archives.file_names(path)
    if format_name is None and brat.has_standoff(names):
        unread.warn_of_unread(path, [name for name in names if detect.is_data(name)])
        yield from brat.read_archive(path, options)
        return
    promising = [name for name in names if format_name or _may_be_member(Path(name))]
    left_out = [name for name in names if name not in promising]
    for name, content in archives.read_files(path, tuple(name.lower() for name in promising)) if promising else ():
        member = Source(f"{source.name}/{name}", None, BytesIO(content))
        member_format = format_name or _format_of_member(name, member)
        if member_format and name in promising:
            yield from _read_source(member, member_format, options)
        elif name in promising:
            left_out.append(name)
    if len(left_out) == len(names):
        listed = unread.describe(left_out) or "it is empty"
        raise DataError(f"the archive has no file of a known format: {listed}", path)
    unread.warn_of_unread(path, left_out)


def _may_be_member(name: Path) -> bool:
    """Whether a file in an archive may be read: because of its suffix, or because its content may be annotated."""
    member_format = None if archives.is_archive(name) else detect.format_of_name(name)
    if member_format is None:
        return not name.suffix or name.suffix.lower() in detect.SUFFIXES_OF_XML
    return FORMATS[member_format].reader is not None


def _format_of_member(name: str, member: Source) -> str | None:
    path = Path(name)
    if detect.format_of_name(path) is None and not detect.is_annotated(member, path):
        return None
    return detect.detect_format(member, path)


def _read_source(source: Source, format_name: str | None, options: ReadOptions) -> Iterator[Document]:
    detected_name = format_name or ("conll" if options.conll else detect.detect_format(source))
    source_format = FORMATS[detected_name]
    if source_format.path_reader and source.path:
        return source_format.path_reader(source.path, options, source.name)
    if source_format.reader is None:
        raise DataError(f"{detected_name} cannot be read from one file", source.place)
    return source_format.reader(source, options)
