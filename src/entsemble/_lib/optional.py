"""Packages that only some users have."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from entsemble.errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> Any:  # noqa: ANN401 - a module of an untyped library
    """Import a module of an optional dependency.

    Args:
        module: dotted name, such as `pyarrow.parquet`.
        extra: the extra of entsemble that installs it.
        purpose: what needs it, for the message: "reading Parquet".

    Raises:
        MissingExtraError: the package, or one that it imports, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = (error.name or module).partition(".")[0]
        raise MissingExtraError(package, extra, purpose) from error
