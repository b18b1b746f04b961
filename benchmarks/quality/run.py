"""Quality of the embedded default on real corpora, measured with the command line.

    python -m benchmarks.quality.run [--only conll2003,wnut17] [--sentences 60] [--again]
                                     [--vote | --unadapted | --experts | --instant | --larger | --test
                                      | --without-reader | --without-tagger | --without-names] [--in-batches]

Needs the corpora: the folder that ENTSEMBLE_DATA names. Each corpus is one `entsemble evaluate` run; its report is
written to `results/<name>.json` with the command, the commit, the machine and the seed. A result of the same command is
not measured again, so that an interrupted benchmark resumes; `--again` measures it again. Cached replies are used, so
that a change of the ensemble alone is measured in a minute; the table has no seconds for such a run
(`benchmarks.throughput` measures them).

`--vote` uses a soft vote instead of the scorer, `--unadapted` the pre-trained scorer without training on the pool, and
`--experts` experts as further members (the preset `best`), without those that were trained on scored sentences.
`--instant` asks no language model (the preset `instant`), and `--without-reader`, `--without-tagger` and
`--without-names` leave a part of it out. `--larger` scores more sentences of the corpora whose samples
are too small to tell whether scores are calibrated, and `--test` sentences of test files, which no calibration was
chosen on. Each variant has its folder in `results`, and so
have the corpora in other languages; `SAMPLES` says which corpora a variant has, and how many sentences of each. With
`--in-batches`, transformers runs the same members in bfloat16, in half the time if the processor has such instructions;
the table says so, and has no seconds for it. `table.py` turns the results into the tables of the documentation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.common import ROOT, corpora_folder, run_once
from benchmarks.quality.corpora import CORPORA, CROSSNER, Corpus

CONFIGURATIONS = "benchmarks/quality"
RESULTS = ROOT / "benchmarks" / "quality" / "results"

DEFAULT = "."
BALANCED = ("--preset", "balanced")
PARTS = ("without-reader", "without-tagger", "without-names")
"""Variants of `instant`, each without a part of it."""

VARIANT_OPTIONS: Mapping[str, Sequence[str]] = {
    DEFAULT: BALANCED,
    "vote": (*BALANCED, "--config", f"{CONFIGURATIONS}/vote.toml"),
    "unadapted": (*BALANCED, "--learn", "0"),
    "best": ("--preset", "best"),
    "instant": ("--preset", "instant"),
    **{part: ("--config", f"{CONFIGURATIONS}/{part}.toml") for part in PARTS},
    "larger": BALANCED,
    "test": BALANCED,
}
"""Variant, which is also its folder in the results -> options of `entsemble evaluate`."""

_INSTANT_SAMPLES = {
    **{"conll2003": 300, "wnut17": 500, "genia": 200, "bc5cdr": 300},
    **{"crossner-politics": 300, "crossner-science": 300},
    **dict.fromkeys(("crossner-ai", "crossner-literature", "crossner-music"), 60),
}

BFLOAT16_CONFIGURATIONS = dict.fromkeys(VARIANT_OPTIONS, "balanced") | {"vote": "vote", "best": "best"}
"""Variant -> the configuration in `bfloat16/` that replaces the variant's own."""

OUT_OF_DOMAIN = "out_of_domain"
"""The configuration with experts that were not trained on CrossNER: two were, on scored sentences."""

LANGUAGES = "languages"
"""Folder in the results for the default on corpora that are not English."""

DEFAULT_SENTENCES = 300
"""Scored sentences of a corpus that a variant has no sample of."""

