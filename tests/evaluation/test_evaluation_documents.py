from __future__ import annotations

import pytest

from entsemble.errors import DataError
from entsemble.evaluation.documents import first_difference, stream_pairs, with_gold_ids
from entsemble.types import Document


def test_documents_are_paired_by_id_with_the_position_of_the_gold_one() -> None:
    gold, predicted = [Document("a", "x"), Document("b", "y")], [Document("b", "y"), Document("a", "x")]
    pairs = sorted(stream_pairs(gold, predicted), key=lambda placed: placed[0])
    assert [(position, pair.gold, pair.predicted) for position, pair in pairs] == [
        (0, gold[0], predicted[1]),
        (1, gold[1], predicted[0]),
    ]


def test_a_missing_document_has_no_predicted_mentions() -> None:
    [(_, only)] = stream_pairs([Document("a", "x")], [])
    assert only.predicted is None
    assert only.predicted_mentions == ()


def test_an_unknown_id_is_refused() -> None:
    with pytest.raises(DataError, match="'z' is not among the gold documents"):
        list(stream_pairs([Document("a", "x")], [Document("a", "x"), Document("z", "x")]))


@pytest.mark.parametrize(("text", "offset"), [("Ann saw Bob", 4), ("Ann met", 7), ("Ann met Bob.", 11), ("", 0)])
def test_a_different_text_is_refused_with_the_offset_of_the_difference(text: str, offset: int) -> None:
    with pytest.raises(DataError, match=f"document 'a': .* differ from offset {offset} on"):
        list(stream_pairs([Document("a", "Ann met Bob")], [Document("a", text)]))


def test_offsets_count_code_points() -> None:
    assert first_difference("𝔄é日本", "𝔄é日米") == 3


def test_duplicate_ids_are_refused() -> None:
    twice = [Document("a", "x"), Document("a", "x")]
    with pytest.raises(DataError, match="twice in the gold"):
        list(stream_pairs(twice, []))
    with pytest.raises(DataError, match="twice in the predicted"):
        list(stream_pairs([Document("a", "x")], twice))


def test_gold_ids_are_copied_by_position() -> None:
    gold = [Document("a", "x"), Document("b", "y")]
    assert [document.id for document in with_gold_ids(gold, [Document("1", "x"), Document("2", "y")])] == ["a", "b"]
    with pytest.raises(DataError, match="2 gold and 1 predicted"):
        list(with_gold_ids(gold, [Document("1", "x")]))
