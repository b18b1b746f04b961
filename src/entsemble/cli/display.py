"""Progress and summaries, all on standard error: standard output is for results."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from entsemble.assembly import ProgressCallbacks
from entsemble.backends.download import Progress as Bytes


def stderr() -> Console:
    """The console for everything that is no result."""
    return Console(file=sys.stderr, highlight=False)


class _Rate(ProgressColumn):
    """How many a second, or, where that is less than one, seconds each."""

    def render(self, task: Task) -> Text:
        """The rate so far."""
        speed = task.speed or task.finished_speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each")


class Display:
    """Bars for downloads, for the preparation of a pool, and for the documents."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def callbacks(self) -> ProgressCallbacks:
        """What an assembly reports to."""
        return ProgressCallbacks(on_download=self._pulled, on_step=self.step, on_warning=self._warn)

    def step(self, what: str, done: int, total: int | None, note: str = "") -> None:
        """Show `done` of `total` (`None` where it is not known) for the bar called `what`, and a note behind it."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, note=note)
        self._progress.update(self._tasks[what], completed=done, total=total, note=note)

    def _warn(self, what: str) -> None:
        self._progress.console.print(f"entsemble: {what}", style="yellow", markup=False)

    def _pulled(self, told: Bytes) -> None:
        mega = 1_000_000
        self.step(f"{told.stage} {told.model} (MB)", told.done // mega, told.total // mega if told.total else None)


@contextmanager
def display(*, quiet: bool) -> Iterator[Display]:
    """Bars with rate and time left while the block runs; nothing at all where `quiet`."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=stderr(), disable=quiet, transient=False) as progress:
        yield Display(progress)
