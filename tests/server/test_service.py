"""What a server keeps between requests."""

from __future__ import annotations

import math
from typing import Any

import pytest

from entsemble.errors import ModelUnavailableError
from entsemble.scoring.model import StackingModel
from entsemble.settings import Settings, load
from entsemble.types import Document, mention_at


def annotated(number: int) -> Document:
    text = f"Ann left Oslo {number} times."
    return Document(str(number), text, (mention_at(text, 0, 3, "person"), mention_at(text, 9, 13, "location")))


@pytest.mark.parametrize("looks", [False, True])
def test_the_votes_are_learnt_at_the_start_and_serve_from_then_on(
    extraction_service: Any, monkeypatch: pytest.MonkeyPatch, looks: bool
) -> None:
    from entsemble.server.service import ExtractionRequest

    drawn: list[int] = []

    def learnt(questions: Any, *_: Any, **__: Any) -> StackingModel:
        drawn.append(len(questions()))
        return StackingModel((0.0,) * 29, (1.0,) * 29, (0.0,) * 29, 3.0, 0.0, 0.2, 80, looks)

    def scores(**labels: str) -> set[float | None]:
        asked = ExtractionRequest((Document("d", "Ann left Bern."),), labels)
        with extraction_service.extraction(asked) as results:
            return {m.score for result in results for m in result.document.mentions}

    def asked(said: Any) -> Settings:
        return load(
            overrides={"cache": {"replies": False}, "stacking": {"sentences": 80, "capitalised": looks}, **said}
        )

    monkeypatch.setattr("entsemble.assembly.builder.train_on_pool", learnt)
    monkeypatch.setattr(extraction_service, "_settings_factory", asked)
    extraction_service.pool.add(annotated(i) for i in range(90))
    before = scores()
    assert drawn == [], "no request waits for it"
    extraction_service.warm_up()
    assert drawn == [80]
    [score] = scores()
    assert score == pytest.approx(math.exp(3) / (1 + 2 * math.exp(3)), abs=1e-4)
    extraction_service.pool.add([annotated(1000)])
    assert scores() == {score}, "a correction changes what is shown, and not whom to believe"
    assert score not in scores(person="names of people", location=""), "other labels were not learnt about"
    assert score not in before
    assert drawn == [80]


def test_it_says_that_nothing_is_learnt_where_texts_choose_experts(
    extraction_service: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def asked(said: Any) -> Settings:
        return load(preset="best", overrides={"stacking": {"sentences": 2}, **said})

    monkeypatch.setattr(extraction_service, "_settings_factory", asked)
    extraction_service.warm_up()
    assert caplog.text == "", "an empty pool teaches nothing anyway"
    extraction_service.pool.add(annotated(i) for i in range(3))
    extraction_service.warm_up()
    assert "vote weights are not learned" in caplog.text


def test_stopping_the_server_cancels_learning(extraction_service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []

    def learnt(*_: Any, progress: Any, **__: Any) -> None:
        for step in range(5):
            steps.append(step)
            progress.on_step("training on the pool", step, 5)
            extraction_service.stop()

    def asked(said: Any) -> Settings:
        return load(overrides={"cache": {"replies": False}, "stacking": {"sentences": 80}, **said})

    monkeypatch.setattr("entsemble.assembly.builder.train_on_pool", learnt)
    monkeypatch.setattr(extraction_service, "_settings_factory", asked)
    extraction_service.pool.add(annotated(i) for i in range(90))
    with pytest.raises(ModelUnavailableError, match="stopping"):
        extraction_service.warm_up()
    assert steps == [0, 1]
