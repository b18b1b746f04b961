"""Settings from TOML files, and the environment, as frozen values."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from entsemble._lib import toml
from entsemble.errors import ConfigError, UnknownNameError
from entsemble.settings_file import describe_errors, merge, read_settings_file
from entsemble.types import Precision

PRESET_OF_MEMBERS = "balanced"
"""The preset if none is named, and members are."""

PRESET_WITH_POOL, PRESET_WITHOUT_POOL = "instant", "instant"
"""The presets if none is named, nor any member, expert or voice."""

PRESET_OF_EXPERTS = "experts"
"""The preset if none is named, there is no pool, and the `[experts]` table is given."""

_PRESETS = files("entsemble") / "presets"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MemberSettings(_Frozen):
    """One `[[members]]` table; `docs/reference/configuration.md` says what each key means."""

    model: str
    name: str | None = None
    weight: float = Field(default=1.0, gt=0)
    template: str = "ner-1"
    experts: dict[str, FiniteFloat] | Literal["domain", "sampled"] = {}
    bias: dict[str, FiniteFloat] = {}
    shots: int | None = Field(default=None, ge=0)
    context: int = Field(default=4096, ge=256)
    engine: Literal["llama.cpp", "transformers"] | None = None
    precision: Precision | None = None
    gpu_layers: int = 0
    base_url: str | None = None
    api_key_env: str = "ENTSEMBLE_API_KEY"
    api: Literal["auto", "completions", "chat", "ollama"] = "auto"
    option_scoring: Literal["auto", "logprobs", "guided", "text"] = "auto"
    samples: int = Field(default=5, ge=1)
    timeout: float = Field(default=300, gt=0)
    retries: int = Field(default=5, ge=0)
    concurrency: int | None = Field(default=None, ge=1)
    requests_per_minute: float | None = Field(default=None, gt=0)


class PoolSettings(_Frozen):
    """The `[pool]` table."""

    path: Path | None = None
    format: str | None = None
    shots: int = Field(default=8, ge=0)
    max_characters: int | None = Field(default=None, ge=1)
    max_empty_share: float = Field(default=0.25, ge=0, le=1)
    similarity: Literal["span", "sentence", "label-guided", "random"] = "sentence"
    spans: Literal["gold", "members"] = "gold"
    gazetteer: float = Field(default=2, ge=0)


class ClassificationSettings(_Frozen):
    """The `[classification]` table.

    Attributes:
        vote: how ballots become a verdict; `None` for the trained scorer if there is a pool, and else a soft vote.
        threshold: score that a mention needs; `None` for that of the trained scorer, or of the vote.
        skip_larger_above: larger members do not type a span if all smaller ones agree with at least this probability.
    """

    vote: str | None = None
    threshold: float | None = Field(default=None, ge=0, le=1)
    skip_larger_above: float | None = Field(default=None, ge=0, le=1)


class RulesSettings(_Frozen):
    """The `[rules]` table: what the user decides, whatever the votes say.

    Attributes:
        thresholds: label -> score that its mentions need, instead of the threshold for all labels.
        never: names that are never mentions.
        same_answer: whether a name has one label wherever it occurs in a document.
    """

    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    never: tuple[str, ...] = ()
    same_answer: bool = False


class StackingSettings(_Frozen):
    """The `[stacking]` table: the scorer that decides if there is a pool and no vote is named.

    Attributes:
        sentences: number of the pool's sentences that it is trained on, all of a smaller pool; 0 for none; `None`
            depends on the size of the pool.
        capitalised: whether capitalised spans are candidates too; `None` depends on the pool's mentions.
        naive_bayes: whether spans whose words resemble those of the pool's mentions are candidates too.
    """

    sentences: int | None = Field(default=None, ge=0)
    capitalised: bool | None = None
    naive_bayes: bool = True


class VerificationSettings(_Frozen):
    """The `[verification]` table.

    Attributes:
        member: name of the verifier; empty for no verification.
        threshold: probability of "yes" that a mention needs.
        skip_verification_above: a span is not verified if all members agree and it scores at least this.
    """

    member: str = ""
    threshold: float = Field(default=0.5, ge=0, le=1)
    skip_verification_above: float | None = Field(default=None, ge=0, le=1)


class EncoderSettings(_Frozen):
    """The `[encoder]` table."""

    model: str = "minilm-l6"


class VoiceSettings(_Frozen):
    """One `[[voices]]` table: a model that is not a language model, or word lists, which propose spans and vote.

    Attributes:
        model: such as `spacy:en_core_web_sm`; `backends/voice_spec.py` has all forms.
        name: in votes and reports; `None` for the model's.
        labels: label of the model -> requested label, or empty for none; labels that are not named are matched by
            their names.
        weight: of its vote, relative to all members together; `None` for that of its kind.
    """

    model: str
    name: str | None = Field(default=None, min_length=1)
    labels: dict[str, str] = {}
    weight: float | None = Field(default=None, gt=0)


class ExpertsSettings(_Frozen):
    """The `[experts]` table: how experts are selected for members that leave them to the texts.

    Attributes:
        names: those that take part; empty for all of the member's base.
        max_experts: how many are merged for a member.
        target_sentences: how many of the first sentences are compared with the experts' training texts.
        sample_sentences: how many of these, or of the pool, the experts are tried on.
        method: how a member's experts are merged.
    """

    names: tuple[str, ...] = ()
    max_experts: int = Field(default=3, ge=1)
    method: Literal["weighted-sum", "ties", "dare", "dare-ties"] = "weighted-sum"
    target_sentences: int = Field(default=64, ge=1)
    sample_sentences: int = Field(default=8, ge=1)


class CacheSettings(_Frozen):
    """The `[cache]` table: the reply cache on disk."""

    replies: bool = True
    max_megabytes: int = Field(default=1024, ge=1)


class RaySettings(_Frozen):
    """The `[ray]` table: what each actor of `--runner ray` gets."""

    actors: int | None = Field(default=None, ge=1)
    cpus: float = Field(default=2, ge=0)
    gpus: float = Field(default=0, ge=0)
    batch_size: int = Field(default=8, ge=1)
    address: str | None = None


class Settings(_Frozen):
    """All settings of a run; `docs/reference/configuration.md` describes each.

    Attributes:
        labels: name -> definition, which may be empty; empty for the pool's labels.
        patterns: file of the user's word lists and regular expressions, as in a voice `patterns:FILE`.
        workers: sentences in flight; `None` depends on the members.
        threads: CPU threads of each embedded model; `None` for a share of the cores.
        quorum: how many members must answer; `None` for all, so that a document fails if one does not.
        effort: where voices and a learned scorer answer first, members are asked about candidates whose scores are
            within half of this of 0.5, and about what they propose in these sentences; 0 for hardly any, 1 for all.
    """

    seed: int = Field(default=0, ge=0)
    language: str = "en"
    nested: bool | None = None
    workers: int | None = Field(default=None, ge=1)
    threads: int | None = Field(default=None, ge=1)
    quorum: int | None = Field(default=None, ge=1)
    effort: float = Field(default=0.5, ge=0, le=1)
    labels: dict[str, str] = {}
    patterns: Path | None = None
    pool: PoolSettings = PoolSettings()
    members: tuple[MemberSettings, ...] = ()
    classification: ClassificationSettings = ClassificationSettings()
    rules: RulesSettings = RulesSettings()
    stacking: StackingSettings = StackingSettings()
    verification: VerificationSettings = VerificationSettings()
    encoder: EncoderSettings = EncoderSettings()
    voices: tuple[VoiceSettings, ...] = ()
    experts: ExpertsSettings = ExpertsSettings()
    cache: CacheSettings = CacheSettings()
    ray: RaySettings = RaySettings()

    def overridden(self, overrides: Mapping[str, Any]) -> Settings:
        """The settings with some values replaced, given as for `load`.

        Raises:
            ConfigError: a value or a name that is not valid: says where.
        """
        return _validated(merge(self.model_dump(), overrides), "settings")

    @property
    def all_voices(self) -> tuple[VoiceSettings, ...]:
        """The voices, that of `patterns` included."""
        return (*self.voices, VoiceSettings(model=f"patterns:{self.patterns}")) if self.patterns else self.voices

    def without_training(self) -> Settings:
        """The settings with no training on the pool's sentences; weights that were trained before are still used."""
        return self.overridden({"stacking": {"sentences": 0}})

    def without_learning(self) -> Settings:
        """The settings with voices that have learned nothing from the pool: they vote, beside the names of the pool."""
        return self.overridden({"classification": {"vote": "soft"}})


