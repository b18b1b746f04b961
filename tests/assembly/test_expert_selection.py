"""Experts chosen by the texts: settings in, settings with experts by name out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entsemble.assembly import adapt, base_checksum, expert_files, select_experts
from entsemble.data.formats import read
from entsemble.errors import ConfigError, DataError
from entsemble.experts.card import Card, DomainVectors
from entsemble.experts.store import ExpertStore
from entsemble.settings import Environment, Settings, environment, load
from entsemble.types import Document

pytestmark = pytest.mark.usefixtures("scripted")

LABELS = {"person": "", "location": ""}
TEXTS = [Document("1", "Ann flew to Oslo."), Document("2", "Bob Lee stayed in Bergen. Nobody else did.")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setattr(expert_files, "_SHIPPED", tmp_path / "none")
    monkeypatch.setenv("ENTSEMBLE_EXPERTS", str(tmp_path / "experts"))
    return environment()


@pytest.fixture
def keep(place: Environment, adapter_folder: Callable[[int], Path], trigrams: Any) -> Callable[..., None]:
    """Keeps an expert that knows `labels` and was trained on `texts`; see `scripted` for what it answers."""

    def made(name: str, *labels: str, texts: tuple[str, ...] = (), **more: Any) -> None:
        rows = tuple(tuple(float(x) for x in row) for row in trigrams.encode(texts))
        vectors = DomainVectors(encoder="trigrams", rows=rows, sentences=(1,) * len(rows)) if texts else None
        base = base_checksum("smollm2-135m", place)
        told = {"base": "smollm2-135m", "base_sha256": base, "template": "ner-1", "vectors": vectors, **more}
        store = ExpertStore(place.experts)
        store.add(adapter_folder(len(store.names())), Card(name=name, labels=labels, **told))

    return made


def asked(**more: Any) -> Settings:
    return load(overrides={"labels": LABELS, "cache": {"replies": False}, **more})


def test_without_a_pool_experts_answer_that_the_others_agree_with(place: Environment, keep: Any) -> None:
    keep("people", "person")
    keep("towns", "location")
    keep("both", "person", "location")
    keep("also", "person", "location")
    keep("lost", "disease")
    found = select_experts(asked(experts={"max_experts": 2}), place, TEXTS)
    assert not found.labelled
    assert list(found.sampled.scores)[-1] == "lost"
    assert found.sampled.weights == {"also": 0.5, "both": 0.5}
    assert found.unknown == ()
    assert (found.texts, found.sample) == (3, 3)


def test_with_a_pool_its_mentions_decide(place: Environment, keep: Any, pool_file: Path, tmp_path: Path) -> None:
    keep("people", "person")
    keep("towns", "location")
    pool = tmp_path / "known.jsonl"
    pool.write_text(
        json.dumps({"text": "Oslo is far.", "mentions": [{"start": 0, "end": 4, "label": "location"}]}) + "\n"
    )
    found = select_experts(asked(pool={"path": pool}, experts={"max_experts": 1}), place, TEXTS)
    assert found.labelled
    assert found.sampled.scores == {"towns": 1.0, "people": 0.0}
    assert found.sampled.weights == {"towns": 1.0}
    same = select_experts(asked(pool={"path": pool}), place, [Document("x", "Oslo is far.")])
    assert not same.labelled, "a sentence of the target is never its own gold"


def test_texts_that_are_alike_choose_by_domain(place: Environment, keep: Any) -> None:
    keep("travel", "person", texts=("Carla flew to Oslo.",))
    keep("biology", "protein", texts=("phosphorylation of kinases",))
    keep("unplaced", "person")
    found = select_experts(asked(experts={"max_experts": 1}), place, TEXTS)
    assert found.domain.weights == {"travel": 1.0}
    assert found.domain.scores["travel"] > found.domain.scores["biology"]
    assert found.far == {"unplaced": "its card does not say where its texts lie"}


def test_labels_that_no_expert_was_trained_on_are_named(place: Environment, keep: Any) -> None:
    keep("people", "person")
    assert select_experts(asked(), place, TEXTS).unknown == ("location",)


def test_members_are_given_their_experts_and_no_document_is_lost(place: Environment, keep: Any) -> None:
    keep("people", "person", texts=("Ann flew to Oslo.",))
    keep("both", "person", "location", texts=("phosphorylation of kinases",))
    keep("fond", "person", "location", texts=("phosphorylation of kinases",))
    settings, documents, found = adapt(asked(experts={"max_experts": 1, "target_sentences": 1}), place, iter(TEXTS))
    assert found is not None
    assert [(m.name, m.experts) for m in settings.members] == [("domain", {"people": 1.0}), ("sampled", {"both": 1.0})]
    assert [d.id for d in documents] == ["1", "2"]


def test_what_experts_say_too_often_is_taken_back(place: Environment, keep: Any) -> None:
    keep("people", "person", texts=("Ann flew to Oslo.",))
    settings, _, found = adapt(asked(), place, TEXTS)
    assert found is not None
    [member] = settings.members
    assert member.bias == found.bias["domain"]
    assert member.bias["location"] > member.bias["person"], "this one says person of anything"


def test_two_views_of_one_mind_are_one_member(place: Environment, keep: Any) -> None:
    keep("people", "person", texts=("Ann flew to Oslo.",))
    settings, _, _ = adapt(asked(), place, TEXTS)
    assert [(m.name, m.experts) for m in settings.members] == [("domain", {"people": 1.0})]


def test_members_with_experts_by_name_stay_as_they_are(place: Environment) -> None:
    given = Settings.model_validate({"members": [{"model": "smollm2-135m", "experts": {"one": 0.5}}]})
    settings, documents, found = adapt(given, place, iter(TEXTS))
    assert (settings, found) == (given, None)
    assert list(documents) == TEXTS


def test_nothing_to_do_needs_no_experts(place: Environment) -> None:
    settings, documents, found = adapt(asked(), place, iter([Document("1", " ")]))
    assert found is None
    assert all(m.experts == {} for m in settings.members)
    assert [d.id for d in documents] == ["1"]


def test_mentions_that_will_be_scored_choose_nothing(place: Environment, keep: Any, pool_file: Path) -> None:
    """Not even with a pool that is the gold itself, of more sentences than are looked at."""
    keep("people", "person")
    keep("towns", "location")
    gold = list(read(pool_file))
    told = {
        "labels": LABELS,
        "cache": {"replies": False},
        "pool": {"path": pool_file},
        "experts": {"target_sentences": 2},
    }
    asked_for = load(preset="experts", overrides=told)
    _, _, found = adapt(asked_for, place, gold, scored=gold)
    assert found is not None
    assert not found.labelled
    shouted = [replace(d, text=d.text.upper(), mentions=()) for d in gold]
    assert not select_experts(asked_for, place, shouted[:2], scored=shouted).labelled
    assert select_experts(asked_for, place, gold[:2]).labelled


def test_what_tells_nothing_chooses_all_alike(place: Environment, keep: Any) -> None:
    for name in ("a", "b", "c", "d"):
        keep(name, "disease")
    found = select_experts(asked(experts={"max_experts": 2}), place, TEXTS)
    assert found.domain.weights == found.sampled.weights == dict.fromkeys("abcd", 0.25)


def test_a_verifier_that_is_one_with_another_member_still_verifies(place: Environment, keep: Any) -> None:
    keep("people", "person", texts=("Ann flew to Oslo.",))
    settings, _, _ = adapt(asked(verification={"member": "sampled"}), place, TEXTS)
    assert [m.name for m in settings.members] == [settings.verification.member] == ["domain"]


@pytest.mark.parametrize("verifier", ["smollm2-135m", "other"])
@pytest.mark.parametrize("named", [0, 1])
def test_a_member_without_a_name_is_called_as_its_model(
    place: Environment, keep: Any, verifier: str, named: int
) -> None:
    keep("people", "person", texts=("Ann flew to Oslo.",))
    members = [{"model": "smollm2-135m", "experts": view} for view in ("domain", "sampled")]
    members[named]["name"] = "other"
    settings, _, _ = adapt(asked(members=members, verification={"member": verifier}), place, TEXTS)
    [member] = settings.members
    assert settings.verification.member == (member.name or "smollm2-135m")


def test_a_pool_with_few_mentions_still_decides(place: Environment, keep: Any, tmp_path: Path) -> None:
    keep("people", "person")
    keep("towns", "location")
    pool, empty = tmp_path / "known.jsonl", "".join(json.dumps({"text": f"Nobody {i}."}) + "\n" for i in range(60))
    told = {"text": "Oslo is far.", "mentions": [{"start": 0, "end": 4, "label": "location"}]}
    pool.write_text(empty + json.dumps(told) + "\n")
    found = select_experts(asked(pool={"path": pool}, experts={"max_experts": 1}), place, TEXTS)
    assert (found.labelled, found.sampled.weights) == (True, {"towns": 1.0})
    same = [*TEXTS, Document("3", "Oslo is far.")]
    assert not select_experts(asked(pool={"path": pool}), place, same).labelled, "the others show no mention"


def test_a_foundation_is_chosen_only_by_name(place: Environment, keep: Any) -> None:
    keep("ground", "person", "location", foundation=True)
    keep("people", "person")
    assert [e.card.name for e in select_experts(asked(), place, TEXTS).experts] == ["people"]
    named = select_experts(asked(experts={"names": ["ground", "people"]}), place, TEXTS)
    assert len(named.experts) == 2


def test_labels_are_known_in_whatever_form(place: Environment, keep: Any) -> None:
    keep("conll", "PER", "LOC")
    assert select_experts(asked(), place, TEXTS).unknown == ()
    assert select_experts(asked(labels={"disease": ""}), place, TEXTS).unknown == ("disease",)


def test_texts_placed_in_other_dimensions_are_not_compared(place: Environment, keep: Any) -> None:
    vectors = DomainVectors(encoder="trigrams", rows=((1.0, 0.0),), sentences=(1,))
    keep("flat", "person", vectors=vectors)
    keep("people", "person", texts=("Ann flew to Oslo.",))
    found = select_experts(asked(), place, TEXTS)
    assert found.far["flat"].startswith("its texts were placed in 2 dimensions")
    assert found.domain.weights == {"people": 1.0}


@pytest.mark.parametrize("rows", [(), ((),), ((1.0,), (1.0, 0.0)), ((float("nan"),),)])
def test_vectors_that_are_none(rows: Any) -> None:
    with pytest.raises(ValueError, match="rows"):
        DomainVectors(encoder="x", rows=rows, sentences=(1,) * len(rows))


class TestBadInput:
    def test_a_broken_expert_is_named_and_stops_no_other(self, place: Environment, keep: Any) -> None:
        keep("people", "person")
        keep("torn", "person")
        (place.experts / "torn" / "adapter_model.safetensors").write_bytes(b"")
        found = select_experts(asked(), place, TEXTS)
        assert [e.card.name for e in found.experts] == ["people"]
        assert "not the file that its card promises" in found.broken["torn"]
        with pytest.raises(DataError, match="not the file that its card promises"):
            select_experts(asked(experts={"names": ["torn"]}), place, TEXTS)

    def test_a_target_without_text(self, place: Environment, keep: Any) -> None:
        keep("people", "person")
        with pytest.raises(DataError, match="there is no text in the target"):
            select_experts(asked(), place, [Document("1", "\n")])

    def test_no_expert_of_the_base(self, place: Environment, keep: Any) -> None:
        keep("other", "person", base="gemma-3-270m", base_sha256="1" * 64)
        with pytest.raises(ConfigError, match="no experts of smollm2-135m: train one"):
            adapt(asked(), place, TEXTS)
        with pytest.raises(ConfigError, match="other is no expert for smollm2-135m"):
            adapt(asked(experts={"names": ["other"]}), place, TEXTS)

    def test_members_that_differ(self, place: Environment) -> None:
        members = [{"model": m, "experts": "domain"} for m in ("smollm2-135m", "gemma-3-270m")]
        with pytest.raises(ConfigError, match="must have one model"):
            adapt(asked(members=members), place, TEXTS)

    def test_a_server_keeps_its_own_experts(self, place: Environment) -> None:
        members = [{"model": "openai:m", "base_url": "http://x/v1", "experts": "domain"}]
        with pytest.raises(ConfigError, match="behind a server"):
            adapt(asked(members=members), place, TEXTS)


class TestCommands:
    def test_select_says_who_and_why(self, command: Callable[..., Any], keep: Any, tmp_path: Path) -> None:
        keep("people", "person")
        keep("both", "person", "location")
        target = tmp_path / "t.txt"
        target.write_text("Ann flew to Oslo.")
        ran = command("experts", "select", target, "--labels", "person,planet", "--no-cache")
        assert ran.code == 0, ran.err
        assert "agreement, 1" in " ".join(ran.out.split())
        assert "no expert was trained on planet" in ran.told
        assert "its card does not say where its texts lie" in ran.told
        told = json.loads(command("experts", "select", target, "--labels", "person", "--json", "--no-cache").out)
        assert told["sampled"]["scores"].keys() == {"people", "both"}

    def test_extract_without_a_pool_asks_the_experts(
        self, command: Callable[..., Any], keep: Any, tmp_path: Path
    ) -> None:
        keep("both", "person", "location")
        ran = command("extract", "-", "--labels", "person,location", "--no-cache", given=b"Ann flew to Oslo.")
        assert ran.code == 0, ran.err
        assert [m["text"] for m in ran.documents[0]["mentions"]] == ["Ann", "Oslo"]
        assert "experts: both x 1.00; both x 1.00" in ran.told

    def test_evaluate_scores_each_and_their_base(self, command: Callable[..., Any], keep: Any, pool_file: Path) -> None:
        keep("both", "person", "location")
        gold = pool_file.with_name("gold.jsonl")
        gold.write_text(
            json.dumps({"text": "Ann flew to Oslo.", "mentions": [{"start": 0, "end": 3, "label": "person"}]}) + "\n"
        )
        ran = command("experts", "evaluate", gold, "--labels", "person,location", "--json", "--no-cache")
        assert ran.code == 0, ran.err
        told = {line["expert"]: line for line in map(json.loads, ran.out.splitlines())}
        assert told[""]["f1"] == 0
        assert told["both"]["f1"] == pytest.approx(2 / 3)
        assert "none, the base" in " ".join(command("experts", "evaluate", gold, "--no-cache").out.split())
