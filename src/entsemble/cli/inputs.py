"""What the INPUT arguments of `extract` mean: files and folders, standard input, or the texts themselves."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import click

from entsemble.data import detect
from entsemble.data.formats import read, read_stream
from entsemble.errors import DataError
from entsemble.types import Document

EXAMPLE = 'entsemble extract letter.txt --labels "person,organisation,location"'


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where the documents come from; one of the three.

    Attributes:
        paths: files and folders, which exist.
        texts: the texts themselves, each a document.
        stream: standard input.
    """

    paths: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    stream: BinaryIO | None = None

    def documents(
        self, input_format: str | None, on_error: Callable[[DataError], None] | None = None
    ) -> Iterator[Document]:
        """All documents; `on_error` gets the errors of single files, which are skipped then."""
        if self.stream is not None:
            return read_stream(self.stream, "stdin", input_format)
        if self.texts:
            names = [f"text {number}" for number in range(1, len(self.texts) + 1)] if self.texts[1:] else ["text"]
            return (Document(name, text) for name, text in zip(names, self.texts, strict=True))
        return read(self.paths, input_format, on_error=on_error)

    @property
    def are_files(self) -> bool:
        """Whether everything is in files, which can be read twice."""
        return bool(self.paths) and all(Path(path).is_file() or Path(path).is_dir() for path in self.paths)


@dataclass(slots=True)
class InputReader:
    """Reads inputs, after a look at all files before any model is loaded; each fault is reported once.

    Attributes:
        inputs: what to read.
        format_name: the format of files and streams; detected if not given.
        limit: how many documents are read.
        on_error: called once for each file that cannot be read.
        document_count: how many documents there are; `None` if they can be read only once, or before `look`.
    """

    inputs: Inputs
    format_name: str | None
    limit: int | None
    on_error: Callable[[DataError], None]
    document_count: int | None = None
    _reported: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Read all files once, which costs next to nothing compared with the models.

        Raises:
            DataError: two documents have the same id.
            MissingExtraError: a file needs a package that is not installed.
        """
        if self.inputs.texts or self.inputs.are_files:
            self.document_count = sum(1 for _ in self.documents())

    def documents(self) -> Iterator[Document]:
        """The documents, without the files that cannot be read."""
        return islice(self.inputs.documents(self.format_name, self._report), self.limit)

    def _report(self, error: DataError) -> None:
        if str(error) not in self._reported:
            self._reported.add(str(error))
            self.on_error(error)


def find_inputs(arguments: Sequence[str], labels: str | None) -> Inputs:
    """What the arguments stand for, before any model is loaded.

    An argument with blanks that is no path is a text. Without arguments, what is piped in is read.

    Args:
        arguments: as on the command line.
        labels: the option `--labels`, for advice.

    Raises:
        click.UsageError: there is nothing to read, or different things are mixed.
        DataError: a path does not exist.
    """
    if not arguments or "-" in arguments:
        if len(arguments) > 1:
            raise click.UsageError("standard input (-) cannot be mixed with files")
        return Inputs(stream=_standard_input(is_named=bool(arguments)))
    missing = [argument for argument in arguments if not _exists(argument)]
    texts = tuple(argument for argument in missing if _is_text(argument))
    if len(texts) == len(arguments):
        return Inputs(texts=texts)
    if paths := [argument for argument in missing if argument not in texts]:
        raise DataError(f"there is no such file or folder; {_advice(paths, labels)}", paths[0])
    if texts:
        raise click.UsageError(f"{_shortened(texts[0])} is no file; give either texts or files")
    return Inputs(paths=tuple(arguments))


def _standard_input(*, is_named: bool) -> BinaryIO:
    """Standard input, if it is named or something is piped in."""
    if sys.stdin is None:
        raise click.UsageError("standard input is closed; name a file")
    if is_named:
        return sys.stdin.buffer
    if sys.stdin.isatty():
        raise click.UsageError(
            f"nothing to read; name files or folders, pipe a text in, or put it in quotes:\n\n  {EXAMPLE}\n"
            '  entsemble extract "Ann left Oslo." --labels "person,location"'
        )
    if isinstance(sys.stdin.buffer, io.BufferedReader) and not sys.stdin.buffer.peek(1):
        raise click.UsageError(f"nothing to read, and standard input is empty; name files or folders:\n\n  {EXAMPLE}")
    return sys.stdin.buffer


def _exists(argument: str) -> bool:
    try:
        return Path(argument).exists()
    except OSError:  # too long for a name
        return False


def _is_text(argument: str) -> bool:
    """Whether an argument that is no path is a text, and not a path with a slip."""
    if not any(character.isspace() for character in argument.strip()):
        return False
    try:
        path = Path(argument)
        is_in_folder = path.parent != Path() and path.parent.is_dir()
    except OSError:
        return True
    return not is_in_folder and detect.format_of_name(path) is None


def _advice(missing: Sequence[str], labels: str | None) -> str:
    words = [argument for argument in missing if "/" not in argument and not Path(argument).suffix]
    if len(words) < len(missing):
        return "check the path"
    if labels and not labels.endswith(".toml"):
        both = ",".join([labels, *words])
        return f'for several labels, write --labels "{both}"; for a text, put it in quotes'
    return f'for a text, put it in quotes: entsemble extract "{" ".join(words)} ..."'


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
