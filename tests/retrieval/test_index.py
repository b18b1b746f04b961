from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.errors import UnknownNameError
from entsemble.protocols import Encoder, Vectors
from entsemble.retrieval.index import PoolIndex, Query, encode_pool
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.retrieval.similarity import span_weight
from entsemble.types import Document, Span, mention_at

SENTENCES = [
    ("Ann went to Oslo.", ["Ann", "Oslo"]),
    ("It rained.", []),
    ("Oslo is far from Bergen.", ["Oslo", "Bergen"]),
    ("The mayor of Oslo resigned.", ["Oslo"]),
    ("ann  went to OSLO.", ["ann", "OSLO"]),
    ("Snow in Kyoto.", ["Kyoto"]),
]


def documents(sentences: Sequence[tuple[str, list[str]]]) -> list[Document]:
    return [
        Document(f"p{i}", text, tuple(mention_at(text, text.index(s), text.index(s) + len(s), "X") for s in spans))
        for i, (text, spans) in enumerate(sentences)
    ]


def index(encoder: Encoder, similarity: Any = "span", sentences: Any = SENTENCES, seed: int = 0) -> PoolIndex:
    vectors = encode_pool(documents(sentences), [spans for _, spans in sentences], encoder)
    return PoolIndex(
        documents(sentences),
        vectors,
        encoder=encoder,
        pos_tagger=HeuristicPosTagger(),
        similarity=similarity,
        seed=seed,
    )


def query(text: str, *surfaces: str) -> Query:
    return Query(text, tuple(Span(text.index(s), text.index(s) + len(s)) for s in surfaces))


def ids(hits: Any) -> list[str]:
    return [hit.document.id for hit in hits]


def test_a_span_search_by_hand(trigrams: Any) -> None:
    asked = query("Bob moved to Oslo", "Bob", "Oslo")
    hits = index(trigrams).search(asked, 9)

    def cosine(a: str, b: str) -> float:
        u, v = trigrams.encode([a, b])
        return float(u @ v)

    own = {f"p{i}": spans for i, (_, spans) in enumerate(SENTENCES)}
    for hit in hits:
        nearest = [max((cosine(s, c) for c in own[hit.document.id]), default=0.0) for s in ("Bob", "Oslo")]
        assert hit.score == pytest.approx(sum(nearest) / 2, abs=1e-5)
        assert [m.cosine for m in hit.matches] == pytest.approx(nearest if own[hit.document.id] else [], abs=1e-5)
        assert all(m.weight == span_weight("PROPN") for m in hit.matches)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].matches[1].pool_surface == "Oslo"
    assert ids(hits)[-1] == "p1"


def test_equal_spans_are_told_apart_by_the_sentence(trigrams: Any) -> None:
    found = index(trigrams)
    text = "Who is the mayor of Oslo?"
    assert ids(found.search(query(text, "Oslo"), 1)) == ["p3"]
    text = "How far is Oslo from here?"
    assert ids(found.search(query(text, "Oslo"), 1)) == ["p2"]


@pytest.mark.parametrize("similarity", ["span", "sentence", "random"])
@pytest.mark.parametrize("text", ["Ann went to Oslo.", "ANN WENT TO OSLO.", " ann  went\nto oslo. "])
def test_a_sentence_never_finds_itself_nor_anything_twice(trigrams: Any, similarity: Any, text: str) -> None:
    found = index(trigrams, similarity)
    spans = (Span(text.lower().index("oslo"), text.lower().index("oslo") + 4),)
    assert set(ids(found.search(Query(text, spans), 99))) == {"p1", "p2", "p3", "p5"}
    assert set(ids(found.search(query("Lima", "Lima"), 99))) == {"p0", "p1", "p2", "p3", "p5"}


@pytest.mark.parametrize("similarity", ["span", "sentence", "random"])
@pytest.mark.parametrize(("k", "number"), [(0, 0), (1, 1), (3, 3), (99, 5)])
def test_no_more_than_asked_and_no_more_than_there_are(trigrams: Any, similarity: Any, k: int, number: int) -> None:
    hits = index(trigrams, similarity).search(query("Lima", "Lima"), k)
    assert len(hits) == number


