"""`entsemble cache`: what is stored on this machine, where, and how to remove it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from entsemble._lib.text import message_line, pluralize
from entsemble.assembly.cache_folder import CLEARED_BY_DEFAULT, KINDS, CacheEntry, clear, list_entries
from entsemble.cli.output import print_columns
from entsemble.errors import DataError
from entsemble.settings import Environment, environment

_UNITS = ("B", "kB", "MB", "GB", "TB")
_SECONDS = {"day": 86400, "hour": 3600, "minute": 60}


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def cache(context: click.Context, as_json: bool) -> None:
    """Show what is stored on this machine, and where; `cache clear` removes it."""
    if context.invoked_subcommand is not None:
        return
    user_environment = environment()
    entries = list_entries(user_environment.cache)
    if as_json:
        click.echo(json.dumps(_to_json(user_environment, entries), indent=1))
        return
    click.echo(f"cache: {user_environment.cache}")
    rows = [
        [
            entry.kind,
            _short_path(entry.path, user_environment.cache),
            format_size(entry.size),
            format_age(entry.modified),
            KINDS[entry.kind],
        ]
        for entry in entries
    ]
    rows.append(["total", "", format_size(sum(entry.size for entry in entries)), "", ""])
    print_columns(["what", "where", "size", "last changed", ""], rows)
    click.echo("not part of the cache, and not removed by `entsemble cache clear`:")
    for name, path in _data_paths(user_environment).items():
        click.echo(f"{name + ':':15s} {path}{'' if path.exists() else ' (none)'}")


@cache.command("clear")
@click.argument("kinds", nargs=-1, metavar="[WHAT]...", type=click.Choice(tuple(KINDS)))
@click.option("--older-than", type=click.FloatRange(0), default=0, metavar="DAYS", help="Only items older than this.")
def clear_cache(kinds: tuple[str, ...], older_than: float) -> None:
    """Remove WHAT from the cache: replies, pools, trainings, unpacked, downloads, temporary, models.

    By default everything except the models. Anything that another process is using is kept, and named.
    """
    folder = environment().cache
    freed_total, has_problem = 0, False
    for removal in clear(folder, kinds or CLEARED_BY_DEFAULT, older_than):
        where = _short_path(removal.entry.path, folder)
        freed_total += removal.freed
        if removal.problem:
            has_problem = True
            click.echo(message_line("entsemble", where, removal.problem), err=True)
        elif removal.freed or removal.entry.kind not in ("replies", "pools"):
            click.echo(f"{removal.entry.kind}: {where} ({format_size(removal.freed)})")
    click.echo(f"{format_size(freed_total)} removed from {folder}")
    if has_problem:
        sys.exit(DataError.exit_code)


def format_size(size: int) -> str:
    """A number of bytes in a readable unit.

    >>> format_size(999), format_size(1_500_000)
    ('999 B', '1.5 MB')
    """
    amount, unit = float(size), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{size} B"


def format_age(modified: float) -> str:
    """How long ago something was changed."""
    seconds = time.time() - modified
    for unit, unit_seconds in _SECONDS.items():
        if seconds >= unit_seconds:
            return f"{pluralize(int(seconds // unit_seconds), unit)} ago"
    return "now"


def _short_path(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _data_paths(user_environment: Environment) -> dict[str, Path]:
    return {"experts": user_environment.experts, "server's pool": user_environment.pool}


def _to_json(user_environment: Environment, entries: Sequence[CacheEntry]) -> dict[str, object]:
    rows = [
        {"what": entry.kind, "path": str(entry.path), "bytes": entry.size, "modified": entry.modified}
        for entry in entries
    ]
    return {
        "cache": str(user_environment.cache),
        "experts": str(user_environment.experts),
        "pool": str(user_environment.pool),
        "entries": rows,
    }
