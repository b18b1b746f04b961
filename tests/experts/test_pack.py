"""The experts that come with entsemble: their cards, and the split of their data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tools.release import experts
from tools.release.experts import corpus_splits, load_plan

from entsemble.assembly import Assembly, base_checksum
from entsemble.assembly.expert_files import _SHIPPED
from entsemble.backends.catalogue import find_card
from entsemble.experts import peft_folder
from entsemble.experts.store import ExpertStore
from entsemble.settings import environment, load

PLANNED = load_plan()
OPEN = ("CC-BY-", "CC-BY-SA-", "MIT")


def sources(name: str) -> list[str]:
    plan = PLANNED[name]
    return [x for n in plan["of"] for x in sources(n)] if "of" in plan else [s["name"] for s in plan["sources"]]


@pytest.fixture
def store(tmp_path: Path) -> ExpertStore:
    return ExpertStore(tmp_path, _SHIPPED)


def test_every_planned_expert_is_shipped_and_intact(store: ExpertStore) -> None:
    assert len(PLANNED) >= 6
    assert set(store.names()) == set(PLANNED)
    for name in store.names():
        expert = store.get(name)
        assert expert.shipped
        assert len(peft_folder.load_adapter(expert.folder).factors) == 210, "all linear layers of 30"


def test_the_shipped_experts_are_small() -> None:
    assert sum(p.stat().st_size for p in _SHIPPED.rglob("*") if p.is_file()) <= 25_000_000


@pytest.mark.parametrize("name", PLANNED)
def test_each_card_has_base_licence_sources_vectors_and_scores(name: str, store: ExpertStore) -> None:
    card = store.get(name).card
    assert card.base_sha256 == base_checksum("smollm2-135m", environment())
    assert card.licence.startswith(OPEN)
    start = PLANNED[name].get("start")
    assert (card.start.expert if card.start else None) == start
    assert card.foundation == ("of" in PLANNED[name])
    assert start is None or store.get(start).card.licence in card.licence
    source_names = [source.name.removesuffix(".jsonl") for source in card.sources]
    assert source_names == [*sources(name), *(sources(start) if start else [])], (
        "a corpus of the expert and of its start is listed twice"
    )
    assert all(s.licence.startswith(OPEN) and s.attribution for s in card.sources)
    assert card.labels
    assert card.vectors is not None
    assert card.vectors.encoder == find_card("minilm-l6").weights_fingerprint
    assert card.scores[0].f1 > 0.2, "it has been trained"
    assert card.versions["torch"]


@pytest.mark.models
def test_the_default_encoder_compares_texts_with_every_shipped_expert(
    store: ExpertStore, model_file: Callable[[str], Path]
) -> None:
    model_file("minilm-l6")
    with Assembly(load(overrides={"labels": {"person": ""}}), environment()) as assembly:
        fingerprint = assembly.encoder().weights_fingerprint
    vectors = [store.get(name).card.vectors for name in store.names()]
    assert [v.encoder for v in vectors if v is not None] == [fingerprint] * len(PLANNED)


def test_a_new_installation_lists_the_shipped_experts(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("ENTSEMBLE_EXPERTS", str(tmp_path / "none"))
    listing = command("experts", "list").out
    assert all(name in listing for name in PLANNED)


@pytest.mark.corpora
@pytest.mark.parametrize("name", PLANNED)
def test_held_out_sentences_are_not_trained_on(name: str, corpus: Callable[[str], Path]) -> None:
    splits = corpus_splits(name, corpus("."))
    training = {document.text for split in splits for document in split.training}
    assert training.isdisjoint(document.text for split in splits for document in split.held_out)
    assert sum(len(split.training) for split in splits) >= 250
    assert [split.corpus for split in splits] == sources(name)


@pytest.mark.corpora
def test_personal_data_is_split_by_template(monkeypatch: pytest.MonkeyPatch, corpus: Callable[[str], Path]) -> None:
    monkeypatch.setattr(experts, "_with_readable_labels", lambda document, _: document)
    [split] = corpus_splits("privacy", corpus("."))
    templates = {document.meta["template_id"] for document in split.training}
    assert templates.isdisjoint(document.meta["template_id"] for document in split.held_out)
