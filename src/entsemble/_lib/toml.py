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


def loads(text: str) -> dict[str, Any]:
    """The values of a TOML text.

    Raises:
        TOMLDecodeError: it is not valid TOML, or nested hundreds deep.
    """
    if _LONG_KEY.search(text):
        raise TOMLDecodeError("a key has hundreds of parts")
    try:
        return dict(tomllib.loads(text))
    except RecursionError as error:
        raise TOMLDecodeError("brackets are nested too deep") from error
