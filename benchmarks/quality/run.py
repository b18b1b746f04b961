"""The quality of the embedded default on real corpora, measured with the command line that users have.

    python -m benchmarks.quality.run [--only conll2003,wnut17] [--sentences 60] [--again]
                                     [--counted | --untaught | --experts | --larger | --test] [--in-batches]

Needs the corpora: the folder that ENTSEMBLE_DATA names. Each corpus is one `entsemble evaluate` run; its report is
written to `results/<name>.json` together with the command, the commit, the machine and the seed. What the same command
has measured already is not run again, so a benchmark that was stopped goes on where it was; `--again` runs it anew.
Replies that are known are not asked for again, so that what differs in the ensemble alone is measured in a minute; of
such a run the table tells no seconds (`benchmarks.throughput` does).
With `--counted`, votes are counted, and nothing that was learnt judges them; with `--untaught`, what other corpora
taught does, and not the pool; with `--experts`, experts are members as well (the preset `best`), but for those that
learnt of what is scored; with `--larger`, the default answers more sentences of the corpora of which fewer do not tell
whether scores are true; with `--test`, sentences of test files, by which no scaling was chosen. Their results
are in folders of `results`, and so are those in other languages; `SAMPLES` says which corpora each way has, and how
many sentences of each. With `--in-batches`, transformers runs the same members in bfloat16, in half the time where the
processor multiplies in that; the table says so, and tells no seconds of it.
`table.py` turns the results into the tables of the pages in docs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.common import ROOT, corpora_folder, run_once

HERE = ROOT / "benchmarks" / "quality"
RESULTS = HERE / "results"
WAYS: Mapping[str, Sequence[str]] = {
    ".": (),
    "counted": ("--config", "benchmarks/quality/counted.toml"),
    "untaught": ("--learn", "0"),
    "best": ("--preset", "best"),
    "larger": (),
    "test": (),
}
"""Folder within the results -> what the command is told."""

CAN_BATCH = dict.fromkeys(WAYS, "balanced") | {"counted": "counted", "best": "best"}
"""Folder within the results -> the configuration of its members in `bfloat16/`, in the place of another one."""

SENTENCES = 300
"""Of a corpus that a way has no sample of."""

LANGUAGES = "languages"
"""Folder within the results of the default on corpora that are not English."""

STRANGERS = "strangers"
"""The configuration in which only experts take part that learnt nothing of CrossNER: two did, of what is scored."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """One measurement: where demonstrations come from, and what is scored.

    Attributes:
        name: names it.
        pool: the training file.
        gold: the development file.
        language: where it is not English.
        test: the test file, where there is one; that of CrossNER is scored by `benchmarks.sam` too.
    """

    name: str
    pool: str
    gold: str
    language: str | None = None
    test: str = ""


CORPORA = (
    Corpus("conll2003", "conll2003-4col/train.txt", "conll2003-4col/valid.txt"),
    Corpus("wnut17", "wnut17/wnut17train.conll", "wnut17/emerging.dev.conll"),
    *(
        Corpus(
            f"crossner-{part}",
            f"crossner/{part}/train.txt",
            f"crossner/{part}/dev.txt",
            test=f"crossner/{part}/test.txt",
        )
        for part in ("ai", "literature", "music", "politics", "science")
    ),
    Corpus("genia", "genia/genia.train.reconstructed.iob2", "genia/genia.dev.iob2"),
    Corpus("bc5cdr", "bc5cdr/train.tsv", "bc5cdr/devel.tsv", test="bc5cdr/test.tsv"),
    Corpus("zh-weibo", "zh-weibo/weiboNER_2nd_conll.train", "zh-weibo/weiboNER_2nd_conll.dev", "Chinese"),
    Corpus("masakhaner-swa", "masakhaner1/swa/train.txt", "masakhaner1/swa/dev.txt", "Swahili"),
    Corpus("masakhaner-yor", "masakhaner1/yor/train.txt", "masakhaner1/yor/dev.txt", "Yoruba"),
    Corpus("uner-danish", "uner-danish/da_ddt-ud-train.iob2", "uner-danish/da_ddt-ud-dev.iob2", "Danish"),
)

SAMPLES: Mapping[str, Mapping[str, int]] = {
    ".": {c.name: 60 if c.language or c.name.startswith("crossner-") else 300 for c in CORPORA},
    "counted": {
        "conll2003": 200,
        "wnut17": 300,
        "crossner-ai": 200,
        "genia": 40,
        "zh-weibo": 40,
        "masakhaner-swa": 40,
    },
    "untaught": dict.fromkeys(("conll2003", "wnut17", "genia", "bc5cdr"), 300),
    "best": {
        **{"conll2003": 60, "wnut17": 300, "genia": 60, "bc5cdr": 60},
        **{c.name: 30 for c in CORPORA if c.name.startswith("crossner-")},
    },
    "larger": {
        **{"conll2003": 600, "wnut17": 1_009, "crossner-politics": 541, "crossner-science": 450},
        **{"genia": 600, "bc5cdr": 600, "masakhaner-swa": 300, "uner-danish": 300},
        **{"masakhaner-yor": 305, "zh-weibo": 270},
    },
    "test": {"crossner-science": 100, "bc5cdr": 300},
}
"""Folder within the results -> corpus -> sentences: fewer where an answer takes long. Where the pool has 200 or more,
the larger sample is all of a development file, or 600 sentences of it (300 of Danish)."""


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--sentences", type=int, help="of each corpus")
    parser.add_argument("--again", action="store_true", help="run again what is there already")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--counted", dest="way", action="store_const", const="counted", help="votes counted, not learnt")
    way.add_argument("--untaught", dest="way", action="store_const", const="untaught", help="by other corpora alone")
    way.add_argument("--experts", dest="way", action="store_const", const="best", help="experts as members too")
    way.add_argument("--test", dest="way", action="store_const", const="test", help="test files, once")
    way.add_argument("--larger", dest="way", action="store_const", const="larger", help="larger samples")
    parser.add_argument("--in-batches", action="store_true", help="members run by transformers, in bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(way=".")
    given = parser.parse_args()
    data = corpora_folder()
    samples = SAMPLES[given.way]
    wanted = set(given.only.split(",") if given.only else samples)
    if strange := wanted - {c.name for c in CORPORA}:
        sys.exit(f"no corpus is called {', '.join(sorted(strange))}; there are {', '.join(c.name for c in CORPORA)}")
    for listed in CORPORA:
        corpus = replace(listed, gold=listed.test) if given.way == "test" else listed
        place = LANGUAGES if corpus.language and given.way == "." else given.way
        target = RESULTS / place / f"{corpus.name}.json"
        told = ["--seed", str(given.seed), *WAYS[given.way]]
        strangers = given.way == "best" and corpus.name.startswith("crossner-")
        if given.with_fastest_engine:
            name = STRANGERS if strangers else CAN_BATCH[given.way]
            told += ["--config", f"benchmarks/quality/bfloat16/{name}.toml"]
        elif strangers:
            told += ["--config", f"benchmarks/quality/{STRANGERS}.toml"]
        limit = ["--limit", str(given.sentences or samples.get(corpus.name, SENTENCES))]
        command = f"entsemble evaluate {corpus.gold} --pool {corpus.pool} {' '.join(limit + told)}"
        if corpus.name in wanted:
            run_once(target, command, partial(measure, corpus, data, limit, told), force=given.again)


def measure(corpus: Corpus, data: Path, limit: Sequence[str], told: Sequence[str]) -> dict[str, object]:
    """Prepare the pool, then run and time one evaluation."""
    print(corpus.name, flush=True)
    entsemble = str(Path(sys.executable).with_name("entsemble"))
    pool = [str(data / corpus.pool), *told, "--learn", "0"]  # that, `evaluate` does, before it measures seconds
    subprocess.run([entsemble, "pool", "build", *pool, "--quiet"], check=True, cwd=ROOT)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        command = [entsemble, "evaluate", str(data / corpus.gold), "--pool", str(data / corpus.pool), *limit, *told]
        subprocess.run([*command, "--json", str(file), "--quiet"], check=True, cwd=ROOT)
        report = json.loads(file.read_text(encoding="utf-8").replace(f"{data}/", ""))
    return {"corpus": corpus.name, "report": report}


if __name__ == "__main__":
    main()
