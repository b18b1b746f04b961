"""Peers with pools of 10 to 100 sentences, pools and scored ones those of `benchmarks.quality.curve`.

    python -m benchmarks.peers.curve [--only conll2003] [--peers "spaCy trained,spacy-llm"]

spaCy is trained from nothing on the pool; spacy-llm and langextract show all of it to the larger member in every prompt
(the smaller answers neither usefully, see `benchmarks.peers.run`), which has room for it. One result a corpus, peer and
pool; what is there is not run again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.common import run_once
from benchmarks.peers.run import MODELS, RESULTS, peers_python, served, spent, theirs
from benchmarks.quality.curve import SEED, SIZES, sample_corpus
from entsemble.prompting.labels import label_set
from entsemble.types import Document

MODEL = MODELS[-1]
CONTEXT = 16384
"""Tokens: what langextract makes of 100 sentences, and the reply."""

PEERS = {"spaCy trained": "spacy trained", "spacy-llm": "spacy-llm", "langextract": "langextract"}
"""Name -> what `theirs.py` calls it."""


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="conll2003", help="corpora, separated by commas")
    parser.add_argument("--peers", default=",".join(PEERS), help="separated by commas")
    options = parser.parse_args()
    for corpus in options.only.split(","):
        pool, scored = sample_corpus(corpus)
        for peer in options.peers.split(","):
            for size in SIZES:
                target = RESULTS / "curve" / corpus / f"{PEERS[peer].replace(' ', '-')}-{size}.json"
                command = f'python -m benchmarks.peers.curve --only {corpus} --peers "{peer}"'
                inputs = {"corpus": corpus, "peer": peer, "pool": size, "seed": SEED}
                run_once(target, command, partial(measure, peer, pool[:size], scored), inputs)
                print(f"{corpus}: {peer}, {size} sentences: done", flush=True)


def measure(peer: str, pool: Sequence[Document], scored: Sequence[Document]) -> dict[str, Any]:
    """Counts of every sentence; a peer knows the labels that the pool has."""
    labels = label_set(dict.fromkeys(sorted({m.label for d in pool for m in d.mentions}), ""))
    if peer == "spaCy trained":
        return theirs(peers_python(), PEERS[peer], scored, pool, labels, "")
    with served([MODEL], context=CONTEXT, slots=1) as urls, spent([*urls.values()]) as tokens:
        result = theirs(peers_python(), PEERS[peer], scored, pool, labels, urls[MODEL])
    return result | tokens


if __name__ == "__main__":
    main()
