"""Turns the committed results into the tables of README.md and docs/results.md.

    python -m benchmarks.baselines.table [--check]

- `baselines:crf`: `balanced` and a CRF on the same pool, in pairs, for each corpus
- `baselines:instant`: `instant` beside `balanced` and the CRF, on the sentences that all three have
- `baselines:parts`: `instant` beside itself without each of its parts
- `baselines:small`: `instant` by the size of its pool
- `baselines:shifted`: `instant` on texts of another source than its pool
- `baselines:summary`: the short table of the README, which adds spaCy trained on the same pool where it was measured

Each stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`. `--check` changes nothing and fails if a page differs
from the results; the tests run it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.baselines.run import RESULTS, reference_report
from benchmarks.pages import Table, fill_tables
from benchmarks.peers.run import RESULTS as PEERS
from benchmarks.quality.corpora import CORPORA, Corpus
from benchmarks.quality.curve import SIZES
from benchmarks.quality.run import PARTS
from benchmarks.quality.run import RESULTS as QUALITY
from benchmarks.quality.small_pools import CORPORA as POOL_CORPORA
from benchmarks.quality.small_pools import SIZES as POOL_SIZES
from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts

SUMMARY = ("conll2003", "wnut17", "bc5cdr", "crossner-politics")
"""Corpora of the short table, after the pools of 10 to 100 sentences of CoNLL-2003."""


def main() -> None:
    """Write the tables, or check them."""
    fill_tables(_section, "benchmarks.baselines.table")


def _section(name: str) -> Table | None:
    tables = {
        "baselines:crf": by_corpus,
        "baselines:instant": instant,
        "baselines:parts": parts,
        "baselines:shifted": shifted,
        "baselines:small": small_pools,
        "baselines:summary": summary,
    }
    return tables[name]() if name in tables else None


def by_corpus() -> Table:
    """One row per corpus: F1 of the default and of the CRF, and their difference in pairs."""
    head = [
        "corpus",
        "pool",
        "sentences",
        "entsemble",
        "95 % interval",
        "CRF",
        "difference",
        "95 % interval",
        "p",
        "spaCy",
    ]
    rows = [head, ["---"] * len(head)]
    for corpus in CORPORA:
        file = RESULTS / "crf" / f"{corpus.name}.json"
        if not file.exists():
            continue
        result = json.loads(file.read_text(encoding="utf-8"))
        reference = reference_report(corpus)["documents"]
        ours, crf = _paired(reference, result["documents"])
        sizes = [corpus.name, f"{result['pool']:,}", f"{len(ours):,}"]
        spacy = _spacy_f1(corpus, reference)
        rows.append([*sizes, _marked(ours, crf), _interval(ours), _f1(crf), *_difference(ours, crf), spacy])
    return rows


def instant() -> Table:
    """One row per corpus: F1 of `instant`, and its differences from `balanced` and from the CRF."""
    head = ["corpus", "pool", "sentences", "instant", "95 % interval", "balanced", "difference", "95 % interval", "p"]
    rows = [[*head, "CRF", "difference", "95 % interval", "p"], ["---"] * (len(head) + 4)]
    for corpus in CORPORA:
        answers = _instant_answers(corpus)
        if not answers:
            continue
        crf, balanced = _load(RESULTS / "crf" / f"{corpus.name}.json"), reference_report(corpus)["documents"]
        names = [name for name in answers if name in balanced and name in crf["documents"]]
        ours, theirs, baseline = (
            _counts(documents[name] for name in names) for documents in (answers, balanced, crf["documents"])
        )
        cells = [corpus.name, f"{crf['pool']:,}", f"{len(names):,}", _marked(ours, baseline), _interval(ours)]
        cells += [_f1(theirs), *_difference(ours, theirs), _f1(baseline), *_difference(ours, baseline)]
        rows.append(cells)
    return rows


def parts() -> Table:
    """One row per corpus: F1 of `instant`, and its difference from itself without each part."""
    head = ["corpus", "sentences", "instant"]
    for part in PARTS:
        head += [
            part.replace("-", " the pool's " if part == "without-names" else " "),
            "difference",
            "95 % interval",
            "p",
        ]
    rows = [head, ["---"] * len(head)]
    for corpus in CORPORA:
        files = [QUALITY / part / f"{corpus.name}.json" for part in PARTS]
        if not all(file.exists() for file in files):
            continue
        ours = _instant_answers(corpus)
        cells = [corpus.name, f"{len(ours):,}", _f1(_counts(ours.values()))]
        for file in files:
            whole, rest = _paired(ours, _load(file)["report"]["documents"])
            cells += [_f1(rest), *_difference(rest, whole)]
        rows.append(cells)
    return rows


def small_pools() -> Table:
    """One row per corpus: F1 of `instant` by the size of its pool."""
    rows = [["corpus", *(f"pool of {size}" for size in POOL_SIZES)], ["---"] * (len(POOL_SIZES) + 1)]
    for corpus in POOL_CORPORA:
        files = [QUALITY / "small_pools" / corpus / f"{size}.json" for size in POOL_SIZES]
        rows.append([corpus, *(_f1(_counts(_load(file)["counts"])) for file in files)])
    return rows


def shifted() -> Table:
    """One row per pair of sources: F1 of `instant`, of its voices with a soft vote, and of a CRF."""
    head = ["pool and texts", "pool", "sentences", "instant", "95 % interval", "soft vote"]
    rows = [[*head, "difference", "95 % interval", "p", "CRF"], ["---"] * (len(head) + 4)]
    for file in sorted((QUALITY / "shifted").glob("*.json")):
        result = _load(file)
        ours, vote, crf = (_counts(result["counts"][system]) for system in ("instant", "soft vote", "CRF"))
        cells = [result["pair"], f"{result['pool']:,}", f"{len(ours):,}", _f1(ours), _interval(ours)]
        rows.append([*cells, _f1(vote), *_difference(ours, vote), _f1(crf)])
    return rows


def summary() -> Table:
    """One row per pool: F1 of entsemble, of a CRF and of spaCy, all with the same pool and on the same sentences."""
    rows = [["corpus", "sentences in the pool", "instant", "balanced", "CRF", "spaCy, trained"], ["---"] * 6]
    for size in SIZES:
        quick = _counts(_load(QUALITY / "curve-instant" / "conll2003" / f"{size}.json")["counts"])
        ours = _counts(_load(QUALITY / "curve" / "conll2003" / f"{size}.json")["counts"])
        spacy = _counts(_load(PEERS / "curve" / "conll2003" / f"spacy-trained-{size}.json")["counts"])
        crf = _counts(_load(RESULTS / "crf-curve" / f"conll2003-{size}.json")["documents"].values())
        systems = _marked(quick, crf), _marked(ours, crf), _f1(crf), _f1(spacy)
        rows.append(["CoNLL-2003 (news)", str(size), *systems])
    names = {"conll2003": "CoNLL-2003", "wnut17": "WNUT17 (tweets)", "bc5cdr": "BC5CDR (medicine)"}
    for corpus in (c for name in SUMMARY for c in CORPORA if c.name == name):
        result, answers = _load(RESULTS / "crf" / f"{corpus.name}.json"), _instant_answers(corpus)
        reference = reference_report(corpus)["documents"]
        if answers:
            reference = {name: row for name, row in reference.items() if name in answers}
        ours, crf = _paired(reference, result["documents"])
        instant_f1 = _marked(_counts(answers[name] for name in reference), crf) if answers else "not run"
        row = [names.get(corpus.name, "CrossNER politics"), f"{result['pool']:,}", instant_f1, _marked(ours, crf)]
        rows.append([*row, _f1(crf), _spacy_f1(corpus, reference)])
    return rows


def _instant_answers(corpus: Corpus) -> dict[str, list[int]]:
    """Counts of `instant` by document; empty where it was not measured."""
    file = QUALITY / "instant" / f"{corpus.name}.json"
    return _load(file)["report"]["documents"] if file.exists() else {}


def _spacy_f1(corpus: Corpus, reference: dict[str, list[int]]) -> str:
    """F1 of spaCy on the same documents, or "not run"."""
    file = RESULTS / "spacy" / f"{corpus.name}.json"
    return _f1(_paired(reference, _load(file)["documents"])[1]) if file.exists() else "not run"


def _marked(ours: list[Counts], other: list[Counts]) -> str:
    """F1, in bold where it is better than the other's at p < 0.05."""
    comparison = compare_f1(ours, other)
    better = comparison.difference > 0 and comparison.p_value < 0.05
    return f"**{_f1(ours)}**" if better else _f1(ours)


def _paired(ours: dict[str, list[int]], other: dict[str, list[int]]) -> tuple[list[Counts], list[Counts]]:
    return _counts(ours.values()), _counts(other[name] for name in ours)


def _counts(rows: Any) -> list[Counts]:  # noqa: ANN401 - rows of JSON
    return [Counts(*row) for row in rows]


def _load(file: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


def _f1(counts: list[Counts]) -> str:
    return f"{sum(counts, Counts()).f1:.3f}"


def _interval(counts: list[Counts]) -> str:
    return "{:.3f} to {:.3f}".format(*f1_interval(counts))


def _difference(ours: list[Counts], other: list[Counts]) -> list[str]:
    comparison = compare_f1(ours, other)
    low, high = comparison.ci95
    return [f"{comparison.difference:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{comparison.p_value:.3f}"]


if __name__ == "__main__":
    main()
