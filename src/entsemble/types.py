"""The frozen values that every layer speaks in. Read this first: it is the project's vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

NONE_LABEL = "none"
"""What a member answers when a span is no entity of any asked type. No label may be called so."""

Precision = Literal["float32", "bfloat16"]
"""What a model of transformers is computed in."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range `[start, end)` of a text, in code points."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"a span needs 0 <= start < end, got [{self.start}, {self.end})")

    def __len__(self) -> int:
        return self.end - self.start

    def of(self, text: str) -> str:
        """The characters of `text` that the span covers."""
        return text[self.start : self.end]

    def overlaps(self, other: Span) -> bool:
        """Whether the two share a character."""
        return self.start < other.end and other.start < self.end

    def contains(self, other: Span) -> bool:
        """Whether `other` lies inside, or is the same range."""
        return self.start <= other.start and other.end <= self.end

    def crosses(self, other: Span) -> bool:
        """Whether the two overlap and neither contains the other."""
        return self.overlaps(other) and not self.contains(other) and not other.contains(self)

    def shifted(self, by: int) -> Span:
        """The same range, `by` code points further on."""
        return Span(self.start + by, self.end + by)


@dataclass(frozen=True, slots=True)
class Mention:
    """A labelled range of a document's text.

    Attributes:
        start, end: half-open range in code points, so that `document.text[start:end] == text`.
        label: one name of the label set.
        text: the characters themselves, kept so that a reader can check the offsets.
        score: the ensemble's confidence in [0, 1]; `None` for gold mentions.
        votes: member name -> the label it voted for (`none` for no entity); empty for gold mentions.
    """

    start: int
    end: int
    label: str
    text: str
    score: float | None = None
    votes: Mapping[str, str] = field(default_factory=lambda: _EMPTY, hash=False)

    @property
    def span(self) -> Span:
        """The range alone."""
        return Span(self.start, self.end)

    def shifted(self, by: int) -> Mention:
        """The same mention, `by` code points further on."""
        return replace(self, start=self.start + by, end=self.end + by)


def mention_at(text: str, start: int, end: int, label: str) -> Mention:
    """A gold mention on `text`, its surface read from the offsets."""
    return Mention(start, end, label, Span(start, end).of(text))


@dataclass(frozen=True, slots=True)
class Document:
    """A text with an id, and what is known about it.

    Attributes:
        id: unique in its file; where the source has none, the source's name and line.
        text: any length, any script.
        mentions: sorted by start, then by longest first.
        tokens: token ranges, where the source was tokenised; empty otherwise.
        meta: anything else the source said, kept as it is.
    """

    id: str
    text: str
    mentions: tuple[Mention, ...] = ()
    tokens: tuple[Span, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=lambda: _EMPTY, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mentions", tuple(sorted(self.mentions, key=lambda m: (m.start, -m.end, m.label))))
        for mention in self.mentions:
            inside = 0 <= mention.start < mention.end <= len(self.text)
            if not inside or self.text[mention.start : mention.end] != mention.text:
                raise ValueError(
                    f"document {self.id!r}: the mention {mention.text!r} is not at [{mention.start}, {mention.end})"
                )

    def _repr_html_(self) -> str:
        """The text with its mentions highlighted, for Jupyter."""
        from entsemble.data.html import fragment

        return fragment(self)


@dataclass(frozen=True, slots=True)
class Label:
    """A type of entity the user asks for.

    Attributes:
        name: the name in the output, as the user or the corpus writes it (`musicalartist`, `PER`).
        readable: the name that a prompt shows (`musical artist`, `person`); unique in its label set.
        definition: one line on what counts, for the prompt's header; may be empty.
    """

    name: str
    readable: str
    definition: str = ""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels asked for, in a fixed order.

    Attributes:
        labels: at least one; names and readable names unique.
        nested: whether mentions may lie inside one another.
    """

    labels: tuple[Label, ...]
    nested: bool = False

    def __post_init__(self) -> None:
        names, readable = [x.name for x in self.labels], [x.readable for x in self.labels]
        if not names:
            raise ValueError("a label set needs at least one label")
        for kind, values in (("label", names), ("readable label", readable)):
            twice = sorted({v for v in values if values.count(v) > 1})
            if twice:
                raise ValueError(f"each {kind} may be given once; given twice: {', '.join(twice)}")
        if NONE_LABEL in {*names, *readable}:
            raise ValueError(f"{NONE_LABEL!r} is what models answer for 'no entity', so no label can be called so")

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """Label names in order."""
        return tuple(x.name for x in self.labels)

    def by_name(self, name: str) -> Label:
        """The label called `name`; KeyError where there is none."""
        return {x.name: x for x in self.labels}[name]


@dataclass(frozen=True, slots=True)
class Usage:
    """What model calls cost. Additive: a report's cost is a sum of these.

    Attributes:
        prompt_tokens: tokens submitted as prompts.
        cached_tokens: those of them that the engine had in its KV cache and did not evaluate.
        generated_tokens: tokens sampled.
        seconds: time inside the engine; members that run side by side add up to more than the wall clock.
        calls: requests.
        known: those of them that the reply cache answered; their tokens count as cached.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    seconds: float = 0.0
    calls: int = 0
    known: int = 0

    @property
    def evaluated_tokens(self) -> int:
        """Prompt tokens that the engine had to evaluate."""
        return self.prompt_tokens - self.cached_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.generated_tokens + other.generated_tokens,
            self.seconds + other.seconds,
            self.calls + other.calls,
            self.known + other.known,
        )


def total(usages: Iterable[Usage]) -> Usage:
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
    """What a model wrote.

    Attributes:
        text: the generated text, without the stop string.
        finished: False where the token limit cut it off, so that its last line may be half of one.
    """

    text: str
    finished: bool
    usage: Usage


@dataclass(frozen=True, slots=True)
class Choice:
    """A model's belief over given options.

    Attributes:
        log_probabilities: one a given option, in the order given, normalised over the options.
        exact: False where the backend gives no probabilities and the chosen option has 0.0, the rest -inf; votes
            then fall back to counting.
    """

    log_probabilities: tuple[float, ...]
    usage: Usage
    exact: bool = True

    @property
    def best(self) -> int:
        """Index of the most probable option, the first of equals."""
        return self.log_probabilities.index(max(self.log_probabilities))
