"""F1 on a text after 0, 1, 2, 5, 10 and 20 sentences of two other texts of its domain were corrected.

    python -m benchmarks.review.run [--again]

Each of the twelve texts is scored twice: with the first sentences of the other two texts in either order. What is
corrected is what stands first, as for a reviewer who reads from the top; the gold mentions stand for the corrections.
The preset is the default. Counts of every sentence, summed over both orders, are written to
`results/<domain>/<corrected sentences>.json`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import run_once
from benchmarks.quality.compare import count_sentences
from benchmarks.quality.small_pools import answer_instantly
from benchmarks.review.texts import LABELS, read_domain
from entsemble.types import Document

RESULTS = Path(__file__).with_name("results")
SIZES = (0, 1, 2, 5, 10, 20)


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--again", action="store_true", help="measure again what is measured")
    is_forced = parser.parse_args().again
    for size in SIZES:
        for domain in LABELS:
            inputs = {"domain": domain, "corrected": size}
            measure = partial(measure_domain, domain, size)
            run_once(result_file(domain, size), "python -m benchmarks.review.run", measure, inputs, force=is_forced)
            print(f"{domain}: {size} sentences: done", flush=True)


def result_file(domain: str, size: int) -> Path:
    """Where the counts of a domain after so many corrected sentences are."""
    return RESULTS / domain / f"{size}.json"


def measure_domain(domain: str, size: int) -> dict[str, Any]:
    """Exact true positives, false positives and false negatives of each sentence of a domain, summed over both orders.

    Args:
        domain: see `texts`.
        size: number of corrected sentences.
    """
    totals: list[list[int]] = []
    for scored, orders in rotations(read_domain(domain)):
        runs = [
            count_sentences(scored, answer_instantly(order[:size], scored, {"labels": dict(LABELS[domain])}))
            for order in orders
        ]
        totals += np.sum(runs, axis=0).tolist()
    return {"counts": totals}


def rotations(texts: Sequence[list[Document]]) -> Iterator[tuple[list[Document], list[list[Document]]]]:
    """Each text, with the sentences of the other two in either order."""
    for index, scored in enumerate(texts):
        first, second = (text for other, text in enumerate(texts) if other != index)
        yield scored, [[*first, *second], [*second, *first]]


if __name__ == "__main__":
    main()
