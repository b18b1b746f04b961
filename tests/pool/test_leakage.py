"""The leakage guard, and that all pool statistics respect it."""

from __future__ import annotations

from typing import Any

import pytest

from entsemble.data.windows import sentence_splitter
from entsemble.pool.gazetteer import Gazetteer
from entsemble.pool.leakage import LeakageGuard, text_keys
from entsemble.pool.neighbours import NeighbourIndex
from entsemble.pool.word_counts import WordStatistics
from entsemble.retrieval.index import PoolIndex, Query, encode_pool
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.types import Document, LabelSet
from tests.factories import mention, sentence

SPLIT = sentence_splitter()
TEXT = "Mary Berg lives in Oslo. She left Bergen in May."
OTHER = sentence("Ann saw Rome.", ("Ann", "PER"), ("Rome", "LOC"))
LEAKING_POOLS = [
    [sentence("MARY BERG lives in  Oslo.", ("MARY BERG", "PER"), ("Oslo", "LOC"))],
    [
        sentence("Mary Berg lives in Oslo.", ("Mary Berg", "PER")),
        sentence("She left Bergen in May.", ("Bergen", "LOC")),
    ],
    [sentence(TEXT, ("Mary Berg", "PER"), ("Oslo", "LOC"), ("Bergen", "LOC"))],
]


@pytest.mark.parametrize("leaking", LEAKING_POOLS)
def test_documents_that_equal_a_text_or_one_of_its_sentences_leak_it(leaking: list[Document]) -> None:
    guard = LeakageGuard([OTHER, *leaking], SPLIT)
    assert guard.leaking_indices(TEXT) == [*range(1, len(leaking) + 1)]
    assert guard.leaking_documents(TEXT) == leaking
    assert guard.leaking_indices("Ann saw Rome. She left Bergen in June.") == [0]


def test_a_document_that_contains_a_text_as_a_sentence_leaks_it() -> None:
    guard = LeakageGuard([OTHER, sentence(TEXT)], SPLIT)
    assert guard.leaking_indices("she left Bergen  in May.") == [1]
    assert guard.leaking_indices("She left") == []


def test_keys_are_of_the_text_and_its_sentences() -> None:
    keys = text_keys([sentence(TEXT)], SPLIT)
    assert keys == text_keys([sentence(part) for part in (TEXT, "Mary Berg lives in Oslo.", TEXT[25:])], SPLIT)
    assert len(keys) == 3


@pytest.mark.parametrize("leaking", LEAKING_POOLS)
def test_leaking_documents_are_neither_demonstrations_nor_counted(
    leaking: list[Document], places: LabelSet, trigrams: Any
) -> None:
    pool = [OTHER, *leaking]
    index = PoolIndex(
        pool,
        encode_pool(pool, [[mention.text for mention in document.mentions] for document in pool], trigrams),
        encoder=trigrams,
        pos_tagger=HeuristicPosTagger(),
        similarity="sentence",
        find_leaking=LeakageGuard(pool, SPLIT).leaking_indices,
    )
    assert [hit.document for hit in index.search(Query(TEXT), 9)] == [OTHER]
    assert Gazetteer(LeakageGuard(pool, SPLIT), places, 2).lookup(TEXT) == {}
    spans = [mention(TEXT, "Mary Berg", "PER").span, mention(TEXT, "Bergen", "LOC").span]
    word_features, expected_features = (
        WordStatistics(LeakageGuard(documents, SPLIT), places).features_for(TEXT, spans)
        for documents in (pool, [OTHER])
    )
    assert word_features == expected_features
    neighbours, expected_neighbours = (
        NeighbourIndex(LeakageGuard(documents, SPLIT), places, trigrams, trigrams).neighbours_for(TEXT, ["Mary Berg"])
        for documents in (pool, [OTHER])
    )
    assert neighbours == expected_neighbours
