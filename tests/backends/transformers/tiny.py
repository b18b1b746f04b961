"""What the tests of the transformers engine share: a tiny random model, and prompts for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from entsemble.backends.transformers import TransformersModel, TransformersOptions
from entsemble.types import AdapterSum

CONTEXT = 256
PROMPT = "Text: Ann left Oslo.\nEntities:"
PROMPTS = [f"Text: {'Ann left ' * (number % 5)}Oslo {number}.\nEntities:" for number in range(12)]
OPTIONS = [" a;", " b c;", " b d;"]


def load_tiny(folder: Path, **options: Any) -> TransformersModel:
    return TransformersModel(
        "tiny", folder, fingerprint="f", options=TransformersOptions(**{"context": CONTEXT, **options})
    )


def with_sum(model: TransformersModel, name: str, **weights: float) -> TransformersModel:
    """A view with a weighted sum of adapters; underscores of their names stand for dots."""
    dotted = {adapter.replace("_", "."): weight for adapter, weight in weights.items()}
    return model.with_adapters(name, AdapterSum(dotted, name))


def score_options(model: TransformersModel, prompt: str = PROMPT) -> tuple[float, ...]:
    return model.choose([prompt], OPTIONS)[0].log_probabilities


def largest_difference(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    return max(abs(one - other) for one, other in zip(first, second, strict=True))
