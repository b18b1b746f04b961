"""Training on the pool: when, on which sentences, what is cached, and what happens if members fail."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from entsemble.assembly import Assembly, ProgressCallbacks, stacking
from entsemble.assembly.stacking import trains_on_pool
from entsemble.data.formats import read, write
from entsemble.errors import MemberDownError, PromptTooLongError
from entsemble.execution.ray import RayCluster
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult
from entsemble.scoring.fit import CACHE_VERSION
from entsemble.scoring.model import StackingModel
from entsemble.settings import environment, load
from entsemble.types import Document
from tests.factories import sentence

pytestmark = pytest.mark.usefixtures("scripted")

TRAINED = StackingModel((0.0,), (1.0,), (0.0,), 0.0, 0.0, 0.3, 10)
STEP = "training on the pool"
DOWN = {"a": "is down"}
"""Member -> why it did not answer a sentence."""


def numbered_sentences(count: int) -> list[Document]:
    return [sentence(f"Ann left Oslo {number} times.", ("Ann", "person")) for number in range(count)]


@dataclass
class Trainer:
    """Builds ensembles whose answers to the pool's sentences are prescribed.

    Attributes:
        example_counts: number of sentences that each training was based on.
        pools: (sentence, texts of the pool that it was answered with).
        proposes_capitalised: of each ensemble that was built.
        pipelines: those in memory.
        most_pipelines: the most that were in memory at once, when a sentence was answered.
    """

    tmp_path: Path
    pool_path: Path
    monkeypatch: pytest.MonkeyPatch
    example_counts: list[int] = field(default_factory=list)
    pools: list[tuple[str, set[str]]] = field(default_factory=list)
    proposes_capitalised: list[bool] = field(default_factory=list)
    pipelines: weakref.WeakSet[Pipeline] = field(default_factory=weakref.WeakSet)
    most_pipelines: int = 0

    def train(
        self,
        outcomes: Sequence[dict[str, str] | Exception],
        *,
        on_actor: bool = False,
        use_cache: bool = True,
        is_fitted: bool = True,
        with_capitalised: bool = False,
        configured: bool | None = False,
    ) -> StackingModel:
        """The model of an ensemble that is trained on ten sentences.

        Args:
            outcomes: what happens at each sentence: absent members, or an error.
            on_actor: whether the ensemble is built as on a Ray cluster.
            use_cache: as the setting `[cache] replies`.
            is_fitted: False if the sentences are too little to fit a model.
            with_capitalised: whether capitalised spans must be candidates in training.
            configured: `[stacking] capitalised`; `None` leaves it to the pool.
        """
        remaining = iter(outcomes)

        def run(pipeline: Pipeline, text: str) -> SentenceResult:
            assert pipeline.pool
            assert ("capitalised" in {proposer.name for proposer in pipeline.proposers}) == with_capitalised
            self.pools.append((text, {document.text for document in pipeline.pool.documents}))
            self.pipelines.add(pipeline)
            self.most_pipelines = max(self.most_pipelines, len(self.pipelines))
            outcome = next(remaining)
            if isinstance(outcome, Exception):
                raise outcome
            return replace(SentenceResult((), {}, (), {}, {}, (), (), ()), absent_members=outcome)

        def fit(scored: Sequence[Any], _: Any, pretrained: StackingModel) -> StackingModel | None:
            self.example_counts.append(len(scored))
            return replace(TRAINED, proposes_capitalised=pretrained.proposes_capitalised) if is_fitted else None

        self.monkeypatch.setattr(Pipeline, "run", run)
        self.monkeypatch.setattr(stacking, "fit_model", fit)
        settings = load(
            overrides={
                "pool": {"path": self.pool_path},
                "stacking": {"sentences": 10, "capitalised": configured},
                "workers": 1,
                "cache": {"replies": use_cache},
            }
        )
        folders = {"ENTSEMBLE_CACHE": self.tmp_path / "cache", "ENTSEMBLE_EXPERTS": self.tmp_path / "experts"}
        with Assembly(settings, environment({name: str(path) for name, path in folders.items()})) as assembly:
            extractor = assembly.ray_extractor().build() if on_actor else assembly.extractor()
        self.proposes_capitalised.append("capitalised" in {proposer.name for proposer in extractor.pipeline.proposers})
        assert extractor.pipeline.scorer is not None
        return extractor.pipeline.scorer.model


@pytest.fixture
def trainer(tmp_path: Path, pool_file: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    return Trainer(tmp_path, pool_file, monkeypatch)


class TestFailures:
    def test_sentences_that_are_too_long_are_left_out(self, trainer: Trainer) -> None:
        assert trainer.train([PromptTooLongError("long")] * 6 + [{}] * 4) == TRAINED
        assert trainer.train([]) == TRAINED, "cached"
        assert trainer.example_counts == [4]

    @pytest.mark.parametrize("failure", [DOWN, MemberDownError("a", "answers nonsense")])
    def test_sentences_that_a_member_fails_at_are_left_out_and_the_model_is_not_cached(
        self, trainer: Trainer, failure: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert trainer.train([failure] * 5 + [{}] * 5) == TRAINED
        assert "5 of 10 training sentences failed, so the next run trains again" in caplog.text
        assert trainer.train([failure] + [{}] * 9, is_fitted=False).training_sentences == 0
        assert trainer.train([{}] * 10) == TRAINED, "not cached before"
        assert trainer.train([]) == TRAINED, "cached now"
        assert trainer.example_counts == [5, 9, 10]

    def test_if_most_sentences_fail_the_pre_trained_weights_are_used(
        self, trainer: Trainer, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert trainer.train([DOWN] * 6 + [{}] * 4).training_sentences == 0
        assert caplog.text.count("the pre-trained vote weights are used: 6 of 10 training sentences failed") == 1
        assert "is down" in caplog.text
        assert trainer.example_counts == []
        assert trainer.train([{}] * 10) == TRAINED, "not cached"

    def test_too_little_to_train_on_is_cached_too(self, trainer: Trainer, caplog: pytest.LogCaptureFixture) -> None:
        assert trainer.train([{}] * 10, is_fitted=False).training_sentences == 0
        assert "10 sentences of the pool are too little to train on" in caplog.text
        assert trainer.train([]).training_sentences == 0, "cached"
        assert trainer.example_counts == [10]


class TestCache:
    def test_without_the_reply_cache_the_model_is_trained_again(self, trainer: Trainer) -> None:
        assert trainer.train([{}] * 10) == trainer.train([{}] * 10, use_cache=False) == trainer.train([]) == TRAINED
        assert trainer.example_counts == [10, 10]

    @pytest.mark.parametrize("damaged", [b'"{}"', b"{}", b"[", b"\xff", b'{"mean": 3}'])
    def test_a_damaged_model_is_trained_again(self, trainer: Trainer, tmp_path: Path, damaged: bytes) -> None:
        trainer.train([{}] * 10)
        with sqlite3.connect(tmp_path / "cache" / "pools.sqlite") as connection:
            update = "UPDATE entries SET value = ? WHERE owner LIKE ?"
            assert connection.execute(update, [damaged, f"{CACHE_VERSION}:%"]).rowcount == 1
        assert trainer.train([{}] * 10) == trainer.train([]) == TRAINED
        assert trainer.example_counts == [10, 10]


class TestTraining:
    def test_actors_get_the_model_that_was_trained_before_they_started(
        self, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(RayCluster, "connect", lambda _: None)
        model = trainer.train([{}] * 10, on_actor=True, with_capitalised=True, configured=True)
        assert model == replace(TRAINED, proposes_capitalised=True)
        assert trainer.example_counts == [10]
        assert trainer.proposes_capitalised == [True]

    def test_a_sentence_is_answered_with_a_pool_that_lacks_its_fold(self, trainer: Trainer, pool_file: Path) -> None:
        trainer.train([{}] * 10)
        texts = [document.text for document in read(pool_file)]
        folds = {text: position * 5 // len(texts) for position, text in enumerate(texts)}
        assert len(dict(trainer.pools)) == 10
        for text, pool in trainer.pools:
            assert pool == {other for other in texts if folds[other] != folds[text]}

    def test_the_ensembles_of_the_folds_are_not_all_in_memory(self, trainer: Trainer) -> None:
        trainer.train([{}] * 10)
        assert len({frozenset(pool) for _, pool in trainer.pools}) > 2
        assert trainer.most_pipelines <= 2

    def test_capitalised_spans_are_candidates_as_in_training(self, trainer: Trainer) -> None:
        trainer.train([{}] * 10, is_fitted=False, with_capitalised=True, configured=True)
        trainer.train([{}] * 10, use_cache=False, with_capitalised=True, configured=True)
        trainer.train([], with_capitalised=True, configured=True)
        trainer.train([{}] * 10)
        assert trainer.proposes_capitalised == [True, True, True, False]

    def test_by_default_they_are_if_most_mentions_of_the_pool_are_capitalised(self, trainer: Trainer) -> None:
        trainer.train([{}] * 10, with_capitalised=True, configured=None)
        assert trainer.proposes_capitalised == [True]


class TestEnsembles:
    """Ensembles of scripted models, trained for real."""

    @pytest.fixture
    def build(self, tmp_path: Path) -> Any:
        endings = ".!?,:;-"
        texts = [f"{name} left {town}{end}" for name in ("Ann", "Bob") for town in ("Oslo", "Rome") for end in endings]
        write([sentence(t, (t[:3], "person"), (t[9:13], "location")) for t in texts], tmp_path / "pool.jsonl")

        def build_ensemble(**overrides: Any) -> tuple[Any, list[str]]:
            steps: list[str] = []
            settings = load(
                overrides={
                    "pool": {"path": tmp_path / "pool.jsonl", "shots": 2},
                    "stacking": {"sentences": 24},
                    **overrides,
                }
            )
            progress = ProgressCallbacks(on_step=lambda what, done, total: steps.append(what))
            folders = {"ENTSEMBLE_CACHE": str(tmp_path / "cache"), "ENTSEMBLE_EXPERTS": str(tmp_path / "experts")}
            with Assembly(settings, environment(folders), progress) as assembly:
                return assembly.extractor(), steps

        return build_ensemble

    def test_a_pool_is_trained_on_once(self, build: Any) -> None:
        first, steps = build()
        assert steps.count(STEP) == 24
        again, steps = build()
        assert STEP not in steps
        assert again.configuration == first.configuration
        [result] = first.extract([Document("d", "Eve left Bern.")])
        assert all(mention.score is not None and 0 < mention.score < 1 for mention in result.document.mentions)
        assert first.pipeline.scorer.model.training_sentences == 24

    def test_a_pool_is_trained_on_as_a_whole_at_most(self, build: Any) -> None:
        _, steps = build(stacking={"sentences": 29})
        assert steps.count(STEP) == 28

    def test_without_training_the_pre_trained_weights_decide(self, build: Any) -> None:
        trained, _ = build()
        pretrained, _ = build(stacking={"sentences": 0})
        assert pretrained.pipeline.scorer.model.training_sentences == 0
        assert pretrained.configuration["stacking weights"] != trained.configuration["stacking weights"]
        assert "naive_bayes" in {proposer.name for proposer in pretrained.pipeline.proposers}

    def test_the_naive_bayes_proposer_can_be_turned_off(self, build: Any) -> None:
        without, _ = build(stacking={"sentences": 0, "naive_bayes": False})
        with_it, _ = build(stacking={"sentences": 0})
        assert [proposer.name for proposer in without.pipeline.proposers] == ["pool", "capitalised"]
        assert without.configuration["naive Bayes"] != with_it.configuration["naive Bayes"]

    def test_a_vote_needs_no_weights(self, build: Any) -> None:
        counted, _ = build(classification={"vote": "soft"})
        assert counted.pipeline.scorer is None
        assert [proposer.name for proposer in counted.pipeline.proposers] == ["pool"]
        assert "stacking weights" not in counted.configuration


class TestDefaults:
    @pytest.mark.parametrize(
        ("sentences", "classification", "pool_size", "expected"),
        [
            (None, {}, 19, False),
            (None, {}, 20, True),
            (None, {"vote": "majority"}, 200, False),
            (None, {"vote": "soft"}, 200, False),
            (None, {"threshold": 0.4}, 200, True),
            (20, {"vote": "majority"}, 200, False),
            (20, {"threshold": 0.4}, 200, True),
            (80, {}, 30, True),
            (80, {}, 0, False),
            (0, {}, 200, False),
        ],
    )
    def test_a_large_pool_is_trained_on_unless_a_vote_is_named(
        self, sentences: int | None, classification: dict[str, Any], pool_size: int, expected: bool
    ) -> None:
        overrides = {"classification": classification, "stacking": {"sentences": sentences}}
        settings = load(preset="balanced", overrides=overrides)
        pool = [sentence(f"Ann met Bob {n} times.", ("Ann", "person"), ("Bob", "person")) for n in range(pool_size)]
        assert trains_on_pool(settings, pool) is expected

    def test_a_pool_with_few_mentions_is_trained_on_only_if_configured(self) -> None:
        few_mentions = [*numbered_sentences(39), *(Document(str(number), "Nobody.") for number in range(161))]
        settings = load(preset="balanced")
        assert not trains_on_pool(settings, few_mentions)
        assert trains_on_pool(settings, [*few_mentions, sentence("Ann.", ("Ann", "person"))])
        assert trains_on_pool(settings.overridden({"stacking": {"sentences": 40}}), few_mentions)


class TestTrainingSentences:
    @pytest.fixture
    def chosen(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """The sentences of a pool that are trained on, in their order."""
        batches: list[list[str]] = []

        def train(sentences: Any, _: Any, pretrained: StackingModel, *__: Any, **___: Any) -> StackingModel:
            in_order = sorted(sentences.iterate(), key=lambda sentence: sentence.position)
            batches.append([sentence.document.text for sentence in in_order])
            return pretrained

        monkeypatch.setattr("entsemble.assembly.builder.train_on_pool", train)

        def choose(pool: list[Document], held_out: Sequence[Document] = (), **options: Any) -> list[str]:
            settings = load(preset="balanced", overrides={"stacking": options})
            folders = {"ENTSEMBLE_CACHE": str(tmp_path / "cache"), "ENTSEMBLE_EXPERTS": str(tmp_path / "experts")}
            with Assembly(settings, environment(folders), examples=pool, held_out=held_out) as assembly:
                assembly.extractor()
            return batches.pop() if batches else []

        return choose

    @pytest.mark.parametrize(
        ("pool_size", "sentences", "expected"),
        [(60, None, 40), (200, None, 40), (300, None, 60), (900, None, 80), (200, 30, 30), (200, 500, 200)],
    )
    def test_a_fifth_of_the_pool_is_trained_on_within_limits_unless_configured(
        self, chosen: Any, pool_size: int, sentences: int | None, expected: int
    ) -> None:
        assert len(chosen(numbered_sentences(pool_size), sentences=sentences)) == expected

    def test_the_choice_hardly_depends_on_what_is_held_out(self, chosen: Any) -> None:
        pool = numbered_sentences(300)
        first = chosen(pool)
        assert chosen(pool) == first
        held_out = {document.text for document in pool[:30]}
        with_held_out = chosen(pool, held_out=pool[:30])
        assert set(first) - held_out <= set(with_held_out)

    def test_what_is_held_out_is_not_trained_on(self, chosen: Any) -> None:
        pool = numbered_sentences(20)
        assert chosen(pool, held_out=pool[1:], sentences=1) == [pool[0].text]
        assert chosen(pool, held_out=pool, sentences=1) == []

    def test_the_default_size_counts_what_is_held_out(self, chosen: Any) -> None:
        pool = numbered_sentences(110)
        assert [len(chosen(pool, held_out=held_out)) for held_out in (pool[:20], pool[:80])] == [40, 30]
