"""A server in this process, for the commands that need one: its address, its pool and session, and its end."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from entsemble._lib.optional import require
from entsemble.assembly import select_members
from entsemble.cli.interrupt import INTERRUPTED_EXIT_CODE, TerminatedError, server_deadline
from entsemble.cli.options import ModelOptions, parse_thresholds, threshold_option
from entsemble.data.inputs import label_definitions
from entsemble.errors import ConfigError
from entsemble.settings import PRESET_OF_MEMBERS, Environment, Settings, load
from entsemble.settings_file import merge

if TYPE_CHECKING:
    from entsemble.review.session import Session
    from entsemble.server.limits import Limits


@dataclass(frozen=True, slots=True)
class ServedModelOptions(ModelOptions):
    """The options of a command whose server extracts."""

    learn: int | None
    thresholds: tuple[str, ...]

    def settings_factory(self) -> Callable[[Mapping[str, Any]], Settings]:
        """A function from the values of a request, nested as in TOML, to its settings."""
        default_labels = None if self.labels is None else label_definitions(self.labels)
        preset = self._preset()
        threshold, thresholds = parse_thresholds(self.thresholds)
        options = {
            "labels": default_labels,
            "classification": {"threshold": threshold},
            "rules": {"thresholds": thresholds},
            "stacking": {"sentences": self.learn},
            "patterns": self.patterns,
        }

        def settings_for(request_values: Mapping[str, Any]) -> Settings:
            overrides = merge(options, {**request_values, "labels": request_values.get("labels") or None})
            # The server's pool becomes the settings' pool as soon as it holds something.
            loaded = load(self.config, preset, overrides, voices=self.voices, include_pool=False)
            return select_members(loaded, self.models) if self.models else loaded

        return settings_for

    def configured_pool(self) -> Path | None:
        """The pool that the configuration names."""
        return load(self.config, self._preset()).pool.path

    def _preset(self) -> str | None:
        return self.preset or (PRESET_OF_MEMBERS if self.models else None)


@dataclass(frozen=True, slots=True)
class Hosting:
    """Where a server listens and what it keeps.

    Attributes:
        host, port: address.
        pool: file of the pool.
        session: file of the review session.
        key: that requests must send, if any.
        limits: of the server.
    """

    host: str
    port: int
    pool: Path
    session: Path
    key: str | None
    limits: Limits


def run_server(
    hosting: Hosting,
    models: ServedModelOptions,
    environment: Environment,
    *,
    prepare: Callable[[Session], None],
    on_started: Callable[[str], None],
) -> None:
    """Run a server until a signal ends it.

    Args:
        hosting: where it listens and what it keeps.
        models: which models answer.
        environment: where models are.
        prepare: called with the session before the server starts.
        on_started: called with the address of the page.

    Raises:
        ConfigError: the address is not valid or in use, or the options contradict one another.
        DataError: the pool or the session cannot be opened.
    """
    from entsemble.review.session import Session
    from entsemble.server.app import create_app
    from entsemble.server.connections import EXIT_SECONDS, Server, exit_now
    from entsemble.server.pool_file import PoolFile
    from entsemble.server.service import ExtractionService

    settings_factory = models.settings_factory()
    _check_address(hosting.host, hosting.port)
    with ExitStack() as stack:
        pool = stack.enter_context(closing(PoolFile(hosting.pool)))
        service = ExtractionService(settings_factory, environment, pool)
        session = stack.enter_context(closing(Session(hosting.session, settings_factory({}).language)))
        prepare(session)
        if not session.labels:
            session.set_defaults(service.labels(), nested=bool(settings_factory({}).nested))
        app = create_app(service, session, hosting.limits, hosting.key)

        def report_address(address: str, used_port: int) -> None:
            location = f"[{address}]" if ":" in address else address
            on_started(f"http://{location}:{used_port}/")

        server = Server(
            app,
            hosting.host,
            hosting.port,
            hosting.limits,
            on_started=report_address,
            on_stopping=app.state.stop,
        )
        try:
            with server_deadline(EXIT_SECONDS):
                server.run()
        except (KeyboardInterrupt, TerminatedError) as error:  # uvicorn has ended, and sent the signal again
            if app.state.has_abandoned_work:
                exit_now(error.exit_code if isinstance(error, TerminatedError) else INTERRUPTED_EXIT_CODE)
            raise


def check_server_packages() -> None:
    """Check that the server's packages are installed.

    Raises:
        MissingExtraError: one is missing.
    """
    require("entsemble.server.app", "serve", "the server")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    try:
        _try_address(host, port)
    except OSError:
        return False
    return True


def _try_address(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, port), family=family).close()


def _check_address(host: str, port: int) -> None:
    """Check that the server can listen there, before models are loaded.

    Raises:
        ConfigError: it cannot.
    """
    try:
        _try_address(host, port)
    except OSError as error:
        is_in_use = error.errno == errno.EADDRINUSE
        reason = (error.strerror or str(error)).partition(" (while")[0]  # it ends with the address
        advice = "is another server running? --port 0 picks a free port" if is_in_use else "check --host and --port"
        raise ConfigError(f"cannot listen on {host}:{port} ({reason}); {advice}") from error


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `ServedModelOptions` to a command."""
    options = (
        click.option("--config", type=click.Path(path_type=Path), help="Configuration file (TOML)."),
        click.option("--preset", help="Bundled configuration, as for extract."),
        click.option(
            "--model", "models", multiple=True, metavar="NAME", help="Model of a member; repeat for more members."
        ),
        click.option(
            "--voice",
            "voices",
            multiple=True,
            metavar="NAME",
            help="Another model that votes, as for extract; repeat for more.",
        ),
        click.option(
            "--patterns", type=click.Path(path_type=Path), help="Your word lists and regular expressions (TOML)."
        ),
        click.option(
            "--learn",
            type=click.IntRange(0),
            metavar="N",
            help="Number of pool sentences to learn from, as for extract.",
        ),
        threshold_option,
    )
    for option in reversed(options):
        command = option(command)
    return command
