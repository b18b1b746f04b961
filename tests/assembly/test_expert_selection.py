"""Experts selected by the texts: settings in, settings that name experts out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entsemble.assembly import (
    Selection,
    SelectionInputs,
    adapt_to_documents,
    base_checksum,
    expert_files,
    select_experts,
)
from entsemble.assembly.model_pool import ModelPool
from entsemble.data.formats import read
from entsemble.errors import ConfigError, DataError
from entsemble.experts.card import Card, DomainVectors
from entsemble.experts.store import ExpertStore
from entsemble.settings import Environment, Settings, environment, load
from entsemble.types import Document

pytestmark = pytest.mark.usefixtures("scripted")

LABELS = {"person": "", "location": ""}
TEXTS = (Document("1", "Ann flew to Oslo."), Document("2", "Bob Lee stayed in Bergen. Nobody else did."))


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment whose only experts are those that a test adds."""
    monkeypatch.setattr(expert_files, "_SHIPPED", tmp_path / "none")
    monkeypatch.setenv("ENTSEMBLE_EXPERTS", str(tmp_path / "experts"))
    return environment()


@pytest.fixture
def add_expert(storage: Environment, adapter_folder: Callable[[int], Path], trigrams: Any) -> Callable[..., None]:
    """Adds an expert that knows `labels` and was trained on `texts`; see `scripted` for what it answers."""

    def add(name: str, *labels: str, texts: tuple[str, ...] = (), **fields: Any) -> None:
        rows = tuple(tuple(float(x) for x in row) for row in trigrams.encode(texts))
        vectors = DomainVectors(encoder="trigrams", rows=rows, sentences=(1,) * len(rows)) if texts else None
        checksum = base_checksum("smollm2-135m", storage)
        usual = {"base": "smollm2-135m", "base_sha256": checksum, "template": "ner-1", "vectors": vectors}
        store = ExpertStore(storage.experts)
        store.add(adapter_folder(len(store.names())), Card(name=name, labels=labels, **{**usual, **fields}))

    return add


def make_settings(preset: str | None = None, **overrides: Any) -> Settings:
    """Of the preset `experts`, unless there is a pool or a member."""
    default_preset = None if {"pool", "members"} & overrides.keys() else "experts"
    return load(preset=preset or default_preset, overrides={"labels": LABELS, "cache": {"replies": False}, **overrides})


def select(
    texts: Iterable[Document] = TEXTS, held_out: Sequence[Document] = (), preset: str | None = None, **overrides: Any
) -> Selection:
    settings = make_settings(preset, **overrides)
    return select_experts(SelectionInputs(settings, environment(), held_out=held_out), texts)


def adapt(texts: Iterable[Document] = TEXTS, **overrides: Any) -> tuple[Settings, list[Document], Selection | None]:
    settings, documents, selection = adapt_to_documents(
        SelectionInputs(make_settings(**overrides), environment()), texts
    )
    return settings, list(documents), selection


def pool_of_one_mention(tmp_path: Path, empty_sentences: int = 0) -> Path:
    path = tmp_path / "one-mention.jsonl"
    empty = [json.dumps({"text": f"Nobody {number}."}) for number in range(empty_sentences)]
    annotated = json.dumps({"text": "Oslo is far.", "mentions": [{"start": 0, "end": 4, "label": "location"}]})
    path.write_text("\n".join([*empty, annotated, ""]))
    return path


