"""The experiments of `compare.py`: variants of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Experiment:
    """Variants of the settings; the others are compared with the first one.

    The gazetteer and the scorer are off, unless a variant turns them on.

    Attributes:
        pool_size: sentences of the pool.
        sentences: scored ones.
        corpora: names.
        variants: name -> settings.
        with_cost: whether their cost is compared, too; if not, cached replies are used.
        sizes: corpus -> both numbers, if it has fewer sentences, or sentences with fewer mentions.
        with_experts: whether the shipped experts take part; sentences that they were trained on are left out then.
    """

    pool_size: int
    sentences: int
    corpora: tuple[str, ...]
    variants: Mapping[str, Mapping[str, Any]]
    with_cost: bool = True
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    with_experts: bool = False


_BASE_MEMBERS = ({"model": "smollm2-135m"}, {"model": "gemma-3-270m"})
_GAZETTEER = {"gazetteer": 2}


def _expert_members(**options: int) -> list[dict[str, Any]]:
    """SaM's two weighted sums of experts, as members."""
    return [{"name": view, "model": "smollm2-135m", "experts": view, **options} for view in ("domain", "sampled")]


def _scorer_variant(*, capitalised: bool | None) -> dict[str, Any]:
    return {"pool": _GAZETTEER, "stacking": {"sentences": None, "capitalised": capitalised}}


def _beside_voices(*members: Mapping[str, str]) -> dict[str, Any]:
    """The voices of `instant`, and members that are asked about what they leave open."""
    voices = [{"model": "label-reader"}, {"model": "tagger"}]
    return {**_scorer_variant(capitalised=None), "voices": voices, "members": list(members)}


EXPERIMENTS = {
    "beside_voices": Experiment(
        pool_size=100,
        sentences=60,
        corpora=("conll2003", "crossner-politics"),
        variants={
            "voices alone": _beside_voices(),
            "and SmolLM2 135M": _beside_voices(_BASE_MEMBERS[0]),
            "and Gemma 3 270M": _beside_voices(_BASE_MEMBERS[1]),
            "and both": _beside_voices(*_BASE_MEMBERS),
        },
    ),
    "budget": Experiment(
        pool_size=3000,
        sentences=150,
        corpora=("conll2003",),
        variants={
            "800 characters": {"pool": {"max_characters": 800}},
            "640 characters": {"pool": {"max_characters": 640}},
        },
    ),
    "gazetteer": Experiment(
        pool_size=3000,
        sentences=80,
        corpora=("conll2003", "wnut17"),
        variants={
            "members only": {},
            "with gazetteer": {"pool": _GAZETTEER},
            "with gazetteer and scorer": {"pool": _GAZETTEER, "stacking": {"sentences": 80}},
        },
        with_cost=False,
    ),
    "members": Experiment(
        pool_size=3000,
        sentences=100,
        corpora=("conll2003", "wnut17"),
        variants={
            f"{members}{suffix}": {"pool": {"gazetteer": size}, "members": [{"model": name} for name in names]}
            for suffix, size in (("", 0), (", with gazetteer", 2))
            for members, names in {
                "both": ("smollm2-135m", "gemma-3-270m"),
                "SmolLM2 135M only": ("smollm2-135m",),
                "Gemma 3 270M only": ("gemma-3-270m",),
            }.items()
        },
        with_cost=False,
    ),
    "capitalised": Experiment(
        pool_size=1500,
        sentences=80,
        corpora=("wnut17", "conll2003", "crossner-politics"),
        variants={
            "without": _scorer_variant(capitalised=False),
            "with capitalised spans": _scorer_variant(capitalised=True),
        },
        sizes={"wnut17": (1500, 300), "crossner-politics": (120, 80)},
        with_cost=False,
    ),
    "experts": Experiment(
        pool_size=1000,
        sentences=100,
        corpora=("conll2003", "wnut17", "genia", "bc5cdr"),
        variants={
            "base models": {"pool": _GAZETTEER},
            "with experts": {"pool": _GAZETTEER, "members": [*_BASE_MEMBERS, *_expert_members(shots=0)]},
            "experts only": {"pool": _GAZETTEER, "members": _expert_members(shots=0)},
            "with experts and their demonstrations": {
                "pool": _GAZETTEER,
                "members": [*_BASE_MEMBERS, *_expert_members()],
            },
        },
        with_cost=False,
        with_experts=True,
    ),
    "verification": Experiment(
        pool_size=200,
        sentences=100,
        corpora=("conll2003", "crossner-politics", "genia"),
        variants={
            "none": {"workers": 4},
            "by SmolLM2 135M": {"workers": 4, "verification": {"member": "smollm2-135m"}},
            "by Gemma 3 270M": {"workers": 4, "verification": {"member": "gemma-3-270m"}},
        },
        sizes={"crossner-politics": (100, 60), "genia": (100, 60)},
        with_cost=False,
    ),
    "shots": Experiment(
        pool_size=3000,
        sentences=60,
        corpora=("conll2003",),
        variants={f"{shots} shots": {"pool": {"shots": shots}} for shots in (8, 0, 2, 4, 16, 32)},
    ),
    "empty": Experiment(
        pool_size=2000,
        sentences=100,
        corpora=("wnut17",),
        variants={
            "at most a quarter": {"pool": {"max_empty_share": 0.25}},
            "any": {"pool": {"max_empty_share": 1.0}},
        },
    ),
    "skip_larger": Experiment(
        pool_size=2000,
        sentences=60,
        corpora=("conll2003",),
        variants={
            "all members": {},
            "0.9": {"classification": {"skip_larger_above": 0.9}},
            "0.6": {"classification": {"skip_larger_above": 0.6}},
        },
    ),
    "retrieval": Experiment(
        pool_size=200,
        sentences=60,
        corpora=("conll2003",),
        variants={
            "sentence": {"pool": {"similarity": "sentence"}},
            "span, gold spans": {"pool": {"similarity": "span", "spans": "gold"}},
            "span, pre-extracted spans": {"pool": {"similarity": "span", "spans": "members"}},
            "label-guided": {"pool": {"similarity": "label-guided"}},
            "random": {"pool": {"similarity": "random"}},
        },
    ),
    "threshold": Experiment(
        pool_size=70,
        sentences=30,
        corpora=(
            *("crossner-ai", "crossner-music", "wnut17", "genia", "crossner-politics", "bc5cdr"),
            *("crossner-science", "crossner-literature", "conll2003"),
        ),
        variants={
            str(threshold): {"pool": _GAZETTEER, "classification": {"threshold": threshold}}
            for threshold in (0.4, 0.5, 0.3, 0.25, 0.2, 0.15, 0.1)
        },
        with_cost=False,
    ),
    "length": Experiment(
        pool_size=70,
        sentences=30,
        corpora=("crossner-ai",),
        variants={
            "640 characters": {"pool": {"max_characters": 640}},
            "as the pool": {},
        },
    ),
}
