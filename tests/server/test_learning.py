"""Learning from the pool in the background, and what requests use meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from entsemble._lib.cancellation import WorkCancelledError
from entsemble.errors import ModelError
from entsemble.settings import Environment, environment, load
from entsemble.types import Document
from tests.factories import document

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from entsemble.assembly import voice_pool
from entsemble.server import service as service_module
from entsemble.server.learning import PoolLearner, learn_in_process
from entsemble.server.pool_file import PoolFile
from entsemble.server.service import ExtractionRequest, ExtractionService

for package in ("onnxruntime", "pycrfsuite", "scipy", "tokenizers"):
    pytest.importorskip(package)

NAMES = ("Ann Berg", "Bob Holm", "Cleo Dahl", "Dan Vik", "Eve Moss", "Finn Lie")
TOWNS = ("Oslo", "Rome", "Riga", "Lima", "Bern")
LABELS = {"person": "", "place": ""}


def pool_documents() -> list[Document]:
    return [
        document(f"Yesterday {name} travelled to {town}.", (name, "person"), (town, "place"), id=f"{name} {town}")
        for name in NAMES
        for town in TOWNS
    ]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class TestPoolLearner:
    def test_it_learns_again_if_it_was_asked_meanwhile(self) -> None:
        may_end, count = threading.Semaphore(0), 0

        def learn() -> None:
            nonlocal count
            count += 1
            may_end.acquire()

        learner = PoolLearner(lambda: True, learn)
        for _ in range(3):
            learner.schedule()
        wait_for(lambda: count == 1)
        learner.schedule()
        assert learner.is_learning
        may_end.release()
        wait_for(lambda: count == 2)
        may_end.release()
        wait_for(lambda: not learner.is_learning)
        assert count == 2

    def test_an_error_is_logged_and_the_next_call_tries_again(self, caplog: pytest.LogCaptureFixture) -> None:
        errors: list[Exception] = [ModelError("no space"), ValueError("a fault")]

        def learn() -> None:
            if errors:
                raise errors.pop(0)

        learner = PoolLearner(lambda: True, learn)
        for _ in range(2):
            learner.schedule()
            wait_for(lambda: not learner.is_learning)
        assert "nothing is learned from the pool: no space" in caplog.text
        assert "a fault" in caplog.text
        assert errors == []

    def test_closing_waits_for_what_is_cancelled(self) -> None:
        has_started, stopping, has_ended = (threading.Event() for _ in range(3))

        def learn() -> None:
            has_started.set()
            stopping.wait(60)
            has_ended.set()
            raise WorkCancelledError

        learner = PoolLearner(lambda: True, learn)
        learner.schedule()
        assert has_started.wait(60)
        stopping.set()
        learner.close()
        assert has_ended.is_set()
        assert not learner.is_learning

    def test_what_is_known_is_not_learned_again(self) -> None:
        learner = PoolLearner(lambda: False, lambda: pytest.fail("learns"))
        learner.schedule()
        wait_for(lambda: not learner.is_learning, 1)

    def test_stopped_it_learns_nothing_more(self) -> None:
        learner = PoolLearner(lambda: True, lambda: pytest.fail("learns"))
        learner.stop()
        learner.schedule()
        assert not learner.is_learning


@pytest.fixture
def storage(tmp_path: Path) -> Environment:
    return environment({"ENTSEMBLE_CACHE": str(tmp_path / "cache")})


MakeService = Callable[[], ExtractionService]


@pytest.fixture
def make_service(tmp_path: Path, storage: Environment) -> Iterator[MakeService]:
    """Makes services of voices alone, one after the other, with one pool."""
    services: list[ExtractionService] = []

    def settings_for(values: Mapping[str, Any]) -> Any:
        return load(preset="instant", overrides=dict(values))

    def close() -> None:
        for service in services:
            service.stop()
            service.close()
            service.pool.close()
        services.clear()

    def make() -> ExtractionService:
        close()
        services.append(ExtractionService(settings_for, storage, PoolFile(tmp_path / "pool.jsonl")))
        return services[0]

    yield make
    close()


@pytest.fixture
def service(make_service: MakeService) -> ExtractionService:
    """A service of voices alone."""
    return make_service()


def extract(service: ExtractionService, text: str) -> dict[str, str]:
    with service.extraction(ExtractionRequest((Document("d", text),), LABELS)) as results:
        [result] = results
    assert not hasattr(result, "error")
    return {mention.text: mention.label for mention in result.document.mentions}


def test_requests_use_what_was_learned_before_until_the_new_pool_is_learned(
    service: ExtractionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, learned_sizes, scheduled = threading.Semaphore(0), [], threading.Event()

    def learn(_: Any, __: Any, documents: Sequence[Document], is_cancelled: Any) -> None:
        may_end.acquire(timeout=60)
        learned_sizes.append(len(documents))

    monkeypatch.setattr(service_module, "learn_in_process", learn)
    service.schedule_learning = scheduled.set
    extract(service, "Nobody slept.")
    assert not scheduled.is_set(), "an empty pool teaches nothing"
    service.pool.add(pool_documents())
    may_end.release()
    service.learn()
    assert service.learned_sentences == 30
    [loaded] = service._loaded.values()
    assert loaded.ensemble is not None
    first = loaded.ensemble.ensemble

    service.pool.add([document("Oslo slept and slept.", ("slept", "person"))])
    thread = threading.Thread(target=service.learn)
    thread.start()
    assert extract(service, "Oslo slept and slept.") == {"slept": "person"}, "what was signed off is known at once"
    assert scheduled.is_set()
    assert loaded.ensemble.ensemble is first
    may_end.release()
    thread.join()
    assert learned_sizes == [30, 31]
    assert loaded.ensemble.ensemble is not first
    assert extract(service, "Yesterday Gro Foss travelled to Kiel.") == {"Gro Foss": "person", "Kiel": "place"}


def test_at_the_start_requests_do_not_wait_for_learning(
    service: ExtractionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Voices as they are answer, with the names of the pool, and a sentence of the pool is answered from it."""
    refuse_to_train(monkeypatch)
    scheduled = threading.Event()
    service.schedule_learning = scheduled.set
    service.pool.add([*pool_documents(), document("Oslo slept and slept.", ("slept", "person"))])
    service.warm_up(ExtractionRequest((), LABELS))
    assert scheduled.is_set()
    assert service.learned_sentences == 0
    assert extract(service, "Oslo slept and slept.") == {"slept": "person"}
    assert extract(service, "Yesterday Ann Berg travelled to Kiel.") == {"Ann Berg": "person", "Kiel": "place"}


