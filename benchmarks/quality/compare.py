"""One setting against another, paired: what a default is chosen by.

    python -m benchmarks.quality.compare retrieval [--only conll2003]

Chosen on training data alone: the pool and the sentences that are scored are drawn apart from each other from the
training file of a corpus, so nothing here has seen a sentence that `run.py` reports on. The members are run by the
fastest engine of this machine (`common.ENGINE`). Each variant's counts go to
`results/<experiment>/<corpus>/<variant>.json`; what is there already is not run again, unless another engine made it.
`table.py` turns them into the tables of the pages in docs: F1 with its interval, and the difference to the first
variant by paired bootstrap and approximate randomisation.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tools.release.experts import PLAN, parts

from benchmarks.common import ENGINE, corpora_folder, run_once, with_fastest_engine
from entsemble._lib import toml
from entsemble.assembly import Assembly, SelectionInputs, adapt_to_documents, without_mentions
from entsemble.data.formats import read, write
from entsemble.evaluation.matching import exact_counts
from entsemble.ner.documents import Extracted
from entsemble.settings import environment, load
from entsemble.types import Document, Mention, total_usage

RESULTS = Path(__file__).parent / "results"
SEED = 1

TRAIN = {
    "conll2003": "conll2003-4col/train.txt",
    "wnut17": "wnut17/wnut17train.conll",
    **{f"crossner-{x}": f"crossner/{x}/train.txt" for x in ("ai", "literature", "music", "politics", "science")},
    "genia": "genia/genia.train.reconstructed.iob2",
    "bc5cdr": "bc5cdr/train.tsv",
}


@dataclass(frozen=True, slots=True)
class Experiment:
    """Variants of the settings, the first the one that the others are compared with.

    What the pool says for itself, and what it teaches about the votes, is left out unless a variant asks for it.

    Attributes:
        pool, sentences: how many.
        sizes: both, of a corpus whose sentences are fewer, or hold fewer mentions.
        corpora: by name.
        variants: name -> settings.
        cost: whether what they cost is compared too; else replies that are known are not asked for again.
        experts: whether those that are shipped take part; no sentence that one of them learnt is drawn then.
    """

    pool: int
    sentences: int
    corpora: tuple[str, ...]
    variants: Mapping[str, Mapping[str, Any]]
    cost: bool = True
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    experts: bool = False


EMBEDDED = ({"model": "smollm2-135m"}, {"model": "gemma-3-270m"})


def _views(**told: int) -> list[dict[str, Any]]:
    """SaM's two sums of experts, as members."""
    return [{"name": view, "model": "smollm2-135m", "experts": view, **told} for view in ("domain", "sampled")]


EXPERIMENTS = {
    "budget": Experiment(
        pool=3000,
        sentences=150,
        corpora=("conll2003",),
        variants={
            "800 characters": {"pool": {"max_characters": 800}},
            "640 characters": {"pool": {"max_characters": 640}},
        },
    ),
    "voices": Experiment(
        pool=3000,
        sentences=80,
        corpora=("conll2003", "wnut17"),
        variants={
            "models alone": {},
            "with the pool's voice": {"pool": {"gazetteer": 2}},
            "votes learnt as well": {"pool": {"gazetteer": 2}, "stacking": {"sentences": 80}},
        },
        cost=False,
    ),
    "members": Experiment(
        pool=3000,
        sentences=100,
        corpora=("conll2003", "wnut17"),
        variants={
            f"{told}{voice}": {"pool": {"gazetteer": size}, "members": [{"model": name} for name in names]}
            for voice, size in (("", 0), (", with the pool's voice", 2))
            for told, names in {
                "both": ("smollm2-135m", "gemma-3-270m"),
                "SmolLM2 135M only": ("smollm2-135m",),
                "Gemma 3 270M only": ("gemma-3-270m",),
            }.items()
        },
        cost=False,
    ),
    "looks": Experiment(
        pool=1500,
        sentences=80,
        corpora=("wnut17", "conll2003", "crossner-politics"),
        variants={
            "nobody else": {"pool": {"gazetteer": 2}, "stacking": {"sentences": None, "capitalised": False}},
            "what looks like a name": {"pool": {"gazetteer": 2}, "stacking": {"sentences": None, "capitalised": True}},
        },
        sizes={"wnut17": (1500, 300), "crossner-politics": (120, 80)},
        cost=False,
    ),
    "experts": Experiment(
        pool=1000,
        sentences=100,
        corpora=("conll2003", "wnut17", "genia", "bc5cdr"),
        variants={
            "the models as they are": {"pool": {"gazetteer": 2}},
            "and their experts": {"pool": {"gazetteer": 2}, "members": [*EMBEDDED, *_views(shots=0)]},
            "their experts only": {"pool": {"gazetteer": 2}, "members": _views(shots=0)},
            "and their experts, with demonstrations": {"pool": {"gazetteer": 2}, "members": [*EMBEDDED, *_views()]},
        },
        cost=False,
        experts=True,
    ),
    "verification": Experiment(
        pool=3000,
        sentences=100,
        corpora=("conll2003", "wnut17"),
        variants={
            "none": {},
            "by SmolLM2 135M": {"verification": {"member": "smollm2-135m"}},
            "by Gemma 3 270M": {"verification": {"member": "gemma-3-270m"}},
        },
        cost=False,
    ),
    "shots": Experiment(
        pool=3000,
        sentences=60,
        corpora=("conll2003",),
        variants={f"{n} shots": {"pool": {"shots": n}} for n in (8, 0, 2, 4, 16, 32)},
    ),
    "empty": Experiment(
        pool=2000,
        sentences=100,
        corpora=("wnut17",),
        variants={
            "at most a quarter": {"pool": {"max_empty_share": 0.25}},
            "any": {"pool": {"max_empty_share": 1.0}},
        },
    ),
    "sure": Experiment(
        pool=2000,
        sentences=60,
        corpora=("conll2003",),
        variants={
            "all are asked": {},
            "0.9": {"classification": {"skip_larger_above": 0.9}},
            "0.6": {"classification": {"skip_larger_above": 0.6}},
        },
    ),
    "retrieval": Experiment(
        pool=200,
        sentences=60,
        corpora=("conll2003",),
        variants={
            "sentence": {"pool": {"similarity": "sentence"}},
            "span, gold spans": {"pool": {"similarity": "span", "spans": "gold"}},
            "span, pre-extracted spans": {"pool": {"similarity": "span", "spans": "members"}},
            "label-guided": {"pool": {"similarity": "label-guided"}},
            "random": {"pool": {"similarity": "random"}},
        },
    ),
    "threshold": Experiment(
        pool=70,
        sentences=30,
        corpora=(
            *("crossner-ai", "crossner-music", "wnut17", "genia", "crossner-politics", "bc5cdr"),
            *("crossner-science", "crossner-literature", "conll2003"),
        ),
        variants={
            str(t): {"pool": {"gazetteer": 2}, "classification": {"threshold": t}}
            for t in (0.4, 0.5, 0.3, 0.25, 0.2, 0.15, 0.1)
        },
        cost=False,
    ),
    "length": Experiment(
        pool=70,
        sentences=30,
        corpora=("crossner-ai",),
        variants={
            "640 characters": {"pool": {"max_characters": 640}},
            "as the pool": {},
        },
    ),
}