class TestSelection:
    def test_without_a_pool_experts_are_scored_by_the_predictions_of_the_others(self, add_expert: Any) -> None:
        add_expert("people", "person")
        add_expert("towns", "location")
        add_expert("both", "person", "location")
        add_expert("also", "person", "location")
        add_expert("lost", "disease")
        selection = select(experts={"max_experts": 2})
        assert not selection.uses_gold
        assert list(selection.sampled.scores)[-1] == "lost"
        assert selection.sampled.weights == {"also": 0.5, "both": 0.5}
        assert selection.unknown_labels == ()
        assert (selection.target_sentences, selection.sample_sentences) == (3, 3)

    def test_with_a_pool_experts_are_scored_by_its_mentions(self, add_expert: Any, tmp_path: Path) -> None:
        add_expert("people", "person")
        add_expert("towns", "location")
        pool = {"path": pool_of_one_mention(tmp_path)}
        selection = select(pool=pool, experts={"max_experts": 1})
        assert selection.uses_gold
        assert selection.sampled.scores == {"towns": 1.0, "people": 0.0}
        assert selection.sampled.weights == {"towns": 1.0}
        same_text = select([Document("x", "Oslo is far.")], pool=pool)
        assert not same_text.uses_gold, "a sentence of the target is never its own gold"

    def test_a_pool_with_one_mention_is_enough(self, add_expert: Any, tmp_path: Path) -> None:
        add_expert("people", "person")
        add_expert("towns", "location")
        pool = {"path": pool_of_one_mention(tmp_path, empty_sentences=60)}
        selection = select(pool=pool, experts={"max_experts": 1})
        assert (selection.uses_gold, selection.sampled.weights) == (True, {"towns": 1.0})
        with_its_text = [*TEXTS, Document("3", "Oslo is far.")]
        assert not select(with_its_text, pool=pool).uses_gold, "the other sentences hold no mention"

    def test_mentions_that_will_be_scored_are_not_used(self, add_expert: Any, pool_file: Path) -> None:
        """Even if the pool is the gold data itself, with more sentences than are compared."""
        add_expert("people", "person")
        add_expert("towns", "location")
        gold = list(read(pool_file))
        overrides: dict[str, Any] = {"pool": {"path": pool_file}, "experts": {"target_sentences": 2}}
        assert not select(gold, held_out=gold, preset="experts", **overrides).uses_gold
        shouted = [replace(d, text=d.text.upper(), mentions=()) for d in gold]
        assert not select(shouted[:2], held_out=shouted, preset="experts", **overrides).uses_gold
        assert select(gold[:2], preset="experts", **overrides).uses_gold

    def test_experts_trained_on_similar_texts_are_selected_by_domain(self, add_expert: Any) -> None:
        add_expert("travel", "person", texts=("Carla flew to Oslo.",))
        add_expert("biology", "protein", texts=("phosphorylation of kinases",))
        add_expert("unplaced", "person")
        selection = select(experts={"max_experts": 1})
        assert selection.domain.weights == {"travel": 1.0}
        assert selection.domain.scores["travel"] > selection.domain.scores["biology"]
        assert selection.incomparable == {"unplaced": "its card holds no vectors of its training texts"}

    def test_vectors_of_other_dimensions_are_not_compared(self, add_expert: Any) -> None:
        vectors = DomainVectors(encoder="trigrams", rows=((1.0, 0.0),), sentences=(1,))
        add_expert("flat", "person", vectors=vectors)
        add_expert("people", "person", texts=("Ann flew to Oslo.",))
        selection = select()
        assert selection.incomparable == {"flat": "its vectors have 2 dimensions, not 64"}
        assert selection.domain.weights == {"people": 1.0}

    def test_if_all_scores_are_zero_all_experts_weigh_the_same(self, add_expert: Any) -> None:
        for name in ("a", "b", "c", "d"):
            add_expert(name, "disease")
        selection = select(experts={"max_experts": 2})
        assert selection.domain.weights == selection.sampled.weights == dict.fromkeys("abcd", 0.25)

    def test_labels_that_no_expert_was_trained_on_are_named(self, add_expert: Any) -> None:
        add_expert("people", "person")
        assert select().unknown_labels == ("location",)

    def test_labels_are_compared_by_their_readable_names_too(self, add_expert: Any) -> None:
        add_expert("conll", "PER", "LOC")
        assert select().unknown_labels == ()
        assert select(labels={"disease": ""}).unknown_labels == ("disease",)

    def test_a_foundation_is_selected_only_by_name(self, add_expert: Any) -> None:
        add_expert("ground", "person", "location", foundation=True)
        add_expert("people", "person")
        assert [expert.card.name for expert in select().experts] == ["people"]
        assert len(select(experts={"names": ["ground", "people"]}).experts) == 2


