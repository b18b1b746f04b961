"""The command line: one thin file per command. `main` is the entry point."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import TextIO

import click
from click.shell_completion import get_completion_class

import entsemble
from entsemble._lib.text import message_line
from entsemble.cli.help import add_examples, explain_missing_value
from entsemble.cli.interrupt import INTERRUPTED_EXIT_CODE, TerminatedError, terminable
from entsemble.cli.streams import ReaderGoneError, flush_standard_output, guarded_streams
from entsemble.errors import ConfigError, DataError, EntsembleError, EntsembleWarning

__all__ = ["import_command", "main", "root"]


_SUMMARIES = {
    "demo": "Extract persons, organisations and locations from a bundled text, in two ways.",
    "extract": "Find the mentions in each INPUT: files, folders, a text in quotes, or - for standard input.",
    "evaluate": "Extract from the annotated documents of GOLD, and score the result against them.",
    "score": "Score the mentions of PREDICTED against those of GOLD: files, or folders, of the same documents.",
    "convert": "Convert annotated documents between formats, to tables, or to texts without names.",
    "models": "List, pull and describe models.",
    "pool": "Prepare and search a pool of annotated sentences.",
    "experts": "Train, select, merge and manage experts: adapters, each trained on one domain.",
    "distil": "Annotate TEXTS with the ensemble, and train a small, fast model on the pool and these annotations.",
    "review": "Correct the mentions in each FILE on a page in the browser.",
    "serve": "Serve extraction over HTTP, with a page to correct mentions. Corrections go to the pool.",
    "cache": "Show what is stored on this machine, and where; `cache clear` removes it.",
}
"""Command -> the first sentence of its help. It is the name of its module, too, which is imported when it is used."""


class _CommandGroup(click.Group):
    """The commands, each of them imported when it is used: `--help` needs none."""

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 - see click
        """See click."""
        return sorted({*_SUMMARIES, *self.commands})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """See click."""
        if name in _SUMMARIES and name not in self.commands:
            command: click.Command = getattr(import_module(f"entsemble.cli.{name}"), name)
            add_examples(command, name)
            self.add_command(command)
        return super().get_command(context, name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """See click."""
        summaries = {name: click.Command(name, help=summary) for name, summary in _SUMMARIES.items()}
        click.Group(commands={**summaries, **self.commands}).format_commands(context, formatter)


@click.group(cls=_CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
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


root.add_command(completion)
add_examples(root)


def import_command(words: Sequence[str]) -> None:
    """Import what the command needs that these words call, if they call one."""
    if words and words[0] in _SUMMARIES:
        import_module(f"entsemble.cli.{words[0]}")


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
