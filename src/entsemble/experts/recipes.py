"""Experts merged by a recipe, kept as experts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from entsemble.errors import ConfigError
from entsemble.experts import peft_folder
from entsemble.experts.card import Card, Recipe, RecipePart, combine_licences
from entsemble.experts.merging.merge import MergeSettings, merge_adapters
from entsemble.experts.store import Expert, ExpertStore, load_checked_adapter

Item = TypeVar("Item")


def build_recipe(experts: Sequence[Expert], weights: Sequence[float], how: MergeSettings) -> Recipe:
    """Which experts, with what weights, merged how; contents named by their checksums.

    Raises:
        ConfigError: none, or experts of different bases or prompt shapes.
    """
    if not experts:
        raise ConfigError("nothing to merge: name the experts")
    first = experts[0].card
    for other in (e.card for e in experts[1:]):
        if first.base_sha256 != other.base_sha256:
            differs = f"base ({first.base}, {other.base})"
        elif first.template != other.template:
            differs = f"prompt shape ({first.template}, {other.template})"
        else:
            continue
        raise ConfigError(f"{first.name} and {other.name} cannot be merged: they differ in {differs}")
    parts = tuple(
        RecipePart(expert=e.card.name, sha256=e.card.files[peft_folder.WEIGHTS_FILE], weight=w)
        for e, w in zip(experts, weights, strict=True)
    )
    return Recipe(parts=parts, method=how.method, rank=how.rank, density=how.density, seed=how.seed)


def add_merged_expert(
    store: ExpertStore,
    name: str,
    experts: Sequence[Expert],
    weights: Sequence[float],
    how: MergeSettings,
    *,
    replace: bool = False,
) -> tuple[Expert, float]:
    """Merge experts into a new one; one that was made by the same recipe is taken as it is.

    Returns:
        The expert, and what the rank budget cost; see `Merged.error`.

    Raises:
        ConfigError: experts that cannot be merged, or another expert of that name.
        DataError: an expert's files are not those that were added, or the new one cannot be kept.
    """
    recipe = build_recipe(experts, weights, how)
    if name in store.names() and (there := store.get(name)).card.recipe == recipe:
        return there, there.card.training.get("rank budget error", 0.0)
    store.check_name(name, replace=replace)  # before the work
    made = merge_adapters([load_checked_adapter(e) for e in experts], weights, how)
    cards = [e.card for e in experts]
    told = Card(
        name=name,
        domain="merged: " + ", ".join(c.name for c in cards),
        base=cards[0].base,
        base_sha256=cards[0].base_sha256,
        template=cards[0].template,
        labels=_together([c.labels for c in cards]),
        sources=_together([c.sources for c in cards]),
        licence=combine_licences(c.licence for c in cards),
        seed=how.seed,
        training={"rank budget error": made.relative_error},
        recipe=recipe,
    )
    with tempfile.TemporaryDirectory() as folder:
        peft_folder.save_adapter(made.adapter, Path(folder))
        return store.add(Path(folder), told, replace=replace), made.relative_error


def parse_weights(text: str | None, names: Sequence[str]) -> list[float]:
    """Weights as a command is given them, `0.5,0.25,0.25`; without them, all alike.

    Raises:
        ConfigError: not one number an expert, or an expert twice.
    """
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{twice[0]} is named twice; give it the sum of the weights")
    if text is None:
        return [1 / len(names)] * len(names)
    try:
        given = [float(part) for part in text.split(",")]
    except ValueError:
        given = []
    if len(given) != len(names):
        raise ConfigError(f"weights need one number an expert, as 0.5,0.5; got {text!r} for {', '.join(names)}")
    return given


def _together(lists: Sequence[tuple[Item, ...]]) -> tuple[Item, ...]:
    return tuple(dict.fromkeys(x for one in lists for x in one))
