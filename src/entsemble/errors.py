"""Every error a user can meet, as one tree.

EntsembleError
├── DataError            a file or a text that cannot be read as asked: says file, line and what to do
├── ConfigError          a setting or an argument that cannot be right
│   └── UnknownNameError     a name that no registry holds: lists the known ones
├── MissingExtraError    an optional dependency is absent: names the command that installs it
└── ModelError           a model or a server did not do its part
    ├── ModelUnavailableError    it cannot be loaded, pulled or reached
    ├── PromptTooLongError       the prompt does not fit the model's context
    ├── BadReplyError            it answered, but not with anything that can be used
    └── MemberDownError          which member of the ensemble one of these happened to
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class EntsembleError(Exception):
    """Base of all errors that entsemble raises on purpose; its text is written for the user."""

    exit_code = 1


class DataError(EntsembleError):
    """Input that cannot be read as asked.

    Args:
        problem: what is wrong and, after a semicolon or full stop, what to do about it.
        path: the file, where there is one.
        line: the line in it, counted from 1.
    """

    exit_code = 65

    def __init__(self, problem: str, path: str | Path | None = None, line: int | None = None) -> None:
        self.problem, self.path, self.line = problem, path, line
        place = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(place + problem)


class ConfigError(EntsembleError):
    """A setting or an argument that cannot be right."""

    exit_code = 64


class UnknownNameError(ConfigError):
    """A name that a registry does not hold."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(sorted(known)) or 'none'}")


class MissingExtraError(EntsembleError):
    """An optional dependency is not installed."""

    exit_code = 69

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}; install it with: pip install 'entsemble[{extra}]'")


class ModelError(EntsembleError):
    """A model or a server did not do its part."""

    exit_code = 69


class ModelUnavailableError(ModelError):
    """A model that cannot be loaded, pulled or reached."""


class PromptTooLongError(ModelError):
    """A prompt that does not fit the model's context, so that an answer would rest on half of it."""


class BadReplyError(ModelError):
    """A reply that holds nothing usable."""


class MemberDownError(ModelError):
    """A member of the ensemble that did not do its part.

    Args:
        member: its name.
        problem: what happened.
    """

    def __init__(self, member: str, problem: str) -> None:
        self.member, self.problem = member, problem
        super().__init__(problem)

    def __reduce__(self) -> tuple[type[MemberDownError], tuple[str, str]]:
        """Both arguments travel between processes."""
        return type(self), (self.member, self.problem)
