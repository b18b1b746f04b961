"""`entsemble serve`: the HTTP server, and its page."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from entsemble.assembly import select_members
from entsemble.cli.options import parse_labels
from entsemble.errors import ConfigError, MissingExtraError
from entsemble.settings import DEFAULT_PRESET, Settings, environment, load

_KEY = "ENTSEMBLE_SERVER_KEY"
_FINISH_SECONDS = 30
"""What requests in flight are given when the server is told to stop."""


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; others than this machine's need a key.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@click.option(
    "--pool",
    type=click.Path(path_type=Path),
    help="JSON Lines file of annotated texts, which corrections go to, made where it is not there; ENTSEMBLE_POOL, or "
    "one in the user's data folder, if not given.",
)
@click.option(
    "--labels", metavar="L", help='Labels where a request names none, as "person,organisation", or a TOML file.'
)
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file (TOML).")
@click.option("--preset", help="Configuration that ships with entsemble, as for extract.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="A member's model; repeat for more members.")
@click.option(
    "--learn", type=click.IntRange(0), metavar="N", help="Sentences of the pool to learn from, as for extract."
)
@click.option("--max-body", type=click.IntRange(1), default=2_000_000, show_default=True, help="Bytes of a request.")
@click.option("--max-documents", type=click.IntRange(1), default=256, show_default=True, help="Documents of a request.")
@click.option(
    "--concurrency", type=click.IntRange(1), default=2, show_default=True, help="Extractions worked on at once."
)
@click.option(
    "--queue",
    type=click.IntRange(0),
    default=16,
    show_default=True,
    help="Extractions that may wait; more are refused.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=3600,
    show_default=True,
    help="Seconds for an extraction, waiting included.",
)
@click.option(
    "--key-env",
    default=_KEY,
    show_default=True,
    metavar="NAME",
    help="Environment variable with the key that requests must bring.",
)
def serve(**given: Any) -> None:  # noqa: ANN401 - the options above
    """Answer over HTTP, with a page to look at the mentions and correct them. What is corrected goes to the pool.

    Told to stop, it gives requests in flight 30 seconds.
    """
    try:
        import uvicorn

        from entsemble.server.app import create_app
        from entsemble.server.pool_file import PoolFile
        from entsemble.server.security import Limits, is_loopback
        from entsemble.server.service import Workbench
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve", "the server") from error
    where, host = environment(), given["host"]
    key = where.keys.get(given["key_env"]) or None
    if key is None and not is_loopback(host):
        raise ConfigError(
            f"whoever reaches {host} could read the pool and use this machine; put a key into the environment variable "
            f"{given['key_env']}, or listen on 127.0.0.1"
        )
    if key is None and given["key_env"] != _KEY:
        raise ConfigError(f"the environment variable {given['key_env']} holds no key; set it, or leave --key-env out")
    if key is not None and not key.isascii():
        raise ConfigError("a key is of ASCII characters, which every client sends alike")
    settings, configured = _settings(given)
    limits = Limits(given["max_body"], given["max_documents"], given["concurrency"], given["queue"], given["timeout"])
    with closing(PoolFile(given["pool"] or configured or where.pool)) as pool, _listening(host, given["port"]) as place:
        app = create_app(Workbench(settings, where, pool), limits, key)
        address, port = place.getsockname()[:2]
        click.echo(f"http://{f'[{address}]' if ':' in address else address}:{port}/ (pool: {pool.path})", err=True)
        told = uvicorn.Config(
            app, log_level=logging.WARNING, server_header=False, timeout_graceful_shutdown=_FINISH_SECONDS
        )
        uvicorn.Server(told).run(sockets=[place])


def _settings(given: Mapping[str, Any]) -> tuple[Callable[[Mapping[str, Any]], Settings], Path | None]:
    """What makes the settings of a request, and the pool that the configuration names."""
    labels = None if given["labels"] is None else parse_labels(given["labels"])
    preset = given["preset"] or (DEFAULT_PRESET if given["models"] else None)

    def settings(said: Mapping[str, Any]) -> Settings:
        told = {**said, "labels": said.get("labels") or labels, "stacking": {"sentences": given["learn"]}}
        made = load(given["config"], preset, told, own_pool=False)  # it is shown once it holds something
        return select_members(made, given["models"]) if given["models"] else made

    return settings, load(given["config"], preset).pool.path


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port} ({error.strerror}); is another server there?") from error
