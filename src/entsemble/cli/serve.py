"""`entsemble serve`: the HTTP server and its page."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from entsemble.assembly import select_members
from entsemble.cli.interrupt import INTERRUPTED_EXIT_CODE, TerminatedError
from entsemble.cli.options import parse_options
from entsemble.data.inputs import label_definitions
from entsemble.errors import ConfigError, MissingExtraError
from entsemble.settings import DEFAULT_PRESET, Settings, environment, load

_KEY_VARIABLE = "ENTSEMBLE_SERVER_KEY"


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of the command."""

    host: str
    port: int
    pool: Path | None
    labels: str | None
    config: Path | None
    preset: str | None
    models: tuple[str, ...]
    learn: int | None
    limits: tuple[str, ...]
    key_env: str

    def settings_factory(self) -> Callable[[Mapping[str, Any]], Settings]:
        """A function from the values of a request, nested as in TOML, to its settings."""
        default_labels = None if self.labels is None else label_definitions(self.labels)
        preset = self._preset()

        def settings_for(request_values: Mapping[str, Any]) -> Settings:
            overrides = {
                **request_values,
                "labels": request_values.get("labels") or default_labels,
                "stacking": {"sentences": self.learn},
            }
            # The server's pool becomes the settings' pool as soon as it holds something.
            loaded = load(self.config, preset, overrides, include_pool=False)
            return select_members(loaded, self.models) if self.models else loaded

        return settings_for

    def pool_path(self, default: Path) -> Path:
        """The pool's file: the option, or the configuration's, or the default."""
        return self.pool or load(self.config, self._preset()).pool.path or default

    def check_key(self, key: str | None, *, is_local: bool) -> None:
        """Check that only this machine can reach a server without a key.

        Raises:
            ConfigError: a key is missing, or is not ASCII.
        """
        if key is None and not is_local:
            raise ConfigError(
                f"anyone who can reach {self.host} could read the pool and use this machine; set the environment "
                f"variable {self.key_env} to a key, or listen on 127.0.0.1"
            )
        if key is None and self.key_env != _KEY_VARIABLE:
            raise ConfigError(f"the environment variable {self.key_env} holds no key; set it, or omit --key-env")
        if key is not None and not key.isascii():
            raise ConfigError("a key must be ASCII, which every client sends in the same way")

    def _preset(self) -> str | None:
        return self.preset or (DEFAULT_PRESET if self.models else None)


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; one that is not local needs a key."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 picks a free port.")
@click.option(
    "--pool",
    type=click.Path(path_type=Path),
    help="JSON Lines file of annotated texts, to which corrections are written; created if necessary. Default: "
    "ENTSEMBLE_POOL, or a file in the user's data folder.",
)
@click.option("--labels", metavar="L", help='Labels for requests without any: "person,organisation", or a TOML file.')
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file (TOML).")
@click.option("--preset", help="Bundled configuration, as for extract.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Model of a member; repeat for more members.")
@click.option(
    "--learn", type=click.IntRange(0), metavar="N", help="Number of pool sentences to learn from, as for extract."
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=N",
    help="A limit, such as concurrent_requests=4; repeat for more. The guide to the server lists them.",
)
@click.option(
    "--key-env",
    default=_KEY_VARIABLE,
    show_default=True,
    metavar="NAME",
    help="Environment variable with the key that requests must send.",
)
def serve(**options: object) -> None:
    """Serve extraction over HTTP, with a page to view and correct mentions. Corrections go to the pool.

    When stopped, the server gives requests in progress 7 seconds to finish; it ends within 10.
    """
    try:
        from entsemble.server.app import create_app
        from entsemble.server.connections import Server, exit_now
        from entsemble.server.limits import parse_limits
        from entsemble.server.pool_file import PoolFile
        from entsemble.server.security import is_loopback
        from entsemble.server.service import ExtractionService
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve", "the server") from error
    serve_options, user_environment = parse_options(ServeOptions, options), environment()
    host, port = serve_options.host, serve_options.port
    key = user_environment.keys.get(serve_options.key_env) or None
    serve_options.check_key(key, is_local=is_loopback(host))
    limits = parse_limits(serve_options.limits)
    settings_factory = serve_options.settings_factory()
    pool_path = serve_options.pool_path(user_environment.pool)
    _check_address(host, port)
    with closing(PoolFile(pool_path)) as pool:
        app = create_app(ExtractionService(settings_factory, user_environment, pool), limits, key)

        def print_address(address: str, used_port: int) -> None:
            location = f"[{address}]" if ":" in address else address
            click.echo(f"http://{location}:{used_port}/ (pool: {pool.path})", err=True)

        server = Server(app, host, port, limits, on_started=print_address, on_stopping=app.state.stop)
        try:
            server.run()
        except (KeyboardInterrupt, TerminatedError) as error:  # uvicorn has ended, and sent the signal again
            if app.state.has_abandoned_work:
                exit_now(error.exit_code if isinstance(error, TerminatedError) else INTERRUPTED_EXIT_CODE)
            raise


def _check_address(host: str, port: int) -> None:
    """Check that the server can listen there, before models are loaded.

    Raises:
        ConfigError: it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        is_in_use = error.errno == errno.EADDRINUSE
        reason = (error.strerror or str(error)).partition(" (while")[0]  # it ends with the address
        advice = "is another server running?" if is_in_use else "check --host and --port"
        raise ConfigError(f"cannot listen on {host}:{port} ({reason}); {advice}") from error
