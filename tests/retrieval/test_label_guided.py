from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from entsemble.retrieval.index import PoolIndex, Query, encode_pool
from entsemble.retrieval.label_guided import LabelGuidedIndex
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from tests.factories import sentence

POOL = [
    sentence("we saw captain Brandt near Oslo in the rain", ("Brandt", "X"), ("Oslo", "X")),
    sentence("the rain it was so bad all over the land that day", ("land", "X")),
    sentence("all that day and that night it was bad"),
    sentence("Brandt", ("Brandt", "X")),
]


def weighted_cosine(encoder: Any, weights: dict[str, float], first: str, second: str) -> float:
    """Cosine of the texts' weighted mean word embeddings."""
    means = [sum(weights[word] * encoder.encode([word])[0] for word in text.split()) for text in (first, second)]
    return float(means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1]))


def test_similarity_is_the_weight_of_common_words_plus_a_weighted_cosine(trigrams: Any) -> None:
    pool = [sentence("he saw Ann eat", ("Ann", "X")), sentence("in town they all saw it")]
    similarities = LabelGuidedIndex(pool, trigrams, trigrams).similarities("Bob saw Ann")
    # "saw" is once near a mention and once elsewhere. It is in every sentence, so only "Ann" is a common word.
    weights = dict.fromkeys(("Ann", "he", "eat", "Bob"), 1.0) | dict.fromkeys(("in", "town", "they", "all", "it"), 0.01)
    weights["saw"] = (1 + 0.01) / 2
    cosines = [weighted_cosine(trigrams, weights, "Bob saw Ann", one.text) for one in pool]
    assert similarities == pytest.approx([1 + cosines[0], cosines[1]], abs=1e-5)


def test_words_near_mentions_weigh_more_than_others(trigrams: Any) -> None:
    index = LabelGuidedIndex(POOL, trigrams, trigrams)
    assert int(np.argmax(index.similarities("captain Wilk that day"))) == 0
    assert int(np.argmax(index.similarities("Brandt"))) == 3


@pytest.mark.parametrize("text", ["", " ", "?", "\u6771\u4eac"])
def test_texts_without_common_words_have_finite_similarities(trigrams: Any, text: str) -> None:
    assert np.isfinite(LabelGuidedIndex(POOL, trigrams, trigrams).similarities(text)).all()
    assert LabelGuidedIndex([], trigrams, trigrams).similarities(text).shape == (0,)


def pool_index(encoder: Any, label_guided: LabelGuidedIndex | None) -> PoolIndex:
    vectors = encode_pool(POOL, [[mention.text for mention in one.mentions] for one in POOL], encoder)
    return PoolIndex(
        POOL,
        vectors,
        encoder=encoder,
        pos_tagger=HeuristicPosTagger(),
        similarity="label-guided",
        label_guided=label_guided,
    )


def test_a_label_guided_search_ranks_by_it_and_never_returns_the_query_itself(trigrams: Any) -> None:
    label_guided = LabelGuidedIndex(POOL, trigrams, trigrams)
    index = pool_index(trigrams, label_guided)
    hits = index.search(Query("captain Wilk that day"), 2)
    assert hits[0].document is POOL[0]
    assert hits[0].score == pytest.approx(float(label_guided.similarities("captain Wilk that day")[0]))
    assert POOL[3] not in [hit.document for hit in index.search(Query("brandt"), 9)]


def test_a_label_guided_search_needs_its_index(trigrams: Any) -> None:
    with pytest.raises(ValueError, match="needs `label_guided`"):
        pool_index(trigrams, None)
