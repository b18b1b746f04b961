"""TOML on every supported Python."""

from __future__ import annotations

import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOMLDecodeError = tomllib.TOMLDecodeError

_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){500}""")
"""A key of hundreds of parts: the parser takes a time that grows with the square of their number."""


class _TooDeepError(tomllib.TOMLDecodeError):  # type: ignore[misc] # before 3.11 of a package that is not here
    """Valid TOML that is not read. Made from a message alone, which the parsers' own errors no longer are."""

    def __init__(self, message: str) -> None:
        ValueError.__init__(self, message)


def loads(text: str) -> dict[str, Any]:
    """The values of a TOML text.

    Raises:
        TOMLDecodeError: it is not valid TOML, or nested hundreds deep.
    """
    if _LONG_KEY.search(text):
        raise _TooDeepError("a key has hundreds of parts")
    try:
        return dict(tomllib.loads(text))
    except RecursionError as error:
        raise _TooDeepError("brackets are nested too deep") from error
