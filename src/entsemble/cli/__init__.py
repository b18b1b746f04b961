"""The command line: one thin file a command. `main` is the entry point."""

from __future__ import annotations

import sys

from entsemble.cli.root import root
from entsemble.errors import EntsembleError

__all__ = ["main", "root"]


def main() -> None:
    """Run the command line; errors meant for the user are one line on standard error and an exit code."""
    try:
        root(prog_name="entsemble")
    except EntsembleError as error:
        sys.stderr.write(f"entsemble: {error}\n")
        sys.exit(error.exit_code)
