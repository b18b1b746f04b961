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
        MissingExtraError: the package, or one that it imports, is not installed or cannot be loaded.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(_package(error, module), extra, purpose) from error
    except (ImportError, OSError) as error:  # a library of the system is missing, or two packages do not fit
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise MissingExtraError(_package(error, module), extra, purpose, reason) from error


def _package(error: ImportError | OSError, module: str) -> str:
    """The package that is to blame for the error of an import."""
    return (getattr(error, "name", None) or module).partition(".")[0]
