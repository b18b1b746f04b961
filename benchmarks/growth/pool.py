"""The steps of a pool, from its sentences to a search, with random vectors instead of an encoder.

python -m benchmarks.growth.pool 1000 steps.json
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.growth.inputs import LABELS, RandomEncoder, sentences
from entsemble.data.windows import sentence_splitter
from entsemble.pool.gazetteer import Gazetteer
from entsemble.pool.leakage import LeakageGuard
from entsemble.pool.neighbours import NeighbourIndex
from entsemble.pool.word_counts import WordStatistics
from entsemble.prompting.labels import label_set
from entsemble.retrieval.embedding_cache import CachedEncoder, PoolCache
from entsemble.retrieval.index import PoolIndex, Query, encode_pool
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger

SEARCHES = 10


def main() -> None:
    """Time each step, and write the seconds as JSON."""
    sentence_count, target = int(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        steps = time_steps(sentence_count, Path(folder))
    target.write_text(json.dumps(steps), encoding="utf-8")


def time_steps(sentence_count: int, folder: Path) -> dict[str, float]:
    """Seconds of each step for a pool of so many sentences, whose vectors are stored in a folder."""
    documents, labels = sentences(sentence_count), label_set(dict.fromkeys(LABELS, ""))
    clock = _StepClock()
    encoder = RandomEncoder()
    cached_encoder = CachedEncoder(encoder, PoolCache(folder / "pools.sqlite"))
    surfaces = [tuple(mention.text for mention in document.mentions) for document in documents]
    vectors = encode_pool(documents, surfaces, cached_encoder)
    clock.finish("vectors, computed")
    vectors = encode_pool(documents, surfaces, cached_encoder)
    clock.finish("vectors, from the cache")
    leakage_guard = LeakageGuard(documents, sentence_splitter())
    clock.finish("leakage guard")
    pool_index = PoolIndex(
        documents,
        vectors,
        encoder=encoder,
        pos_tagger=HeuristicPosTagger(),
        find_leaking=leakage_guard.leaking_indices,
    )
    clock.finish("index")
    gazetteer = Gazetteer(leakage_guard, labels, 2)
    clock.finish("gazetteer")
    word_statistics = WordStatistics(leakage_guard, labels)
    clock.finish("words")
    neighbours = NeighbourIndex(leakage_guard, labels, cached_encoder, encoder)
    clock.finish("names")
    for document in documents[:SEARCHES]:
        spans = tuple(mention.span for mention in document.mentions)
        pool_index.search(Query(document.text, spans), 20)
        gazetteer.lookup(document.text)
        word_statistics.features_for(document.text, spans)
        neighbours.neighbours_for(document.text, [span.slice(document.text) for span in spans])
    clock.finish(f"{SEARCHES} searches")
    return clock.seconds


class _StepClock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    def finish(self, step: str) -> None:
        """The time since the last step is that of this one."""
        now = time.perf_counter()
        self.seconds[step], self._started = round(now - self._started, 3), now


if __name__ == "__main__":
    main()
