"""Which requested label each label of a model stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from entsemble.errors import ConfigError
from entsemble.prompting.labels import readable_name
from entsemble.types import LabelSet

_ALTERNATIVES: Mapping[str, tuple[str, ...]] = {
    "people": ("person",),
    "person": ("people",),
    "place": ("location",),
    "location": ("place",),
    "geopolitical entity": ("location", "place"),
    "facility": ("location", "place"),
    "norp": ("nationality", "group", "miscellaneous"),
    "work of art": ("creative work", "work"),
    "event": ("miscellaneous",),
    "product": ("miscellaneous",),
    "chemical": ("drug",),
    "drug": ("chemical",),
    "miscellaneous": ("other",),
    "other": ("miscellaneous",),
}
"""Label of a model, readable -> requested labels that cover it, of which the first one is taken."""


def map_labels(model_labels: Iterable[str], requested: LabelSet, table: Mapping[str, str], name: str) -> dict[str, str]:
    """Label of the model -> requested label; labels that stand for none are left out.

    Args:
        model_labels: all labels of the model.
        requested: by the user.
        table: what the user says: label of the model -> requested label, or empty for none. The others are matched by
            their names.
        name: of the voice, for messages.

    Raises:
        ConfigError: the table names a label that the model does not have, or no label is mapped.
    """
    model_labels = sorted(model_labels)
    unknown = sorted(table.keys() - set(model_labels))
    if unknown:
        raise ConfigError(
            f"the voice {name} has no label {unknown[0]!r}, which its `labels` name; it has {', '.join(model_labels)}"
        )
    by_name = {_key(text): label.name for label in requested for text in (label.readable, label.name)}
    mapped = {label: table[label] if label in table else _match(label, by_name) for label in model_labels}
    mapping = {label: target for label, target in mapped.items() if target in requested.names}
    if not mapping:
        raise ConfigError(
            f"the voice {name} finds none of the labels {', '.join(requested.names)}; say in its `labels` what its "
            f'labels stand for, as in labels = {{ {model_labels[0]} = "{requested.names[0]}" }}; '
            f"it has {', '.join(model_labels)}"
        )
    return mapping


def describe_gaps(
    requested: LabelSet, table: Mapping[str, str], name: str, mapping: Mapping[str, str] | None = None
) -> str | None:
    """What the user should know about a voice's labels, in one line; `None` if there is nothing.

    Args:
        requested: by the user.
        table: what the user says.
        name: of the voice.
        mapping: of a model with labels of its own, made by `map_labels`.
    """
    wrong = [f"{label} = {target!r}" for label, target in table.items() if target and target not in requested.names]
    if wrong:
        return (
            f"the voice {name} maps to labels that are not requested: {', '.join(wrong)}; "
            f"requested: {', '.join(requested.names)}"
        )
    missing = [] if mapping is None else [label for label in requested.names if label not in mapping.values()]
    if missing and not table:
        return f"the voice {name} finds no {', '.join(missing)}: none of its labels has such a name; see its `labels`"
    return None


def shown_labels(requested: LabelSet, table: Mapping[str, str], name: str) -> LabelSet:
    """The labels as a model that reads labels is to see them.

    Args:
        requested: by the user.
        table: what the user says: words for the model -> requested label.
        name: of the voice, for messages.

    Raises:
        ConfigError: two labels are shown alike.
    """
    words = {target: shown for shown, target in table.items()}
    labels = tuple(replace(label, readable=words.get(label.name, label.readable)) for label in requested)
    try:
        return replace(requested, labels=labels)
    except ValueError as error:
        raise ConfigError(f"the voice {name}: {error}") from error


def _match(label: str, by_name: Mapping[str, str]) -> str:
    """The requested label with the same name as a model's, or else with one that covers it; empty for none."""
    key = _key(readable_name(label))
    return next((by_name[name] for name in (key, *_ALTERNATIVES.get(key, ())) if name in by_name), "")


def _key(label: str) -> str:
    """Equal for the spellings of a name: `Organization` and `organisation`, `DATE_TIME` and `date time`."""
    return readable_name(label).casefold().replace("ization", "isation").replace("-", " ")
