"""`entsemble review`: correct the mentions of documents on a page."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from entsemble._lib.paths import real_path
from entsemble._lib.text import message_line, pluralize
from entsemble.cli.help import GroupedCommand
from entsemble.cli.hosting import Hosting, ServedModelOptions, check_server_packages, is_free, model_options, run_server
from entsemble.cli.options import parse_options
from entsemble.data.format_table import READABLE
from entsemble.data.inputs import label_definitions
from entsemble.errors import ConfigError, DataError
from entsemble.evaluation.render.html import REVIEW_PORT
from entsemble.settings import environment

if TYPE_CHECKING:
    from entsemble.review.session import Session

_HOST = "127.0.0.1"
_SESSION_SUFFIX = ".review"
_MAX_UPLOAD_BYTES = 200_000_000
"""Of a file that is dropped on the page, which comes from this machine."""


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """The options of the command that are not about models."""

    port: int | None
    pool: Path | None
    session: Path | None
    labels: str | None
    nested: bool | None
    input_format: str | None
    no_browser: bool

    def used_port(self) -> int:
        """The port that is named, or the usual one, or 0 for a free one."""
        if self.port is not None:
            return self.port
        return REVIEW_PORT if is_free(_HOST, REVIEW_PORT) else 0

    def session_path(self, inputs: Sequence[Path]) -> Path:
        """The file of the session: beside the first input, unless it is named.

        Raises:
            ConfigError: there is neither an input nor a name.
        """
        if self.session is not None:
            return self.session
        if not inputs:
            raise ConfigError("name a FILE to review, or a --session to continue")
        first = real_path(inputs[0])
        return first if first.suffix == _SESSION_SUFFIX else first.with_name(first.name + _SESSION_SUFFIX)

    def pool_path(self, session: Path) -> Path:
        """The file of the pool: beside the session, unless it is named."""
        return self.pool or session.with_name(f"{session.name.removesuffix(_SESSION_SUFFIX)}.pool.jsonl")


@click.command(cls=GroupedCommand)
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Default: {REVIEW_PORT}, or a free port if that is in use."
)
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
@click.option(
    "--session",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that holds the documents and every correction. Default: the name of the first FILE with .review added.",
)
@click.option(
    "--pool",
    type=click.Path(path_type=Path),
    help="JSON Lines file to which sentences are written that you sign off; later texts are extracted with it. "
    "Default: the name of the session with .pool.jsonl instead of .review.",
)
@click.option(
    "--labels", metavar="L", help='Labels: "person,organisation", or a TOML file. Default: those in the files.'
)
@click.option(
    "--nested/--flat", default=None, help="Whether mentions may lie inside one another. Default: whether any do."
)
@click.option(
    "--from", "input_format", type=click.Choice(READABLE), help="Format of the files. Default: detected for each."
)
@model_options
def review(inputs: tuple[Path, ...], **options: object) -> None:
    """Correct the mentions in each FILE on a page in the browser.

    A FILE is what extract wrote, an annotated file of any format, or a text, which is then extracted. Corrections are
    on disk as soon as they are made: call the command again to continue. Ctrl-C ends it.
    """
    check_server_packages()
    from entsemble.server.limits import Limits

    review_options, models = parse_options(ReviewOptions, options), parse_options(ServedModelOptions, options)
    session_path = review_options.session_path(inputs)
    pool_path = review_options.pool_path(session_path)
    skipped = {real_path(session_path), real_path(pool_path)}
    paths = [path for path in inputs if real_path(path) not in skipped]

    def announce(address: str) -> None:
        click.echo(f"{address} (session: {session_path}, pool: {pool_path}); Ctrl-C ends it", err=True)
        if not review_options.no_browser:
            webbrowser.open(address)

    run_server(
        Hosting(_HOST, review_options.used_port(), pool_path, session_path, None, Limits(body_bytes=_MAX_UPLOAD_BYTES)),
        models,
        environment(),
        prepare=lambda session: _prepare(session, paths, review_options),
        on_started=announce,
    )


def _prepare(session: Session, paths: Sequence[Path], options: ReviewOptions) -> None:
    """Add the files' documents to the session, and set the labels of a new one.

    Raises:
        DataError: none of the files can be read.
    """
    from entsemble.review.reading import has_nested, read_files

    problems: list[DataError] = []

    def report(error: DataError) -> None:
        problems.append(error)
        click.echo(message_line("entsemble", error), err=True)

    labels = dict(session.labels)
    if options.labels is not None:
        labels = label_definitions(options.labels)
    nested = options.nested
    known_count = added_count = 0
    for file in read_files(paths, options.input_format, report):
        added = session.add(file.documents, is_extracted=file.is_extracted)
        added_count += len(added)
        known_count += len(file.documents) - len(added)
        labels.update({m.label: labels.get(m.label, "") for document in file.documents for m in document.mentions})
        if nested is None and added and has_nested(file.documents):
            nested = True
    if problems and not added_count and not known_count:
        raise ConfigError("none of the files can be read; the messages above say why")
    if labels != session.labels or nested is not None:
        session.set_defaults(labels, nested=session.nested if nested is None else nested)
    if known_count:
        click.echo(f"{pluralize(known_count, 'document')} already in the session, with your corrections", err=True)
