"""What a server keeps between requests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from entsemble.errors import ModelUnavailableError
from entsemble.scoring.model import StackingModel
from entsemble.settings import environment, load
from entsemble.types import Document
from tests.factories import document

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from entsemble.server.pool_file import PoolFile
from entsemble.server.service import ExtractionRequest, ExtractionService

pytestmark = pytest.mark.usefixtures("scripted", "plain_members")

MakeService = Callable[..., ExtractionService]
UNCACHED = {"cache": {"replies": False}}


@pytest.fixture
def make_service(tmp_path: Path) -> MakeService:
    """A service with an empty pool, whose requests override these settings."""

    def make(preset: str | None = None, **overrides: Any) -> ExtractionService:
        def settings_for(values: Mapping[str, Any]) -> Any:
            return load(preset=preset, overrides={**overrides, **values})

        return ExtractionService(settings_for, environment(), PoolFile(tmp_path / "pool.jsonl"))

    return make


def annotated(number: int) -> Document:
    return document(f"Ann left Oslo {number} times.", ("Ann", "person"), ("Oslo", "location"), id=str(number))


@pytest.mark.parametrize("capitalised", [False, True])
def test_weights_are_learned_at_the_start_and_used_from_then_on(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, capitalised: bool
) -> None:
    training_sizes: list[int] = []

    def train(sentences: Any, *_: Any, **__: Any) -> StackingModel:
        training_sizes.append(sentences.count)
        return StackingModel((0.0,) * 29, (1.0,) * 29, (0.0,) * 29, 3.0, 0.0, 0.2, 80, capitalised)

    monkeypatch.setattr("entsemble.assembly.builder.train_on_pool", train)
    service = make_service(**UNCACHED, stacking={"sentences": 80, "capitalised": capitalised})
    service.pool.add(annotated(number) for number in range(90))

    def scores(**labels: str) -> set[float | None]:
        request = ExtractionRequest((Document("d", "Ann left Bern."),), labels)
        with service.extraction(request) as results:
            return {mention.score for result in results for mention in result.document.mentions}

    pretrained = scores()
    assert training_sizes == [], "no request waits for training"
    service.warm_up()
    assert training_sizes == [80]
    [score] = scores()
    assert score == pytest.approx(math.exp(3) / (1 + 2 * math.exp(3)), abs=1e-4)
    service.pool.add([annotated(1000)])
    assert scores() == {score}, "a correction changes the demonstrations, not the weights"
    assert score not in scores(person="names of people", location=""), "other labels have pre-trained weights"
    assert score not in pretrained
    assert training_sizes == [80]


def test_a_warning_says_that_nothing_is_learned_if_texts_select_experts(
    make_service: MakeService, caplog: pytest.LogCaptureFixture
) -> None:
    service = make_service("best", stacking={"sentences": 2})
    service.warm_up()
    assert caplog.text == "", "there is nothing to learn from in an empty pool"
    service.pool.add(annotated(number) for number in range(3))
    service.warm_up()
    assert "vote weights are not learned" in caplog.text


def test_stopping_the_server_cancels_learning(make_service: MakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service(**UNCACHED, stacking={"sentences": 80})
    service.pool.add(annotated(number) for number in range(90))
    steps: list[int] = []

    def train(*_: Any, progress: Any, **__: Any) -> None:
        for step in range(5):
            steps.append(step)
            progress.on_step("training on the pool", step, 5)
            service.stop()

    monkeypatch.setattr("entsemble.assembly.builder.train_on_pool", train)
    with pytest.raises(ModelUnavailableError, match="stopping"):
        service.warm_up()
    assert steps == [0, 1]
