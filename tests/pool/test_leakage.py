"""What gives the annotation of a text away: copies of it, what holds it, and what it holds."""

from __future__ import annotations

from typing import Any

import pytest

from entsemble.data.windows import sentence_splitter
from entsemble.pool.gazetteer import Gazetteer
from entsemble.pool.leakage import LeakageGuard
from entsemble.pool.neighbours import NeighbourIndex
from entsemble.pool.word_counts import WordStatistics
from entsemble.retrieval.index import PoolIndex, Query, encode_pool
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.types import Document, LabelSet
from tests.factories import sentence

SPLIT = sentence_splitter()


ASKED = "Mary Berg lives in Oslo. She left Bergen in May."

OTHER = sentence("Ann saw Rome.", ("Ann", "PER"), ("Rome", "LOC"))
GIVING_AWAY = [
    [sentence("MARY BERG lives in  Oslo.", ("MARY BERG", "PER"), ("Oslo", "LOC"))],
    [
        sentence("Mary Berg lives in Oslo.", ("Mary Berg", "PER")),
        sentence("She left Bergen in May.", ("Bergen", "LOC")),
    ],
    [sentence(ASKED, ("Mary Berg", "PER"), ("Oslo", "LOC"), ("Bergen", "LOC"))],
]


@pytest.mark.parametrize("own", GIVING_AWAY)
def test_a_text_is_found_whole_and_in_parts(own: list[Document]) -> None:
    copies = LeakageGuard([OTHER, *own], SPLIT)
    assert copies.leaking_indices(ASKED) == [*range(1, len(own) + 1)]
    assert copies.leaking_documents(ASKED) == own
    assert copies.leaking_indices("Ann saw Rome. She left Bergen in June.") == [0]


def test_what_holds_a_text_is_found() -> None:
    copies = LeakageGuard([OTHER, sentence(ASKED)], SPLIT)
    assert copies.leaking_indices("she left Bergen  in May.") == [1]
    assert copies.leaking_indices("She left") == []


@pytest.mark.parametrize("own", GIVING_AWAY)
def test_no_part_of_a_text_is_shown_for_it_or_speaks_of_it(
    own: list[Document], places: LabelSet, trigrams: Any
) -> None:
    pool = [OTHER, *own]
    vectors = encode_pool(pool, [[m.text for m in d.mentions] for d in pool], trigrams)
    told: Any = {"encoder": trigrams, "pos_tagger": HeuristicPosTagger(), "similarity": "sentence"}
    index = PoolIndex(pool, vectors, **told, find_leaking=LeakageGuard(pool, SPLIT).leaking_indices)
    assert [hit.document for hit in index.search(Query(ASKED), 9)] == [OTHER]
    assert Gazetteer(pool, places, 2, SPLIT).lookup(ASKED) == {}
    spans = [m.span for m in sentence(ASKED, ("Mary Berg", "PER"), ("Bergen", "LOC")).mentions]
    assert WordStatistics(pool, places, SPLIT).features_for(ASKED, spans) == WordStatistics(
        [OTHER], places, SPLIT
    ).features_for(ASKED, spans)
    apart = NeighbourIndex([OTHER], places, trigrams, trigrams, SPLIT)
    assert NeighbourIndex(pool, places, trigrams, trigrams, SPLIT).neighbours_for(
        ASKED, ["Mary Berg"]
    ) == apart.neighbours_for(ASKED, ["Mary Berg"])
