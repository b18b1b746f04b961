"""What follows from the settings of members, without their models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from entsemble._lib.paths import real_path
from entsemble.backends.model_spec import ServerModel, parse_model
from entsemble.backends.voice_spec import parse_voice
from entsemble.errors import ConfigError, UnknownNameError
from entsemble.ner.rules import UserRules, counter_examples, normalized
from entsemble.settings import MemberSettings, Settings, VoiceSettings
from entsemble.types import LabelSet

_SERVER_BATCH = 16
"""Sentences in flight on a server, which others may be using too."""

_TRANSFORMERS_BATCH = 64
"""Sentences in flight with transformers, which evaluates them in batches."""


def member_name(member: MemberSettings) -> str:
    """What votes and reports call a member: its name, or else its model's."""
    return member.name or parse_model(member.model).name


def select_members(settings: Settings, models: Sequence[str]) -> Settings:
    """Settings with exactly these members.

    Args:
        settings: a configured member keeps its settings.
        models: names or models of configured members, or other models.
    """
    configured = {name: member for member in settings.members for name in (member.model, member.name)}
    members = tuple(configured.get(name) or MemberSettings(model=name) for name in models)
    verification = settings.verification
    if verification.member not in map(member_name, members):
        verification = verification.model_copy(update={"member": ""})
    return settings.model_copy(update={"members": members, "verification": verification})


def with_absolute_paths(settings: Settings) -> Settings:
    """Settings that mean the same in another working folder."""
    members = tuple(_with_absolute_path(member) for member in settings.members)
    pool = settings.pool.model_copy(update={"path": settings.pool.path and real_path(settings.pool.path)})
    encoder, folder = settings.encoder, Path(settings.encoder.model)
    if folder.is_dir():
        encoder = encoder.model_copy(update={"model": str(real_path(folder))})
    return settings.model_copy(
        update={
            "pool": pool,
            "members": members,
            "encoder": encoder,
            "voices": tuple(map(_voice_with_absolute_path, settings.voices)),
            "patterns": settings.patterns and real_path(settings.patterns),
        }
    )


def _voice_with_absolute_path(voice: VoiceSettings) -> VoiceSettings:
    spec = parse_voice(voice.model)
    return voice.model_copy(update={"model": f"{spec.kind}:{real_path(spec.path)}"}) if spec.path.exists() else voice


def _with_absolute_path(member: MemberSettings) -> MemberSettings:
    source = parse_model(member.model).source
    return member.model_copy(update={"model": str(real_path(source))}) if isinstance(source, Path) else member


def expert_weights(member: MemberSettings) -> dict[str, float]:
    """Expert -> weight.

    Raises:
        ConfigError: the experts are left to the texts, and were not selected.
    """
    if isinstance(member.experts, str):
        raise ConfigError(
            f'{member.model}: experts = "{member.experts}" are selected by the texts, and there are no texts yet; '
            f"`entsemble experts select` shows which they are"
        )
    return dict(member.experts)


def sharing_key(member: MemberSettings) -> tuple[object, ...]:
    """What two members must have in common to share a loaded model."""
    location = parse_model(member.model).source, member.base_url, member.api, member.option_scoring, member.samples
    return *location, member.context, member.engine, member.precision, member.gpu_layers


def concurrent_sentences(member: MemberSettings) -> int:
    """How many sentences the member's engine evaluates at once."""
    source = parse_model(member.model).source
    if isinstance(source, ServerModel):
        return _SERVER_BATCH
    is_folder = isinstance(source, Path) and source.is_dir()
    return _TRANSFORMERS_BATCH if is_folder or member.engine == "transformers" else 1


def user_rules(settings: Settings, labels: LabelSet) -> UserRules:
    """The rules of the settings, for these labels.

    Raises:
        UnknownNameError: a threshold is for another label.
    """
    rules = settings.rules
    for label in rules.thresholds:
        if label not in labels.names:
            raise UnknownNameError("label with a threshold", label, labels.names)
    never = frozenset(map(normalized, rules.never))
    return UserRules(rules.thresholds, never, counter_examples(labels), rules.same_answer)
