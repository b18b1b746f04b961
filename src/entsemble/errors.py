"""All errors that a user can meet, as one tree.

EntsembleError
├── DataError            a file or a text that cannot be read or written: names file and line, and says what to do
│   └── InUseError           another process is writing the file: says which one
├── ConfigError          a setting or an argument that is not valid
│   └── UnknownNameError     a name that is not registered: lists those that are
├── MissingExtraError    an optional dependency is not installed or cannot be loaded: names the command that installs it
└── ModelError           a model or a server failed
    ├── ModelUnavailableError    it cannot be loaded, downloaded or reached
    ├── PromptTooLongError       the prompt does not fit into the model's context
    ├── BadReplyError            its reply cannot be used
    └── MemberDownError          one of these, with the member of the ensemble that failed

`EntsembleWarning` is the category of all warnings; `warn` issues one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path


class EntsembleError(Exception):
    """Base class of all errors that entsemble raises on purpose; the message is written for users."""

    exit_code = 1


class EntsembleWarning(UserWarning):
    """What a user should know although the work goes on; the message is one line."""


def warn(message: str) -> None:
    """Issue an `EntsembleWarning`, once for each message.

    Args:
        message: what is left out or doubtful and, after a semicolon, what to do.
    """
    warnings.warn(message, EntsembleWarning, stacklevel=2)


class DataError(EntsembleError):
    """Data that cannot be read or written.

    Args:
        problem: what is wrong and, after a semicolon or full stop, what to do.
        path: the file, if there is one.
        line: the line in it, counted from 1.
    """

    exit_code = 65

    def __init__(self, problem: str, path: str | Path | None = None, line: int | None = None) -> None:
        self.problem, self.path, self.line = problem, path, line
        place = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(place + problem)


class InUseError(DataError):
    """An output that another process is writing.

    Args:
        path: the output.
        holder: the process that writes it: "process 4711 (at work since 2026-01-31 12:00:00+00:00)".
    """

    def __init__(self, path: str | Path, holder: str) -> None:
        self.holder = holder
        super().__init__(f"{holder} is writing this; wait for it, stop it, or name another output", path)

    def __reduce__(self) -> tuple[type[InUseError], tuple[str | Path, str]]:
        """For pickling: both arguments, since the exception's own `args` hold the message only."""
        return type(self), (self.path or "", self.holder)


class ConfigError(EntsembleError):
    """A setting or an argument that is not valid."""

    exit_code = 64


class UnknownNameError(ConfigError):
    """A name that is not registered.

    Args:
        kind: what the name should be a name of: "format".
        name: the unknown name.
        known_names: the registered names.
    """

    def __init__(self, kind: str, name: str, known_names: Iterable[str]) -> None:
        self.kind, self.name, self.known_names = kind, name, sorted(known_names)
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(self.known_names) or 'none'}")

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, list[str]]]:
        """For pickling: all arguments, since the exception's own `args` hold the message only."""
        return type(self), (self.kind, self.name, self.known_names)


class MissingExtraError(EntsembleError):
    """An optional dependency is not installed, or cannot be loaded.

    Args:
        package: the package that is missing.
        extra: the extra of entsemble that installs it.
        purpose: what needs the package: "Parquet".
        reason: why it cannot be loaded although it is installed, such as a system library that is missing.
    """

    exit_code = 69

    def __init__(self, package: str, extra: str, purpose: str, reason: str = "") -> None:
        self.package, self.extra, self.purpose, self.reason = package, extra, purpose, reason
        advice = f"install it with: pip install 'entsemble[{extra}]'"
        if reason:
            advice = f"it is installed but cannot be loaded ({reason}); install what it misses, or repair the package"
        super().__init__(f"{purpose} needs the package {package!r}; {advice}")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str, str]]:
        """For pickling: all arguments, since the exception's own `args` hold the message only."""
        return type(self), (self.package, self.extra, self.purpose, self.reason)


class ModelError(EntsembleError):
    """A model or a server failed."""

    exit_code = 69


class ModelUnavailableError(ModelError):
    """A model cannot be loaded, downloaded or reached."""


class PromptTooLongError(ModelError):
    """A prompt does not fit into the model's context; it is never truncated."""


class BadReplyError(ModelError):
    """A reply cannot be used."""


class MemberDownError(ModelError):
    """A member of the ensemble failed.

    Args:
        member: its name.
        problem: what happened.
    """

    def __init__(self, member: str, problem: str) -> None:
        self.member, self.problem = member, problem
        super().__init__(problem)

    def __reduce__(self) -> tuple[type[MemberDownError], tuple[str, str]]:
        """For pickling: both arguments, since the exception's own `args` hold the message only."""
        return type(self), (self.member, self.problem)
