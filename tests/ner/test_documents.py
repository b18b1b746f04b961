from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entsemble.data.windows import MAX_CHARS, split_windows
from entsemble.errors import PromptTooLongError
from entsemble.execution.threads import LocalMapper
from entsemble.ner.documents import Extracted, Failed, extract_documents
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.results import SentenceResult
from entsemble.types import Document
from tests.factories import document, label_set, mention
from tests.ner.ner_factories import MemberFactory, decision_rules

LEXICON = {"Oslo": "location", "Ann": "person", "他在北京": "location", "שלום": "person", "Zoë": "person"}


@pytest.fixture(scope="module")
def pipeline(member: MemberFactory) -> Pipeline:
    members = [member("a", LEXICON), member("b", LEXICON)]
    return Pipeline(members, label_set("PER", "LOC"), None, decision_rules(shots=0))


def windows_of(one: Document, max_chars: int = 80) -> list[tuple[int, str]]:
    return [(window.start, window.text) for window in split_windows(one, max_chars)]


def run_documents(
    run_sentence: Callable[[str], SentenceResult], *documents: Document, workers: int = 2
) -> list[Extracted | Failed]:
    return list(extract_documents(documents, windows_of, run_sentence, LocalMapper(workers)))


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
    [result] = run_documents(pipeline.run, document(text))
    assert isinstance(result, Extracted)
    for mentions in (result.document.mentions, *result.member_mentions.values()):
        spans = [(one.start, one.end) for one in mentions]
        assert spans == sorted(spans)
        assert all(text[one.start : one.end] == one.text for one in mentions)
    assert all(entry.span and entry.span.slice(text) == entry.surface for entry in result.ledger)
    for surface in ("Ann", "Zoë", "他在北京", "שלום"):
        assert sum(one.text == surface for one in result.document.mentions) == text.count(surface)
    mention_spans = {one.span for one in result.document.mentions}
    assert set(result.candidate_spans) == set(result.voted_labels) == mention_spans
    assert result.sentence_count == len(windows_of(result.document)) == len(result.demonstration_ids)


def test_a_document_that_fails_stops_no_other(pipeline: Pipeline) -> None:
    def run_sentence(text: str) -> SentenceResult:
        if "Bergen" in text:
            raise PromptTooLongError("the sentence is too long")
        return pipeline.run(text)

    documents = [document("Ann."), document("Oslo.\n\nBergen.\n\nOslo."), document("Oslo.")]
    before, failure, after = run_documents(run_sentence, *documents)
    assert isinstance(before, Extracted)
    assert isinstance(after, Extracted)
    assert isinstance(failure, Failed)
    assert failure.document == documents[1]
    assert str(failure.error) == "the sentence is too long"
    assert [(one.start, one.text) for one in after.document.mentions] == [(0, "Oslo")]


def test_a_failed_document_has_no_mentions() -> None:
    annotated = document("Ann left.", ("Ann", "PER"))
    failure = Failed(annotated, PromptTooLongError("the sentence is too long"))
    assert failure.document == replace(annotated, mentions=())
    assert annotated.mentions, "the caller's document is unchanged"


def test_a_programming_error_is_raised_and_not_a_failed_document() -> None:
    def run_sentence(text: str) -> SentenceResult:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_documents(run_sentence, document("Ann."))


@pytest.mark.parametrize("workers", [1, 4])
def test_results_are_in_the_order_of_the_documents(pipeline: Pipeline, workers: int) -> None:
    def run_sentence(text: str) -> SentenceResult:
        time.sleep(0.02 if "0" in text else 0)
        return pipeline.run(text)

    documents = [document(f"Ann {number} in Oslo. Then Zoë.", id=f"d{number}") for number in range(12)]
    results = run_documents(run_sentence, *documents, workers=workers)
    assert [result.document.id for result in results] == [one.id for one in documents]
    assert all(len(result.document.mentions) == 3 for result in results)


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_a_text_of_whitespace_has_an_empty_result(pipeline: Pipeline, text: str) -> None:
    before, empty, after = run_documents(pipeline.run, document("Ann."), document(text), document("Oslo."))
    assert isinstance(empty, Extracted)
    assert empty.document == document(text)
    assert (empty.sentence_count, empty.ledger) == (0, ())
    assert [len(result.document.mentions) for result in (before, after)] == [1, 1]


def test_extracted_mentions_replace_the_documents_own_and_meta_is_kept(pipeline: Pipeline) -> None:
    text = "Ann in Oslo"
    [result] = run_documents(pipeline.run, replace(document(text, mention(text, "Ann in", "X")), meta={"k": 1}))
    assert [one.label for one in result.document.mentions] == ["PER", "LOC"]
    assert result.document.meta == {"k": 1}


def test_documents_are_read_lazily(pipeline: Pipeline) -> None:
    read_count = 0

    def endless_documents() -> Iterator[Document]:
        nonlocal read_count
        while True:
            read_count += 1
            yield document("Ann.", id=str(read_count))

    results = extract_documents(endless_documents(), windows_of, pipeline.run, LocalMapper(2))
    assert [next(results).document.id for _ in range(3)] == ["1", "2", "3"]
    assert read_count <= 8
    results.close()  # type: ignore[attr-defined]


def test_the_callback_runs_after_each_sentence_even_if_it_fails(pipeline: Pipeline) -> None:
    def run_sentence(text: str) -> SentenceResult:
        if "Bergen" in text:
            raise PromptTooLongError("the sentence is too long")
        return pipeline.run(text)

    calls: list[None] = []
    documents = [document("Ann.\n\nBergen."), document(""), document("Oslo.")]
    results = extract_documents(documents, windows_of, run_sentence, LocalMapper(1), lambda: calls.append(None))
    assert len(list(results)) == 3
    assert len(calls) == 3


def test_costs_of_all_sentences_are_collected(pipeline: Pipeline) -> None:
    [result] = run_documents(pipeline.run, document("Ann in Oslo.\n\nZoë."))
    assert isinstance(result, Extracted)
    stages = [(stage, name) for stage, name, _ in result.costs]
    assert stages.count(("extraction", "a")) == result.sentence_count == 2
    assert sum(usage.calls for stage, name, usage in result.costs if (stage, name) == ("classification", "b")) == 3
    assert result.costs[0][2].prompt_tokens > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "megabytes"),
    [
        ("Ann went to Oslo. " + "It rained there, " * 50 + "so Zoë left. ", 0.3),
        ("x" * 999 + " ", 5),
        ("他在北京。" + "好" * 500 + "。", 0.3),
    ],
)
def test_a_document_of_megabytes_takes_linear_time(pipeline: Pipeline, unit: str, megabytes: float) -> None:
    repetitions = int(megabytes * 1_000_000) // len(unit)
    text = unit * repetitions
    start = time.perf_counter()
    [result] = extract_documents([document(text)], lambda one: windows_of(one, MAX_CHARS), pipeline.run, LocalMapper(2))
    assert time.perf_counter() - start < 60 * max(1, megabytes)
    assert isinstance(result, Extracted)
    assert len(result.document.mentions) == repetitions * sum(unit.count(surface) for surface in LEXICON)
    assert all(text[one.start : one.end] == one.text for one in result.document.mentions)
