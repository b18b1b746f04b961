"""Train the model that SaM is compared with: one adapter on all that its experts learnt together.

    python -m benchmarks.sam.unified

It learns from the sentences of every expert of the pack but those that were trained on CrossNER, parts of which are
targets. It sees each sentence once, as the experts do, so its budget is that of the experts together. It is kept in
`cache`, beside this file, which is not committed.
"""

from __future__ import annotations

from pathlib import Path

from pack.build import PLAN, build, parts

from benchmarks.common import corpora
from entsemble import _toml
from entsemble.settings import Environment, environment

KEPT = Path(__file__).parent / "cache"

CROSSNER = ("politics", "science")
"""Experts that know too much about the targets."""

UNIFIED = "unified-without-crossner"


def main() -> None:
    """Train it, where it is not there yet."""
    if not (KEPT / UNIFIED).exists():
        plan = _toml.loads(PLAN.read_text(encoding="utf-8"))
        learnt = [part for expert in plan if expert not in CROSSNER for part in parts(expert, corpora())]
        build(UNIFIED, "all domains of the pack but those of CrossNER", "several", learnt, place())


def place() -> Environment:
    """The environment whose experts are the pack's and the unified one."""
    return environment().model_copy(update={"experts": KEPT})


if __name__ == "__main__":
    main()
