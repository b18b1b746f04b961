"""`entsemble experts`: manage, merge, select and train experts."""

from __future__ import annotations

import click

from entsemble.cli.experts.manage import (
    add_expert,
    export_expert,
    list_experts,
    merge_experts,
    remove_experts,
    show_expert,
)
from entsemble.cli.experts.select import evaluate_each, select_for_target
from entsemble.cli.experts.train import train


@click.group()
def experts() -> None:
    """Train, select, merge and manage experts: adapters, each trained on one domain."""


for _command in (
    list_experts,
    show_expert,
    add_expert,
    remove_experts,
    export_expert,
    merge_experts,
    select_for_target,
    evaluate_each,
    train,
):
    experts.add_command(_command)
