"""The voices of an ensemble: proposers that vote and need no language model, made from the settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.voice_pool import VoicePool
from entsemble.backends.label_reader.model import LabelReader
from entsemble.backends.voice_spec import TAGGER, parse_voice
from entsemble.errors import ConfigError
from entsemble.protocols import SpanScorer, SpanTagger
from entsemble.settings import Settings, VoiceSettings
from entsemble.types import LabelSet
from entsemble.voices.label_map import describe_gaps, map_labels, shown_labels
from entsemble.voices.mapped_tagger import MappedTagger
from entsemble.voices.span_voice import SpanVoice
from entsemble.voting.candidates import Candidate

_PATTERNS_WEIGHT = 3.0
"""Of the user's own patterns, as of the pool's most frequent names: what users state outweighs what models guess."""


def voice_name(voice: VoiceSettings) -> str:
    """What votes and reports call a voice: its name, or else its model's."""
    return voice.name or parse_voice(voice.model).name


def has_reader(settings: Settings) -> bool:
    """Whether a label reader is among the voices."""
    return any(parse_voice(voice.model).kind == "reader" for voice in settings.all_voices)


def check_names(voices: tuple[VoiceSettings, ...], reserved_names: Mapping[str, str]) -> None:
    """Raise ConfigError if a voice has a reserved name, or that of another voice.

    Args:
        voices: of the settings.
        reserved_names: name -> what it stands for.
    """
    names = [voice_name(voice) for voice in voices]
    for name in names:
        if name in reserved_names:
            raise ConfigError(
                f"a voice cannot be called {name!r}, which stands for {reserved_names[name]}; set another `name`"
            )
        if names.count(name) > 1:
            raise ConfigError(f"two voices are called {name!r}; give each its own `name`")


@dataclass(frozen=True, slots=True)
class VoicePart:
    """A voice that is loaded, but has learned nothing from a pool yet.

    Attributes:
        settings: of the voice.
        kind: one of `backends.voice_spec`, by which features of its answers are named.
        scorer: its model; `None` for one that a pool is needed for.
        labels: as its model sees them.
        is_complete: whether what it does not find is evidence for all labels.
    """

    settings: VoiceSettings
    kind: str
    scorer: SpanScorer | None
    labels: LabelSet
    is_complete: bool


def load_parts(
    voices: tuple[VoiceSettings, ...], models: ModelPool, labels: LabelSet, on_warning: Callable[[str], None]
) -> list[VoicePart]:
    """The voices of the settings.

    Args:
        voices: of the settings.
        models: where their models are loaded.
        labels: requested labels.
        on_warning: called with what the user should know about a voice's labels.

    Raises:
        ConfigError: a voice finds none of the labels.
        EntsembleError: a model cannot be loaded; see `load_voice`.
    """
    parts = []
    for voice in voices:
        kind = parse_voice(voice.model).kind
        if kind == TAGGER:
            parts.append(VoicePart(voice, kind, None, labels, is_complete=True))
        else:
            parts.append(VoicePart(voice, kind, *_scorer(voice, models, labels, on_warning)))
    return parts


class Voices:
    """The voices of an ensemble, with what they learn from its pool.

    Args:
        parts: see `load_parts`.
        labels: requested labels.
        pool: that voices learn from; may be empty.
        minimum: probability from which on a voice proposes a span.
        proposes_overlaps: see `SpanVoice`.
        has_members: whether there are members, which vote on every candidate.
    """

    def __init__(
        self,
        parts: Sequence[VoicePart],
        labels: LabelSet,
        pool: VoicePool,
        *,
        minimum: float,
        proposes_overlaps: bool,
        has_members: bool,
    ) -> None:
        self._parts, self._labels, self._pool = parts, labels, pool
        self._minimum, self._proposes_overlaps = minimum, proposes_overlaps
        self._names = {voice_name(part.settings) for part in parts}
        self._everything_is_voted_on = has_members or any(part.is_complete for part in parts)

    def train(self, excluded: Collection[int]) -> list[SpanVoice]:
        """The voices, trained on the pool without the sentences at these indices."""
        indices = [index for index in range(self._pool.size) if index not in excluded]
        scorers = [(part, self._trained_scorer(part, indices)) for part in self._parts]
        return [self._voice(part, scorer) for part, scorer in scorers if scorer is not None]

    def _trained_scorer(self, part: VoicePart, indices: Sequence[int]) -> SpanScorer | None:
        if part.kind == TAGGER:
            return self._pool.tagger(indices, part.labels) if indices else None
        if isinstance(part.scorer, LabelReader) and indices:
            return self._pool.adapted_reader(part.scorer, indices, part.labels) or part.scorer
        return part.scorer

    def _voice(self, part: VoicePart, scorer: SpanScorer) -> SpanVoice:
        return SpanVoice(
            scorer,
            part.labels,
            kind=part.kind,
            minimum=self._minimum,
            name=voice_name(part.settings),
            relative_weight=part.settings.weight or _default_weight(part.settings),
            abstains=None if part.is_complete else self._others_vote,
            proposes_overlaps=self._proposes_overlaps,
        )

    def _others_vote(self, candidate: Candidate) -> bool:
        return self._everything_is_voted_on or not self._names.isdisjoint(candidate.proposers)


def _scorer(
    voice: VoiceSettings, models: ModelPool, labels: LabelSet, on_warning: Callable[[str], None]
) -> tuple[SpanScorer, LabelSet, bool]:
    """The voice's model, the labels as it sees them, and whether what it does not find is evidence for all of them."""
    name, model = voice_name(voice), models.voice(parse_voice(voice.model))
    if isinstance(model, SpanTagger):
        mapping = map_labels(model.labels, labels, voice.labels, name)
        problem = describe_gaps(labels, voice.labels, name, mapping if model.is_exhaustive else None)
        is_complete = model.is_exhaustive and set(mapping.values()) == set(labels.names)
        parts: tuple[SpanScorer, LabelSet, bool] = MappedTagger(model, mapping), labels, is_complete
    else:
        problem = describe_gaps(labels, voice.labels, name)
        parts = model, shown_labels(labels, voice.labels, name), True
    if problem:
        on_warning(problem)
    return parts


def _default_weight(voice: VoiceSettings) -> float:
    return _PATTERNS_WEIGHT if parse_voice(voice.model).kind == "patterns" else 1.0
