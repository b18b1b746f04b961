from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from entsemble.retrieval.index import PoolIndex, Query, encode_pool
from entsemble.retrieval.label_guided import LabelGuidedIndex
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.types import Document, mention_at


def told(text: str, *names: str) -> Document:
    return Document(text, text, tuple(mention_at(text, text.index(n), text.index(n) + len(n), "X") for n in names))


POOL = [
    told("we saw captain Brandt near Oslo in the rain", "Brandt", "Oslo"),
    told("the rain it was so bad all over the land that day", "land"),
    told("all that day and that night it was bad"),
    told("Brandt", "Brandt"),
]


def cosine(trigrams: Any, weights: dict[str, float], a: str, b: str) -> float:
    rows = [sum(weights[w] * trigrams.encode([w])[0] for w in text.split()) for text in (a, b)]
    return float(rows[0] @ rows[1] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[1]))


def test_a_similarity_by_hand(trigrams: Any) -> None:
    pool = [told("he saw Ann eat", "Ann"), told("in town they all saw it")]
    got = LabelGuidedIndex(pool, trigrams, trigrams).similarities("Bob saw Ann")
    # "saw" is near a mention once and elsewhere once, but in every sentence: it makes none alike; "Ann" does
    weights = dict.fromkeys(("Ann", "he", "eat", "Bob"), 1.0) | dict.fromkeys(("in", "town", "they", "all", "it"), 0.01)
    weights["saw"] = (1 + 0.01) / 2
    texts = [d.text for d in pool]
    assert got == pytest.approx(
        [1 + cosine(trigrams, weights, "Bob saw Ann", texts[0]), cosine(trigrams, weights, "Bob saw Ann", texts[1])],
        abs=1e-5,
    )


def test_words_near_names_count_and_others_hardly(trigrams: Any) -> None:
    guided = LabelGuidedIndex(POOL, trigrams, trigrams)
    assert int(np.argmax(guided.similarities("captain Wilk that day"))) == 0
    assert int(np.argmax(guided.similarities("Brandt"))) == 3


@pytest.mark.parametrize("text", ["", " ", "?", "\u6771\u4eac"])
def test_texts_that_share_nothing_have_a_similarity_too(trigrams: Any, text: str) -> None:
    assert np.isfinite(LabelGuidedIndex(POOL, trigrams, trigrams).similarities(text)).all()
    assert LabelGuidedIndex([], trigrams, trigrams).similarities(text).shape == (0,)


def test_the_pool_is_searched_by_it(trigrams: Any) -> None:
    vectors = encode_pool(POOL, [[m.text for m in d.mentions] for d in POOL], trigrams)
    made: Any = {"encoder": trigrams, "pos_tagger": HeuristicPosTagger(), "similarity": "label-guided"}
    guided = LabelGuidedIndex(POOL, trigrams, trigrams)
    index = PoolIndex(POOL, vectors, label_guided=guided, **made)
    hits = index.search(Query("captain Wilk that day"), 2)
    assert hits[0].document is POOL[0]
    assert hits[0].score == pytest.approx(float(guided.similarities("captain Wilk that day")[0]))
    assert POOL[3] not in [
        h.document for h in PoolIndex(POOL, vectors, label_guided=guided, **made).search(Query("brandt"), 9)
    ]
    with pytest.raises(ValueError, match="needs `label_guided`"):
        PoolIndex(POOL, vectors, **made)
