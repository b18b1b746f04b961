from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.errors import UnknownNameError
from entsemble.protocols import Encoder, Vectors
from entsemble.retrieval.embedding_cache import CachedEncoder, PoolCache
from entsemble.retrieval.index import Hit, PoolIndex, PoolVectors, Query, encode_pool
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.retrieval.similarity import span_weight
from entsemble.types import Document, Span
from tests.factories import document

POOL = [
    document("Ann went to Oslo.", ("Ann", "X"), ("Oslo", "X"), id="p0"),
    document("It rained.", id="p1"),
    document("Oslo is far from Bergen.", ("Oslo", "X"), ("Bergen", "X"), id="p2"),
    document("The mayor of Oslo resigned.", ("Oslo", "X"), id="p3"),
    document("ann  went to OSLO.", ("ann", "X"), ("OSLO", "X"), id="p4"),
    document("Snow in Kyoto.", ("Kyoto", "X"), id="p5"),
]

EVERY_SIMILARITY = pytest.mark.parametrize("similarity", ["span", "sentence", "random"])


def build_index(
    encoder: Encoder,
    similarity: Any = "span",
    pool: Sequence[Document] = POOL,
    seed: int = 0,
    find_leaking: Callable[[str], Sequence[int]] | None = None,
) -> PoolIndex:
    spans = [[mention.text for mention in one.mentions] for one in pool]
    return PoolIndex(
        pool,
        encode_pool(pool, spans, encoder),
        encoder=encoder,
        pos_tagger=HeuristicPosTagger(),
        similarity=similarity,
        seed=seed,
        find_leaking=find_leaking,
    )


def query(text: str, *surfaces: str) -> Query:
    starts = [text.index(surface) for surface in surfaces]
    spans = (Span(start, start + len(surface)) for start, surface in zip(starts, surfaces, strict=True))
    return Query(text, tuple(spans))


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.document.id for hit in hits]


def test_span_similarity_is_the_mean_cosine_of_each_span_to_its_nearest(trigrams: Any) -> None:
    query_surfaces = ("Bob", "Oslo")
    hits = build_index(trigrams).search(query("Bob moved to Oslo", *query_surfaces), 9)

    def cosine(first: str, second: str) -> float:
        first_vector, second_vector = trigrams.encode([first, second])
        return float(first_vector @ second_vector)

    for hit in hits:
        surfaces = [mention.text for mention in hit.document.mentions]
        nearest = [max((cosine(mine, other) for other in surfaces), default=0.0) for mine in query_surfaces]
        assert hit.score == pytest.approx(sum(nearest) / 2, abs=1e-5)
        assert [match.cosine for match in hit.matches] == pytest.approx(nearest if surfaces else [], abs=1e-5)
        assert all(match.weight == span_weight("PROPN") for match in hit.matches)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].matches[1].pool_surface == "Oslo"
    assert ids(hits)[-1] == "p1"


def test_ties_of_span_similarity_are_broken_by_the_sentence(trigrams: Any) -> None:
    index = build_index(trigrams)
    assert ids(index.search(query("Who is the mayor of Oslo?", "Oslo"), 1)) == ["p3"]
    assert ids(index.search(query("How far is Oslo from here?", "Oslo"), 1)) == ["p2"]


@EVERY_SIMILARITY
@pytest.mark.parametrize("text", ["Ann went to Oslo.", "ANN WENT TO OSLO.", " ann  went\nto oslo. "])
def test_a_sentence_never_retrieves_itself_or_two_copies_of_a_text(trigrams: Any, similarity: Any, text: str) -> None:
    index = build_index(trigrams, similarity)
    start = text.lower().index("oslo")
    assert set(ids(index.search(Query(text, (Span(start, start + 4),)), 99))) == {"p1", "p2", "p3", "p5"}
    assert set(ids(index.search(query("Lima", "Lima"), 99))) == {"p0", "p1", "p2", "p3", "p5"}


def test_a_pool_of_the_sentence_alone_gives_no_hits(trigrams: Any) -> None:
    assert build_index(trigrams, pool=POOL[:1]).search(query("Ann went to Oslo.", "Oslo"), 3) == []


