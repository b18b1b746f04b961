"""`entsemble distil`: a small, fast pipeline that learns from the ensemble."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import click

from entsemble.cli.display import display
from entsemble.cli.interrupt import StoppedError, interruptible
from entsemble.cli.options import Asked, shared_options
from entsemble.data.formats import read
from entsemble.distillation.teacher import Distillation, Distilled, Wanted
from entsemble.settings import environment


@click.command()
@click.argument("texts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="TEXTS...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the spaCy pipeline; an error where it exists.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="Score that every mention of a sentence needs for it to be learnt from.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="At most; the one that does best on the sentences held back is kept.",
)
@click.option("--replace", is_flag=True, help="Take the place of what OUTPUT holds.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON line.")
@shared_options()
def distil(
    texts: tuple[Path, ...],
    output: Path,
    min_score: float,
    epochs: int,
    replace: bool,
    as_json: bool,
    **shared: Any,  # noqa: ANN401 - the shared options, made into Asked at once
) -> None:
    """Annotate TEXTS with the ensemble, and train a small spaCy pipeline on what it is sure of.

    A part of the pool is shown to neither, and scores both. Said again, a run that was stopped goes on.
    """
    asked = Asked(**shared)
    wanted = Wanted(output, min_score, epochs, replace)
    with display(quiet=asked.quiet) as shown:
        distillation = Distillation(asked.settings(), environment(), wanted, shown.callbacks())
        with interruptible(distillation.stop):
            found = distillation.run(islice(read(texts, asked.input_format), asked.limit))
    if found is None:
        raise StoppedError(0, resumable=True)
    click.echo(json.dumps(asdict(found)) if as_json else _told(found, output))


def _told(found: Distilled, output: Path) -> str:
    teacher = "" if found.teacher_rate is None else f", {found.teacher_rate:.2f} sentences a second"
    lost = f"; {found.nested} nested mentions were left out" if found.nested else ""
    failed = f"; {found.failed} sentences could not be done" if found.failed else ""
    return (
        f"{found.sure} of {found.sentences} sentences were sure{lost}{failed}\n"
        f"on {found.held_back} sentences held back: teacher F1 {found.teacher_f1:.3f}{teacher}; student F1 "
        f"{found.student_f1:.3f}, {found.student_rate:,.0f} sentences a second\n"
        f'spacy.load("{output}")'
    )
