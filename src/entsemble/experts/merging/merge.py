"""Merging of several adapters into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from zlib import crc32

import numpy as np

from entsemble.errors import ConfigError, UnknownNameError
from entsemble.experts.merging.low_rank import LowRankFactors, factorize, squared_norm, truncate_rank, weighted_sum
from entsemble.experts.merging.methods import METHODS, SIGN_ELECTING_METHODS
from entsemble.experts.peft_folder import Adapter

WEIGHTED_SUM = "weighted-sum"


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """How adapters are merged.

    Attributes:
        method: `weighted-sum`, `ties`, `dare` or `dare-ties`.
        rank: maximum rank of the merged adapter. By default the sum of the experts' ranks: a weighted sum is then
            exact, and the full-rank changes of the other methods are truncated to it.
        density: share of the entries that TIES keeps, and that DARE keeps on average.
        seed: of the entries that DARE drops.
    """

    method: str = WEIGHTED_SUM
    rank: int | None = None
    density: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in {WEIGHTED_SUM, *METHODS}:
            raise UnknownNameError("merge method", self.method, {WEIGHTED_SUM, *METHODS})
        if self.rank is not None and self.rank < 1:
            raise ConfigError(f"a merged adapter's rank must be at least 1, got {self.rank}")
        if self.seed < 0:
            raise ConfigError(f"a seed must be at least 0, got {self.seed}")
        if not 0 < self.density <= 1:
            raise ConfigError(f"the density must be above 0 and at most 1, got {self.density:g}")


@dataclass(frozen=True, slots=True)
class MergeResult:
    """A merged adapter.

    Attributes:
        adapter: the adapter.
        relative_error: Frobenius norm of what the rank limit cut off, over that of the whole merged change.
    """

    adapter: Adapter
    relative_error: float


def merge_adapters(adapters: Sequence[Adapter], weights: Sequence[float], settings: MergeSettings) -> MergeResult:
    """Merge the changes B @ A of adapters of one base.

    A module that an adapter does not change counts as a change of 0.

    Args:
        adapters: at least one.
        weights: one per adapter; for a mean, they add up to 1.
        settings: method, rank, density and seed.

    Raises:
        ConfigError: there is nothing to merge, or the adapters or weights do not fit together.
    """
    _check_compatible(adapters, weights, settings)
    merged: dict[str, LowRankFactors] = {}
    squared_error = total = 0.0
    for module in sorted({module for adapter in adapters for module in adapter.factors}):
        changes = [adapter.factors.get(module) for adapter in adapters]
        if len({change.shape for change in changes if change}) > 1:
            raise ConfigError(f"{module} has different sizes in these adapters: they have different bases")
        merged[module], module_error = _merge_module(module, changes, weights, settings)
        squared_error += module_error
        total += module_error + squared_norm(merged[module])
    return MergeResult(Adapter(merged, base=adapters[0].base), sqrt(squared_error / total) if total else 0.0)


def _check_compatible(adapters: Sequence[Adapter], weights: Sequence[float], settings: MergeSettings) -> None:
    if not adapters or len(adapters) != len(weights):
        raise ConfigError(f"a merge needs one weight per adapter: {len(adapters)} adapters, {len(weights)} weights")
    if len({adapter.uses_rslora for adapter in adapters}) > 1:
        raise ConfigError("some adapters were trained with rsLoRA, some without: their changes have different scales")
    if not all(map(isfinite, weights)):
        raise ConfigError(f"weights must be finite numbers, got {', '.join(map(str, weights))}")
    if settings.method in SIGN_ELECTING_METHODS and min(weights) < 0:
        raise ConfigError(f"{settings.method} elects signs and needs weights of at least 0; use {WEIGHTED_SUM}")


def _merge_module(
    module: str, changes: Sequence[LowRankFactors | None], weights: Sequence[float], settings: MergeSettings
) -> tuple[LowRankFactors, float]:
    """The merged change of a module, and its squared error; `None` stands for a change of 0."""
    present = [(change, weight) for change, weight in zip(changes, weights, strict=True) if change]
    first = present[0][0]
    max_rank = min(*first.shape, settings.rank or sum(change.rank for change, _ in present))
    if settings.method == WEIGHTED_SUM:
        exact_sum = weighted_sum([change for change, _ in present], [weight for _, weight in present])
        return truncate_rank(exact_sum, max_rank)
    no_change = np.zeros(first.shape, dtype=first.lora_a.dtype)
    dense_changes = [change.dense() if change else no_change for change in changes]
    # Each module has its own random stream, which does not depend on the other modules.
    generator = np.random.default_rng([settings.seed, crc32(module.encode())])
    return factorize(METHODS[settings.method](dense_changes, weights, settings.density, generator), max_rank)
