"""The seams: all that entsemble asks of the outside world."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from entsemble.types import Choice, Reply, Span

Input = TypeVar("Input")
Output = TypeVar("Output")

Vectors = npt.NDArray[np.float32]


@runtime_checkable
class LanguageModel(Protocol):
    """A model that continues text. Batch first: the engine decides how many it runs at once."""

    @property
    def name(self) -> str:
        """How the user calls it; unique in an ensemble."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the answers could: weights file, adapter, engine settings."""
        ...

    @property
    def parameters(self) -> int | None:
        """Number of weights, where known."""
        ...

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        stop: Sequence[str] = (),
        constraint: str | None = None,
        separator: str | None = None,
    ) -> list[Reply]:
        """Continue each prompt greedily, until a stop string or `max_tokens`.

        Args:
            prompts: raw text; no chat template is applied unless the backend is told to.
            max_tokens: upper bound on what is sampled.
            stop: strings that end the reply and are not part of it.
            constraint: a GBNF grammar that the reply must match; a backend without grammars goes on without it.
            separator: the reply is a list with this between its items. Small models repeat items up to the limit: a
                backend that can stop a reply ends it, as finished, where two items have come again.

        Raises:
            PromptTooLongError: prompt and `max_tokens` do not fit the context.
            ModelUnavailableError: the engine or the server is gone.
            BadReplyError: it answered nonsense.
        """
        ...

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """How likely each option is as the continuation of each prompt, among the options.

        Exact over options of several tokens: the product over the tokens' trie of the probability of each branch
        among its siblings. No option may be the beginning of another.
        """
        ...

    def close(self) -> None:
        """Give the model's memory back; further calls are errors."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """A model that maps text to a vector."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors could."""
        ...

    @property
    def weights(self) -> str:
        """Identifies the weights: whatever runs them, their vectors may be compared."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """`texts` as float32 [n, d] with unit rows."""
        ...


class PosTagger(Protocol):
    """Part-of-speech tags, for the span weights of EL4NER."""

    @property
    def name(self) -> str:
        """For reports and cache keys."""
        ...

    def tag_spans(self, text: str, spans: Sequence[Span]) -> list[str]:
        """One universal tag a span: `PROPN`, `NOUN`, `PRON`, or anything else, of the span's head word."""
        ...


class Mapper(Protocol):
    """Runs a function over many inputs, somewhere: threads here, actors on a cluster."""

    def map(self, function: Callable[[Input], Output], inputs: Iterable[Input]) -> Iterator[Output]:
        """Results in the order of the inputs, as they become ready, without taking in all inputs first."""
        ...
