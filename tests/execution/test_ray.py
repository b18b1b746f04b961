"""Ray on this machine: two actors, the same output as threads, also when one is killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entsemble.backends.scripted import ScriptedModel
from entsemble.errors import ModelUnavailableError
from entsemble.execution.journal import Journal
from entsemble.execution.ray import RayCluster
from entsemble.execution.threads import LocalMapper
from entsemble.extractor import LocalExtractor, RayExtractor
from entsemble.ner.decision import DecisionRules
from entsemble.ner.documents import Extracted, Failed
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.prompting.labels import label_set
from entsemble.prompting.template import load_template
from entsemble.types import Document
from entsemble.voting.rules import VOTING_RULES

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.filterwarnings("ignore"),  # of Ray's own
    pytest.mark.xdist_group("ray"),
]
DOCUMENTS = [Document(f"d{i}", f"Ann left Oslo {i}.", meta={"line": i}) for i in range(500)]
BeforeSentence = Callable[[str], None]
"""Called with each sentence before it is run."""


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the actors cannot import a test
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def local(before: BeforeSentence = lambda _: None) -> LocalExtractor:
    class Watched(Pipeline):
        def run(self, text: str) -> SentenceResult:
            before(text)
            return super().run(text)

    members = [
        Member(
            n,
            ScriptedModel(n, {"Ann": "person", "Oslo": "location"}),
            load_template("ner-1"),
            load_template("zero-shot-1"),
        )
        for n in "ab"
    ]
    rules = DecisionRules(VOTING_RULES["soft"], 0.3, None, 0.5, DemonstrationLimits(0))
    pipeline = Watched(members, label_set({"person": "", "location": ""}), None, rules)
    return LocalExtractor(pipeline, LocalMapper(2), "en", {"it": "1"})


def shown(results: Iterator[Extracted | Failed]) -> list[tuple[object, ...]]:
    """All but what it cost."""
    return [(r.document, r.member_mentions, r.ledger, r.voted_labels) for r in results if isinstance(r, Extracted)]


def on_ray(before: BeforeSentence = lambda _: None) -> RayExtractor:
    make = local
    return RayExtractor(lambda: make(before), RayCluster(actors=2, cpus=1), {"it": "1"})


def test_the_results_are_those_of_threads() -> None:
    assert shown(on_ray().extract(DOCUMENTS)) == shown(local().extract(DOCUMENTS))


def test_a_killed_actor_loses_no_document(tmp_path: Path) -> None:
    killed = tmp_path / "killed"

    def die_once(text: str) -> None:
        if "250" in text and not killed.exists():
            killed.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)

    results = shown(on_ray(die_once).extract(DOCUMENTS))
    assert killed.exists()
    assert results == shown(local().extract(DOCUMENTS))
    assert len(results) == 500


def test_a_journal_serves_threads_and_ray(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out")
    journal.begin({"it": "1"})
    first = shown(local().extract(DOCUMENTS[:20], journal))
    both = shown(on_ray().extract(DOCUMENTS[:30], journal))
    assert both[:20] == first
    assert both == shown(local().extract(DOCUMENTS[:30]))
    journal.close()
    again = Journal(tmp_path / "out")
    assert again.begin({"it": "1"}) == (30, [])
    again.remove()


def test_a_failing_document_does_not_affect_the_others() -> None:
    def fail(text: str) -> None:
        if "3." in text:
            raise ModelUnavailableError("gone")

    results = list(on_ray(fail).extract(DOCUMENTS[:6]))
    assert [type(r) for r in results] == [Extracted, Extracted, Extracted, Failed, Extracted, Extracted]
    assert isinstance(results[3], Failed)
    assert "gone" in str(results[3].error)
