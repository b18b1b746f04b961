"""Options that several commands share, and the settings that follow from them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from entsemble.api import make_settings
from entsemble.data.format_table import READABLE
from entsemble.retrieval.index import SIMILARITIES
from entsemble.settings import PRESET_OF_EXPERTS, Settings
from entsemble.settings_file import read_names
from entsemble.types import Document

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Command = TypeVar("Command", bound=Callable[..., Any])
Options = TypeVar("Options", bound="DataclassInstance")

threshold_option = click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="[LABEL=]P",
    help="Score that mentions need, as in 0.3, or those of one label, as in person=0.6; repeat for more labels.",
)

_OPTIONS = {
    "labels": click.option(
        "--labels",
        metavar="L",
        help='Labels, as "person,organisation", or a TOML file of name = "definition". Default: the labels of the '
        "pool.",
    ),
    "pool": click.option(
        "--pool", type=click.Path(path_type=Path), help="Annotated sentences to take demonstrations from."
    ),
    "pool_format": click.option(
        "--pool-from", "pool_format", type=click.Choice(READABLE), help="Format of the pool. Default: detected."
    ),
    "config": click.option("--config", type=click.Path(path_type=Path), help="Configuration file (TOML)."),
    "preset": click.option(
        "--preset",
        help="Bundled configuration: fast, balanced, best, instant, experts, paper or small-gpu. "
        "Default: instant, and balanced with --model.",
    ),
    "models": click.option(
        "--model",
        "models",
        multiple=True,
        metavar="NAME",
        help="Model of a member, instead of the configured ones; repeat for more members. A member that the "
        "configuration describes under this name keeps its settings. A verifier that is not named is left out.",
    ),
    "voices": click.option(
        "--voice",
        "voices",
        multiple=True,
        metavar="NAME",
        help="Another model that votes, besides the configured ones: spacy:PIPELINE, tokens:MODEL, gliner:MODEL, "
        "reader:FOLDER, student:FOLDER or label-reader; repeat for more.",
    ),
    "patterns": click.option(
        "--patterns",
        type=click.Path(path_type=Path),
        help="Your word lists and regular expressions (TOML), as a voice.",
    ),
    "shots": click.option("--shots", type=click.IntRange(0), help="Demonstrations per sentence."),
    "similarity": click.option("--similarity", type=click.Choice(SIMILARITIES), help="How demonstrations are chosen."),
    "learn": click.option(
        "--learn",
        type=click.IntRange(0),
        metavar="N",
        help="Number of pool sentences that the ensemble annotates first, to learn the weights of the votes; 0 uses "
        "the pre-trained weights alone. Default: a fifth of the pool, at least 40 and at most 80, if the pool has 20 "
        "sentences and 40 mentions or more and the configuration names no vote.",
    ),
    "nested": click.option(
        "--nested/--flat",
        default=None,
        help="Whether mentions may lie inside one another. Default: whether any do in the pool.",
    ),
    "thresholds": threshold_option,
    "never": click.option(
        "--never",
        type=click.Path(path_type=Path),
        help="Text file of names that are never mentions, one a line.",
    ),
    "same_answer": click.option(
        "--same-answer",
        is_flag=True,
        help="Give a name its most probable label wherever it occurs in a document.",
    ),
    "input_format": click.option(
        "--from",
        "input_format",
        type=click.Choice(READABLE),
        help="Format of the input, not of the pool. Default: detected.",
    ),
    "limit": click.option("--limit", type=click.IntRange(1), help="Process only this many documents."),
    "seed": click.option("--seed", type=click.IntRange(0), help="Seed of all random choices."),
    "no_cache": click.option("--no-cache", is_flag=True, help="Ignore cached replies, and ask the models."),
    "quiet": click.option("--quiet", is_flag=True, help="Show no progress and no summary."),
}

verbose_option = click.option("-v", "--verbose", is_flag=True, help="Also say what the run cost: seconds and tokens.")

against_option = click.option(
    "--against",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Earlier report (JSON) to compare with: a paired test of F1 on the documents in both.",
)


RULES = ("thresholds", "never", "same_answer")
"""Options that concern the mentions of texts, and not the pool or the experts."""


def shared_options(*, exclude: Collection[str] = ()) -> Callable[[Command], Command]:
    """Add the shared options to a command.

    Args:
        exclude: field names of `SharedOptions` that have no meaning for the command.
    """

    def decorate(command: Command) -> Command:
        for name in reversed(_OPTIONS):
            if name not in exclude:
                command = _OPTIONS[name](command)
        return command

    return decorate


def parse_options(options_class: type[Options], values: Mapping[str, Any]) -> Options:
    """An instance of a dataclass, from those values of a command's options that are fields of it."""
    names = {field.name for field in fields(options_class)}
    return options_class(**{name: value for name, value in values.items() if name in names})


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The options of every command that extracts: which models answer, and with which labels."""

    labels: str | None
    config: Path | None
    preset: str | None
    models: tuple[str, ...]
    voices: tuple[str, ...]
    patterns: Path | None


@dataclass(frozen=True, slots=True)
class SharedOptions(ModelOptions):
    """The shared options of a command that extracts once, as given."""

    seed: int | None
    no_cache: bool
    quiet: bool
    pool: Path | None = None
    pool_format: str | None = None
    shots: int | None = None
    similarity: str | None = None
    learn: int | None = None
    nested: bool | None = None
    thresholds: tuple[str, ...] = ()
    never: Path | None = None
    same_answer: bool = False
    input_format: str | None = None
    limit: int | None = None

    def settings_with_experts(self) -> Settings:
        """The settings, for a command that is about experts: without pool and members, those of the preset `experts`.

        Raises:
            ConfigError: an option or the configuration is not valid.
        """
        settings = self.settings()
        return settings if settings.members or self.preset else replace(self, preset=PRESET_OF_EXPERTS).settings()

    def settings(self) -> Settings:
        """The preset, overridden by the configuration file, overridden by the command line.

        Raises:
            ConfigError: an option or the configuration is not valid.
        """
        threshold, thresholds = parse_thresholds(self.thresholds)
        return make_settings(
            labels=self.labels,
            pool=self.pool,
            pool_format=self.pool_format,
            preset=self.preset,
            config=self.config,
            models=self.models,
            voices=self.voices,
            patterns=self.patterns,
            shots=self.shots,
            similarity=self.similarity,
            learn=self.learn,
            nested=self.nested,
            threshold=threshold,
            thresholds=thresholds or None,
            never=None if self.never is None else read_names(self.never),
            same_answer=self.same_answer or None,
            seed=self.seed,
            cache=False if self.no_cache else None,
        )


def parse_thresholds(values: Sequence[str]) -> tuple[float | None, dict[str, float]]:
    """The values of `--threshold`: that of all labels, or `None`, and those of single labels.

    Raises:
        click.BadParameter: one is neither P nor LABEL=P, or two are for all labels.
    """
    general: list[float] = []
    thresholds = {}
    for value in values:
        label, separator, number = value.rpartition("=")
        try:
            threshold = float(number)
        except ValueError:
            threshold = math.nan
        if (separator and not label.strip()) or not 0 <= threshold <= 1:
            problem = f"{value!r} is not P or LABEL=P with a P from 0 to 1"
            raise click.BadParameter(f"{problem}, as in --threshold 0.3 or --threshold person=0.6")
        if separator:
            thresholds[label.strip()] = threshold
        else:
            general.append(threshold)
    if len(general) > 1:
        raise click.BadParameter("two thresholds are for all labels; write LABEL=P for one label")
    return (general[0] if general else None), thresholds


def sample_documents(documents: list[Document], limit: int | None, seed: int) -> list[Document]:
    """A random sample of `limit` documents, in the order in which they were drawn; all, in their order, if fewer."""
    if limit is None or limit >= len(documents):
        return documents
    return random.Random(seed).sample(documents, limit)
