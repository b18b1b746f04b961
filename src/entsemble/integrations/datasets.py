"""Hugging Face `datasets`: documents as a dataset, and extraction as a function for `Dataset.map`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from entsemble._lib.optional import require
from entsemble.data.class_names import ClassNames
from entsemble.data.jsonl import from_json, to_json
from entsemble.data.parquet import row_to_json
from entsemble.ensemble import Ensemble
from entsemble.types import Document


def features() -> Any:  # noqa: ANN401 - datasets.Features
    """The columns: id, text, mentions with scores and votes, tokens, and `meta` as JSON."""
    datasets = _datasets()
    string_type, integer_type = datasets.Value("string"), datasets.Value("int64")
    vote_type = {"member": string_type, "label": string_type}
    mention_type = {
        "start": integer_type,
        "end": integer_type,
        "text": string_type,
        "label": string_type,
        "score": datasets.Value("float64"),
        "votes": datasets.List(vote_type),
    }
    return datasets.Features(
        {
            "id": string_type,
            "text": string_type,
            "mentions": datasets.List(mention_type),
            "tokens": datasets.List(datasets.List(integer_type)),
            "meta": string_type,
        }
    )


def to_dataset(documents: Iterable[Document]) -> Any:  # noqa: ANN401 - datasets.Dataset
    """A dataset of the documents; the conversion is lossless."""
    return _datasets().Dataset.from_list([_to_row(document) for document in documents], features=features())


def from_dataset(dataset: Iterable[Mapping[str, Any]]) -> Iterator[Document]:
    """The documents of a dataset with the columns of `features`, of words and their `ner_tags`, or with only `text`.

    Raises:
        DataError: a row is not a valid document.
    """
    dataset_features = getattr(dataset, "features", None)
    names = ClassNames(features=dataset_features.to_dict() if dataset_features else None)
    for number, row in enumerate(dataset, 1):
        values = row_to_json(row)
        if mentions := values.get("mentions"):
            values["mentions"] = [
                {**mention, "votes": {vote["member"]: vote["label"] for vote in mention.get("votes") or ()}}
                for mention in mentions
            ]
        yield from_json(values, str(number), names=names)


def batch_extractor(
    ensemble: Ensemble, text_column: str = "text"
) -> Callable[[Mapping[str, Sequence[Any]]], dict[str, list[Any]]]:
    """A function for `dataset.map(..., batched=True)` that adds the column `mentions`.

    Args:
        ensemble: made by `entsemble.load`.
        text_column: column with the texts.
    """

    def extract_batch(batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        documents = ensemble.extract_many(batch[text_column])
        return {"mentions": [_to_row(document)["mentions"] for document in documents]}

    return extract_batch


def _to_row(document: Document) -> dict[str, Any]:
    values = to_json(document)
    mentions = [
        {
            **mention,
            "score": mention.get("score"),
            "votes": [{"member": member, "label": label} for member, label in mention.get("votes", {}).items()],
        }
        for mention in values["mentions"]
    ]
    meta = json.dumps(values.get("meta", {}), ensure_ascii=False)
    return {**values, "mentions": mentions, "tokens": values.get("tokens", []), "meta": meta}


def _datasets() -> Any:  # noqa: ANN401 - untyped library
    return require("datasets", "datasets", "Hugging Face datasets")
