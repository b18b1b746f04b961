"""Train the model that SaM is compared with: one adapter on all training data of its experts.

    python -m benchmarks.sam.unified [--precision bfloat16]

It starts from the pack's `common`, as the experts do, and is trained on the sentences of all of them except those from
CrossNER, parts of which are targets. Each sentence is seen once, as in the experts' training, so its budget is that of
the experts together. It is stored in `cache`, next to this file, which is not committed. An interrupted training
resumes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from tools.release.experts import corpus_splits, load_plan, train

from benchmarks.common import corpora_folder
from entsemble.assembly import expert_store
from entsemble.experts.peft_folder import WEIGHTS_FILE
from entsemble.settings import Environment, environment
from entsemble.types import Precision

CACHE = Path(__file__).parent / "cache"

COMMON = "common"
UNIFIED = "unified"


def main() -> None:
    """Train it, if it does not exist."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--precision", choices=get_args(Precision), default="float32")
    precision = parser.parse_args().precision
    if not (CACHE / UNIFIED).exists():
        splits = [split for name in taking_part() for split in corpus_splits(name, corpora_folder())]
        licence = load_plan()[COMMON]["licence"]
        domain = "all that the experts learn"
        train(UNIFIED, splits, place(), domain=domain, licence=licence, start=COMMON, precision=precision)


def taking_part() -> tuple[str, ...]:
    """The experts that were not trained on CrossNER."""
    names: list[str] = load_plan()[COMMON]["of"]
    return tuple(names)


def place() -> Environment:
    """The environment whose experts are the shipped ones and the unified one."""
    return environment().model_copy(update={"experts": CACHE})


def adapters(names: Iterable[str]) -> dict[str, str]:
    """Name of an expert -> the first digits of its checksum, which identify it in results."""
    store = expert_store(place())
    return {name: store.get(name).card.files[WEIGHTS_FILE][:16] for name in names}


if __name__ == "__main__":
    main()
