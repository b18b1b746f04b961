"""TOML on every supported Python."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOMLDecodeError = tomllib.TOMLDecodeError


def loads(text: str) -> dict[str, Any]:
    """The values of a TOML text.

    Raises:
        TOMLDecodeError: it is not valid TOML.
    """
    return dict(tomllib.loads(text))
