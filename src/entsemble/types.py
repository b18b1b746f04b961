"""The immutable values that all layers share. Read this first: it is the project's vocabulary."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal, TypeVar

NONE_LABEL = "none"
"""What a member answers if a span is not an entity of any of the labels. No label may have this name."""

Precision = Literal["float32", "bfloat16"]
"""The number format in which a transformers model computes."""

_NOT = re.compile(r"(?:^|(?<=[\s,;.(]))not:\s*", re.IGNORECASE)
"""Introduces the counter-examples at the end of a definition."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})

_Addend = TypeVar("_Addend", bound="Additive")


class Additive:
    """A dataclass whose values are added field by field, so that `sum(values, Values())` is their total."""

    __slots__ = ()

    def __add__(self: _Addend, other: _Addend) -> _Addend:
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range `[start, end)` of a text, in code points.

    Raises:
        ValueError: the range is empty or starts before the text.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"a span needs 0 <= start < end, got [{self.start}, {self.end})")

    def __len__(self) -> int:
        return self.end - self.start

    def slice(self, text: str) -> str:
        """The characters of `text` that the span covers."""
        return text[self.start : self.end]

    def overlaps(self, other: Span) -> bool:
        """Whether the two share a character."""
        return self.start < other.end and other.start < self.end

    def contains(self, other: Span) -> bool:
        """Whether `other` lies inside this span or equals it."""
        return self.start <= other.start and other.end <= self.end

    def crosses(self, other: Span) -> bool:
        """Whether the two overlap and neither contains the other."""
        return self.overlaps(other) and not self.contains(other) and not other.contains(self)

    def shifted(self, offset: int) -> Span:
        """The same range, moved by `offset` code points."""
        return Span(self.start + offset, self.end + offset)


@dataclass(frozen=True, slots=True)
class Mention:
    """A labelled range of a document's text.

    Attributes:
        start, end: half-open range in code points, so that `document.text[start:end] == text`.
        label: the name of a label.
        text: the surface, that is, the characters of the range; with it a reader can check the offsets.
        score: the ensemble's confidence in [0, 1]; `None` for gold mentions.
        votes: member name -> the label it voted for (`none` for no entity); empty for gold mentions. If none voted for
            the mention's label, a voice that suggested it counts as having done so.
    """

    start: int
    end: int
    label: str
    text: str
    score: float | None = None
    votes: Mapping[str, str] = field(default_factory=lambda: _EMPTY, hash=False)

    @property
    def span(self) -> Span:
        """The range without the label."""
        return Span(self.start, self.end)

    def shifted(self, offset: int) -> Mention:
        """The same mention, moved by `offset` code points."""
        return replace(self, start=self.start + offset, end=self.end + offset)


def mention_at(text: str, start: int, end: int, label: str) -> Mention:
    """A gold mention in `text`, with the surface at these offsets."""
    return Mention(start, end, label, Span(start, end).slice(text))


