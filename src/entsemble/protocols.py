"""The seams: what entsemble needs from models, encoders, taggers and mappers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from entsemble.types import AdapterSum, Choice, Decoding, LabelSet, Reply, ScoredSpan, Span

Input = TypeVar("Input")
Output = TypeVar("Output")

Vectors = npt.NDArray[np.float32]


class Model(Protocol):
    """What every model of an ensemble states about itself."""

    @property
    def name(self) -> str:
        """How the user calls it, and votes and reports do; unique in an ensemble."""
        ...

    @property
    def fingerprint(self) -> str:
        """Differs if the answers could differ: by weights, adapter or engine settings."""
        ...

    @property
    def parameters(self) -> int | None:
        """Number of weights, if known."""
        ...


@runtime_checkable
class LanguageModel(Model, Protocol):
    """A model that continues text. Batch first: the engine decides how many it runs at once."""

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """Continue each prompt greedily, until a stop string or the token limit.

        Args:
            prompts: raw text; no chat template is applied unless the backend is configured to apply one.
            decoding: limits and constraints of every reply.

        Returns:
            One reply per prompt, in the order of the prompts.

        Raises:
            PromptTooLongError: a prompt and its reply do not fit the context.
            ModelUnavailableError: the engine failed or the server cannot be reached.
            BadReplyError: the answer is not valid.
        """
        ...

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """The log-probability of each option as the continuation of each prompt, normalised over the options.

        Exact for options of several tokens: the options form a trie of tokens, and an option's probability is the
        product of the probabilities along its path, each normalised over the siblings.

        Args:
            prompts: raw text.
            options: the same for all prompts; none may be a prefix of another.

        Returns:
            One choice per prompt, in the order of the prompts.

        Raises:
            ValueError: there are no options, or one is a prefix of another.
            PromptTooLongError, ModelUnavailableError, BadReplyError: see `generate`.
        """
        ...

    def close(self) -> None:
        """Free the model's memory; further calls are errors."""
        ...


@runtime_checkable
class AdaptableModel(LanguageModel, Protocol):
    """A language model that was loaded with adapters beside it, and applies weighted sums of them."""

    def with_adapters(self, name: str, adapter_sum: AdapterSum) -> AdaptableModel:
        """The same model with a weighted sum of its adapters applied; no weights are loaded again.

        Args:
            name: name of the returned model.
            adapter_sum: a sum of adapters that were loaded; its fingerprint is appended to the model's.

        Raises:
            ValueError: the engine was not loaded with these adapters.
        """
        ...


@runtime_checkable
class Encoder(Protocol):
    """A model that maps text to a vector."""

    @property
    def fingerprint(self) -> str:
        """Differs if the vectors could differ."""
        ...

    @property
    def weights_fingerprint(self) -> str:
        """Identifies the weights alone: vectors of the same weights are comparable, whatever engine computed them."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Embeddings of texts: float32 [texts, dimensions], each row of length 1."""
        ...


@runtime_checkable
class SpanScorer(Model, Protocol):
    """A model that scores every span of a text for every label, such as the label reader or a sequence tagger."""

    def score_spans(self, texts: Sequence[str], labels: LabelSet, minimum: float) -> list[list[ScoredSpan]]:
        """For each text, the spans of whole words with a label whose probability is at least `minimum`, by position.

        Args:
            texts: of any length.
            labels: any number; definitions are read if there are any.
            minimum: in [0, 1]; 0 returns every span that the model considers.
        """
        ...

    def close(self) -> None:
        """Free the model's memory; further calls are errors."""
        ...


@runtime_checkable
class SpanTagger(Model, Protocol):
    """A model that finds spans and gives them labels of its own, whatever labels are requested."""

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that it may give."""
        ...

    @property
    def is_exhaustive(self) -> bool:
        """Whether a span that it does not tag is evidence against its labels; of a list of names it is none."""
        ...

    def tag(self, texts: Sequence[str]) -> list[list[ScoredSpan]]:
        """For each text, the spans that it finds, with the probabilities of its own labels.

        Raises:
            EntsembleError: a text cannot be processed.
        """
        ...

    def close(self) -> None:
        """Free the model's memory; further calls are errors."""
        ...


class PosTagger(Protocol):
    """Part-of-speech tags, for the span weights of EL4NER."""

    @property
    def name(self) -> str:
        """Identifies the tagger in reports and cache keys."""
        ...

    def tag_spans(self, text: str, spans: Sequence[Span]) -> list[str]:
        """The universal part-of-speech tag of each span's head word, such as `PROPN`, `NOUN` or `PRON`."""
        ...


class Mapper(Protocol):
    """Applies a function to many inputs, in threads or on a cluster."""

    def map(self, function: Callable[[Input], Output], inputs: Iterable[Input]) -> Iterator[Output]:
        """Results in the order of the inputs, as soon as they are ready; inputs are consumed lazily."""
        ...