class TestTrials:
    def test_what_was_tried_before_needs_no_model(
        self, add_expert: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        add_expert("people", "person")
        add_expert("both", "person", "location")
        cached: dict[str, Any] = {"cache": {"replies": True}}
        first = select(**cached)
        weighted_sums = ModelPool.weighted_sums
        loads: list[None] = []

        def count(*arguments: Any) -> Any:
            loads.append(None)
            return weighted_sums(*arguments)

        monkeypatch.setattr(ModelPool, "weighted_sums", count)
        assert select(**cached) == first
        assert loads == []
        assert select([Document("1", "Ann stayed.")], **cached) != first
        assert len(loads) == 2, "other texts: answers and biases"
        select(labels={"person": ""}, **cached)
        assert len(loads) == 4, "other labels"
        assert select() == first
        assert len(loads) == 6, "the cache is not to be used"
        add_expert("towns", "location")
        assert len(select(**cached).experts) == 3
        assert len(loads) == 8, "another expert"


class TestSettings:
    def test_members_are_given_their_experts_and_no_document_is_lost(self, add_expert: Any) -> None:
        add_expert("people", "person", texts=("Ann flew to Oslo.",))
        add_expert("both", "person", "location", texts=("phosphorylation of kinases",))
        add_expert("fond", "person", "location", texts=("phosphorylation of kinases",))
        settings, documents, selection = adapt(iter(TEXTS), experts={"max_experts": 1, "target_sentences": 1})
        assert selection is not None
        assert [(m.name, m.experts) for m in settings.members] == [
            ("domain", {"people": 1.0}),
            ("sampled", {"both": 1.0}),
        ]
        assert [document.id for document in documents] == ["1", "2"]

    def test_the_bias_of_an_expert_is_corrected(self, add_expert: Any) -> None:
        add_expert("people", "person", texts=("Ann flew to Oslo.",))
        settings, _, selection = adapt()
        assert selection is not None
        [member] = settings.members
        assert member.bias == selection.biases["domain"]
        assert member.bias["location"] > member.bias["person"], "this expert answers person to everything"

    def test_two_members_with_the_same_experts_become_one(self, add_expert: Any) -> None:
        add_expert("people", "person", texts=("Ann flew to Oslo.",))
        settings, _, _ = adapt()
        assert [(m.name, m.experts) for m in settings.members] == [("domain", {"people": 1.0})]

    def test_a_verifier_that_becomes_one_with_another_member_still_verifies(self, add_expert: Any) -> None:
        add_expert("people", "person", texts=("Ann flew to Oslo.",))
        settings, _, _ = adapt(verification={"member": "sampled"})
        assert [m.name for m in settings.members] == [settings.verification.member] == ["domain"]

    @pytest.mark.parametrize("verifier", ["smollm2-135m", "other"])
    @pytest.mark.parametrize("position", [0, 1])
    def test_a_member_without_a_name_verifies_by_its_model_s(
        self, add_expert: Any, verifier: str, position: int
    ) -> None:
        add_expert("people", "person", texts=("Ann flew to Oslo.",))
        members = [{"model": "smollm2-135m", "experts": view} for view in ("domain", "sampled")]
        members[position]["name"] = "other"
        settings, _, _ = adapt(members=members, verification={"member": verifier})
        [member] = settings.members
        assert settings.verification.member == (member.name or "smollm2-135m")

    def test_members_that_name_their_experts_stay_as_they_are(self) -> None:
        members = [{"model": "smollm2-135m", "experts": {"one": 0.5}}]
        settings, documents, selection = adapt(members=members)
        assert (settings, selection) == (make_settings(members=members), None)
        assert documents == list(TEXTS)

    def test_texts_without_words_need_no_experts(self) -> None:
        settings, documents, selection = adapt([Document("1", " ")])
        assert selection is None
        assert all(member.experts == {} for member in settings.members)
        assert [document.id for document in documents] == ["1"]


class TestBadInput:
    def test_an_unreadable_expert_is_named_and_the_others_are_compared(
        self, storage: Environment, add_expert: Any
    ) -> None:
        add_expert("people", "person")
        add_expert("torn", "person")
        (storage.experts / "torn" / "adapter_model.safetensors").write_bytes(b"")
        selection = select()
        assert [expert.card.name for expert in selection.experts] == ["people"]
        assert "torn" in selection.unusable
        with pytest.raises(DataError, match="adapter_model"):
            select(experts={"names": ["torn"]})

    def test_a_target_without_text_is_refused(self, add_expert: Any) -> None:
        add_expert("people", "person")
        with pytest.raises(DataError, match="there is no text in the target"):
            select([Document("1", "\n")])

    def test_a_base_without_experts_is_named(self, add_expert: Any) -> None:
        add_expert("other", "person", base="gemma-3-270m", base_sha256="1" * 64)
        with pytest.raises(ConfigError, match="no experts of smollm2-135m: train one"):
            adapt()
        with pytest.raises(ConfigError, match="other is not an expert for smollm2-135m"):
            adapt(experts={"names": ["other"]})

    def test_members_of_two_models_cannot_share_a_selection(self) -> None:
        with pytest.raises(ConfigError, match="must have one model"):
            adapt(members=[{"model": model, "experts": "domain"} for model in ("smollm2-135m", "gemma-3-270m")])

    def test_a_model_behind_a_server_has_no_experts_here(self) -> None:
        with pytest.raises(ConfigError, match="behind a server"):
            adapt(members=[{"model": "openai:m", "base_url": "http://x/v1", "experts": "domain"}])

    @pytest.mark.parametrize("rows", [(), ((),), ((1.0,), (1.0, 0.0)), ((float("nan"),),)])
    def test_vectors_must_be_rows_of_one_length(self, rows: Any) -> None:
        with pytest.raises(ValueError, match="rows"):
            DomainVectors(encoder="x", rows=rows, sentences=(1,) * len(rows))


class TestCommands:
    def test_select_shows_the_scores_and_what_to_be_careful_about(
        self, command: Callable[..., Any], add_expert: Any, tmp_path: Path
    ) -> None:
        add_expert("people", "person")
        add_expert("both", "person", "location")
        target = tmp_path / "target.txt"
        target.write_text("Ann flew to Oslo.")
        ran = command("experts", "select", target, "--labels", "person,planet", "--no-cache")
        assert ran.code == 0, ran.err
        assert "agreement, 1" in " ".join(ran.out.split())
        messages = " ".join(ran.err.split())
        assert "no expert was trained on planet" in messages
        assert "its card holds no vectors" in messages
        output = command("experts", "select", target, "--labels", "person", "--json", "--no-cache").out
        assert json.loads(output)["sampled"]["scores"].keys() == {"people", "both"}

    def test_extract_uses_experts_if_asked_to(self, command: Callable[..., Any], add_expert: Any) -> None:
        add_expert("both", "person", "location")
        options = ("--labels", "person,location", "--no-cache", "--preset", "experts")
        ran = command("extract", "-", *options, stdin=b"Ann flew to Oslo.")
        assert ran.code == 0, ran.err
        assert [mention["text"] for mention in ran.documents[0]["mentions"]] == ["Ann", "Oslo"]
        assert "experts: both x 1.00; both x 1.00" in " ".join(ran.err.split())

    def test_evaluate_scores_each_expert_and_the_base(
        self, command: Callable[..., Any], add_expert: Any, tmp_path: Path
    ) -> None:
        add_expert("both", "person", "location")
        gold = tmp_path / "gold.jsonl"
        mention = {"start": 0, "end": 3, "label": "person"}
        gold.write_text(json.dumps({"text": "Ann flew to Oslo.", "mentions": [mention]}) + "\n")
        ran = command("experts", "evaluate", gold, "--labels", "person,location", "--json", "--no-cache")
        assert ran.code == 0, ran.err
        lines = {line["expert"]: line for line in map(json.loads, ran.out.splitlines())}
        assert lines[""]["f1"] == 0
        assert lines["both"]["f1"] == pytest.approx(2 / 3)
        assert "none, the base" in " ".join(command("experts", "evaluate", gold, "--no-cache").out.split())
