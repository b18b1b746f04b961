"""Settings: TOML and environment into frozen values. The only module that reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from entsemble._lib import toml
from entsemble.errors import ConfigError, UnknownNameError
from entsemble.types import Precision

DEFAULT_PRESET = "balanced"
WITHOUT_POOL = "experts"
"""The preset where there is nothing to show the models, and nobody said which models."""
_PRESETS = files("entsemble") / "presets"
_REMOTE = re.compile("hf:|openai:")


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
    api: Literal["completions", "chat"] = "completions"
    option_scoring: Literal["auto", "logprobs", "guided", "text"] = "auto"
    timeout: float = Field(default=300, gt=0)
    retries: int = Field(default=5, ge=0)
    concurrency: int | None = Field(default=None, ge=1)
    requests_per_minute: float | None = Field(default=None, gt=0)


class PoolSettings(_Frozen):
    """The `[pool]` table."""

    path: Path | None = None
    shots: int = Field(default=8, ge=0)
    max_characters: int | None = Field(default=None, ge=1)
    max_empty_share: float = Field(default=0.25, ge=0, le=1)
    similarity: Literal["span", "sentence", "label-guided", "random"] = "sentence"
    spans: Literal["gold", "members"] = "gold"
    gazetteer: float = Field(default=2, ge=0)


class ClassificationSettings(_Frozen):
    """The `[classification]` table.

    Attributes:
        vote: how ballots become a verdict; `None` leaves it to what the pool and other corpora taught about them, and
            to a soft vote without a pool.
        threshold: a mention needs at least this score; `None` leaves it to what was learnt, or to the vote.
        sure: a span that the smaller members type alike, each at least this probable, is not put to the larger ones.
    """

    vote: str | None = None
    threshold: float | None = Field(default=None, ge=0, le=1)
    skip_larger_above: float | None = Field(default=None, ge=0, le=1)


class StackingSettings(_Frozen):
    """The `[stacking]` table: what is learnt about the votes from the pool.

    Attributes:
        sentences: of the pool, that the ensemble answers first to learn from; of a smaller pool, all; 0 learns nothing
            from it; `None` leaves it to the pool and the vote.
        looks: whether what looks like a name is a candidate too, where no vote decides; `None` leaves it to whether
            most of the pool's names look so.
        words: whether what is worded like the pool's names is a candidate too, where no vote decides.
    """

    sentences: int | None = Field(default=None, ge=0)
    capitalised: bool | None = None
    naive_bayes: bool = True


class VerificationSettings(_Frozen):
    """The `[verification]` table; an empty member leaves the stage out."""

    member: str = ""
    threshold: float = Field(default=0.5, ge=0, le=1)
    skip_verification_above: float | None = Field(default=None, ge=0, le=1)


class EncoderSettings(_Frozen):
    """The `[encoder]` table."""

    model: str = "minilm-l6"


class ExpertsSettings(_Frozen):
    """The `[experts]` table: how experts are chosen for members that leave it to the texts.

    Attributes:
        names: that take part; all of the member's base where none is named.
        most: experts that are merged for a member.
        texts: sentences, from the first ones, that say where the target lies.
        sample: of these, those that the experts are tried on.
    """

    names: tuple[str, ...] = ()
    max_experts: int = Field(default=3, ge=1)
    target_sentences: int = Field(default=64, ge=1)
    sample_sentences: int = Field(default=8, ge=1)


class CacheSettings(_Frozen):
    """The `[cache]` table: replies kept on disk."""

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
    """Everything that shapes a run.

    Attributes:
        labels: name -> definition (may be empty); none at all takes the pool's labels.
        workers: sentences in flight; `None` chooses by the members and the cores.
        threads: CPU threads for each embedded model; `None` shares the cores out.
        quorum: members that must answer; `None` needs all, and a document without one of them fails.
    """

    seed: int = Field(default=0, ge=0)
    language: str = "en"
    nested: bool | None = None
    workers: int | None = Field(default=None, ge=1)
    threads: int | None = Field(default=None, ge=1)
    quorum: int | None = Field(default=None, ge=1)
    labels: dict[str, str] = {}
    pool: PoolSettings = PoolSettings()
    members: tuple[MemberSettings, ...] = ()
    classification: ClassificationSettings = ClassificationSettings()
    stacking: StackingSettings = StackingSettings()
    verification: VerificationSettings = VerificationSettings()
    encoder: EncoderSettings = EncoderSettings()
    experts: ExpertsSettings = ExpertsSettings()
    cache: CacheSettings = CacheSettings()
    ray: RaySettings = RaySettings()

    def overridden(self, overrides: Mapping[str, Any]) -> Settings:
        """The settings with some values replaced, given as for `load`.

        Raises:
            ConfigError: a value or a name that is not valid: says where.
        """
        return _validated(merge(self.model_dump(), overrides), "settings")

    def without_training(self) -> Settings:
        """The settings with no training on the pool's sentences; weights that were trained before are still used."""
        return self.overridden({"stacking": {"sentences": 0}})


