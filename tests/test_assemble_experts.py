"""Training an expert on the embedded base, from annotated sentences to an expert that answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.assemble import Brief, TrainingData, expert_store, train_expert
from entsemble.errors import ConfigError, DataError, UnknownNameError
from entsemble.experts import adapter
from entsemble.experts.training import Progress, Training
from entsemble.settings import Environment, environment

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
            train_expert(Brief("one", (TrainingData(data),)), place)

    def test_a_start_that_is_not_there(self, data: Path, place: Environment) -> None:
        with pytest.raises(UnknownNameError, match="none"):
            train_expert(Brief("one", (TrainingData(data),), start="none"), place)

    def test_no_mention(self, tmp_path: Path, place: Environment) -> None:
        path = tmp_path / "plain.txt"
        path.write_text("Nothing is annotated here.")
        with pytest.raises(DataError, match="no annotated mention"):
            train_expert(Brief("one", (TrainingData(path),)), place)

    def test_a_label_that_no_model_can_be_asked_for(self, tmp_path: Path, place: Environment) -> None:
        path = tmp_path / "named.jsonl"
        told = '{"id": "%d", "text": "Ann %d", "mentions": [{"start": 0, "end": 3, "label": "none"}]}\n'
        path.write_text("".join(told % (i, i) for i in range(20)))
        with pytest.raises(DataError, match=r"named\.jsonl.*'none'"):
            train_expert(Brief("one", (TrainingData(path),)), place)

    def test_too_few_sentences(self, tmp_path: Path, place: Environment) -> None:
        path = tmp_path / "one.jsonl"
        path.write_text('{"id": "1", "text": "Ann", "mentions": [{"start": 0, "end": 3, "label": "person"}]}\n')
        with pytest.raises(DataError, match="too few"):
            train_expert(Brief("one", (TrainingData(path),)), place)


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
    steps: list[Progress] = []

    def dies(progress: Progress) -> None:
        steps.append(progress)
        if progress.step == 4:
            raise KeyboardInterrupt

    brief = Brief(
        "towns",
        (TrainingData(data),),
        domain="departures",
        licence="CC0",
        how=Training(rank=4, epochs=2, batch=8, save_seconds=0),
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
    assert len(adapter.load(expert.folder).factors) == 210
    assert expert_store(place).names() == ("towns",)
    assert not list((tmp_path / "cache" / "training").iterdir())
