from __future__ import annotations

import json
from dataclasses import replace

import pytest

from entsemble.ner.documents import Extracted
from entsemble.ner.ledger import Fate, LedgerEntry
from entsemble.ner.serialize import document_key, from_record, to_record
from entsemble.types import Document, Mention, Span, Usage
from tests.factories import document

TEXT = "Ann left Oslo."
OSLO = Mention(9, 13, "LOC", "Oslo", 0.5, {"a": "LOC", "b": "none"})
RESULT = Extracted(
    document=Document("d", TEXT, (OSLO,), meta={"x": 1}),
    member_mentions={"a": (OSLO,), "b": ()},
    candidate_spans=(Span(0, 3), Span(9, 13)),
    voted_labels={Span(0, 3): None, Span(9, 13): "LOC"},
    verifications={Span(9, 13): True},
    ledger=(
        LedgerEntry("Berlin", Fate.NOT_IN_TEXT, ("b",)),
        LedgerEntry("Oslo", Fate.KEPT, ("a", "b"), Span(9, 13), "LOC", "score 0.500"),
    ),
    demonstration_ids=(("p1", "p2"),),
    costs=(("extraction", "a", Usage(10, 2, 3, 0.5, 1, 0)),),
    sentence_count=1,
    absent_members={"c": "the server is gone"},
)


def test_a_result_survives_json() -> None:
    record = json.loads(json.dumps(to_record(RESULT)))
    assert from_record(RESULT.document, record) == RESULT


def test_a_record_that_does_not_fit_the_document_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Oslo|\[9, 13\)"):
        from_record(Document("d", "short"), to_record(RESULT))
    with pytest.raises(KeyError):
        from_record(RESULT.document, {})


def test_the_key_of_a_document_depends_on_all_but_its_mentions() -> None:
    plain = document(TEXT)
    assert document_key(document(TEXT, ("Oslo", "LOC"))) == document_key(plain)
    others = [
        replace(plain, id="other"),
        replace(plain, text="Ann left."),
        replace(plain, tokens=(Span(0, 3),)),
        replace(plain, meta={"x": 1}),
    ]
    assert len({document_key(plain), *map(document_key, others)}) == 5