@dataclass(frozen=True, slots=True)
class Document:
    """A text with an id and its annotation.

    Attributes:
        id: unique within an input; if the source gives none, the source's name and line.
        text: of any length and script.
        mentions: sorted by start, then longest first.
        tokens: the token ranges of a tokenised source; otherwise empty.
        meta: all other values of the source, unchanged.

    Raises:
        ValueError: a mention's text is not at its offsets.
    """

    id: str
    text: str
    mentions: tuple[Mention, ...] = ()
    tokens: tuple[Span, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=lambda: _EMPTY, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mentions", tuple(sorted(self.mentions, key=lambda m: (m.start, -m.end, m.label))))
        for mention in self.mentions:
            within_text = 0 <= mention.start < mention.end <= len(self.text)
            if not within_text or self.text[mention.start : mention.end] != mention.text:
                raise ValueError(
                    f"document {self.id!r}: the mention {mention.text!r} is not at [{mention.start}, {mention.end})"
                )

    def _repr_html_(self) -> str:
        """The text with its mentions highlighted, for Jupyter."""
        from entsemble.data.html import fragment

        return fragment(self)


@dataclass(frozen=True, slots=True)
class Label:
    """A type of entity to extract.

    Attributes:
        name: the name in the output, as the user or the corpus writes it (`musicalartist`, `PER`).
        readable: the name in prompts (`musical artist`, `person`); unique in its label set.
        definition: one line on what belongs to the type, for the header of the prompt; may be empty. It may end with
            counter-examples: `museums and galleries; not: Town Hall, City Archive`.
    """

    name: str
    readable: str
    definition: str = ""

    @property
    def meaning(self) -> str:
        """The definition without counter-examples."""
        return _NOT.split(self.definition, maxsplit=1)[0].rstrip(" ,;.(")

    @property
    def counter_examples(self) -> tuple[str, ...]:
        """Names that are not of the type, as the definition says after `not:`."""
        _, *rest = _NOT.split(self.definition, maxsplit=1)
        return tuple(name.strip() for part in rest for name in re.split("[,;]", part.rstrip(" .)")) if name.strip())


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels to extract, in a fixed order.

    Attributes:
        labels: at least one; names and readable names are unique.
        nested: whether a mention may lie inside another one.

    Raises:
        ValueError: there is no label, a label has no name, a name is repeated, or a label has the reserved name `none`.
    """

    labels: tuple[Label, ...]
    nested: bool = False

    def __post_init__(self) -> None:
        names, readable_names = [label.name for label in self.labels], [label.readable for label in self.labels]
        if not names:
            raise ValueError("a label set needs at least one label")
        for label in self.labels:
            if not label.name.strip():
                definition = f": the one that is defined as {label.definition!r}" if label.definition else ""
                raise ValueError(f"a label has no name{definition}; name it, or leave it out")
        for kind, values in (("label", names), ("readable label", readable_names)):
            duplicates = sorted(value for value, count in Counter(values).items() if count > 1)
            if duplicates:
                raise ValueError(f"each {kind} may be given once; given twice: {', '.join(duplicates)}")
        if NONE_LABEL in {*names, *readable_names}:
            raise ValueError(f"{NONE_LABEL!r} is what models answer for 'no entity', so a label cannot have this name")

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """The label names in order."""
        return tuple(label.name for label in self.labels)


@dataclass(frozen=True, slots=True)
class Usage(Additive):
    """The cost of model calls.

    Attributes:
        prompt_tokens: tokens submitted as prompts.
        cached_tokens: prompt tokens that the engine took from its KV cache instead of evaluating them.
        generated_tokens: tokens sampled.
        seconds: time inside the engine; members that run in parallel add up to more than the wall-clock time.
        calls: number of requests.
        cache_hits: requests answered by the reply cache; their tokens count as cached.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    seconds: float = 0.0
    calls: int = 0
    cache_hits: int = 0

    @property
    def evaluated_tokens(self) -> int:
        """Prompt tokens that the engine had to evaluate."""
        return self.prompt_tokens - self.cached_tokens


def total_usage(usages: Iterable[Usage]) -> Usage:
    """The sum of `usages`."""
    return sum(usages, Usage())


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a reply is decoded; always greedily.

    Attributes:
        max_tokens: upper bound on the number of generated tokens.
        stop: strings that end the reply and are not part of it.
        grammar: a GBNF grammar that the reply must match; ignored by a backend that has no grammars.
        list_separator: the reply is a list with this string between its items. Small models repeat items up to the
            token limit: a backend that can interrupt a reply ends it, as finished, once two items have been repeated.
    """

    max_tokens: int
    stop: tuple[str, ...] = ()
    grammar: str | None = None
    list_separator: str | None = None


@dataclass(frozen=True, slots=True)
class AdapterSum:
    """A weighted sum of adapters, which changes a model's weights.

    Attributes:
        weights: adapter name -> its weight; empty for the model as it is.
        fingerprint: identifies the adapters' contents and their weights; empty for the model as it is.
    """

    weights: Mapping[str, float]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A text that a model generated.

    Attributes:
        text: the generated text, without the stop string.
        finished: False if the token limit cut the text off, so that its last line may be incomplete.
        usage: what it cost.
    """

    text: str
    finished: bool
    usage: Usage


@dataclass(frozen=True, slots=True)
class ScoredSpan:
    """A span of a text with the probability of each label.

    Attributes:
        span: range of the text.
        probabilities: label name -> probability that the span is a mention with this label; independent of each other,
            so they need not add up to 1.
    """

    span: Span
    probabilities: Mapping[str, float]

    @property
    def top_label(self) -> str:
        """The most probable label, the first of equals."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def score(self) -> float:
        """The probability of the most probable label."""
        return max(self.probabilities.values())


@dataclass(frozen=True, slots=True)
class Choice:
    """A model's probabilities of the options it was offered.

    Attributes:
        log_probabilities: one per option, in the order of the options, normalised over them.
        usage: what it cost.
        exact: False if the backend gives no probabilities: then the chosen option has 0.0 and the others -inf, and
            voting falls back to counting.
    """

    log_probabilities: tuple[float, ...]
    usage: Usage
    exact: bool = True

    @property
    def best_index(self) -> int:
        """The index of the most probable option; the first one in a tie."""
        return self.log_probabilities.index(max(self.log_probabilities))
