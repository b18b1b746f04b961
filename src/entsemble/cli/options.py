"""The options that `extract` and `evaluate` share, and the settings they make."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from entsemble import settings
from entsemble._lib import toml as _toml
from entsemble.assembly import select_members
from entsemble.data.formats import READABLE
from entsemble.errors import ConfigError
from entsemble.retrieval.index import SIMILARITIES
from entsemble.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = {
    "labels": click.option(
        "--labels",
        metavar="L",
        help='Labels, as "person,organisation", or a TOML file of name = "definition"; those of the pool if not given.',
    ),
    "pool": click.option(
        "--pool", type=click.Path(path_type=Path), help="Annotated sentences to draw demonstrations from."
    ),
    "config": click.option("--config", type=click.Path(path_type=Path), help="Configuration file (TOML)."),
    "preset": click.option(
        "--preset",
        help="Configuration that ships with entsemble: fast, balanced, best, experts, paper or small-gpu. If not "
        "given, balanced with a pool, and experts without.",
    ),
    "models": click.option(
        "--model",
        "models",
        multiple=True,
        metavar="NAME",
        help="A member's model, in the place of those configured; repeat for more members. Named as a configured "
        "member, it keeps that one's settings. A verifier that is not named is left out.",
    ),
    "shots": click.option("--shots", type=click.IntRange(0), help="Demonstrations a sentence."),
    "similarity": click.option("--similarity", type=click.Choice(SIMILARITIES), help="How demonstrations are chosen."),
    "learn": click.option(
        "--learn",
        type=click.IntRange(0),
        metavar="N",
        help="Sentences of the pool that are answered first, to learn what the votes are worth; 0 leaves it to what "
        "other corpora taught. If not given, a fifth of a pool with 20 sentences and 40 mentions or more, 40 at "
        "least and 80 at most, unless the configuration names a vote.",
    ),
    "nested": click.option(
        "--nested/--flat",
        default=None,
        help="Whether mentions may lie inside one another; the pool decides if not given.",
    ),
    "input_format": click.option(
        "--from",
        "input_format",
        type=click.Choice(READABLE),
        help="Input format, not the pool's; recognised if not given.",
    ),
    "limit": click.option("--limit", type=click.IntRange(1), help="Only this many documents."),
    "seed": click.option("--seed", type=click.IntRange(0), help="For everything that is drawn."),
    "no_cache": click.option("--no-cache", is_flag=True, help="Ask the models again what they were asked before."),
    "quiet": click.option("--quiet", is_flag=True, help="No progress and no summary."),
}


def shared_options(*, but: Collection[str] = ()) -> Callable[[Command], Command]:
    """Add the shared options to a command.

    Args:
        but: names of those that mean nothing to it, as `Asked` has them.
    """

    def added(command: Command) -> Command:
        for name in reversed(_OPTIONS):
            if name not in but:
                command = _OPTIONS[name](command)
        return command

    return added


@dataclass(frozen=True, slots=True)
class Asked:
    """The shared options as given; `Asked(**values)` takes them from the arguments of a command that has them."""

    labels: str | None
    config: Path | None
    preset: str | None
    models: tuple[str, ...]
    seed: int | None
    no_cache: bool
    quiet: bool
    pool: Path | None = None
    shots: int | None = None
    similarity: str | None = None
    learn: int | None = None
    nested: bool | None = None
    input_format: str | None = None
    limit: int | None = None

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
                "stacking": {"sentences": self.learn},
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
