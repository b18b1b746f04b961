"""The voices of an ensemble: proposers that vote and need no language model, made from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from entsemble.assembly.model_pool import ModelPool
from entsemble.backends.voice_spec import parse_voice
from entsemble.errors import ConfigError
from entsemble.protocols import SpanScorer, SpanTagger
from entsemble.settings import VoiceSettings
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


def build_voices(
    voices: tuple[VoiceSettings, ...],
    models: ModelPool,
    labels: LabelSet,
    *,
    minimum: float,
    has_members: bool,
    on_warning: Callable[[str], None],
) -> list[SpanVoice]:
    """The voices of an ensemble.

    Args:
        voices: of the settings.
        models: where their models are loaded.
        labels: requested labels.
        minimum: probability from which on a voice proposes a span.
        has_members: whether there are members, which vote on every candidate.
        on_warning: called with what the user should know about a voice's labels.

    Raises:
        ConfigError: a voice finds none of the labels.
        EntsembleError: a model cannot be loaded; see `load_voice`.
    """
    parts = [(voice, *_scorer(voice, models, labels, on_warning)) for voice in voices]
    names = {voice_name(voice) for voice in voices}
    everything_is_voted_on = has_members or any(is_complete for *_, is_complete in parts)

    def others_vote(candidate: Candidate) -> bool:
        return everything_is_voted_on or not names.isdisjoint(candidate.proposers)

    return [
        SpanVoice(
            scorer,
            shown,
            minimum=minimum,
            name=voice_name(voice),
            relative_weight=voice.weight or _default_weight(voice),
            abstains=None if is_complete else others_vote,
        )
        for voice, scorer, shown, is_complete in parts
    ]


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
