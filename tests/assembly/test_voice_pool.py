"""The preset without language models: voices that learn from the pool, and what they must not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from entsemble.assembly import Assembly, voice_pool
from entsemble.assembly.stacking import fold_indices
from entsemble.backends.tagger import train_tagger
from entsemble.data.formats import write
from entsemble.ner.documents import Extracted
from entsemble.pool.leakage import LeakageGuard
from entsemble.settings import environment, load
from entsemble.types import Document
from tests.factories import document

for package in ("onnxruntime", "pycrfsuite", "scipy", "tokenizers"):
    pytest.importorskip(package)

NAMES = ("Ann Berg", "Bob Holm", "Cleo Dahl", "Dan Vik", "Eve Moss", "Finn Lie")
TOWNS = ("Oslo", "Rome", "Riga", "Lima", "Bern")


def pool_documents() -> list[Document]:
    return [
        document(f"Yesterday {name} travelled to {town}.", (name, "person"), (town, "place"), id=f"{name} {town}")
        for name in NAMES
        for town in TOWNS
    ]


def instant(
    tmp_path: Path, documents: Sequence[Document], held_out: Sequence[Document] = (), sentences: int = 0
) -> Assembly:
    """The preset with these documents as its pool, and an empty cache: nothing is there to be downloaded or loaded."""
    write(documents, tmp_path / "pool.jsonl")
    overrides = {"pool": {"path": tmp_path / "pool.jsonl"}, "stacking": {"sentences": sentences}}
    settings = load(preset="instant", overrides=overrides)
    return Assembly(settings, environment({"ENTSEMBLE_CACHE": str(tmp_path / "cache")}), held_out=held_out)


def mentions(assembly: Assembly, text: str) -> dict[str, str]:
    [result] = assembly.extractor().extract([Document("d", text)])
    assert isinstance(result, Extracted)
    assert all({"label-reader", "tagger"} <= m.votes.keys() for m in result.document.mentions)
    return {m.text: m.label for m in result.document.mentions}


def test_voices_alone_answer_from_a_pool_without_any_language_model(tmp_path: Path) -> None:
    with instant(tmp_path, pool_documents(), sentences=20) as assembly:
        assert mentions(assembly, "Yesterday Gro Foss travelled to Kiel.") == {"Gro Foss": "person", "Kiel": "place"}
        assert assembly.models.parameters is not None
    assert not (tmp_path / "cache" / "models").exists()


def test_what_was_learned_is_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Yesterday Gro Foss travelled to Kiel."
    with instant(tmp_path, pool_documents()) as assembly:
        first = mentions(assembly, text)

    def refuse(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(voice_pool, "train_tagger", refuse)
    monkeypatch.setattr(voice_pool, "fit_adapter", refuse)
    with instant(tmp_path, pool_documents()) as assembly:
        assert mentions(assembly, text) == first


def test_no_voice_learns_from_a_sentence_that_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained_on: list[set[str]] = []

    def record(documents: Sequence[Document], labels: Sequence[str]) -> Any:
        trained_on.append({d.text for d in documents})
        return train_tagger(documents, labels)

    monkeypatch.setattr(voice_pool, "train_tagger", record)
    held_out = pool_documents()[3]
    with instant(tmp_path, pool_documents(), held_out=[held_out]) as assembly:
        assembly.extractor()
    assert len(trained_on[0]) == len(pool_documents()) - 1
    assert held_out.text not in trained_on[0]


def test_a_fold_takes_the_sentences_with_it_that_repeat_one_of_its_own() -> None:
    documents = [document(f"Sentence number {number}.") for number in range(10)]
    documents[9] = document("SENTENCE  number 0.")
    guard = LeakageGuard(documents, lambda text: [text])
    assert fold_indices(0, guard) == {0, 1, 9}
    assert fold_indices(1, guard) == {2, 3}
