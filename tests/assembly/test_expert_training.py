"""Training an expert on the embedded base, from annotated sentences to an expert that answers."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from contextlib import closing
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from entsemble.assembly import ExpertSpec, TrainingData, expert_store, train_expert
from entsemble.assembly import expert_training as experts
from entsemble.assembly import model_pool as models
from entsemble.assembly.expert_files import WeightedSum
from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.data.formats import read
from entsemble.errors import ConfigError, DataError, UnknownNameError
from entsemble.experts import peft_folder
from entsemble.experts.merging.low_rank import LowRankFactors
from entsemble.experts.peft_folder import Adapter
from entsemble.experts.store import Expert
from entsemble.experts.training import TrainingProgress, TrainingSettings
from entsemble.settings import Environment, Settings, environment, load
from entsemble.types import AdapterSum

NAMES = ("Ann", "Bob", "Chen", "Dora", "Emil", "Fay", "Gus", "Hal")
TOWNS = ("Oslo", "Lima", "Bonn", "Graz", "Riga", "Turin")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = []
    for i in range(48):
        name, town = NAMES[i % len(NAMES)], TOWNS[i % len(TOWNS)]
        text = f"{name} left {town} on day {i}."
        mentions = [
            {"start": 0, "end": len(name), "label": "person"},
            {"start": len(name) + 6, "end": len(name) + 6 + len(town), "label": "town"},
        ]
        rows.append(json.dumps({"id": str(i), "text": text, "mentions": mentions}))
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def place(tmp_path: Path) -> Environment:
    return environment({"ENTSEMBLE_CACHE": str(tmp_path / "cache"), "ENTSEMBLE_EXPERTS": str(tmp_path / "experts")})


class TestBadInput:
    def test_a_name_that_is_taken(
        self, data: Path, place: Environment, adapter_folder: Callable[..., Path], expert_card: Callable[[str], Any]
    ) -> None:
        expert_store(place).add(adapter_folder(), expert_card("one"))
        with pytest.raises(ConfigError, match="already"):
            train_expert(ExpertSpec("one", (TrainingData(data),)), place)

    def test_a_start_that_is_not_there(self, data: Path, place: Environment) -> None:
        with pytest.raises(UnknownNameError, match="none"):
            train_expert(ExpertSpec("one", (TrainingData(data),), start="none"), place)

    def test_no_mention(self, tmp_path: Path, place: Environment) -> None:
        path = tmp_path / "plain.txt"
        path.write_text("Nothing is annotated here.")
        with pytest.raises(DataError, match="no annotated mention"):
            train_expert(ExpertSpec("one", (TrainingData(path),)), place)

    def test_a_label_that_no_model_can_be_asked_for(self, tmp_path: Path, place: Environment) -> None:
        path = tmp_path / "named.jsonl"
        told = '{"id": "%d", "text": "Ann %d", "mentions": [{"start": 0, "end": 3, "label": "none"}]}\n'
        path.write_text("".join(told % (i, i) for i in range(20)))
        with pytest.raises(DataError, match=r"named\.jsonl.*'none'"):
            train_expert(ExpertSpec("one", (TrainingData(path),)), place)

    def test_nothing_is_held_back_that_has_a_mention(self, tmp_path: Path, place: Environment) -> None:
        path = tmp_path / "sparse.jsonl"
        rows: list[Any] = [{"id": str(i), "text": f"Rain on day {i}."} for i in range(20)]
        rows.append({"id": "a", "text": "Ann", "mentions": [{"start": 0, "end": 3, "label": "person"}]})
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        with pytest.raises(DataError, match=r"sparse\.jsonl.*too few annotated sentences"):
            train_expert(ExpertSpec("one", (TrainingData(path),)), place)

    def test_sentences_to_score_without_a_mention(self, data: Path, tmp_path: Path, place: Environment) -> None:
        path = tmp_path / "dev.jsonl"
        rows: list[Any] = [{"id": str(i), "text": f"Rain on day {i}."} for i in range(2000)]
        rows.append({"id": "a", "text": "Ann", "mentions": [{"start": 0, "end": 3, "label": "person"}]})
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        with pytest.raises(DataError, match=r"dev\.jsonl: none of 100 sentences drawn of it has a mention"):
            train_expert(ExpertSpec("one", (TrainingData(data),), dev=path), place)

    def test_too_few_sentences(self, tmp_path: Path, place: Environment) -> None:
        path = tmp_path / "one.jsonl"
        path.write_text('{"id": "1", "text": "Ann", "mentions": [{"start": 0, "end": 3, "label": "person"}]}\n')
        with pytest.raises(DataError, match="too few"):
            train_expert(ExpertSpec("one", (TrainingData(path),)), place)


def test_copies_are_learnt_or_held_back_and_not_both(data: Path) -> None:
    rows = list(read(data))
    loud = [replace(d, id=f"{d.id}+", text=d.text.upper(), mentions=()) for d in rows]
    learnt, dev = experts._split([[*rows, *loud]], ExpertSpec("one", (TrainingData(data),)))
    assert dev
    assert {d.text.casefold() for d, _ in learnt}.isdisjoint(d.text.casefold() for d in dev)
    assert len(learnt) == 2 * len(rows) - 2 * len({d.text.casefold() for d in dev})


Shapes = dict[str, tuple[int, int, int]]
"""Module -> outputs, inputs, rank."""


@pytest.fixture
def keep(place: Environment, expert_card: Callable[[str], Any], tmp_path: Path) -> Callable[..., Expert]:
    """Keeps an expert that changes these modules at random."""

    def kept(name: str, shapes: Shapes, *, replace: bool = False, alpha: int | None = None) -> Expert:
        random = np.random.default_rng(len(shapes))
        factors = {
            module: LowRankFactors(
                lora_a=random.normal(size=(rank, inputs)).astype(np.float32),
                lora_b=random.normal(size=(outputs, rank)).astype(np.float32),
            )
            for module, (outputs, inputs, rank) in shapes.items()
        }
        peft_folder.save_adapter(Adapter(factors), tmp_path / name)
        if alpha is not None:
            config = tmp_path / name / peft_folder.CONFIG_FILE
            config.write_text(json.dumps({**json.loads(config.read_text()), "lora_alpha": alpha}))
        return expert_store(place).add(tmp_path / name, expert_card(name), replace=replace)

    return kept


QUERY, VALUE, NEXT = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj", "model.layers.1.mlp.up_proj"


@pytest.mark.models
def test_a_sum_of_experts_is_one_adapter(keep: Any, model_file: Callable[[str], Path], tmp_path: Path) -> None:
    """Of any ranks, and of modules that only one of them changes."""
    gguf = pytest.importorskip("gguf")
    one = keep("one", {QUERY: (576, 576, 2), VALUE: (192, 576, 2)})
    two, three = keep("two", {VALUE: (192, 576, 3), NEXT: (1536, 576, 3)}), keep("three", {VALUE: (192, 576, 1)})
    asked = WeightedSum.from_weights([one, two, three], {"two": -0.25, "one": 0.5, "three": 0.0})
    assert asked.parts == ((one, 0.5), (two, -0.25))
    asked.write(model_file("smollm2-135m"), tmp_path / "sum.gguf")
    written = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "sum.gguf").tensors}
    of = {e.card.name: peft_folder.load_adapter(e.folder).factors for e in (one, two)}
    wanted = {
        "blk.0.attn_v": 0.5 * of["one"][VALUE].dense() - 0.25 * of["two"][VALUE].dense(),
        "blk.1.ffn_up": -0.25 * of["two"][NEXT].dense(),
        "blk.0.attn_q": None,  # its rows stand in another order; compared in `test_gguf_lora.py`
    }
    assert len(written) == 2 * len(wanted)
    assert written["blk.0.attn_v.weight.lora_a"].shape[0] == 2 + 3
    for module, change in wanted.items():
        a, b = (written[f"{module}.weight.lora_{x}"] for x in "ab")
        assert change is None or b @ a == pytest.approx(change, abs=1e-4)


@pytest.mark.models
def test_an_expert_of_another_base_is_named(keep: Any, model_file: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    experts = [keep("one", {VALUE: (192, 576, 2)}), keep("wide", {VALUE: (192, 640, 2), NEXT: (9, 9, 1)})]
    asked = WeightedSum.from_weights(experts, {"one": 0.5, "wide": 0.5})
    with pytest.raises(DataError, match=r"the expert wide: .*for another base"):
        asked.write(model_file("smollm2-135m"), tmp_path / "sum.gguf")


def test_sums_are_told_apart(keep: Any) -> None:
    experts = [keep("one", {VALUE: (4, 6, 2)}), keep("two", {VALUE: (4, 6, 2), NEXT: (4, 6, 2)})]
    given = [{}, {"one": 1.0}, {"two": 1.0}, {"one": 0.5, "two": 0.5}, {"one": 0.5}, {"one": 0.5, "two": -0.5}]
    louder = keep("one", {VALUE: (4, 6, 2)}, replace=True, alpha=16)  # the same weights, a change eight times as large
    told = {WeightedSum.from_weights(experts, weights).fingerprint for weights in given}
    assert len({*told, WeightedSum.from_weights([louder], {"one": 1.0}).fingerprint}) == len(given) + 1


class Engine:
    """Stands for llama.cpp: says which adapter is applied, and which lie beside it."""

    started: ClassVar[list[Engine]] = []

    def __init__(self, name: str, path: Path, *, fingerprint: str, options: Any, **_: Any) -> None:
        self.name, self.slots, self.parameters = name, options.slots, 100
        self.files = {adapter: file.read_bytes() for adapter, file in options.adapters.items()}
        self.applied: str | None = None
        self.started.append(self)

    def with_adapters(self, name: str, adapter_sum: AdapterSum) -> Engine:
        view = copy(self)
        view.name, view.applied = name, adapter_sum.fingerprint or None
        assert view.applied is None or view.applied in self.files
        return view

    def close(self) -> None:
        self.files = {}


class TestEngines:
    @pytest.fixture(autouse=True)
    def fake(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        def written(own: WeightedSum, base: Path, target: Path) -> None:
            target.write_text(own.fingerprint)

        monkeypatch.setattr(Engine, "started", [])
        monkeypatch.setattr(models, "LlamaCppModel", Engine)
        monkeypatch.setattr(WeightedSum, "write", written)
        base = tmp_path / "base.gguf"
        base.write_bytes(b"GGUF")

    @pytest.fixture
    def experts(self, keep: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expert_card: Any) -> list[Expert]:
        monkeypatch.setattr(ModelPool, "base_checksum", lambda *_: expert_card("x").base_sha256)
        return [keep("one", {VALUE: (4, 6, 2)}), keep("two", {VALUE: (4, 6, 2), NEXT: (4, 6, 2)})]

    def settings(self, tmp_path: Path, *of: dict[str, float]) -> Settings:
        members = [{"name": str(i), "model": str(tmp_path / "base.gguf"), "experts": x} for i, x in enumerate(of)]
        return load(overrides={"members": members, "cache": {"replies": False}})

    def test_each_member_has_its_own_sum_of_one_engine(
        self, place: Environment, experts: list[Expert], tmp_path: Path
    ) -> None:
        both, one = {"one": 0.5, "two": 0.5}, {"one": 1.0}
        settings = self.settings(tmp_path, {}, both, one, {"one": 0.0}, both)
        with closing(ModelPool(settings, place, ProgressCallbacks())) as made:
            views: list[Any] = [made.language_model(m) for m in settings.members]
            told = [WeightedSum.from_weights(experts, w).fingerprint for w in (both, one)]
            assert [v.applied for v in views] == [None, told[0], told[1], None, told[0]]
            assert [v.name for v in views] == ["0", "1", "2", "3", "4"]
            [engine] = Engine.started
            assert engine.files == {fingerprint: fingerprint.encode() for fingerprint in told}
            assert engine.slots == 5 * made.worker_count()
            assert made.parameters == 100, "one model, whatever many share it"

    def test_an_expert_that_was_replaced_is_loaded(
        self, place: Environment, experts: list[Expert], keep: Any, tmp_path: Path
    ) -> None:
        settings = self.settings(tmp_path, {"one": 1.0})
        with closing(ModelPool(settings, place, ProgressCallbacks())) as made:
            before: Any = made.language_model(settings.members[0])
            assert made.language_model(settings.members[0]) is not None
            assert len(Engine.started) == 1
            keep("one", {VALUE: (4, 6, 2), NEXT: (4, 6, 2)}, replace=True)
            after: Any = made.language_model(settings.members[0])
            assert after.applied != before.applied
            assert len(Engine.started) == 2

    def test_a_disk_that_is_full_is_told_from_an_engine_that_fails(
        self, place: Environment, experts: list[Expert], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        settings = self.settings(tmp_path, {"one": 1.0})
        with closing(ModelPool(settings, place, ProgressCallbacks())) as made, monkeypatch.context() as patched:
            patched.setattr(models, "LlamaCppModel", fails)
            with pytest.raises(OSError, match="No space"):
                made.language_model(settings.members[0])
        with closing(ModelPool(settings, place, ProgressCallbacks())) as made, monkeypatch.context() as patched:
            patched.setattr(WeightedSum, "write", fails)
            with pytest.raises(DataError, match=r"experts cannot be written for the engine \(No space left.*TMPDIR"):
                made.language_model(settings.members[0])
        assert not Engine.started

    def test_sums_that_are_asked_for(self, place: Environment, experts: list[Expert], tmp_path: Path) -> None:
        settings = self.settings(tmp_path, {})
        [member] = settings.members
        with closing(ModelPool(settings, place, ProgressCallbacks())) as made:
            assert made.weighted_sums(member, experts, {}) == {}
            assert not Engine.started
            found: dict[str, Any] = made.weighted_sums(
                member, experts, {"base": {}, "1": {"one": 1.0}, "2": {"two": 1.0}}
            )
            again = made.weighted_sums(member, experts, {"base": {}, "1": {"one": 1.0}, "2": {"two": 1.0}})
            assert len({v.applied for v in found.values()}) == 3
            assert found.keys() == again.keys()
            assert len(Engine.started) == 1
            other: Any = made.weighted_sums(member, experts, {"both": {"one": 0.5, "two": 0.5}})["both"]
            assert list(other.files) == [other.applied]
            assert found["1"].applied in found["1"].files


@pytest.mark.models
@pytest.mark.soak
def test_an_expert_is_trained_and_answers(
    data: Path, tmp_path: Path, place: Environment, model_file: Callable[[str], Path]
) -> None:
    pytest.importorskip("peft", reason="needs the extra 'experts'")
    for name in ("smollm2-135m", "minilm-l6"):
        model_file(name)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "models").symlink_to(model_file("smollm2-135m").parents[1])
    steps: list[TrainingProgress] = []

    def dies(progress: TrainingProgress) -> None:
        steps.append(progress)
        if progress.step == 4:
            raise KeyboardInterrupt

    brief = ExpertSpec(
        "towns",
        (TrainingData(data),),
        domain="departures",
        licence="CC0",
        how=TrainingSettings(rank=4, epochs=2, batch=8, save_seconds=0),
    )
    with pytest.raises(KeyboardInterrupt):
        train_expert(brief, place, told=dies)
    expert = train_expert(brief, place, told=steps.append)
    assert [p.step for p in steps] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    card = expert.card
    assert (card.labels, card.licence, card.base) == (("person", "town"), "CC0", "smollm2-135m")
    assert (card.sources[0].name, card.sources[0].sentences, card.sources[0].mentions) == ("data.jsonl", 48, 96)
    assert card.precision == "float32"
    assert card.vectors is not None
    assert sum(card.vectors.sentences) == 43
    assert card.scores[0].f1 > 0.5, "it learnt something that its base does not know"
    assert len(peft_folder.load_adapter(expert.folder).factors) == 210
    assert "towns" in expert_store(place).names()
    assert not list((tmp_path / "cache" / "training").iterdir())
