"""What `--help` shows beside the options' own texts: options in groups, and examples."""

from __future__ import annotations

from collections.abc import Sequence

import click

_GROUPS = {
    "What to find": ("labels", "nested", "thresholds", "never", "same_answer", "min_score"),
    "Examples to learn from": ("pool", "shots", "similarity", "learn", "pool_format"),
    "Models": ("config", "preset", "models", "runner", "no_cache", "seed", "patterns"),
    "Input": ("input_format", "limit"),
    "Output": (
        "output",
        "output_format",
        "unsure_path",
        "ledger",
        "as_json",
        "report_path",
        "page_path",
        "against",
        "group",
        "redact",
        "verbose",
        "quiet",
    ),
}
"""Heading -> names of parameters, whatever the command; all others stand under `Options`."""

_HEADINGS = {name: heading for heading, names in _GROUPS.items() for name in names}

_FEW_OPTIONS = 9
"""So many options, `--help` included, need no groups."""

_EXAMPLES = {
    "": (
        'entsemble extract "Ann left Oslo." --labels "person,location"',
        "entsemble demo",
    ),
    "demo": ("entsemble demo", "entsemble demo -v"),
    "extract": (
        'entsemble extract "Ann left Oslo." --labels "person,location"',
        'entsemble extract letters --labels "person,place" -o mentions.jsonl',
        'cat notes.txt | entsemble extract --labels "drug,dose"',
        "entsemble extract letters --labels labels.toml --pool pool.jsonl",
        "entsemble extract letters --pool pool.jsonl --preset best -o out.html",
        'entsemble extract incoming --labels "person,place" -o names.xlsx --group',
        "entsemble extract letters --pool pool.jsonl --redact pseudonym -o redacted",
    ),
    "evaluate": (
        "entsemble evaluate dev.conll --pool train.conll",
        "entsemble evaluate dev.jsonl --html report.html --json report.json",
        "entsemble evaluate dev.jsonl --preset fast --against report.json",
    ),
    "score": ("entsemble score gold.jsonl mentions.jsonl", "entsemble score gold.conll out.conll --html page.html"),
    "convert": (
        "entsemble convert train.conll train.jsonl",
        "entsemble convert mentions.jsonl mentions.html",
        "entsemble convert mentions.jsonl names.csv --group",
        "entsemble convert - - --from doccano --to conll",
    ),
    "models": ("entsemble models list", "entsemble models pull smollm2-135m gemma-3-270m"),
    "models list": ("entsemble models list --json",),
    "models pull": ("entsemble models pull smollm2-135m", "entsemble models pull --again gemma-3-270m"),
    "models info": ("entsemble models info gemma-3-270m",),
    "pool": ("entsemble pool build pool.jsonl", 'entsemble pool search pool.jsonl "Ann left Oslo."'),
    "pool build": ("entsemble pool build pool.jsonl", "entsemble pool build pool.jsonl --preset best"),
    "pool search": ('entsemble pool search pool.jsonl "Ann left Oslo." --shots 4',),
    "experts": ("entsemble experts list", 'entsemble experts select letters --labels "person,place"'),
    "experts list": ("entsemble experts list --json",),
    "experts show": ("entsemble experts show politics",),
    "experts add": ("entsemble experts add my-adapter --name news --domain newswire",),
    "experts remove": ("entsemble experts remove news",),
    "experts export": ("entsemble experts export politics politics-adapter",),
    "experts merge": ("entsemble experts merge news politics --into press --weights 0.7,0.3",),
    "experts select": ('entsemble experts select letters --labels "person,place"',),
    "experts evaluate": ("entsemble experts evaluate dev.conll", "entsemble experts evaluate dev.jsonl --limit 50"),
    "experts train": ("entsemble experts train train.conll --name news",),
    "distil": (
        "entsemble distil texts --pool pool.jsonl -o student",
        "entsemble extract texts --config student/entsemble.toml",
    ),
    "serve": ('entsemble serve --labels "person,organisation,location"', "entsemble serve --pool pool.jsonl --port 80"),
    "review": ("entsemble review mentions.jsonl", 'entsemble review letters --labels "person,place"'),
    "cache": ("entsemble cache", "entsemble cache clear replies --older-than 30"),
    "cache clear": ("entsemble cache clear", "entsemble cache clear replies --older-than 30"),
    "completion": ('eval "$(entsemble completion bash)"',),
}
"""Command -> what one may type."""


class GroupedCommand(click.Command):
    """A command whose options are listed in groups if they are many."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; called by click."""
        records = [(parameter.name, parameter.get_help_record(context)) for parameter in self.get_params(context)]
        is_grouped = len(records) > _FEW_OPTIONS
        sections: dict[str, list[tuple[str, str]]] = {heading: [] for heading in (*_GROUPS, "Options")}
        for name, record in records:
            if record is not None:
                sections[_HEADINGS.get(name or "", "Options") if is_grouped else "Options"].append(record)
        for heading, rows in sections.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def add_examples(command: click.Command, path: str = "") -> None:
    """Let the command, and those below it, end their help with examples."""
    if path in _EXAMPLES:
        command.epilog = "\n".join(("\b", "Examples:", *(f"  {example}" for example in _EXAMPLES[path])))
    if isinstance(command, click.Group):
        for name, subcommand in command.commands.items():
            add_examples(subcommand, f"{path} {name}".strip())


def explain_missing_value(error: click.BadOptionUsage, root: click.Command, words: Sequence[str]) -> click.UsageError:
    """The error that an option has no value, with the values that it takes.

    Args:
        error: of the option.
        root: the command line.
        words: that it was called with.
    """
    command = root
    for word in words:
        if isinstance(command, click.Group):
            command = command.commands.get(word, command)
    for option in command.params:
        if error.option_name in option.opts and isinstance(option.type, click.Choice):
            return click.UsageError(f"{error.message} It takes one of: {', '.join(option.type.choices)}.", error.ctx)
    return error
