"""The command line: one thin file a command. `main` is the entry point."""

from __future__ import annotations

import sys

import click

from entsemble.cli.root import root
from entsemble.errors import ConfigError, EntsembleError

__all__ = ["main", "root"]


def main() -> None:
    """Run the command line; errors meant for the user are one line on standard error and an exit code."""
    try:
        root(prog_name="entsemble", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(ConfigError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("entsemble: stopped\n")
        sys.exit(130)
    except EntsembleError as error:
        sys.stderr.write(f"entsemble: {error}\n")
        sys.exit(error.exit_code)