def main() -> None:
    """Run what is missing of one experiment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--only", help="corpora, separated by commas")
    given = parser.parse_args()
    data = corpora_folder()
    experiment = EXPERIMENTS[given.experiment]
    learnt = learnt_by_experts() if experiment.experts else frozenset()
    for corpus in given.only.split(",") if given.only else experiment.corpora:
        documents = [d for d in read(data / TRAIN[corpus]) if d.text not in learnt]
        pool, scored = draw(documents, *experiment.sizes.get(corpus, (experiment.pool, experiment.sentences)))
        for name, settings in experiment.variants.items():
            target = RESULTS / given.experiment / corpus / f"{name.replace(', ', '-').replace(' ', '-')}.json"
            command = f"python -m benchmarks.quality.compare {given.experiment} --only {corpus}"
            told = {"corpus": corpus, "variant": name, "engine": ENGINE}
            run_once(target, command, partial(measure, pool, scored, settings, experiment.cost), told)


def draw(documents: Sequence[Document], pool: int, scored: int) -> tuple[list[Document], list[Document]]:
    """Two samples of sentences that share none."""
    drawn = random.Random(SEED).sample([d for d in documents if d.text.strip()], pool + scored)
    return drawn[:pool], drawn[pool:]


def learnt_by_experts() -> frozenset[str]:
    """The sentences that the shipped experts learnt."""
    plan = toml.loads(PLAN.read_text(encoding="utf-8"))
    return frozenset(d.text for name in plan for part in parts(name, corpora_folder()) for d in part.learnt)


def measure(
    pool: Sequence[Document], scored: Sequence[Document], overrides: Mapping[str, Any], cost: bool
) -> dict[str, Any]:
    """Exact counts of every sentence, of the ensemble and of each member alone, and, if asked, what it cost."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        write(pool, path)
        own = {
            "pool": {"gazetteer": 0, **overrides.get("pool", {}), "path": path},
            "classification": {
                "vote": None if "stacking" in overrides else "soft",
                **overrides.get("classification", {}),
            },
            "cache": {"replies": not cost},
        }
        settings = with_fastest_engine(load(overrides={**overrides, **own}))
        settings, _, _ = adapt_to_documents(
            SelectionInputs(settings, environment(), held_out=scored), map(without_mentions, scored)
        )
        with Assembly(settings, environment(), held_out=scored) as assembly:
            results = list(assembly.extractor().extract(map(without_mentions, scored)))
    done = [r for r in results if isinstance(r, Extracted)]
    if len(done) < len(scored):
        sys.exit(f"{len(scored) - len(done)} sentences failed")
    usage = total_usage(usage for r in done for _, _, usage in r.costs)
    members = dict.fromkeys(name for r in done for name in r.member_mentions)
    return {
        "pool": len(pool),
        "settings": overrides,
        "seed": SEED,
        "prompt_tokens_submitted": usage.prompt_tokens,
        "prompt_tokens_evaluated": usage.evaluated_tokens if cost else None,
        "model_calls": usage.calls,
        "counts": counted(scored, [r.document.mentions for r in done]),
        "members": {name: counted(scored, [r.member_mentions.get(name, ()) for r in done]) for name in members},
    }


def counted(scored: Sequence[Document], found: Sequence[Sequence[Mention]]) -> list[list[int]]:
    """Right, wrong and missed mentions of each sentence, exact."""
    counts = [exact_counts(document.mentions, mentions).micro for document, mentions in zip(scored, found, strict=True)]
    return [[c.tp, c.fp, c.fn] for c in counts]


if __name__ == "__main__":
    main()
