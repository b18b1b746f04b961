"""Each shipped expert on the held-out sentences of every domain: is it the best one in its own?

    python -m benchmarks.sam.in_vs_out_of_domain [--sentences 100] [--only politics,finance]

Scores sentences that the domain's own expert was not trained on (held out by `tools.release.experts`), with the labels
of those sentences. There is one result for each domain, with the counts of each expert on each sentence; a result of
the same command is not measured again.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from tools.release.experts import PLAN, parts

from benchmarks.common import corpora_folder, run_missing
from benchmarks.sam.run import asked, scored
from benchmarks.sam.unified import adapters, place
from entsemble._lib import toml
from entsemble.assembly import expert_store
from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.assembly.zero_shot import zero_shot_extractor
from entsemble.prompting.labels import label_set

RESULTS = Path(__file__).parent / "results" / "in_vs_out_of_domain"


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="domains, separated by commas")
    parser.add_argument("--sentences", type=int, default=100)
    given = parser.parse_args()
    plan = toml.loads(PLAN.read_text(encoding="utf-8"))
    wanted = given.only.split(",") if given.only else [name for name in plan if "sources" in plan[name]]
    command = f"python -m benchmarks.sam.in_vs_out_of_domain --only {{}} --sentences {given.sentences}"
    of = {"adapters": adapters(plan)}
    run_missing(RESULTS, wanted, command, lambda domain: measure(domain, given.sentences), of)


def measure(domain: str, count: int) -> dict[str, object]:
    """Counts of all experts, and of the base model, on the held-out sentences of a domain."""
    shares = [part.held_back for part in parts(domain, corpora_folder())]
    gold = [d for share in shares for d in share[: count // len(shares)]]
    labels = label_set(dict.fromkeys(sorted({m.label for d in gold for m in d.mentions}), ""))
    store = expert_store(place())
    experts = [e for e in map(store.get, store.names()) if e.shipped]
    settings = asked(labels)
    [member, *_] = settings.members
    wanted: dict[str, dict[str, float]] = {"base": {}, **{e.card.name: {e.card.name: 1.0} for e in experts}}
    found = {}
    with closing(ModelPool(settings, place(), ProgressCallbacks())) as models:
        for name, model in models.weighted_sums(member, experts, wanted).items():
            alone = zero_shot_extractor(model, labels, member.template, "en", workers=models.batch_size(member))
            found[name] = scored(alone, gold)
            print(domain, name, f"{found[name]['f1']:.3f} {found[name]['spans_f1']:.3f}", flush=True)
    return {
        "domain": domain,
        "experts": found,
    }


if __name__ == "__main__":
    main()