def test_a_pool_of_the_sentence_itself_shows_nothing(trigrams: Any) -> None:
    assert index(trigrams, sentences=SENTENCES[:1]).search(query("Ann went to Oslo.", "Oslo"), 3) == []


def test_without_a_span_that_weighs_the_sentence_decides(trigrams: Any) -> None:
    by_sentence = ids(index(trigrams, "sentence").search(Query("Snow in Tokyo."), 3))
    assert by_sentence[0] == "p5"
    found = index(trigrams)
    assert ids(found.search(Query("Snow in Tokyo."), 3)) == by_sentence
    assert ids(found.search(query("Snow in Tokyo.", "."), 3)) == by_sentence
    assert found.search(Query("Snow in Tokyo."), 1)[0].matches == ()


def test_random_depends_on_the_seed_and_the_sentence_alone(trigrams: Any) -> None:
    many = [(f"sentence number {i}", [f"number {i}"]) for i in range(40)]
    found, same = index(trigrams, "random", many), index(trigrams, "random", many)
    first = ids(found.search(Query("a"), 8))
    found.search(Query("b"), 8)
    assert ids(found.search(Query("a"), 8)) == ids(same.search(Query("a"), 8)) == first
    assert ids(found.search(Query("b"), 8)) != first
    assert ids(index(trigrams, "random", many, seed=1).search(Query("a"), 8)) != first
    assert len(set(first)) == 8


@given(st.integers(1, 8))
def test_more_shots_only_add(k: int) -> None:
    class Letters:
        fingerprint = weights_fingerprint = "letters"

        def encode(self, texts: Sequence[str]) -> Vectors:
            rows = np.array([[1 + t.lower().count(c) for c in "aeiouslokb"] for t in texts], dtype=np.float32)
            return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    found = index(Letters())
    asked = query("Bob likes Oslo", "Bob", "Oslo")
    assert ids(found.search(asked, k)) == ids(found.search(asked, 99))[:k]


def test_an_unknown_similarity_lists_the_known(trigrams: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"'alphabet'.*random, sentence, span"):
        index(trigrams, "alphabet")


def test_each_surface_is_encoded_once(trigrams: Any) -> None:
    index(trigrams)
    assert trigrams.asked.count("Oslo") == 1


def test_a_pool_in_which_no_span_was_found(trigrams: Any) -> None:
    from entsemble.retrieval.embedding_cache import CachedEncoder

    class Nothing:
        def get(self, owner: str, texts: Sequence[str]) -> dict[str, bytes]:
            return {}

        def put(self, owner: str, values: dict[str, bytes]) -> None:
            pass

    store: Any = Nothing()
    pool: list[tuple[str, list[str]]] = [(text, []) for text, _ in SENTENCES]
    vectors = encode_pool(documents(pool), [()] * len(pool), CachedEncoder(trigrams, store))
    found = PoolIndex(documents(pool), vectors, encoder=trigrams, pos_tagger=HeuristicPosTagger())
    assert ids(found.search(query("Snow in Tokyo.", "Tokyo"), 1)) == ["p5"]


@pytest.mark.parametrize("similarity", ["span", "sentence", "random"])
def test_a_text_is_not_shown_for_what_it_holds(trigrams: Any, similarity: Any) -> None:
    pool = [("Ann Berg. Lee saw Oslo", ["Ann Berg. Lee"]), ("Lee saw Rome", ["Lee"])]
    vectors = encode_pool(documents(pool), [spans for _, spans in pool], trigrams)
    told: Any = {"encoder": trigrams, "pos_tagger": HeuristicPosTagger(), "similarity": similarity}
    asked = query("lee saw Oslo", "Oslo")
    apart = PoolIndex(documents(pool), vectors, **told, find_leaking=lambda text: [0] if text == "lee saw Oslo" else [])
    assert ids(apart.search(asked, 9)) == ["p1"]
    assert set(ids(PoolIndex(documents(pool), vectors, **told).search(asked, 9))) == {"p0", "p1"}
