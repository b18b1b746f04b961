"""What a server keeps between requests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entsemble._lib.cancellation import WorkCancelledError
from entsemble.assembly import ProgressCallbacks
from entsemble.assembly.model_pool import ModelPool
from entsemble.errors import ModelError, ModelUnavailableError
from entsemble.scoring.model import StackingModel
from entsemble.settings import environment, load
from entsemble.types import Document
from tests.factories import document

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from entsemble.server.learned import Learned, LearnedStore
from entsemble.server.pool_file import PoolFile
from entsemble.server.service import ExtractionRequest, ExtractionService

pytestmark = pytest.mark.usefixtures("scripted", "plain_members")

MakeService = Callable[..., ExtractionService]


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
def test_weights_are_learned_in_the_background_and_kept(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, capitalised: bool
) -> None:
    training_sizes: list[int] = []

    def learn(_: Any, __: Any, documents: Sequence[Document], ___: Any) -> StackingModel:
        training_sizes.append(len(documents))
        return StackingModel((0.0,) * 29, (1.0,) * 29, (0.0,) * 29, 3.0, 0.0, 0.2, 80, capitalised)

    monkeypatch.setattr("entsemble.server.service.learn_in_process", learn)
    monkeypatch.setattr("entsemble.assembly.builder.train_on_pool", lambda *_, **__: pytest.fail("in a request"))
    service = make_service(stacking={"sentences": 80, "capitalised": capitalised})
    service.pool.add(annotated(number) for number in range(80))
    scheduled: list[int] = []
    service.schedule_learning = lambda: scheduled.append(1)

    def scores(**labels: str) -> set[float | None]:
        request = ExtractionRequest((Document("d", "Ann left Bern."),), labels)
        with service.extraction(request) as results:
            return {mention.score for result in results for mention in result.document.mentions}

    service.warm_up()
    pretrained = scores()
    assert (training_sizes, len(scheduled)) == ([], 2), "no request waits for training"
    service.learn()
    assert training_sizes == [80]
    [score] = scores()
    assert score == pytest.approx(math.exp(3) / (1 + 2 * math.exp(3)), abs=1e-4)
    assert score not in pretrained
    service.pool.add([annotated(1000)])
    assert scores() == {score}, "a correction changes the demonstrations, not the weights"
    assert len(scheduled) == 2
    assert not service.can_learn()
    assert training_sizes == [80], "a pool that has hardly grown is not"
    assert score not in scores(person="names of people", location=""), "other labels have pre-trained weights"
    assert len(scheduled) == 3, "which are to be learned"

    service.pool.close()
    service = make_service(stacking={"sentences": 80, "capitalised": capitalised})
    assert scores() == {score}, "the next start has the weights"
    assert not service.can_learn()
    service.pool.add(annotated(number) for number in range(100, 119))
    assert service.can_learn(), "a pool that has grown by a quarter is learned from again"


def test_weights_that_could_not_be_learned_are_tried_again_when_the_pool_changes(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ModelError("the model is gone")

    monkeypatch.setattr("entsemble.server.service.learn_in_process", fail)
    service = make_service(stacking={"sentences": 80})
    service.pool.add(annotated(number) for number in range(80))
    with pytest.raises(ModelError, match="the model is gone"):
        service.learn()
    assert not service.can_learn(), "the same pool is not tried again"
    service.pool.add([annotated(1000)])
    assert service.can_learn()


def test_what_was_learned_is_found_again_by_the_sentences_of_the_pool(tmp_path: Path) -> None:
    settings = load()
    models = ModelPool(settings, environment(), ProgressCallbacks())
    documents = tuple(replace(annotated(number // 2), id=str(number)) for number in range(20))  # each sentence twice
    weights = StackingModel((0.0,), (1.0,), (0.0,), 3.0, 0.0, 0.2, 80)
    LearnedStore(environment(), tmp_path / "pool.jsonl").put(settings, models, Learned(documents, weights, 20))

    def learned(pool: Sequence[Document], path: str = "pool.jsonl") -> Learned | None:
        return LearnedStore(environment(), tmp_path / path).get(settings, models, pool)

    assert learned(documents) == learned((*documents, annotated(20))) == Learned(documents, weights, 20)
    assert learned(documents[1:]) == Learned((), weights, 20), "what voices have learned is of no use any more"
    assert learned(documents, "other.jsonl") is None


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
    service = make_service(stacking={"sentences": 80})
    service.pool.add(annotated(number) for number in range(90))
    checks: list[bool] = []

    def learn(_: Any, __: Any, ___: Any, is_cancelled: Callable[[], bool]) -> None:
        checks.append(is_cancelled())
        service.stop()
        checks.append(is_cancelled())
        raise WorkCancelledError

    monkeypatch.setattr("entsemble.server.service.learn_in_process", learn)
    with pytest.raises(WorkCancelledError):
        service.learn()
    assert checks == [False, True]


def test_stopping_the_server_cancels_preparations(make_service: MakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service()
    service.pool.add(annotated(number) for number in range(3))
    service.stop()
    with pytest.raises(ModelUnavailableError, match="stopping"):
        service.warm_up()
