"""Progress bars and warnings on standard error; standard output is for results."""

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
from entsemble.backends.download import DownloadProgress

_MEGABYTE = 1_000_000


def error_console() -> Console:
    """The console for everything that is not a result."""
    return Console(file=sys.stderr, highlight=False)


class _RateColumn(ProgressColumn):
    """Steps per second, or seconds per step below one per second."""

    def render(self, task: Task) -> Text:
        """The rate so far."""
        speed = task.speed or task.finished_speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each")


class ProgressDisplay:
    """Progress bars for downloads, the preparation of a pool, and documents."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def callbacks(self) -> ProgressCallbacks:
        """The callbacks through which an assembly reports its progress here."""
        return ProgressCallbacks(on_download=self._download_progress, on_step=self.step, on_warning=self._warn)

    def step(self, description: str, completed: int, total: int | None, note: str = "") -> None:
        """Update one bar, which is created on the first call.

        Args:
            description: identifies the bar, and stands before it.
            completed: steps done.
            total: steps in all; `None` if unknown.
            note: shown behind the bar.
        """
        if description not in self._tasks:
            self._tasks[description] = self._progress.add_task(description, total=total, note=note)
        self._progress.update(self._tasks[description], completed=completed, total=total, note=note)

    def _warn(self, message: str) -> None:
        self._progress.console.print(f"entsemble: {message}", style="yellow", markup=False)

    def _download_progress(self, download: DownloadProgress) -> None:
        total = download.bytes_total // _MEGABYTE if download.bytes_total else None
        self.step(f"{download.stage} {download.model_name} (MB)", download.bytes_done // _MEGABYTE, total)


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[ProgressDisplay]:
    """Progress bars with rate and remaining time while the block runs; none if `quiet`."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=error_console(), disable=quiet, transient=False) as progress:
        yield ProgressDisplay(progress)
