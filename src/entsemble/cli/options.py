"""The options that `extract` and `evaluate` share, and the settings they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from entsemble import _toml, settings
from entsemble.assemble import select_members
from entsemble.data.formats import READABLE
from entsemble.errors import ConfigError
from entsemble.retrieval.index import SIMILARITIES
from entsemble.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = [
    click.option(
        "--labels",
        metavar="L",
        help='Labels, as "person,organisation", or a TOML file of name = "definition"; the pool\'s if not given.',
    ),
    click.option("--pool", type=click.Path(path_type=Path), help="Annotated sentences to draw demonstrations from."),
    click.option("--config", type=click.Path(path_type=Path), help="Configuration file (TOML)."),
    click.option(
        "--preset",
        help="Configuration that ships with entsemble: embedded, experts, paper or small-gpu. If not given, embedded "
        "with a pool, and experts without.",
    ),
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="NAME",
        help="A member's model, in the place of those configured; repeat for more members. Named as a configured "
        "member, it keeps that one's settings. A verifier that is not named is left out.",
    ),
    click.option("--shots", type=click.IntRange(0), help="Demonstrations a sentence."),
    click.option("--similarity", type=click.Choice(SIMILARITIES), help="How demonstrations are chosen."),
    click.option(
        "--nested/--flat",
        default=None,
        help="Whether mentions may lie inside one another; the pool decides if not given.",
    ),
    click.option(
        "--from",
        "input_format",
        type=click.Choice(READABLE),
        help="Input format, not the pool's; recognised if not given.",
    ),
    click.option("--limit", type=click.IntRange(1), help="Only this many documents."),
    click.option("--seed", type=int, help="For everything that is drawn."),
    click.option("--no-cache", is_flag=True, help="Ask the models again what they were asked before."),
    click.option("--quiet", is_flag=True, help="No progress and no summary."),
]


def shared_options(command: Command) -> Command:
    """Add the shared options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Asked:
    """The shared options as given; `Asked(**values)` takes them from a command's arguments."""

    labels: str | None
    pool: Path | None
    config: Path | None
    preset: str | None
    models: tuple[str, ...]
    shots: int | None
    similarity: str | None
    nested: bool | None
    input_format: str | None
    limit: int | None
    seed: int | None
    no_cache: bool
    quiet: bool

    def settings(self) -> Settings:
        """A preset, the configuration file over it, the command line over both."""
        preset = self.preset or (settings.DEFAULT_PRESET if self.models else None)
        made = settings.load(
            self.config,
            preset,
            {
                "seed": self.seed,
                "nested": self.nested,
                "labels": None if self.labels is None else parse_labels(self.labels),
                "pool": {"path": self.pool, "shots": self.shots, "similarity": self.similarity},
                "cache": {"replies": False if self.no_cache else None},
            },
        )
        return select_members(made, self.models) if self.models else made


def parse_labels(given: str) -> dict[str, str]:
    """Labels from a comma-separated list, or from a TOML file of name = definition (also under `[labels]`)."""
    if not given.endswith(".toml"):
        names = [name.strip() for name in given.split(",") if name.strip()]
        if not names:
            raise ConfigError('--labels names no label; write --labels "person,organisation"')
        return dict.fromkeys(names, "")
    try:
        values = _toml.loads(Path(given).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, _toml.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the labels in {given}: {error}") from error
    table = values.get("labels", values)
    if not isinstance(table, dict) or not all(isinstance(definition, str) for definition in table.values()):
        raise ConfigError(f'{given}: labels are written name = "definition", one a line')
    return dict(table)
