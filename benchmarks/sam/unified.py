"""Train the models that SaM is compared with: one adapter on all that its experts learnt together.

    python -m benchmarks.sam.unified [--only unified-without-crossner]

`unified` learns from the sentences of every expert of the pack; `unified-without-crossner` leaves out the experts that
were trained on CrossNER, for targets that are a part of it. Both see each sentence once, as the experts do, so the
budget is that of the experts together. They are kept in `cache`, beside this file, which is not committed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pack.build import PLAN, build, parts

from benchmarks.common import corpora
from entsemble import _toml
from entsemble.settings import Environment, environment

KEPT = Path(__file__).parent / "cache"

CROSSNER = ("politics", "science")
LEFT_OUT: dict[str, tuple[str, ...]] = {"unified-without-crossner": CROSSNER, "unified": ()}


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="names, separated by commas")
    given = parser.parse_args()
    plan = _toml.loads(PLAN.read_text(encoding="utf-8"))
    for name in given.only.split(",") if given.only else LEFT_OUT:
        if not (KEPT / name).exists():
            learnt = [part for expert in plan if expert not in LEFT_OUT[name] for part in parts(expert, corpora())]
            build(name, "all domains of the pack", "several", learnt, place())


def place() -> Environment:
    """The environment whose experts are the pack's and the unified ones."""
    return environment().model_copy(update={"experts": KEPT})


if __name__ == "__main__":
    main()
