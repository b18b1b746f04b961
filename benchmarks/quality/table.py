"""Turns the committed results into the tables of README.md and docs/benchmarks.md.

    python benchmarks/quality/table.py [--check]

The tables stand between `<!-- quality:begin -->` and `<!-- quality:end -->`. `--check` changes nothing and fails where
a page does not say what the results say; the tests run it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")
_BETWEEN = re.compile(r"(?<=<!-- quality:begin -->\n).*?(?=<!-- quality:end -->)", re.DOTALL)


def main() -> None:
    """Write the tables, or check them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    results = [json.loads(path.read_text()) for path in sorted((HERE / "results").glob("*.json"))]
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fresh = _BETWEEN.sub(lambda _: table(results), text)
        if fresh != text:
            stale.append(page.name)
            if not check:
                page.write_text(fresh, encoding="utf-8")
    if check and stale:
        sys.exit(f"not what the results say: {', '.join(stale)}; run: python benchmarks/quality/table.py")


def table(results: list[dict[str, Any]]) -> str:
    """A Markdown table, a row a corpus."""
    if not results:
        return "\nNot measured yet.\n\n"
    members = sorted({name for r in results for name in r["report"]["members"]})
    head = ["corpus", "sentences", "F1", "95 % interval", *(f"{m} alone" for m in members)]
    head += ["s a sentence", "tokens evaluated / submitted a sentence"]
    rows = [head, ["---"] * len(head), *(_row(r, members) for r in results)]
    return "\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n\n"


def _row(result: dict[str, Any], members: list[str]) -> list[str]:
    report = result["report"]
    micro, cost = report["micro"], report["cost"]
    low, high = micro["f1_ci95"]
    n = cost["sentences"]
    return [
        result["corpus"],
        str(n),
        f"**{micro['f1']:.3f}**",
        f"{low:.3f} to {high:.3f}",
        *(f"{report['members'][m]['f1']:.3f}" for m in members),
        f"{cost['seconds'] / n:.2f}",
        f"{cost['prompt_tokens_evaluated'] / n:.0f} / {cost['prompt_tokens_submitted'] / n:.0f}",
    ]


if __name__ == "__main__":
    main()
