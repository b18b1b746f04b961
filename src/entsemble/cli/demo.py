"""`entsemble demo`: extraction from a bundled text, without examples and with a pool."""

from __future__ import annotations

import time
from importlib.resources import as_file, files

import click
from rich.console import Console

from entsemble.api import load
from entsemble.cli.display import print_document
from entsemble.cli.options import verbose_option
from entsemble.cli.progress import ProgressDisplay, show_progress
from entsemble.cli.summary import Summary
from entsemble.data.formats import read
from entsemble.ensemble import Ensemble
from entsemble.ner.documents import Failed
from entsemble.types import Document

_SAMPLES = files("entsemble") / "samples"
_WITHOUT_EXAMPLES = "Without a single example, by the label reader:\n"
_WITH_EXAMPLES = "\nWith 48 annotated sentences, by the label reader, a tagger trained on them, and what they say:\n"


@click.command()
@click.option("--quiet", is_flag=True, help="Show no progress.")
@verbose_option
def demo(quiet: bool, verbose: bool) -> None:
    """Extract persons, organisations and locations from a bundled text, in two ways.

    First without examples, by the label reader. Then with a pool of 48 sentences: the label reader adapts to them, a
    tagger is trained on them, and both vote with what the pool itself says. No language model is needed. Votes are
    combined with the pre-trained weights; adapting them to the pool would take longer than everything else.
    """
    text = (_SAMPLES / "demo.txt").read_text(encoding="utf-8").strip()
    with as_file(_SAMPLES / "demo-pool.jsonl") as pool_path, show_progress(quiet=quiet) as progress:
        callbacks = progress.callbacks()
        labels = sorted({mention.label for document in read(pool_path) for mention in document.mentions})
        with load(labels=labels, progress=callbacks) as ensemble:
            _extract_and_print(text, ensemble, _WITHOUT_EXAMPLES, progress, verbose=verbose)
        with load(labels=labels, examples=pool_path, learn=0, progress=callbacks) as ensemble:
            _extract_and_print(text, ensemble, _WITH_EXAMPLES, progress, verbose=verbose)


def _extract_and_print(
    text: str, ensemble: Ensemble, heading: str, progress: ProgressDisplay, *, verbose: bool
) -> None:
    summary = Summary()
    documents = ensemble.prepare([Document("demo", text)])
    summary.started = time.perf_counter()
    [result] = ensemble.run(documents)
    summary.add(result)
    if isinstance(result, Failed):
        raise result.error
    with progress.paused():
        console = Console(highlight=False)
        console.print(heading)
        print_document(result.document, console)
        click.echo(summary.line(verbose=verbose), err=True)