class Environment(_Frozen):
    """Folders and keys, from environment variables.

    Attributes:
        cache: folder of models, indexes and replies.
        experts: folder of the user's experts.
        pool: file of a server's pool.
        keys: all variables, since members name those that hold their keys.
        hub_endpoint: address of the Hugging Face hub, if it is not the usual one.
        hub_token: for the hub.
    """

    cache: Path
    experts: Path
    pool: Path
    keys: Mapping[str, str] = Field(repr=False)
    hub_endpoint: str | None = None
    hub_token: str | None = Field(default=None, repr=False)


def environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Read the environment: `ENTSEMBLE_CACHE`, `ENTSEMBLE_EXPERTS`, `ENTSEMBLE_POOL`, `HF_ENDPOINT` and `HF_TOKEN`.

    Args:
        variables: instead of those of the process.
    """
    variables = os.environ if variables is None else variables
    cache_folder = Path(variables.get("ENTSEMBLE_CACHE") or default_cache_folder())
    data_folder = Path(platformdirs.user_data_dir("entsemble", appauthor=False))
    return Environment(
        cache=cache_folder.expanduser(),
        experts=Path(variables.get("ENTSEMBLE_EXPERTS") or data_folder / "experts").expanduser(),
        pool=Path(variables.get("ENTSEMBLE_POOL") or data_folder / "pool.jsonl").expanduser(),
        keys=dict(variables),
        hub_endpoint=variables.get("HF_ENDPOINT") or None,
        hub_token=variables.get("HF_TOKEN") or None,
    )


def default_cache_folder() -> Path:
    """The cache folder if `ENTSEMBLE_CACHE` names none."""
    return Path(platformdirs.user_cache_dir("entsemble", appauthor=False))


def preset_names() -> tuple[str, ...]:
    """The presets that come with entsemble."""
    names = (file.name for file in _PRESETS.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load(
    path: Path | None = None,
    preset: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    voices: Sequence[str] = (),
    include_pool: bool = True,
    has_examples: bool = False,
) -> Settings:
    """The settings of a run: the overrides take precedence over the file, and the file over the preset.

    Args:
        path: a TOML file; paths in it are relative to its folder.
        preset: by default `instant`; `balanced` if there are members, or an `[experts]` table and a pool; `experts`
            with such a table and no pool; none if there are only voices. Members and voices in the file replace those
            of the preset.
        overrides: nested values, as in TOML; `None` overrides nothing.
        voices: models of further voices.
        include_pool: False to ignore the pool that `path` names, since the caller has its own.
        has_examples: whether there are examples besides those that the settings name.

    Raises:
        ConfigError: a file that cannot be read, or a setting that is not valid: says where.
    """
    file_values = {} if path is None else read_settings_file(path)
    if not include_pool and isinstance(file_values.get("pool"), dict):
        file_values["pool"] = {key: value for key, value in file_values["pool"].items() if key != "path"}
    user_values = merge(file_values, overrides or {})
    name = preset or _default_preset(user_values, has_examples=has_examples)
    return with_voices(_validated(merge(_preset_values(name), user_values), path or "settings"), voices)


def with_voices(settings: Settings, models: Sequence[str]) -> Settings:
    """Settings with voices of these models besides those that are configured, which keep their settings."""
    configured = {voice.model for voice in settings.voices}
    added = [VoiceSettings(model=model) for model in dict.fromkeys(models) if model not in configured]
    return settings.model_copy(update={"voices": (*settings.voices, *added)})


def _preset_values(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    if name not in preset_names():
        raise UnknownNameError("preset", name, preset_names())
    return toml.loads((_PRESETS / f"{name}.toml").read_text(encoding="utf-8"))


def _validated(values: Mapping[str, Any], source: str | Path) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {describe_errors(error)}") from error


def _default_preset(values: Mapping[str, Any], *, has_examples: bool) -> str | None:
    pool = values.get("pool")
    has_pool = has_examples or (isinstance(pool, Mapping) and pool.get("path") is not None)
    if "members" in values or (has_pool and "experts" in values):
        return PRESET_OF_MEMBERS
    if "experts" in values:
        return PRESET_OF_EXPERTS
    if values.get("voices"):
        return None
    return PRESET_WITH_POOL if has_pool else PRESET_WITHOUT_POOL
