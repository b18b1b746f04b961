from __future__ import annotations

from typing import Any

import pytest

from entsemble.data.windows import sentence_splitter
from entsemble.pool.leakage import LeakageGuard
from entsemble.pool.neighbours import NeighbourIndex
from entsemble.types import Document, LabelSet
from tests.factories import sentence


def build_index(labels: LabelSet, encoder: Any, *documents: Document) -> NeighbourIndex:
    return NeighbourIndex(LeakageGuard(documents, sentence_splitter()), labels, encoder, encoder)


def test_an_unknown_name_has_the_labels_of_similar_names(places: LabelSet, trigrams: Any) -> None:
    index = build_index(
        places,
        trigrams,
        sentence("New Oslo fell", ("New Oslo", "LOC")),
        sentence("Ann Berg won", ("Ann Berg", "PER")),
    )
    [neighbours] = index.neighbours_for("Old Oslo rose", ["Old Oslo"])
    assert neighbours is not None
    assert neighbours.label_shares["LOC"] > 0.9
    assert sum(neighbours.label_shares.values()) == pytest.approx(1)
    assert 0 < neighbours.cosine < 1
    assert neighbours.pool_labels == {"PER", "LOC"}


def test_names_of_leaking_documents_are_no_neighbours(places: LabelSet, trigrams: Any) -> None:
    pool = [sentence("New Oslo fell", ("New Oslo", "LOC")), sentence("Ann Oslo won", ("Ann Oslo", "PER"))]
    [neighbours] = build_index(places, trigrams, *pool).neighbours_for("new  Oslo fell", ["New Oslo"])
    assert neighbours is not None
    assert neighbours.label_shares["PER"] == pytest.approx(1)
    assert build_index(places, trigrams, pool[0]).neighbours_for(pool[0].text, ["New Oslo"]) == [None]


def test_without_names_there_are_no_neighbours(places: LabelSet, trigrams: Any) -> None:
    assert build_index(places, trigrams, sentence("Rain")).neighbours_for("Oslo", ["Oslo"]) == [None]
    assert build_index(places, trigrams, sentence("Rain")).neighbours_for("Oslo", []) == []


def test_repeated_surfaces_have_the_same_neighbours(places: LabelSet, trigrams: Any) -> None:
    index = build_index(places, trigrams, sentence("New Oslo fell", ("New Oslo", "LOC")))
    first, other, repeated = index.neighbours_for("Oslo or Rome or Oslo", ["Oslo", "Rome", "Oslo"])
    assert first == repeated != other
