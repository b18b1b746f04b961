"""`entsemble serve`: the HTTP server and its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from entsemble._lib.paths import real_path
from entsemble.cli.help import GroupedCommand
from entsemble.cli.hosting import Hosting, ServedModelOptions, check_server_packages, model_options, run_server
from entsemble.cli.options import parse_options
from entsemble.errors import ConfigError
from entsemble.settings import environment

_KEY_VARIABLE = "ENTSEMBLE_SERVER_KEY"


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of the command that are not about models."""

    host: str
    port: int
    pool: Path | None
    session: Path | None
    limits: tuple[str, ...]
    key_env: str

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


@click.command(cls=GroupedCommand)
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
@click.option(
    "--session",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the texts and corrections that the page shows. Default: the pool's name with .review added.",
)
@click.option("--labels", metavar="L", help='Labels for requests without any: "person,organisation", or a TOML file.')
@model_options
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
    """Serve extraction over HTTP, with a page to correct mentions. Corrections go to the pool.

    When stopped, the server gives requests in progress 5 seconds to finish; it ends within 10.
    """
    check_server_packages()
    from entsemble.server.limits import parse_limits
    from entsemble.server.security import is_loopback

    serve_options, models = parse_options(ServeOptions, options), parse_options(ServedModelOptions, options)
    user_environment = environment()
    key = user_environment.keys.get(serve_options.key_env) or None
    serve_options.check_key(key, is_local=is_loopback(serve_options.host))
    pool = serve_options.pool or models.configured_pool() or user_environment.pool
    session = serve_options.session or pool.with_name(f"{pool.name}.review")
    limits = parse_limits(serve_options.limits)
    run_server(
        Hosting(serve_options.host, serve_options.port, pool, session, key, limits),
        models,
        user_environment,
        prepare=lambda _: None,
        on_started=lambda address: click.echo(f"{address} (pool: {real_path(pool)})", err=True),
    )
