from __future__ import annotations

import pytest

from entsemble.errors import DataError
from entsemble.evaluation.documents import first_difference, pair_documents, with_gold_ids
from entsemble.types import Document


def test_pairs_by_id_in_gold_order() -> None:
    gold, found = [Document("a", "x"), Document("b", "y")], [Document("b", "y"), Document("a", "x")]
    assert [(p.gold.id, p.predicted and p.predicted.id) for p in pair_documents(gold, found)] == [
        ("a", "a"),
        ("b", "b"),
    ]


def test_a_missing_answer_is_no_answer() -> None:
    (only,) = pair_documents([Document("a", "x")], [])
    assert only.predicted is None
    assert only.predicted_mentions == ()


def test_an_unknown_id_is_named() -> None:
    with pytest.raises(DataError, match="'z' is not among the gold documents"):
        pair_documents([Document("a", "x")], [Document("a", "x"), Document("z", "x")])


@pytest.mark.parametrize(("text", "at"), [("Ann saw Bob", 4), ("Ann met", 7), ("Ann met Bob.", 11), ("", 0)])
def test_other_text_is_named_with_its_first_offset(text: str, at: int) -> None:
    with pytest.raises(DataError, match=f"document 'a': .* differ from offset {at} on"):
        pair_documents([Document("a", "Ann met Bob")], [Document("a", text)])


def test_offsets_of_differences_are_code_points() -> None:
    assert first_difference("𝔄é日本", "𝔄é日米") == 3


def test_ids_are_unique() -> None:
    twice = [Document("a", "x"), Document("a", "x")]
    with pytest.raises(DataError, match="twice in the gold"):
        pair_documents(twice, [])
    with pytest.raises(DataError, match="twice in the predicted"):
        pair_documents([Document("a", "x")], twice)


def test_ids_by_position() -> None:
    gold = [Document("a", "x"), Document("b", "y")]
    assert [x.id for x in with_gold_ids(gold, [Document("1", "x"), Document("2", "y")])] == ["a", "b"]
    with pytest.raises(DataError, match="2 gold and 1 predicted"):
        with_gold_ids(gold, [Document("1", "x")])