@EVERY_SIMILARITY
def test_leaking_documents_are_never_retrieved(trigrams: Any, similarity: Any) -> None:
    pool = [
        document("Ann Berg. Lee saw Oslo", ("Ann Berg. Lee", "X"), id="p0"),
        document("Lee saw Rome", ("Lee", "X"), id="p1"),
    ]
    text = "lee saw Oslo"
    guarded = build_index(trigrams, similarity, pool, find_leaking=lambda other: [0] if other == text else [])
    unguarded = build_index(trigrams, similarity, pool)
    assert ids(guarded.search(query(text, "Oslo"), 9)) == ["p1"]
    assert set(ids(unguarded.search(query(text, "Oslo"), 9))) == {"p0", "p1"}


@EVERY_SIMILARITY
@pytest.mark.parametrize(("limit", "hit_count"), [(0, 0), (1, 1), (3, 3), (99, 5)])
def test_the_number_of_hits_is_limited(trigrams: Any, similarity: Any, limit: int, hit_count: int) -> None:
    assert len(build_index(trigrams, similarity).search(query("Lima", "Lima"), limit)) == hit_count


def test_without_a_span_of_positive_weight_the_sentence_decides(trigrams: Any) -> None:
    by_sentence = ids(build_index(trigrams, "sentence").search(Query("Snow in Tokyo."), 3))
    assert by_sentence[0] == "p5"
    index = build_index(trigrams)
    assert ids(index.search(Query("Snow in Tokyo."), 3)) == by_sentence
    assert ids(index.search(query("Snow in Tokyo.", "."), 3)) == by_sentence
    assert index.search(Query("Snow in Tokyo."), 1)[0].matches == ()


def test_a_pool_without_spans_is_searched_by_sentence(tmp_path: Any, trigrams: Any) -> None:
    pool = [document(one.text, id=one.id) for one in POOL]
    cached_encoder = CachedEncoder(trigrams, PoolCache(tmp_path / "pools.sqlite"))
    vectors = encode_pool(pool, [()] * len(pool), cached_encoder)
    index = PoolIndex(pool, vectors, encoder=trigrams, pos_tagger=HeuristicPosTagger())
    assert ids(index.search(query("Snow in Tokyo.", "Tokyo"), 1)) == ["p5"]


def test_a_random_search_depends_on_the_seed_and_the_query_alone(trigrams: Any) -> None:
    pool = [document(f"sentence number {number}", id=f"p{number}") for number in range(40)]
    index, same_seed = build_index(trigrams, "random", pool), build_index(trigrams, "random", pool)
    first = ids(index.search(Query("a"), 8))
    assert len(set(first)) == 8
    index.search(Query("b"), 8)
    assert ids(index.search(Query("a"), 8)) == ids(same_seed.search(Query("a"), 8)) == first
    assert ids(index.search(Query("b"), 8)) != first
    other_seed = build_index(trigrams, "random", pool, seed=1)
    assert ids(other_seed.search(Query("a"), 8)) != first


class LetterEncoder:
    fingerprint = weights_fingerprint = "letters"

    def encode(self, texts: Sequence[str]) -> Vectors:
        counts = [[1 + text.lower().count(letter) for letter in "aeiouslokb"] for text in texts]
        rows = np.array(counts, dtype=np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@given(st.integers(1, 8))
def test_a_lower_limit_gives_the_first_of_the_same_hits(limit: int) -> None:
    index = build_index(LetterEncoder())
    bob = query("Bob likes Oslo", "Bob", "Oslo")
    assert ids(index.search(bob, limit)) == ids(index.search(bob, 99))[:limit]


def test_each_distinct_surface_is_encoded_once(trigrams: Any) -> None:
    build_index(trigrams)
    assert trigrams.encoded_texts.count("Oslo") == 1


def test_an_unknown_similarity_is_refused_with_a_list_of_all_similarities(trigrams: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"'alphabet'.*random, sentence, span"):
        build_index(trigrams, "alphabet")


def test_one_long_text_does_not_widen_the_others(trigrams: Any) -> None:
    pool = [document(f"Sentence {number}.", id=f"p{number}") for number in range(500)]
    pool.append(document("very " * 200_000 + "long", id="long"))
    vectors = np.eye(1, 8, dtype=np.float32).repeat(len(pool), axis=0)
    tracemalloc.start()
    index = PoolIndex(
        pool,
        PoolVectors(vectors, (), np.zeros((0, 1), dtype=np.float32), ((),) * len(pool)),
        encoder=trigrams,
        pos_tagger=HeuristicPosTagger(),
        similarity="random",
    )
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(index.search(Query("another"), 1000)) == 501
    assert peak_bytes < 20e6