def test_signing_off_is_not_slowed_by_learning_and_the_page_is_told(
    service: ExtractionService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi.testclient import TestClient

    from entsemble.review.session import Session
    from entsemble.server.app import create_app

    may_end, learned_sizes = threading.Event(), []

    def learn(_: Any, __: Any, documents: Sequence[Document], is_cancelled: Any) -> None:
        may_end.wait(60)
        learned_sizes.append(len(documents))

    monkeypatch.setattr(service_module, "learn_in_process", learn)
    session = Session(tmp_path / "texts.review")
    session.set_defaults(LABELS, nested=False)
    ids = session.add(pool_documents(), is_extracted=True)
    with TestClient(create_app(service, session), base_url="http://localhost:8765") as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)

        def edit(action: str, documents: list[int]) -> dict[str, Any]:
            body = {"edit": {"action": action, "documents": documents}}
            answer = client.post("/v1/review/edits", json=body)
            assert answer.status_code == 200
            return dict(answer.json())

        assert not edit("finish", ids)["learning"]
        wait_for(lambda: client.get("/v1/review/changes").json()["learning"])
        assert edit("reopen", ids[:1])["learning"], "an edit is answered while the server learns"
        assert learned_sizes == []
        may_end.set()
        wait_for(lambda: learned_sizes == [30])
        wait_for(lambda: not client.get("/v1/review/changes").json()["learning"])
        assert client.get("/v1/review/changes").json()["learned"] == 30
    session.close()


def test_a_pool_that_cannot_be_learned_from_is_used_without(
    service: ExtractionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ModelError("killed")

    monkeypatch.setattr(service_module, "learn_in_process", fail)
    extract(service, "Nobody slept.")
    service.pool.add(pool_documents())
    with pytest.raises(ModelError, match="killed"):
        service.learn()
    assert extract(service, "Yesterday Gro Foss travelled to Kiel.") == {"Gro Foss": "person", "Kiel": "place"}


def refuse_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is trained in the server's own process."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained in the server's own process")

    for module, name in ((voice_pool, "train_tagger"), (voice_pool, "fit_adapter")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr("entsemble.assembly.builder.train_on_pool", refuse)


@pytest.mark.slow
def test_what_was_learned_is_kept_for_the_next_start(
    service: ExtractionService, make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_train(monkeypatch)
    service.pool.add(pool_documents())
    request = ExtractionRequest((), LABELS)
    service.warm_up(request)
    service.learn()
    first = extract(service, "Yesterday Gro Foss travelled to Kiel.")
    assert first == {"Gro Foss": "person", "Kiel": "place"}
    service.pool.add([document("Oslo slept and slept.", ("slept", "person"))])

    monkeypatch.setattr(service_module, "learn_in_process", lambda *_: pytest.fail("learns before it answers"))
    again, scheduled = make_service(), threading.Event()
    again.schedule_learning = scheduled.set
    again.warm_up(request)
    assert again.learned_sentences == 30, "what was learned before the pool grew"
    assert scheduled.is_set()
    assert extract(again, "Yesterday Gro Foss travelled to Kiel.") == first
    assert extract(again, "Oslo slept and slept.") == {"slept": "person"}
    scheduled.clear()
    again.pool.delete(again.pool.snapshot()[1][-1].id)
    assert extract(again, "Yesterday Gro Foss travelled to Kiel.") == first
    assert not scheduled.is_set(), "the pool is again what was learned from"


@pytest.mark.slow
def test_learning_is_cancelled_when_the_server_stops(storage: Environment, tmp_path: Path) -> None:
    settings = load(preset="instant", overrides={"labels": LABELS, "pool": {"path": tmp_path / "pool.jsonl"}})
    started = time.monotonic()
    with pytest.raises(WorkCancelledError):
        learn_in_process(settings, storage, pool_documents() * 30, lambda: True)
    assert time.monotonic() - started < 5


@pytest.mark.slow
def test_an_error_of_the_process_has_its_last_line(storage: Environment) -> None:
    settings = load(preset="instant", overrides={"labels": {"ship": ""}})
    with pytest.raises(ModelError, match="the pool has labels that are not requested"):
        learn_in_process(settings, storage, pool_documents(), lambda: False)
