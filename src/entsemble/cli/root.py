"""The command group."""

from __future__ import annotations

import click

import entsemble
from entsemble.cli.completion import completion
from entsemble.cli.convert import convert
from entsemble.cli.demo import demo
from entsemble.cli.distil import distil
from entsemble.cli.evaluate import evaluate
from entsemble.cli.experts import experts
from entsemble.cli.extract import extract
from entsemble.cli.models import models
from entsemble.cli.pool import pool
from entsemble.cli.score import score
from entsemble.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(entsemble.__version__, prog_name="entsemble")
def root() -> None:
    """Named entities with your own labels, found by several small language models on your own machine."""


for _command in (demo, extract, evaluate, score, convert, models, pool, experts, distil, serve, completion):
    root.add_command(_command)
