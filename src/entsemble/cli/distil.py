"""`entsemble distil`: train a small, fast model on the ensemble's output."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import get_args

import click

from entsemble.cli.help import GroupedCommand
from entsemble.cli.interrupt import StoppedError, interruptible
from entsemble.cli.options import SharedOptions, parse_options, shared_options
from entsemble.cli.progress import show_progress
from entsemble.data.formats import read
from entsemble.distillation.student import SETTINGS_FILE, StudentKind
from entsemble.distillation.teacher import Distillation, DistillationOptions, DistillationResult
from entsemble.settings import environment

_GOOD_SHARE = 0.9
"""Of the teacher's F1; a student that keeps less may not be worth its speed."""


@click.command(cls=GroupedCommand)
@click.argument("texts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="TEXTS...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the student; must not exist.",
)
@click.option(
    "--student",
    type=click.Choice(get_args(StudentKind)),
    default="tagger",
    show_default=True,
    help="What is trained: a sequence tagger, or the label reader, which is slower and knows names that no text had.",
)
@click.option("--replace", is_flag=True, help="Replace the student in OUTPUT.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON line.")
@shared_options()
def distil(texts: tuple[Path, ...], as_json: bool, **options: object) -> None:
    """Annotate TEXTS with the ensemble, and train a small, fast model on the pool and these annotations.

    A fifth of the pool is held out to score both. Re-run the same command to resume.
    """
    shared = parse_options(SharedOptions, options)
    distillation_options = parse_options(DistillationOptions, options)
    with show_progress(quiet=shared.quiet) as progress:
        distillation = Distillation(shared.settings(), environment(), distillation_options, progress.callbacks())
        with interruptible(distillation.stop) as stopping:
            result = distillation.run(islice(read(texts, shared.input_format), shared.limit))
    if result is None:
        raise StoppedError(0, stopping, resumable=True)
    click.echo(
        json.dumps(asdict(result))
        if as_json
        else _describe(result, distillation_options.output, distillation_options.student)
    )


def _describe(result: DistillationResult, output: Path, kind: StudentKind) -> str:
    speed = "" if result.teacher_rate is None else f", {result.teacher_rate:.2f} sentences a second"
    is_poor = kind == "tagger" and result.student_f1 < _GOOD_SHARE * result.teacher_f1
    advice = "more texts may help, and so may --student reader\n" if is_poor else ""
    failed = f"; {result.failed} sentences failed" if result.failed else ""
    return (
        f"trained on {result.pool + result.held_back} pool sentences and {result.sentences} of the texts{failed}\n"
        f"on {result.held_back} held-out sentences: teacher F1 {result.teacher_f1:.3f}{speed}; student F1 "
        f"{result.student_f1:.3f}, {result.student_rate:,.0f} sentences a second\n"
        f"{advice}entsemble extract TEXTS --config {output / SETTINGS_FILE}"
    )
