"""Where commands write what they measured: looked at before the work, so that no work is lost."""

from __future__ import annotations

from pathlib import Path

from entsemble.errors import DataError


def check_writable(*paths: Path | None) -> None:
    """Whether the folders of these files are there; `-` is standard output.

    Raises:
        DataError: one is not.
    """
    for path in paths:
        if path is not None and str(path) != "-" and not path.parent.is_dir():
            raise DataError("its folder does not exist; make it first", path)


def write_report(path: Path, text: str) -> None:
    """Write a report.

    Raises:
        DataError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", path) from error
