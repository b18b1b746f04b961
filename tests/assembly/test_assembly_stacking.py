"""What is kept of what the pool teaches, and what is not."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entsemble.assembly import Assembly
from entsemble.assembly import stacking as learn
from entsemble.data.formats import read
from entsemble.errors import MemberDownError, PromptTooLongError
from entsemble.execution.ray import RayCluster
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult
from entsemble.scoring.fit import CACHE_VERSION
from entsemble.scoring.model import StackingModel
from entsemble.settings import environment, load

pytestmark = pytest.mark.usefixtures("scripted")
LEARNT = StackingModel((0.0,), (1.0,), (0.0,), 0.0, 0.0, 0.3, 10)


@pytest.fixture
def told(tmp_path: Path, pool_file: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Learns from ten sentences whose answers are made up; gives how many it could learn from."""
    seen: list[int] = []
    pools: list[tuple[str, set[str]]] = []
    looks: list[bool] = []

    def answered(
        answers: list[Any],
        *,
        on_actors: bool = False,
        cache: bool = True,
        teaches: bool = True,
        proposing: bool = False,
        by_pool: bool = False,
    ) -> StackingModel:
        waiting = iter(answers)

        def run(pipeline: Pipeline, text: str) -> SentenceResult:
            assert pipeline.pool
            assert ("capitalised" in {p.name for p in pipeline.proposers}) == proposing
            pools.append((text, {d.text for d in pipeline.pool.documents}))
            answer = next(waiting)
            if isinstance(answer, Exception):
                raise answer
            return replace(SentenceResult((), {}, (), {}, {}, (), (), ()), absent_members=answer)

        def counted(answered: Any, labels: Any, prior: StackingModel) -> StackingModel | None:
            seen.append(len(answered))
            return replace(LEARNT, proposes_capitalised=prior.proposes_capitalised) if teaches else None

        asked = {
            "pool": {"path": pool_file},
            "stacking": {"sentences": 10, "capitalised": None if by_pool else proposing},
        }
        monkeypatch.setattr(Pipeline, "run", run)
        monkeypatch.setattr(learn, "fit_model", counted)
        settings = load(overrides={**asked, "workers": 1, "cache": {"replies": cache}})
        place = environment(
            {"ENTSEMBLE_CACHE": str(tmp_path / "cache"), "ENTSEMBLE_EXPERTS": str(tmp_path / "experts")}
        )
        with Assembly(settings, place) as assembly:
            made = assembly.ray_extractor().build() if on_actors else assembly.extractor()
        looks.append("capitalised" in {p.name for p in made.pipeline.proposers})
        assert made.pipeline.scorer is not None
        return made.pipeline.scorer.model

    answered.seen, answered.pools, answered.looks = seen, pools, looks  # type: ignore[attr-defined]
    return answered


def test_sentences_too_long_are_left_out(told: Any) -> None:
    assert told([PromptTooLongError("long")] * 6 + [{}] * 4) == LEARNT
    assert told([]) == LEARNT, "it was kept"
    assert told.seen == [4]


@pytest.mark.parametrize("trouble", [{"a": "is down"}, MemberDownError("a", "answers nonsense")])
def test_sentences_that_a_member_failed_at_are_left_out(
    told: Any, trouble: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert told([trouble] * 5 + [{}] * 5) == LEARNT
    assert "again by the next run: 5 of 10 sentences failed" in caplog.text
    assert told([trouble] + [{}] * 9, teaches=False).training_sentences == 0
    assert told([{}] * 10) == LEARNT, "it was not kept"
    assert told([]) == LEARNT, "it was kept"
    assert told.seen == [5, 9, 10]


def test_members_that_mostly_fail_teach_nothing_and_end_no_run(told: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert told([{"a": "is down"}] * 6 + [{}] * 4).training_sentences == 0
    why = "the votes are judged by what other corpora taught: 6 of 10 sentences to learn from failed"
    assert caplog.text.count(why) == 1
    assert "is down" in caplog.text
    assert told.seen == []
    assert told([{}] * 10) == LEARNT, "it was not kept"


def test_a_pool_that_teaches_too_little_is_asked_once(told: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert told([{}] * 10, teaches=False).training_sentences == 0
    assert "10 sentences of the pool teach too little" in caplog.text
    assert told([]).training_sentences == 0, "it was kept"
    assert told.seen == [10]


def test_without_the_cache_it_is_learnt_anew(told: Any) -> None:
    assert told([{}] * 10) == told([{}] * 10, cache=False) == told([]) == LEARNT
    assert told.seen == [10, 10]


@pytest.mark.parametrize("damaged", [b'"{}"', b"{}", b"[", b"\xff", b'{"mean": 3}'])
def test_what_is_kept_and_makes_no_sense_is_learnt_anew(told: Any, tmp_path: Path, damaged: bytes) -> None:
    told([{}] * 10)
    with sqlite3.connect(tmp_path / "cache" / "pools.sqlite") as kept:
        changed = kept.execute("UPDATE kept SET value = ? WHERE owner LIKE ?", [damaged, f"{CACHE_VERSION}:%"]).rowcount
    assert changed == 1
    assert told([{}] * 10) == told([]) == LEARNT
    assert told.seen == [10, 10]


def test_actors_are_told_what_was_learnt_here(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RayCluster, "connect", lambda _: None)
    assert told([{}] * 10, on_actors=True, proposing=True) == replace(LEARNT, proposes_capitalised=True)
    assert told.seen == [10]
    assert told.looks == [True], "what looks propose is judged there too"


def test_a_sentence_that_teaches_is_answered_without_its_stretch_of_the_pool(told: Any, pool_file: Path) -> None:
    told([{}] * 10)
    every = [d.text for d in read(pool_file)]
    assert len(every) >= 10
    asked = dict(told.pools)
    assert len(asked) == 10
    for text, pool in asked.items():
        part = every.index(text) * 5 // len(every)
        assert pool == {t for i, t in enumerate(every) if i * 5 // len(every) != part}


def test_looks_propose_where_they_are_asked_for(told: Any) -> None:
    told([{}] * 10, teaches=False, proposing=True)
    told([{}] * 10, cache=False, proposing=True)
    told([], proposing=True)
    told([{}] * 10)
    assert told.looks == [True, True, True, False]


def test_looks_propose_where_most_names_of_the_pool_look_so(told: Any) -> None:
    told([{}] * 10, proposing=True, by_pool=True)
    assert told.looks == [True]
