"""`entsemble distil`: train a small, fast spaCy pipeline on the ensemble's output."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import click

from entsemble.cli.help import GroupedCommand
from entsemble.cli.interrupt import StoppedError, interruptible
from entsemble.cli.options import SharedOptions, parse_options, shared_options
from entsemble.cli.progress import show_progress
from entsemble.data.formats import read
from entsemble.distillation.teacher import Distillation, DistillationOptions, DistillationResult
from entsemble.settings import environment


@click.command(cls=GroupedCommand)
@click.argument("texts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="TEXTS...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the spaCy pipeline; must not exist.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="Train on sentences in which every mention has at least this score.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Maximum; the epoch with the best F1 on the held-out sentences is saved.",
)
@click.option("--replace", is_flag=True, help="Replace the pipeline in OUTPUT.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON line.")
@shared_options()
def distil(texts: tuple[Path, ...], as_json: bool, **options: object) -> None:
    """Annotate TEXTS with the ensemble, and train a small spaCy pipeline on the confident annotations.

    A part of the pool is held out to score both. Re-run the same command to resume.
    """
    shared = parse_options(SharedOptions, options)
    distillation_options = parse_options(DistillationOptions, options)
    with show_progress(quiet=shared.quiet) as progress:
        distillation = Distillation(shared.settings(), environment(), distillation_options, progress.callbacks())
        with interruptible(distillation.stop) as stopping:
            result = distillation.run(islice(read(texts, shared.input_format), shared.limit))
    if result is None:
        raise StoppedError(0, stopping, resumable=True)
    click.echo(json.dumps(asdict(result)) if as_json else _describe(result, distillation_options.output))


def _describe(result: DistillationResult, output: Path) -> str:
    speed = "" if result.teacher_rate is None else f", {result.teacher_rate:.2f} sentences a second"
    nested = f"; {result.nested} nested mentions were left out" if result.nested else ""
    failed = f"; {result.failed} sentences failed" if result.failed else ""
    return (
        f"{result.sure} of {result.sentences} sentences were confident enough to train on{nested}{failed}\n"
        f"on {result.held_back} held-out sentences: teacher F1 {result.teacher_f1:.3f}{speed}; student F1 "
        f"{result.student_f1:.3f}, {result.student_rate:,.0f} sentences a second\n"
        f'spacy.load("{output}")'
    )