class Environment(_Frozen):
    """What the environment says: where models, indexes, experts and a server's pool are kept, and keys."""

    cache: Path
    experts: Path
    pool: Path
    keys: Mapping[str, str] = Field(repr=False)
    hub_endpoint: str | None = None
    hub_token: str | None = Field(default=None, repr=False)


def environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Read the environment.

    `ENTSEMBLE_CACHE` is the cache folder, `ENTSEMBLE_EXPERTS` where the user's experts are, `ENTSEMBLE_POOL` the file
    that a server keeps its pool in. Keys are looked up by the names that members give (`api_key_env`).
    `HF_ENDPOINT` and `HF_TOKEN` mean what they mean to the hub's own tools.
    """
    given = os.environ if variables is None else variables
    cache = given.get("ENTSEMBLE_CACHE") or platformdirs.user_cache_dir("entsemble", appauthor=False)
    data = Path(platformdirs.user_data_dir("entsemble", appauthor=False))
    return Environment(
        cache=Path(cache).expanduser(),
        experts=Path(given.get("ENTSEMBLE_EXPERTS") or data / "experts").expanduser(),
        pool=Path(given.get("ENTSEMBLE_POOL") or data / "pool.jsonl").expanduser(),
        keys=dict(given),
        hub_endpoint=given.get("HF_ENDPOINT") or None,
        hub_token=given.get("HF_TOKEN") or None,
    )


def preset_names() -> tuple[str, ...]:
    """The presets that ship with entsemble."""
    return tuple(sorted(f.name.removesuffix(".toml") for f in _PRESETS.iterdir() if f.name.endswith(".toml")))


def load(
    path: Path | None = None,
    preset: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    include_pool: bool = True,
) -> Settings:
    """The settings of a run: a preset, then the user's file over it, then the command line's values over both.

    Args:
        path: a TOML file; relative paths in it are relative to it.
        preset: by default `balanced`, or `experts` where there is no pool and `path` lists no members. A file that
            lists members replaces the preset's.
        overrides: nested values, as in TOML; `None` values are no override.
        include_pool: whether to use the pool that `path` names; a caller that brings its own does not.

    Raises:
        ConfigError: a file that is absent, no TOML, or holds what cannot be right: says where.
    """
    written = {} if path is None else _anchored(_read(path), path.parent)
    if not include_pool and isinstance(written.get("pool"), dict):
        written["pool"] = {key: value for key, value in written["pool"].items() if key != "path"}
    given = merge(written, overrides or {})
    name = preset or _usual_preset(given)
    if name not in preset_names():
        raise UnknownNameError("preset", name, preset_names())
    values = merge(toml.loads((_PRESETS / f"{name}.toml").read_text(encoding="utf-8")), given)
    return _validated(values, path or "settings")


def _validated(values: Mapping[str, Any], source: str | Path) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_explained(error)}") from error


def _usual_preset(given: Mapping[str, Any]) -> str:
    pool = given.get("pool")
    shown = isinstance(pool, Mapping) and pool.get("path") is not None
    return DEFAULT_PRESET if shown or "members" in given else WITHOUT_POOL


def _read(path: Path) -> dict[str, Any]:
    try:
        return toml.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except toml.TOMLDecodeError as error:
        raise ConfigError(f"{path}: no valid TOML: {error}") from error


def _anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths in a configuration file are relative to that file, wherever the command is run."""
    pool = values.get("pool")
    if isinstance(pool, dict) and isinstance(pool.get("path"), str):
        values = values | {"pool": pool | {"path": folder / Path(pool["path"]).expanduser()}}
    members = values.get("members")
    if isinstance(members, list):
        values = values | {"members": [_anchored_model(m, folder) for m in members]}
    if "encoder" in values:
        values = values | {"encoder": _anchored_model(values["encoder"], folder)}
    return values


def _anchored_model(table: object, folder: Path) -> object:
    model = table.get("model") if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(model, str) or _REMOTE.match(model):
        return table
    path = folder / Path(model).expanduser()
    is_path = model.endswith(".gguf") or ("/" in model and path.is_dir())
    return table | {"model": str(path)} if is_path else table


def merge(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with others over them; `None` replaces nothing, and labels are replaced as a whole."""
    merged = dict(base)
    for key, value in values.items():
        if value is None:
            continue
        under = merged.get(key)
        if not isinstance(value, Mapping) or key == "labels":
            merged[key] = value
        elif under is None or isinstance(under, Mapping):  # what is no table stays, for validation to say so
            merged[key] = merge(under or {}, value)
    return merged


def _explained(error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        told = "is no setting" if problem["type"] == "extra_forbidden" else problem["msg"]
        problems.append(f"{place}: {told}")
    return "; ".join(problems)
