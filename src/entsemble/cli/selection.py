"""Which experts were chosen for a target, as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.table import Column, Table

from entsemble.assembly import Selection


def say_chosen(selection: Selection | None, *, quiet: bool) -> None:
    """One line before a run: whose answers these will be, and what to mistrust."""
    if selection is None or quiet:
        return
    click.echo(f"experts: {_parts(selection.domain.weights)}; {_parts(selection.sampled.weights)}", err=True)
    for name, why in {**selection.far, **selection.broken}.items():
        click.echo(f"{name}: {why}", err=True)
    if selection.unknown:
        told = ", ".join(selection.unknown)
        click.echo(f"no expert was trained on {told}; a definition in a labels file may help them", err=True)


def selection_table(selection: Selection) -> Table:
    """Every expert with both scores, and what it weighs in each merged member."""
    basis = "F1 on the pool" if selection.labelled else "agreement"
    table = Table(
        Column("expert", no_wrap=True),
        "likeness of texts",
        "weight",
        f"{basis}, {selection.sample} sentences",
        "weight",
    )
    order = sorted(selection.experts, key=lambda e: -selection.sampled.scores[e.card.name])
    for name in (e.card.name for e in order):
        cells = (
            _number(selection.domain.scores.get(name)),
            _number(selection.domain.weights.get(name), ".2f"),
            _number(selection.sampled.scores.get(name)),
            _number(selection.sampled.weights.get(name), ".2f"),
        )
        table.add_row(name, *cells)
    return table


def selection_json(selection: Selection) -> dict[str, Any]:
    """The same for programs."""
    return {
        "domain": {"scores": dict(selection.domain.scores), "weights": dict(selection.domain.weights)},
        "sampled": {"scores": dict(selection.sampled.scores), "weights": dict(selection.sampled.weights)},
        "bias": {view: dict(bias) for view, bias in selection.bias.items()},
        "labelled": selection.labelled,
        "texts": selection.texts,
        "sample": selection.sample,
        "far": dict(selection.far),
        "broken": dict(selection.broken),
        "unknown": list(selection.unknown),
    }


def _number(value: float | None, form: str = ".3f") -> str:
    return "" if value is None else format(value, form)


def _parts(weights: Mapping[str, float]) -> str:
    return " + ".join(f"{name} x {weight:.2f}" for name, weight in weights.items())
