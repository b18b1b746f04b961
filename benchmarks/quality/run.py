"""The quality of the embedded default on real corpora, measured with the command line that users have.

    python -m benchmarks.quality.run [--only conll2003,wnut17] [--again] [--learnt]

Needs the corpora: the folder that ENTSEMBLE_DATA names. Each corpus is one `entsemble evaluate` run; its report is
written to `results/<name>.json` together with the command, the commit, the machine and the seed. What is there already
is not run again, so a benchmark that was stopped goes on where it was; `--again` runs it anew. With `--learnt`, the
votes are learnt from 80 sentences of the pool, and the results are in `results/learnt`. `table.py` turns the results
into the tables of README.md and docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.common import corpora, machine, revision

RESULTS = Path(__file__).parent / "results"
LEARNT = Path("benchmarks/quality/learnt.toml")  # as the command that is recorded names it


@dataclass(frozen=True, slots=True)
class Corpus:
    """One measurement: where demonstrations come from, what is scored, how much of it."""

    name: str
    pool: str
    gold: str
    limit: int
    options: tuple[str, ...] = ()


CORPORA = (
    Corpus("conll2003", "conll2003-4col/train.txt", "conll2003-4col/valid.txt", 200),
    Corpus("wnut17", "wnut17/wnut17train.conll", "wnut17/emerging.dev.conll", 200),
    Corpus("crossner-ai", "crossner/ai/train.txt", "crossner/ai/dev.txt", 200),
    Corpus("genia", "genia/genia.train.reconstructed.iob2", "genia/genia.dev.iob2", 40),
    Corpus("zh-weibo", "zh-weibo/weiboNER_2nd_conll.train", "zh-weibo/weiboNER_2nd_conll.dev", 40),
    Corpus("masakhaner-swa", "masakhaner1/swa/train.txt", "masakhaner1/swa/dev.txt", 40),
)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--again", action="store_true", help="run again what is there already")
    parser.add_argument("--learnt", action="store_true", help="with votes learnt from the pool")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    data = corpora()
    wanted = set(given.only.split(",")) if given.only else {c.name for c in CORPORA}
    for corpus in CORPORA:
        target = (RESULTS / "learnt" if given.learnt else RESULTS) / f"{corpus.name}.json"
        if corpus.name in wanted and (given.again or not target.exists()):
            print(corpus.name, flush=True)
            target.write_text(
                json.dumps(measure(corpus, data, given.seed, learnt=given.learnt), ensure_ascii=False, indent=1) + "\n"
            )


def measure(corpus: Corpus, data: Path, seed: int, *, learnt: bool) -> dict[str, object]:
    """Prepare the pool, then run and time one evaluation."""
    options = [*corpus.options, *(["--config", str(LEARNT)] if learnt else [])]
    entsemble = str(Path(sys.executable).with_name("entsemble"))
    subprocess.run([entsemble, "pool", "build", str(data / corpus.pool), *options, "--quiet"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        told = ["--limit", str(corpus.limit), "--seed", str(seed), *options, "--no-cache"]
        command = [entsemble, "evaluate", str(data / corpus.gold), "--pool", str(data / corpus.pool), *told]
        subprocess.run([*command, "--json", str(report), "--quiet"], check=True)
        return {
            "corpus": corpus.name,
            "command": f"entsemble evaluate {corpus.gold} --pool {corpus.pool} {' '.join(told)}",
            "commit": revision(),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "machine": machine(),
            "report": _without_paths(json.loads(report.read_text()), data),
        }


def _without_paths(report: dict[str, object], data: Path) -> dict[str, object]:
    return dict(json.loads(json.dumps(report).replace(f"{data}/", "")))


if __name__ == "__main__":
    main()
