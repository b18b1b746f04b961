"""How much better the ensemble is within the documents of its pool than in others, and which threshold that asks for.

    python -m benchmarks.quality.within [--only genia,bc5cdr]

On training data alone. The first four fifths of a training file are the pool, of which 40 sentences teach what the
votes are worth, each answered without itself; sentences of the last fifth, of other documents, are scored. The members
are run by transformers in bfloat16. Learning tells the best F1 that a threshold gives within the pool, by
cross-validation; a result has that and, for several shares of it as threshold, the counts of every scored sentence.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import corpora, in_batches, run_missing
from benchmarks.quality.compare import ENGINE, RESULTS, TRAIN, counted
from entsemble.assemble import Assembly, unannotated
from entsemble.data.formats import read, write
from entsemble.ensemble.document import Extracted
from entsemble.ensemble.stacking import SHARE
from entsemble.settings import environment, load

SEED = 3
SENTENCES = {"bc5cdr": 100, "genia": 60, "conll2003": 100, "wnut17": 100}
LEARNT = 40
SHARES = (0.5, 0.4, 0.3, 0.2)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="corpora, separated by commas")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else SENTENCES
    command = "python -m benchmarks.quality.within --only {}"
    run_missing(RESULTS / "within", wanted, command, measure, {"engine": ENGINE})


def measure(corpus: str) -> dict[str, Any]:
    """Every share on a corpus."""
    every = [d for d in read(corpora() / TRAIN[corpus]) if d.text.strip()]
    cut = len(every) * 4 // 5
    pool = every[:cut]
    known = {d.text for d in pool}
    scored = random.Random(SEED).sample([d for d in every[cut:] if d.text not in known], SENTENCES[corpus])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        write(pool, path)
        told = {"pool": {"path": path}, "stacking": {"sentences": LEARNT}, "classification": {"threshold": 0.0}}
        with Assembly(in_batches(load(overrides=told)), environment(), scored=scored) as assembly:
            extractor = assembly.extractor()
            results = list(extractor.extract(map(unannotated, scored)))
    if extractor.pipeline.stacking is None:
        sys.exit(f"{corpus}: nothing was learnt")
    within = extractor.pipeline.stacking.weights.threshold / SHARE
    found = [r.document.mentions for r in results if isinstance(r, Extracted)]
    if len(found) < len(scored):
        sys.exit(f"{corpus}: {len(scored) - len(found)} sentences failed")
    shares = {}
    for share in SHARES:
        # of overlapping ones the surest is kept, so that what a threshold leaves out made nobody else go
        kept = [[m for m in some if (m.score or 0.0) >= share * within] for some in found]
        shares[str(share)] = counted(scored, kept)
    return {"corpus": corpus, "seed": SEED, "pool": len(pool), "f1_within": within, "shares": shares}


if __name__ == "__main__":
    main()
