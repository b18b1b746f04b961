from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from entsemble.backends.scripted import ScriptedModel
from entsemble.errors import ModelUnavailableError
from entsemble.execution.journal import Journal
from entsemble.execution.threads import LocalMapper
from entsemble.extractor import LocalExtractor, Results
from entsemble.ner.documents import Extracted, Failed
from entsemble.ner.pipeline import Pipeline
from entsemble.types import Choice, Document
from tests.factories import document, label_set
from tests.ner.ner_factories import decision_rules, member_with

LEXICON = {"Ann": "person", "Oslo": "location"}
DOCUMENTS = [document(f"Ann {number} left Oslo. Ann returned.", id=f"d{number}") for number in range(4)]


class UnreliableModel(ScriptedModel):
    """Is down for one text."""

    def __init__(self, name: str, failing_text: str) -> None:
        super().__init__(name, LEXICON)
        self.failing_text = failing_text

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        if self.failing_text in prompts[0]:
            raise ModelUnavailableError("the server is gone")
        return super().choose(prompts, options)


def extractor(*models: ScriptedModel, quorum: int | None = None) -> LocalExtractor:
    members = [member_with(model) for model in models]
    pipeline = Pipeline(members, label_set("PER", "LOC"), None, decision_rules(shots=0, quorum=quorum))
    return LocalExtractor(pipeline, LocalMapper(1), "en", {"version": "1"})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "out.jsonl")
    opened.begin({"version": "1"})
    yield opened
    opened.close()


def ids_from_journal(results: Results) -> list[str]:
    return [result.document.id for result in results if isinstance(result, Extracted) and result.from_journal]


def test_sentences_are_those_of_the_language_and_the_callback_counts_them() -> None:
    calls: list[None] = []
    local = extractor(ScriptedModel("a", LEXICON))
    counting = LocalExtractor(local.pipeline, local.mapper, "en", {}, lambda: calls.append(None))
    results = list(counting.extract(DOCUMENTS))
    assert [len(result.document.mentions) for result in results] == [3] * 4
    assert len(calls) == 8


def test_journaled_documents_are_not_run_again(journal: Journal) -> None:
    first = list(extractor(ScriptedModel("a", LEXICON)).extract(DOCUMENTS[1:3], journal))
    assert ids_from_journal(iter(first)) == []
    second = list(extractor(ScriptedModel("a", {})).extract(DOCUMENTS, journal))
    assert ids_from_journal(iter(second)) == ["d1", "d2"]
    assert [result.document.id for result in second] == ["d0", "d1", "d2", "d3"]
    assert [len(result.document.mentions) for result in second] == [0, 3, 3, 0]


def test_failed_documents_and_those_with_absent_members_are_run_again(journal: Journal) -> None:
    for quorum, expected in ((1, Extracted), (None, Failed)):
        unreliable = UnreliableModel("b", "Ann 2")
        local = extractor(ScriptedModel("a", LEXICON), unreliable, quorum=quorum)
        results = list(local.extract(DOCUMENTS[2:3], journal))
        assert [type(result) for result in results] == [expected]
    repaired = extractor(ScriptedModel("a", LEXICON), ScriptedModel("b", LEXICON))
    results = list(repaired.extract(DOCUMENTS[2:3], journal))
    assert ids_from_journal(iter(results)) == []
    assert ids_from_journal(repaired.extract(DOCUMENTS[2:3], journal)) == ["d2"]


def test_a_stopped_extractor_yields_no_more_than_what_was_in_progress() -> None:
    local = extractor(ScriptedModel("a", LEXICON))

    def documents() -> Iterator[Document]:
        yield from DOCUMENTS[:2]
        local.stop()
        yield from DOCUMENTS[2:]

    assert len(list(local.extract(documents()))) <= 2
