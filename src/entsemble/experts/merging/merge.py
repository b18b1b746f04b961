"""Several adapters into one."""

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
        rank: the merged adapter's rank at most; `None` keeps a weighted sum exact, and gives the other methods, whose
            changes have full rank, the sum of the experts' ranks.
        density: share of the entries that TIES keeps, and that DARE keeps on average.
        seed: of what DARE drops.
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
        adapter: it.
        relative_error: Frobenius norm of the part that the rank limit cut off, over that of the whole merged change.
    """

    adapter: Adapter
    relative_error: float


def merge_adapters(adapters: Sequence[Adapter], weights: Sequence[float], how: MergeSettings) -> MergeResult:
    """Merge the true changes of adapters of one base.

    A module that an adapter leaves alone is a change of 0 there.

    Args:
        adapters: at least one.
        weights: one an adapter. Those of a mean add up to 1.
        how: method, rank and the like.

    Raises:
        ConfigError: nothing to merge, or changes that do not fit together.
    """
    if not adapters or len(adapters) != len(weights):
        raise ConfigError(f"a merge needs one weight an adapter: {len(adapters)} adapters, {len(weights)} weights")
    if len({a.uses_rslora for a in adapters}) > 1:
        raise ConfigError("some adapters were trained with rsLoRA, some without: their changes have different scales")
    if not all(map(isfinite, weights)):
        raise ConfigError(f"weights must be numbers, got {', '.join(map(str, weights))}")
    if how.method in SIGN_ELECTING_METHODS and min(weights) < 0:
        raise ConfigError(f"{how.method} elects signs, so no expert can count against another; use {WEIGHTED_SUM}")
    changes: dict[str, LowRankFactors] = {}
    lost = whole = 0.0
    for module in sorted({m for adapter in adapters for m in adapter.factors}):
        parts = [a.factors.get(module) for a in adapters]
        if len({part.shape for part in parts if part}) > 1:
            raise ConfigError(f"{module} has different sizes in these adapters: they are not of one base")
        changes[module], left_out = _module(module, parts, weights, how)
        lost += left_out
        whole += left_out + squared_norm(changes[module])
    return MergeResult(Adapter(changes, base=adapters[0].base), sqrt(lost / whole) if whole else 0.0)


def _module(
    name: str, parts: Sequence[LowRankFactors | None], weights: Sequence[float], how: MergeSettings
) -> tuple[LowRankFactors, float]:
    """The merged change of a module, which some adapters leave alone, and what its rank cost."""
    held = [(part, weight) for part, weight in zip(parts, weights, strict=True) if part]
    shape = held[0][0].shape
    most = min(*shape, how.rank or sum(part.rank for part, _ in held))
    if how.method == WEIGHTED_SUM:
        return truncate_rank(weighted_sum([part for part, _ in held], [weight for _, weight in held]), most)
    none = np.zeros(shape, dtype=held[0][0].lora_a.dtype)
    dense = [part.dense() if part else none for part in parts]
    random = np.random.default_rng([how.seed, crc32(name.encode())])  # so that a module's draw is its own
    return factorize(METHODS[how.method](dense, weights, how.density, random), most)
