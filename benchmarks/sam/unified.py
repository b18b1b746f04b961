"""Train the model that SaM is compared with: one adapter on all that its experts learnt together.

    python -m benchmarks.sam.unified [--precision bfloat16]

It starts where the experts start, from the pack's `common`, and learns from the sentences of all of them but those that
were trained on CrossNER, parts of which are targets. It sees each sentence once, as its expert does, so its budget
is that of the experts together. Its card says in which precision it was trained, as theirs do. It is
kept in `cache`, beside this file, which is not committed. A training that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from tools.release.experts import PLAN, build, parts

from benchmarks.common import corpora_folder
from entsemble._lib import toml
from entsemble.assembly import expert_store
from entsemble.experts.peft_folder import WEIGHTS_FILE
from entsemble.settings import Environment, environment
from entsemble.types import Precision

KEPT = Path(__file__).parent / "cache"

COMMON = "common"
UNIFIED = "unified"


def main() -> None:
    """Train it, where it is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--precision", choices=get_args(Precision), default="float32")
    precision = parser.parse_args().precision
    if not (KEPT / UNIFIED).exists():
        plan = toml.loads(PLAN.read_text(encoding="utf-8"))[COMMON]
        learnt = [part for name in taking_part() for part in parts(name, corpora_folder())]
        build(UNIFIED, "all that the experts learn", plan["licence"], learnt, place(), COMMON, precision)


def taking_part() -> tuple[str, ...]:
    """The experts that know nothing of CrossNER."""
    found: list[str] = toml.loads(PLAN.read_text(encoding="utf-8"))[COMMON]["of"]
    return tuple(found)


def place() -> Environment:
    """The environment whose experts are the pack's and the unified one."""
    return environment().model_copy(update={"experts": KEPT})


def adapters(names: Iterable[str]) -> dict[str, str]:
    """Of experts, the beginnings of their checksums: what is measured of them holds for no others."""
    store = expert_store(place())
    return {name: store.get(name).card.files[WEIGHTS_FILE][:16] for name in names}


if __name__ == "__main__":
    main()
