"""The public API: `load` an `Ensemble`, `extract` mentions, `evaluate` them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entsemble import settings as configuration
from entsemble.assembly import ProgressCallbacks, select_members
from entsemble.data.formats import read
from entsemble.data.inputs import Examples, Labels, label_definitions, split_examples
from entsemble.ensemble import Ensemble
from entsemble.errors import ConfigError, DataError, UnknownNameError
from entsemble.evaluation.documents import with_gold_ids
from entsemble.evaluation.report import Report, build_report
from entsemble.settings import PRESET_OF_MEMBERS, Settings
from entsemble.settings_file import merge
from entsemble.types import Document

if TYPE_CHECKING:
    from typing_extensions import TypedDict, Unpack

    class Options(TypedDict, total=False):
        """Single settings by name; `None` leaves a setting as it is."""

        shots: int | None
        similarity: str | None
        learn: int | None
        nested: bool | None
        threshold: float | None
        vote: str | None
        language: str | None
        workers: int | None
        seed: int | None
        cache: bool | None
        patterns: str | Path | None
        pool_format: str | None
        thresholds: Mapping[str, float] | None
        never: Sequence[str] | None
        same_answer: bool | None


_OPTION_KEYS = {
    "shots": ("pool", "shots"),
    "similarity": ("pool", "similarity"),
    "pool_format": ("pool", "format"),
    "learn": ("stacking", "sentences"),
    "nested": ("nested",),
    "threshold": ("classification", "threshold"),
    "vote": ("classification", "vote"),
    "language": ("language",),
    "workers": ("workers",),
    "seed": ("seed",),
    "cache": ("cache", "replies"),
    "patterns": ("patterns",),
    "thresholds": ("rules", "thresholds"),
    "never": ("rules", "never"),
    "same_answer": ("rules", "same_answer"),
}
"""Option of `load` -> the setting that it overrides, as a path of keys."""


def load(
    labels: Labels | None = None,
    examples: Examples | None = None,
    *,
    preset: str | None = None,
    config: Settings | Mapping[str, Any] | str | Path | None = None,
    models: str | Sequence[str] = (),
    voices: str | Sequence[str] = (),
    progress: ProgressCallbacks | None = None,
    **options: Unpack[Options],
) -> Ensemble:
    """An ensemble that finds mentions of the labels. Models are loaded, and downloaded if needed, with the first text.

    Args:
        labels: what to find: names, in a list or separated by commas; a mapping of name -> definition; or a TOML file.
            If not given, the labels of the examples.
        examples: annotated texts that the models learn from (few-shot), also called the pool: a file, documents, or
            `(text, [(start, end, label), ...])` pairs. With 20 sentences and 40 mentions or more, the first text also
            trains vote weights on them, once, which takes as long as 40 to 80 texts; see `learn`. If no examples are
            given, the label reader answers alone, in milliseconds.
        preset: a configuration that comes with entsemble: fast, balanced, best, instant, experts, paper or small-gpu.
            By default instant, and balanced if there are models.
        config: a configuration file (TOML), the same as a mapping, or `Settings`.
        models: names of the members' models, instead of those of the preset or configuration.
        voices: other models that vote too, such as `spacy:en_core_web_sm`, besides those of the configuration.
        progress: called as models are downloaded and prepared. By default warnings are logged, and nothing is printed.
        **options: single settings, which take precedence over `config` and `preset`: `shots` (examples shown for a
            sentence), `similarity` (how they are selected), `learn` (number of sentences of the examples to train vote
            weights on, 0 for none), `nested`, `threshold`, `vote`, `language`, `workers`, `seed`, `cache` (False
            to evaluate cached requests again), `patterns` (a file of word lists and regular expressions), `pool_format`
            (of a file of examples; by default detected), `thresholds` (label -> threshold), `never` (names that are
            never mentions), and `same_answer` (whether a name has one label wherever it occurs in a document).

    Raises:
        ConfigError: a setting or an argument that is not valid.
        DataError: examples that cannot be read.
    """
    paths, documents = ([], None) if examples is None else _read_examples(examples)
    settings = make_settings(
        labels=labels,
        pool=paths[0] if paths else None,
        preset=preset,
        config=config,
        models=(models,) if isinstance(models, str) else models,
        voices=(voices,) if isinstance(voices, str) else voices,
        has_examples=documents is not None,
        **options,
    )
    return Ensemble(settings, examples=documents, progress=progress)


def _read_examples(examples: Examples) -> tuple[list[Path], list[Document] | None]:
    """A file by its path, which the ensemble reads; anything else as documents."""
    paths, documents = split_examples(examples)
    if len(paths) == 1 and not documents:
        return paths, None
    documents = [*(read(paths) if paths else ()), *documents]
    if not any(document.mentions for document in documents):
        raise DataError("the examples hold no mention; give annotated texts, or no examples at all")
    return [], documents


def make_settings(
    *,
    labels: Labels | None = None,
    pool: Path | None = None,
    preset: str | None = None,
    config: Settings | Mapping[str, Any] | str | Path | None = None,
    models: Sequence[str] = (),
    voices: Sequence[str] = (),
    has_examples: bool = False,
    **options: Unpack[Options],
) -> Settings:
    """The settings of an ensemble; see `load`.

    Args:
        labels: see `load`.
        pool: file of examples.
        preset: see `load`.
        config: see `load`.
        models: see `load`.
        voices: see `load`.
        has_examples: whether examples are given as documents, so that the file that `config` names is not used.
        **options: see `load`.

    Raises:
        ConfigError: a setting or an argument that is not valid.
    """
    overrides = _overrides(options)
    if labels is not None:
        overrides["labels"] = label_definitions(labels)
    if pool is not None:
        overrides.setdefault("pool", {})["path"] = pool
    if isinstance(config, Settings):
        if preset is not None:
            raise ConfigError("give either a preset or whole Settings; Settings leave nothing for a preset to set")
        settings = configuration.with_voices(config.overridden(overrides), voices)
    else:
        if preset is None and models:
            preset = PRESET_OF_MEMBERS
        config_path = Path(config) if isinstance(config, str | Path) else None
        config_values = config if isinstance(config, Mapping) else {}
        user_values = merge(config_values, overrides)
        settings = configuration.load(
            config_path, preset, user_values, voices=voices, include_pool=not has_examples, has_examples=has_examples
        )
    if has_examples:
        settings = settings.model_copy(update={"pool": settings.pool.model_copy(update={"path": None})})
    return select_members(settings, models) if models else settings


def _overrides(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as nested settings."""
    overrides: dict[str, Any] = {}
    for option, value in options.items():
        if option not in _OPTION_KEYS:
            raise UnknownNameError("option", option, _OPTION_KEYS)
        *table_names, setting = _OPTION_KEYS[option]
        table = overrides
        for table_name in table_names:
            table = table.setdefault(table_name, {})
        table[setting] = value
    return overrides


def evaluate(gold: Iterable[Document] | str | Path, predicted: Iterable[Document] | str | Path) -> Report:
    """Compare predicted mentions with gold ones: precision, recall and F1, errors, and calibration of the scores.

    Args:
        gold: annotated documents, or a file of them.
        predicted: the same documents with other mentions. They are paired by id, or by position if the two sides have
            no id in common.

    Raises:
        DataError: a file that cannot be read, or documents that do not belong together.
    """
    gold_documents, predicted_documents = _read_documents(gold), _read_documents(predicted)
    gold_ids = {document.id for document in gold_documents}
    if predicted_documents and gold_ids.isdisjoint(document.id for document in predicted_documents):
        predicted_documents = list(with_gold_ids(gold_documents, predicted_documents))
    return build_report(gold_documents, predicted_documents)


def _read_documents(documents: Iterable[Document] | str | Path) -> list[Document]:
    return list(read(documents) if isinstance(documents, str | Path) else documents)
