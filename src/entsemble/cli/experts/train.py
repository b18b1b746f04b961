"""Train an expert."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click

from entsemble.assembly import TrainingData
from entsemble.assembly.expert_training import ExpertSpec, train_expert
from entsemble.cli.experts.manage import print_location
from entsemble.cli.help import GroupedCommand
from entsemble.cli.options import parse_options
from entsemble.cli.progress import show_progress
from entsemble.data.format_table import READABLE
from entsemble.experts.checkpoint import TrainingSettings
from entsemble.experts.training import TrainingProgress
from entsemble.settings import environment
from entsemble.types import Precision


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """The options of the command."""

    data: tuple[Path, ...]
    input_format: str | None
    name: str
    base: str
    domain: str
    licence: str
    attribution: str
    dev: Path | None
    limit: int | None
    start: str | None
    foundation: bool
    epochs: int
    rank: int
    learning_rate: float
    batch: int
    precision: Precision
    seed: int
    replace: bool
    quiet: bool

    def spec(self) -> ExpertSpec:
        """What to train, and how."""
        training = TrainingSettings(
            rank=self.rank,
            alpha=2 * self.rank,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch=self.batch,
            precision=self.precision,
            seed=self.seed,
        )
        return ExpertSpec(
            name=self.name,
            data=tuple(TrainingData(path, self.licence, self.attribution, self.input_format) for path in self.data),
            base=self.base,
            domain=self.domain,
            licence=self.licence,
            dev_path=self.dev,
            limit=self.limit,
            training=training,
            start=self.start,
            foundation=self.foundation,
            replace=self.replace,
        )


@click.command("train", cls=GroupedCommand)
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DATA...")
@click.option(
    "--from",
    "input_format",
    type=click.Choice(READABLE),
    help="Format of DATA and of the file that --dev names. Default: detected.",
)
@click.option("--name", required=True, help="Name of the expert.")
@click.option(
    "--base",
    default="smollm2-135m",
    show_default=True,
    help="Model to adapt: in the catalogue, a .gguf file, or a transformers model folder.",
)
@click.option("--domain", default="", help="What the texts are about.")
@click.option("--licence", default="unknown", help="Licence of the data, and so of the expert.")
@click.option("--attribution", default="", help="Whom the licence asks to credit.")
@click.option(
    "--dev",
    type=click.Path(path_type=Path),
    help="Annotated sentences to select the best epoch by. Default: a part of DATA.",
)
@click.option("--limit", type=click.IntRange(1), help="Use only this many sentences, drawn with the seed.")
@click.option("--start", metavar="NAME", help="Expert of the same base to start from; its rank must not be higher.")
@click.option(
    "--foundation",
    is_flag=True,
    help="The expert is a starting point for others, and is selected only where it is named.",
)
@click.option("--epochs", type=click.IntRange(1), default=1, show_default=True, help="Passes over the data.")
@click.option("--rank", type=click.IntRange(1), default=8, show_default=True, help="Rank of the adapter.")
@click.option("--learning-rate", type=float, default=3e-3, show_default=True, help="Peak learning rate.")
@click.option("--batch", type=click.IntRange(1), default=4, show_default=True, help="Sentences per step.")
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="float32",
    show_default=True,
    help="Precision of the base model; bfloat16 is faster on processors that support it.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all random choices.")
@click.option("--replace", is_flag=True, help="Replace an expert of the same name.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def train(**options: object) -> None:
    """Train an expert on annotated DATA, and add it to the store. Re-run the same command to resume."""
    train_options = parse_options(TrainOptions, options)
    with show_progress(quiet=train_options.quiet) as display:

        def report(progress: TrainingProgress) -> None:
            display.step("training", progress.step, progress.total_steps, f"loss {progress.loss:.3f}")

        trained = train_expert(train_options.spec(), environment(), display.callbacks(), report)
    print_location(trained)
    for score in trained.card.scores:
        lower, upper = score.f1_ci95
        click.echo(
            f"F1 {score.f1:.3f} ({lower:.3f} to {upper:.3f}), spans {score.spans_f1:.3f}, "
            f"on {score.sentences} held-out sentences",
            err=True,
        )
