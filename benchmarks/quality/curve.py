"""How many sentences a pool needs: the default with pools of 10 to 100 sentences.

    python -m benchmarks.quality.curve [--only conll2003,wnut17]

Pools are drawn from the training file of a corpus, the smaller ones parts of the larger; what is scored is drawn from
its development file, which is of other documents. Nothing is chosen by it. The members are run by the fastest engine of
this machine (`common.ENGINE`). Counts go to `results/curve/<corpus>/<size>.json`; what is there is not run again, so
that what was stopped goes on where it was. `benchmarks.peers.curve` asks the peers the same.
"""

from __future__ import annotations

import argparse
import random
from functools import partial

from benchmarks.common import ENGINE, corpora_folder, run_once
from benchmarks.quality.compare import RESULTS, TRAIN, measure
from benchmarks.quality.run import CORPORA
from entsemble.data.formats import read
from entsemble.types import Document

SIZES = (10, 25, 50, 100)
SENTENCES = 60
SEED = 0
DEFAULT = {"pool": {"gazetteer": 2}, "stacking": {"sentences": None}}
"""What `measure` would leave out."""


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="conll2003", help="corpora, separated by commas")
    given = parser.parse_args()
    for corpus in given.only.split(","):
        pool, scored = drawn(corpus)
        for size in SIZES:
            target = RESULTS / "curve" / corpus / f"{size}.json"
            command = f"python -m benchmarks.quality.curve --only {corpus}"
            told = {"corpus": corpus, "pool": size, "engine": ENGINE}
            run_once(target, command, partial(_measured, pool[:size], scored), told)
            print(f"{corpus}: {size} sentences: done", flush=True)


def drawn(corpus: str) -> tuple[list[Document], list[Document]]:
    """The largest pool, and what is scored, which it holds nothing of."""
    [gold] = [c.gold for c in CORPORA if c.name == corpus]
    scored = random.Random(SEED).sample([d for d in read(corpora_folder() / gold) if d.text.strip()], SENTENCES)
    apart = {d.text for d in scored}
    train = [d for d in read(corpora_folder() / TRAIN[corpus]) if d.text.strip() and d.text not in apart]
    return random.Random(SEED).sample(train, max(SIZES)), scored


def _measured(pool: list[Document], scored: list[Document]) -> dict[str, object]:
    return measure(pool, scored, DEFAULT, cost=False) | {"seed": SEED}


if __name__ == "__main__":
    main()
