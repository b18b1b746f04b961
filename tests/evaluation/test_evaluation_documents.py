from __future__ import annotations

import pytest

from entsemble.errors import DataError
from entsemble.evaluation.documents import first_difference, pair_documents, with_gold_ids
from entsemble.types import Document


def test_documents_are_paired_by_id_in_gold_order() -> None:
    gold, predicted = [Document("a", "x"), Document("b", "y")], [Document("b", "y"), Document("a", "x")]
    pairs = pair_documents(gold, predicted)
    assert [(pair.gold.id, pair.predicted and pair.predicted.id) for pair in pairs] == [("a", "a"), ("b", "b")]


def test_a_missing_document_has_no_predicted_mentions() -> None:
    (only,) = pair_documents([Document("a", "x")], [])
    assert only.predicted is None
    assert only.predicted_mentions == ()


def test_an_unknown_id_is_refused() -> None:
    with pytest.raises(DataError, match="'z' is not among the gold documents"):
        pair_documents([Document("a", "x")], [Document("a", "x"), Document("z", "x")])


@pytest.mark.parametrize(("text", "offset"), [("Ann saw Bob", 4), ("Ann met", 7), ("Ann met Bob.", 11), ("", 0)])
def test_a_different_text_is_refused_with_the_offset_of_the_difference(text: str, offset: int) -> None:
    with pytest.raises(DataError, match=f"document 'a': .* differ from offset {offset} on"):
        pair_documents([Document("a", "Ann met Bob")], [Document("a", text)])


def test_offsets_count_code_points() -> None:
    assert first_difference("𝔄é日本", "𝔄é日米") == 3


def test_duplicate_ids_are_refused() -> None:
    twice = [Document("a", "x"), Document("a", "x")]
    with pytest.raises(DataError, match="twice in the gold"):
        pair_documents(twice, [])
    with pytest.raises(DataError, match="twice in the predicted"):
        pair_documents([Document("a", "x")], twice)


def test_gold_ids_are_copied_by_position() -> None:
    gold = [Document("a", "x"), Document("b", "y")]
    assert [document.id for document in with_gold_ids(gold, [Document("1", "x"), Document("2", "y")])] == ["a", "b"]
    with pytest.raises(DataError, match="2 gold and 1 predicted"):
        list(with_gold_ids(gold, [Document("1", "x")]))
