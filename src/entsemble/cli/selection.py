"""The experts that were selected for a target, as text, table and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.table import Column, Table

from entsemble.assembly import Selection


def print_selection(selection: Selection | None, *, quiet: bool) -> None:
    """Print, before a run, which experts will answer and what to be careful about."""
    if selection is None or quiet:
        return
    domain, sampled = selection.domain.weights, selection.sampled.weights
    click.echo(f"experts: {_weighted_names(domain)}; {_weighted_names(sampled)}", err=True)
    for expert_name, reason in {**selection.incomparable, **selection.unusable}.items():
        click.echo(f"{expert_name}: {reason}", err=True)
    if selection.unknown_labels:
        labels = ", ".join(selection.unknown_labels)
        click.echo(f"no expert was trained on {labels}; definitions in a labels file may help", err=True)


def selection_table(selection: Selection) -> Table:
    """Every expert with its score and weight in each view."""
    criterion = "F1 on the pool" if selection.uses_gold else "agreement"
    table = Table(
        Column("expert", no_wrap=True),
        "text similarity",
        "weight",
        f"{criterion}, {selection.sample_sentences} sentences",
        "weight",
    )
    expert_names = [expert.card.name for expert in selection.experts]
    for expert_name in sorted(expert_names, key=lambda expert_name: -selection.sampled.scores[expert_name]):
        table.add_row(
            expert_name,
            _format_number(selection.domain.scores.get(expert_name)),
            _format_number(selection.domain.weights.get(expert_name), ".2f"),
            _format_number(selection.sampled.scores.get(expert_name)),
            _format_number(selection.sampled.weights.get(expert_name), ".2f"),
        )
    return table


def selection_json(selection: Selection) -> dict[str, Any]:
    """The selection as one JSON object."""
    return {
        "domain": {"scores": dict(selection.domain.scores), "weights": dict(selection.domain.weights)},
        "sampled": {"scores": dict(selection.sampled.scores), "weights": dict(selection.sampled.weights)},
        "biases": {view: dict(bias) for view, bias in selection.biases.items()},
        "uses_gold": selection.uses_gold,
        "target_sentences": selection.target_sentences,
        "sample_sentences": selection.sample_sentences,
        "incomparable": dict(selection.incomparable),
        "unusable": dict(selection.unusable),
        "unknown_labels": list(selection.unknown_labels),
    }


def _format_number(value: float | None, number_format: str = ".3f") -> str:
    return "" if value is None else format(value, number_format)


def _weighted_names(weights: Mapping[str, float]) -> str:
    return " + ".join(f"{name} x {weight:.2f}" for name, weight in weights.items())
