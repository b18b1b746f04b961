"""Documents as a dataset of Hugging Face's `datasets`, and extraction as a function for its `map`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from entsemble.data.jsonl import from_json, to_json
from entsemble.data.parquet import row_to_json
from entsemble.errors import MissingExtraError
from entsemble.extractor import Extractor
from entsemble.ner.documents import Failed
from entsemble.types import Document


def features() -> Any:  # noqa: ANN401 - datasets.Features
    """What the columns hold: id, text, mentions with scores and votes, tokens, and `meta` as JSON."""
    datasets = _datasets()
    text, number = datasets.Value("string"), datasets.Value("int64")
    vote = {"member": text, "label": text}
    mention = {"start": number, "end": number, "text": text, "label": text, "score": datasets.Value("float64")}
    mentions = datasets.List({**mention, "votes": datasets.List(vote)})
    return datasets.Features(
        {"id": text, "text": text, "mentions": mentions, "tokens": datasets.List(datasets.List(number)), "meta": text}
    )


def to_dataset(documents: Iterable[Document]) -> Any:  # noqa: ANN401 - datasets.Dataset
    """Documents as a dataset; nothing of them is lost."""
    return _datasets().Dataset.from_list([_row(d) for d in documents], features=features())


def from_dataset(dataset: Iterable[Mapping[str, Any]]) -> Iterator[Document]:
    """The documents of a dataset with these columns; of `text` alone, those that nobody annotated.

    Raises:
        DataError: a row is no document.
    """
    for number, row in enumerate(dataset, 1):
        told = row_to_json(row)
        told["mentions"] = [
            {**m, "votes": {v["member"]: v["label"] for v in m.get("votes") or ()}} for m in told.get("mentions") or ()
        ]
        yield from_json(told, str(number))


def mapped(extractor: Extractor, text: str = "text") -> Callable[[Mapping[str, Sequence[Any]]], dict[str, list[Any]]]:
    """A function for `dataset.map(..., batched=True)` that adds the column `mentions`.

    Args:
        extractor: of an `Assembly`, which must stay open.
        text: column that the texts are in.
    """

    def work(batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        found = []
        for result in extractor.extract(Document(str(i), value) for i, value in enumerate(batch[text])):
            if isinstance(result, Failed):
                raise result.error
            found.append(_row(result.document)["mentions"])
        return {"mentions": found}

    return work


def _row(document: Document) -> dict[str, Any]:
    told = to_json(document)
    mentions = [
        {
            **m,
            "score": m.get("score"),
            "votes": [{"member": name, "label": label} for name, label in m.get("votes", {}).items()],
        }
        for m in told["mentions"]
    ]
    meta = json.dumps(told.get("meta", {}), ensure_ascii=False)
    return {**told, "mentions": mentions, "tokens": told.get("tokens", []), "meta": meta}


def _datasets() -> Any:  # noqa: ANN401 - untyped library
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "datasets", "a dataset of Hugging Face") from error
    return datasets
