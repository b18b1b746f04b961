"""Progress in words, and warnings, on standard error; standard output is for results."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TaskID
from rich.text import Text

from entsemble._lib.text import message_line
from entsemble.assembly import ProgressCallbacks
from entsemble.backends.download import DownloadProgress

_MEGABYTE = 1_000_000


def error_console() -> Console:
    """The console for everything that is not a result."""
    return Console(file=sys.stderr, highlight=False)


class _WordsColumn(ProgressColumn):
    """What is done, for how long, and how long it will take: `documents: 3 of 40, 12 s, about 2 min left`."""

    def render(self, task: Task) -> Text:
        """The state of one task, cut to the width of the terminal."""
        total = "" if task.total is None else f" of {task.total:,.0f}"
        parts = [f"{task.description}: {task.completed:,.0f}{total}"]
        if task.elapsed:
            parts.append(format_duration(task.elapsed))
        if task.time_remaining:
            parts.append(f"about {format_duration(task.time_remaining)} left")
        if task.fields["note"]:
            parts.append(task.fields["note"])
        return Text(", ".join(parts), overflow="ellipsis", no_wrap=True)


def format_duration(seconds: float) -> str:
    """A duration in its two largest units.

    >>> format_duration(9.4), format_duration(150), format_duration(7_300)
    ('9 s', '2 min 30 s', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class ProgressDisplay:
    """Progress of downloads, the preparation of a pool, and documents."""

    def __init__(self, progress: Progress, *, quiet: bool = False) -> None:
        self._progress, self._quiet = progress, quiet
        self._tasks: dict[str, TaskID] = {}

    def callbacks(self) -> ProgressCallbacks:
        """The callbacks through which an assembly reports its progress here."""
        return ProgressCallbacks(
            on_download=self._download_progress, on_step=self.step, on_note=self._note, on_warning=self._warn
        )

    def step(self, description: str, completed: int, total: int | None, note: str = "") -> None:
        """Update one line, which is created on the first call.

        Args:
            description: identifies the line, and stands before it.
            completed: steps done.
            total: steps in all; `None` if unknown.
            note: shown at its end.
        """
        if description not in self._tasks:
            self._tasks[description] = self._progress.add_task(description, total=total, note=note)
        self._progress.update(self._tasks[description], completed=completed, total=total, note=note)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to the block, for results that are printed there."""
        if self._progress.disable:
            yield
            return
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def _note(self, message: str) -> None:
        if not self._quiet:
            self._progress.console.print(message_line("entsemble", message), style="dim", markup=False, soft_wrap=True)

    def _warn(self, message: str) -> None:
        self._progress.console.print(message_line("entsemble", message), style="yellow", markup=False)

    def _download_progress(self, download: DownloadProgress) -> None:
        total = download.bytes_total // _MEGABYTE if download.bytes_total else None
        self.step(f"{download.stage} {download.model_name} (MB)", download.bytes_done // _MEGABYTE, total)


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[ProgressDisplay]:
    """Progress with elapsed and remaining time while the block runs; none if `quiet`, and nothing is left of it."""
    columns = SpinnerColumn(), _WordsColumn()
    console = error_console()
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as progress:
        yield ProgressDisplay(progress, quiet=quiet)
