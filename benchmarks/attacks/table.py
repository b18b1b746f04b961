"""Turns the committed results into the table of the security page.

python -m benchmarks.attacks.table [--check]
"""

from __future__ import annotations

import json

from benchmarks.attacks.run import ATTACKS, RESULTS
from benchmarks.pages import Table, fill_tables


def main() -> None:
    """Write the table, or check it."""
    fill_tables(lambda name: outcomes() if name == "attacks" else None, "benchmarks.attacks.table")


def outcomes() -> Table | None:
    """A row for each attack; `None` without results."""
    rows = [
        [attack.description, json.loads(path.read_text(encoding="utf-8"))["outcome"].replace("|", "\\|"), f"`{name}`"]
        for name, attack in ATTACKS.items()
        if (path := RESULTS / f"{name}.json").exists()
    ]
    header = ["attack", "outcome", "`--only`"]
    return [header, ["---"] * len(header), *rows] if rows else None


if __name__ == "__main__":
    main()
