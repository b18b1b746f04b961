from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entsemble.data.windows import split_windows
from entsemble.errors import PromptTooLongError
from entsemble.execution.threads import LocalMapper
from entsemble.ner.decision import DecisionRules
from entsemble.ner.documents import Extracted, Failed, extract_documents
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.prompting.labels import label_set
from entsemble.types import Document, mention_at
from entsemble.voting.rules import soft_vote
from tests.factories import document

LABELS = label_set({"PER": "", "LOC": ""})
LEXICON = {"Oslo": "location", "Ann": "person", "他在北京": "location", "שלום": "person", "Zoë": "person"}


@pytest.fixture(scope="module")
def pipeline(member: Callable[..., Member]) -> Pipeline:
    return Pipeline(
        [member("a", LEXICON), member("b", LEXICON)],
        LABELS,
        None,
        DecisionRules(soft_vote, 0.3, None, 0.5, DemonstrationLimits(0)),
    )


def cut(document: Document) -> list[tuple[int, str]]:
    return [(w.start, w.text) for w in split_windows(document, 80)]


def extracted(run: Callable[[str], SentenceResult], *documents: Document, workers: int = 2) -> list[Extracted | Failed]:
    return list(extract_documents(documents, cut, run, LocalMapper(workers)))


PIECES = [
    "Ann went to Oslo. ",
    "Oslo!\r\n\r\n",
    "😀 Zoë 👩‍🚀. ",
    "他在北京。 ",
    "זה שלום עולם. ",
    "e\u0301\u200b ",
    "no " * 40,
    "\t\n",
]


@settings(max_examples=40)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_offsets_are_those_of_the_whole_text(pipeline: Pipeline, text: str) -> None:
    [result] = extracted(pipeline.run, Document("d", text))
    assert isinstance(result, Extracted)
    for mentions in (result.document.mentions, *result.member_mentions.values()):
        assert [(m.start, m.end) for m in mentions] == sorted((m.start, m.end) for m in mentions)
        assert all(text[m.start : m.end] == m.text for m in mentions)
    assert all(e.span and text[e.span.start : e.span.end] == e.surface for e in result.ledger)
    for name in ("Ann", "Zoë", "他在北京", "שלום"):
        assert sum(m.text == name for m in result.document.mentions) == text.count(name)
    assert set(result.candidate_spans) == set(result.voted_labels) == {m.span for m in result.document.mentions}
    assert result.sentence_count == len(cut(result.document)) == len(result.demonstration_ids)


def test_one_document_that_fails_stops_no_other(pipeline: Pipeline) -> None:
    def run(text: str) -> SentenceResult:
        if "Bergen" in text:
            raise PromptTooLongError("no room")
        return pipeline.run(text)

    given_ = [Document("a", "Ann."), Document("b", "Oslo.\n\nBergen.\n\nOslo."), Document("c", "Oslo.")]
    a, b, c = extracted(run, *given_)
    assert isinstance(a, Extracted)
    assert isinstance(c, Extracted)
    assert isinstance(b, Failed)
    assert b.document == given_[1]
    assert str(b.error) == "no room"
    assert [m.text for m in c.document.mentions] == ["Oslo"]
    assert c.document.mentions[0].start == 0


def test_a_failed_document_has_no_mentions() -> None:
    annotated = document("Ann left.", ("Ann", "PER"))
    failure = Failed(annotated, PromptTooLongError("no room"))
    assert failure.document == replace(annotated, mentions=())
    assert annotated.mentions, "the caller's own document is unchanged"


def test_a_programming_error_is_no_failed_document(pipeline: Pipeline) -> None:
    def run(text: str) -> SentenceResult:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        extracted(run, Document("a", "Ann."))


@pytest.mark.parametrize("workers", [1, 4])
def test_documents_come_out_in_their_order(pipeline: Pipeline, workers: int) -> None:
    def run(text: str) -> SentenceResult:
        time.sleep(0.02 if "0" in text else 0)
        return pipeline.run(text)

    documents = [Document(f"d{i}", f"Ann {i} in Oslo. Then Zoë.") for i in range(12)]
    results = extracted(run, *documents, workers=workers)
    assert [r.document.id for r in results] == [d.id for d in documents]
    assert all(len(r.document.mentions) == 3 for r in results)


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_a_text_of_blanks(pipeline: Pipeline, text: str) -> None:
    first, blank, last = extracted(pipeline.run, Document("a", "Ann."), Document("b", text), Document("c", "Oslo."))
    assert isinstance(blank, Extracted)
    assert blank.document == Document("b", text)
    assert (blank.sentence_count, blank.ledger) == (0, ())
    assert [len(r.document.mentions) for r in (first, last)] == [1, 1]


def test_what_was_annotated_before_is_replaced_and_meta_stays(pipeline: Pipeline) -> None:
    text = "Ann in Oslo"
    [result] = extracted(pipeline.run, Document("a", text, (mention_at(text, 0, 6, "X"),), meta={"k": 1}))
    assert [m.label for m in result.document.mentions] == ["PER", "LOC"]
    assert result.document.meta == {"k": 1}


def test_documents_are_taken_in_as_they_are_needed(pipeline: Pipeline) -> None:
    taken = 0

    def endless() -> Iterator[Document]:
        nonlocal taken
        while True:
            taken += 1
            yield Document(str(taken), "Ann.")

    results = extract_documents(endless(), cut, pipeline.run, LocalMapper(2))
    assert [next(results).document.id for _ in range(3)] == ["1", "2", "3"]
    assert taken <= 8
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("unit", "megabytes"),
    [
        pytest.param("Ann went to Oslo. " + "It rained there, " * 50 + "so Zoë left. ", 0.3, marks=pytest.mark.slow),
        pytest.param("x" * 999 + " ", 5, marks=pytest.mark.slow),
        pytest.param("他在北京。" + "好" * 500 + "。", 0.3, marks=pytest.mark.slow),
    ],
)
def test_a_document_of_megabytes(pipeline: Pipeline, unit: str, megabytes: float) -> None:
    repeated = int(megabytes * 1_000_000) // len(unit)
    text = unit * repeated
    long_document = Document("long", text)
    begun = time.perf_counter()
    [result] = extract_documents(
        [long_document], lambda d: [(w.start, w.text) for w in split_windows(d)], pipeline.run, LocalMapper(2)
    )
    assert time.perf_counter() - begun < 60 * max(1, megabytes)
    assert isinstance(result, Extracted)
    assert len(result.document.mentions) == repeated * sum(unit.count(name) for name in LEXICON)
    assert all(text[m.start : m.end] == m.text for m in result.document.mentions)


def test_costs_add_up(pipeline: Pipeline) -> None:
    [result] = extracted(pipeline.run, Document("a", "Ann in Oslo.\n\nZoë."))
    assert isinstance(result, Extracted)
    stages = [(stage, name) for stage, name, _ in result.costs]
    assert stages.count(("extraction", "a")) == result.sentence_count == 2
    assert sum(usage.calls for stage, name, usage in result.costs if stage == "classification" and name == "b") == 3
    some: Any = result.costs[0][2]
    assert some.prompt_tokens > 0