SAMPLES: Mapping[str, Mapping[str, int]] = {
    DEFAULT: {corpus.name: 60 if corpus.language or corpus.name in CROSSNER else 300 for corpus in CORPORA},
    "vote": {
        "conll2003": 200,
        "wnut17": 300,
        "crossner-ai": 200,
        "genia": 40,
        "zh-weibo": 40,
        "masakhaner-swa": 40,
    },
    "unadapted": dict.fromkeys(("conll2003", "wnut17", "genia", "bc5cdr"), 300),
    "best": {
        **{"conll2003": 60, "wnut17": 300, "genia": 60, "bc5cdr": 60},
        **dict.fromkeys(CROSSNER, 30),
    },
    **dict.fromkeys(("instant", *PARTS), _INSTANT_SAMPLES),
    "larger": {
        **{"conll2003": 600, "wnut17": 1_009, "crossner-politics": 541, "crossner-science": 450},
        **{"genia": 600, "bc5cdr": 600, "masakhaner-swa": 300, "uner-danish": 300},
        **{"masakhaner-yor": 305, "zh-weibo": 270},
    },
    "test": {"crossner-science": 100, "bc5cdr": 300},
}
"""Variant -> corpus -> scored sentences; fewer for slow corpora.

The larger sample of a corpus with 200 pool sentences or more is a whole development file, or 600 sentences of it (300
of Danish)."""


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="names of corpora, separated by commas")
    parser.add_argument("--sentences", type=int, help="scored sentences of each corpus")
    parser.add_argument("--again", action="store_true", help="measure again what has been measured")
    variant = parser.add_mutually_exclusive_group()
    for option, value, description in (
        ("--vote", "vote", "soft vote instead of the scorer"),
        ("--unadapted", "unadapted", "pre-trained scorer, not trained on the pool"),
        ("--experts", "best", "experts as members, too"),
        ("--instant", "instant", "no language model"),
        *((f"--{part}", part, f"no language model, {part.replace('-', ' ')}") for part in PARTS),
        ("--test", "test", "test files, once"),
        ("--larger", "larger", "larger samples"),
    ):
        variant.add_argument(option, dest="variant", action="store_const", const=value, help=description)
    parser.add_argument("--in-batches", action="store_true", help="run the members by transformers, in bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(variant=DEFAULT)
    options = parser.parse_args()
    samples = SAMPLES[options.variant]
    selected = set(options.only.split(",") if options.only else samples)
    if unknown := selected - {corpus.name for corpus in CORPORA}:
        names = ", ".join(corpus.name for corpus in CORPORA)
        sys.exit(f"unknown corpora: {', '.join(sorted(unknown))}; there are {names}")
    for corpus in CORPORA:
        if corpus.name in selected:
            gold = corpus.test if options.variant == "test" else corpus.dev
            sentences = options.sentences or samples.get(corpus.name, DEFAULT_SENTENCES)
            arguments = ["--seed", str(options.seed), *VARIANT_OPTIONS[options.variant]]
            arguments += _configuration(corpus, options.variant, with_fastest_engine=options.in_batches)
            _measure_once(corpus, gold, options.variant, ["--limit", str(sentences)], arguments, again=options.again)


def _configuration(corpus: Corpus, variant: str, *, with_fastest_engine: bool) -> list[str]:
    is_out_of_domain = variant == "best" and corpus.name in CROSSNER
    if with_fastest_engine:
        name = OUT_OF_DOMAIN if is_out_of_domain else BFLOAT16_CONFIGURATIONS[variant]
        return ["--config", f"{CONFIGURATIONS}/bfloat16/{name}.toml"]
    return ["--config", f"{CONFIGURATIONS}/{OUT_OF_DOMAIN}.toml"] if is_out_of_domain else []


def _measure_once(
    corpus: Corpus, gold: str, variant: str, limit: Sequence[str], arguments: Sequence[str], *, again: bool
) -> None:
    folder = LANGUAGES if corpus.language and variant == DEFAULT else variant
    command = f"entsemble evaluate {gold} --pool {corpus.train} {' '.join([*limit, *arguments])}"
    measurement = partial(measure, corpus, gold, limit, arguments)
    run_once(RESULTS / folder / f"{corpus.name}.json", command, measurement, force=again)


def measure(corpus: Corpus, gold: str, limit: Sequence[str], arguments: Sequence[str]) -> dict[str, object]:
    """Prepare the pool, then run and time one evaluation.

    Args:
        corpus: its training file is the pool.
        gold: the scored file.
        limit: the option for the number of scored sentences.
        arguments: further options of `entsemble evaluate`.
    """
    print(corpus.name, flush=True)
    data = corpora_folder()
    entsemble = str(Path(sys.executable).with_name("entsemble"))
    pool = [str(data / corpus.train), *arguments, "--learn", "0"]  # `evaluate` trains before it measures seconds
    subprocess.run([entsemble, "pool", "build", *pool, "--quiet"], check=True, cwd=ROOT)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        inputs = [str(data / gold), "--pool", str(data / corpus.train)]
        outputs = ["--json", str(file), "--quiet"]
        subprocess.run([entsemble, "evaluate", *inputs, *limit, *arguments, *outputs], check=True, cwd=ROOT)
        report = json.loads(file.read_text(encoding="utf-8").replace(f"{data}/", ""))
    return {"corpus": corpus.name, "report": report}


if __name__ == "__main__":
    main()
