"""The texts of the review benchmark, and its table from made-up results."""

from __future__ import annotations

import pytest
from benchmarks.review.run import SIZES, rotations
from benchmarks.review.table import corrections, walks
from benchmarks.review.texts import LABELS, parse_sentence, read_domain
from benchmarks.review.walk_documents import CORRECTIONS, walk_document, walk_keys

from entsemble.data.windows import split_windows
from entsemble.types import Document


@pytest.mark.parametrize("domain", LABELS)
def test_each_text_is_long_enough_to_be_corrected_and_scored(domain: str) -> None:
    texts = read_domain(domain)
    assert len(texts) == 3
    for text in texts:
        assert sum(len(sentence.mentions) for sentence in text) >= 30
        whole = " ".join(sentence.text for sentence in text)
        assert [window.text for window in split_windows(Document("", whole))] == [sentence.text for sentence in text]
    for scored, orders in rotations(texts):
        assert {len(order) >= max(SIZES) for order in orders} == {True}
        assert {sentence.text for sentence in scored}.isdisjoint(sentence.text for sentence in orders[0])
    assert {mention.label for text in texts for sentence in text for mention in sentence.mentions} == set(
        LABELS[domain]
    )


def test_a_sentence_is_parsed_with_its_mentions() -> None:
    parsed = parse_sentence("s", "[Ann Lee|person] left [Oslo|town].", ("person", "town"))
    assert parsed.text == "Ann Lee left Oslo."
    assert [(mention.text, mention.label) for mention in parsed.mentions] == [("Ann Lee", "person"), ("Oslo", "town")]
    assert [mention.span.slice(parsed.text) for mention in parsed.mentions] == ["Ann Lee", "Oslo"]


@pytest.mark.parametrize("line", ["[Ann|ship] left.", "[Ann|person left.", "Ann] left.", "Ann | left."])
def test_a_slip_of_the_annotator_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"^s: "):
        parse_sentence("s", line, ("person",))


def test_a_row_has_the_difference_from_no_correction() -> None:
    wrong, right = [[0, 1, 1]] * 20, [[1, 0, 0]] * 20
    counts = {domain: {size: right if size >= 5 else wrong for size in SIZES} for domain in ("a", "b")}
    head, _, *rows = corrections(counts)
    by_size = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert list(by_size) == [str(size) for size in SIZES]
    assert by_size["0"]["more than with none"] == ""
    assert by_size["2"]["more than with none"] == "+0.000"
    assert (by_size["5"]["a"], by_size["5"]["all"], by_size["5"]["more than with none"]) == ("1.000", "1.000", "+1.000")


def test_the_documents_of_the_walk_have_as_many_errors_as_are_corrected() -> None:
    document = walk_document(3)
    assert len(document.gold.text.split()) == 150
    assert [window.text for window in split_windows(document.gold)] == [
        document.gold.text[start:end] for start, end in document.sentences
    ]
    wrong = {(m.start, m.end, m.label) for m in document.predicted.mentions}
    right = {(m.start, m.end, m.label) for m in document.gold.mentions}
    assert (len(right - wrong), len(wrong - right)) == (4, 4), "two labels and a length in both; one more in each"
    assert CORRECTIONS == 5
    assert len(walk_keys("new")) < len(walk_keys("old"))


def test_the_walks_are_shown_by_correction() -> None:
    result = {"corrections": 10, "keys": {"new": 30, "old": 45}, "seconds": {"new": [2.0, 1.0, 3.0], "old": [5.0]}}
    assert walks(result)[2:] == [
        ["`review`", "3.0", "0.200", "0.100 to 0.300"],
        ["the one before", "4.5", "0.500", "0.500 to 0.500"],
    ]
