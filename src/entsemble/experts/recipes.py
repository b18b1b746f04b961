"""Experts merged by a recipe, and stored as experts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from entsemble._lib.temporary import temporary_folder
from entsemble.errors import ConfigError
from entsemble.experts.card import Card, Recipe, RecipePart, combine_licences
from entsemble.experts.merging.merge import MergeSettings, merge_adapters
from entsemble.experts.peft_folder import WEIGHTS_FILE, save_adapter
from entsemble.experts.store import Expert, ExpertStore, load_checked_adapter

Item = TypeVar("Item")

_ERROR_KEY = "rank budget error"


def build_recipe(experts: Sequence[Expert], weights: Sequence[float], settings: MergeSettings) -> Recipe:
    """The recipe of a merge: experts with the checksums of their weights, mixture weights and settings.

    Raises:
        ConfigError: there is no expert, or they differ in base or template.
    """
    if not experts:
        raise ConfigError("nothing to merge: name the experts")
    first = experts[0].card
    for other in (expert.card for expert in experts[1:]):
        if first.base_sha256 != other.base_sha256:
            difference = f"base ({first.base}, {other.base})"
        elif first.template != other.template:
            difference = f"prompt template ({first.template}, {other.template})"
        else:
            continue
        raise ConfigError(f"{first.name} and {other.name} cannot be merged: they differ in {difference}")
    parts = tuple(
        RecipePart(expert=expert.card.name, sha256=expert.card.files[WEIGHTS_FILE], weight=weight)
        for expert, weight in zip(experts, weights, strict=True)
    )
    return Recipe(parts=parts, method=settings.method, rank=settings.rank, density=settings.density, seed=settings.seed)


def add_merged_expert(
    store: ExpertStore,
    name: str,
    experts: Sequence[Expert],
    weights: Sequence[float],
    settings: MergeSettings,
    *,
    replace: bool = False,
) -> tuple[Expert, float]:
    """Merge experts into a new one; an expert of that name with the same recipe is returned as it is.

    Args:
        store: where the merged expert is stored.
        name: of the merged expert.
        experts: to merge.
        weights: one per expert.
        settings: method, rank, density and seed.
        replace: whether another expert of that name is replaced.

    Returns:
        The expert, and the relative error that its limited rank causes; see `MergeResult`.

    Raises:
        ConfigError: the experts cannot be merged, or there is another expert of that name.
        DataError: an expert's files are not the ones that were added, or the new expert cannot be stored.
    """
    recipe = build_recipe(experts, weights, settings)
    if name in store.names():
        existing = store.get(name)
        if existing.card.recipe == recipe:
            return existing, existing.card.training.get(_ERROR_KEY, 0.0)
    store.check_name(name, replace=replace)  # before the work
    result = merge_adapters([load_checked_adapter(expert) for expert in experts], weights, settings)
    cards = [expert.card for expert in experts]
    merged_card = Card(
        name=name,
        domain="merged: " + ", ".join(card.name for card in cards),
        base=cards[0].base,
        base_sha256=cards[0].base_sha256,
        template=cards[0].template,
        labels=_unique(label for card in cards for label in card.labels),
        sources=_unique(source for card in cards for source in card.sources),
        licence=combine_licences(card.licence for card in cards),
        seed=settings.seed,
        training={_ERROR_KEY: result.relative_error},
        recipe=recipe,
    )
    with temporary_folder() as folder:
        save_adapter(result.adapter, folder)
        return store.add(folder, merged_card, replace=replace), result.relative_error


def parse_weights(text: str | None, names: Sequence[str]) -> list[float]:
    """Mixture weights from a command line, such as `0.5,0.25,0.25`; equal weights if there is no text.

    Raises:
        ConfigError: the number of weights is wrong, one is not a number, or an expert is named twice.
    """
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{duplicates[0]} is named twice; name it once, with the sum of the weights")
    if text is None:
        return [1 / len(names)] * len(names)
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != len(names):
        raise ConfigError(f"weights need one number per expert, such as 0.5,0.5; got {text!r} for {', '.join(names)}")
    return weights


def _unique(items: Iterable[Item]) -> tuple[Item, ...]:
    """Distinct items, in order of first occurrence."""
    return tuple(dict.fromkeys(items))
