"""The command line: one thin file per command. `main` is the entry point."""

from __future__ import annotations

import sys
import warnings
from typing import TextIO

import click
from click.shell_completion import get_completion_class

import entsemble
from entsemble._lib.text import message_line
from entsemble.cli.cache import cache
from entsemble.cli.convert import convert
from entsemble.cli.demo import demo
from entsemble.cli.distil import distil
from entsemble.cli.evaluate import evaluate
from entsemble.cli.experts import experts
from entsemble.cli.extract import extract
from entsemble.cli.help import add_examples, explain_missing_value
from entsemble.cli.interrupt import INTERRUPTED_EXIT_CODE, TerminatedError, terminable
from entsemble.cli.models import models
from entsemble.cli.pool import pool
from entsemble.cli.review import review
from entsemble.cli.score import score
from entsemble.cli.serve import serve
from entsemble.cli.streams import ReaderGoneError, flush_standard_output, guarded_streams
from entsemble.errors import ConfigError, DataError, EntsembleError, EntsembleWarning

__all__ = ["main", "root"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(entsemble.__version__, prog_name="entsemble")
def root() -> None:
    """Named entities with your own labels, found by several small language models on your own machine."""
    warnings.showwarning = _show_warning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,  # noqa: ARG001 - Python calls it with the place in the code, too
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Show a warning of ours as one line, like the other messages; those of libraries are for programmers."""
    if issubclass(category, EntsembleWarning):
        click.echo(message_line("entsemble", message), err=True)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL; to use it, add eval "$(entsemble completion bash)" to ~/.bashrc."""
    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(completion_class(context.find_root().command, {}, "entsemble", "_ENTSEMBLE_COMPLETE").source())


for _command in (
    demo,
    extract,
    evaluate,
    score,
    convert,
    models,
    pool,
    experts,
    distil,
    review,
    serve,
    cache,
    completion,
):
    root.add_command(_command)
add_examples(root)


def main() -> None:
    """Run the command line; expected errors become one line on standard error and an exit code."""
    with guarded_streams(), terminable():
        exit_code = _run()
    if exit_code:
        sys.exit(exit_code)


def _run() -> int:
    """Run the command line; returns its exit code."""
    try:
        try:
            root(prog_name="entsemble", standalone_mode=False)
        finally:
            flush_standard_output()
    except click.ClickException as error:
        shown = explain_missing_value(error, root, sys.argv[1:]) if isinstance(error, click.BadOptionUsage) else error
        shown.show()
        return ConfigError.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        if isinstance(error.__cause__, EOFError):  # click takes a library's error for the end of what is typed
            raise error.__cause__ from None
        sys.stderr.write("entsemble: stopped\n")
        return INTERRUPTED_EXIT_CODE
    except TerminatedError as error:
        sys.stderr.write("entsemble: stopped\n")
        return error.exit_code
    except EntsembleError as error:
        if not isinstance(error, ReaderGoneError):
            sys.stderr.write(message_line("entsemble", error) + "\n")
        return error.exit_code
    except OSError as error:  # of a path that was not even looked at, such as one whose name is too long
        places = [] if error.filename is None else [error.filename]
        sys.stderr.write(message_line("entsemble", *places, error.strerror or type(error).__name__) + "\n")
        return DataError.exit_code
    return 0
