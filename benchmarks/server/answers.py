"""The same ten sentences by the same model behind servers of different makes.

    python -m benchmarks.server.answers llama.cpp http://127.0.0.1:8101/v1 smollm2

The server runs already, with SmolLM2 135M: `llama-server -m model.gguf`, or from a folder that
`entsemble.backends.transformers.loader.load_model` unpacks from the same file, `vllm serve FOLDER --dtype float32` or
`transformers serve FOLDER --dtype float32`. The model is the only member, with raw prompts and four demonstrations out
of 100 sentences of CoNLL-2003's train.txt; its own vote decides, and no other proposer takes part. Stored are the line
of the probe, and for each sentence of valid.txt the mentions and the spans that the model listed. `--one-free-answer`
uses any server as one that has neither log-probabilities nor grammars, such as `transformers serve`.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.common import corpora_folder, run_once
from entsemble.assembly import Assembly, ProgressCallbacks, without_mentions
from entsemble.data.formats import read, write
from entsemble.ner.documents import Extracted
from entsemble.settings import environment, load
from entsemble.types import Document

RESULTS = Path(__file__).parent / "results" / "answers"
FIRST = "llama.cpp"
SEED = 0
_SENTENCES, _POOL, _SHOTS = 10, 100, 4
_PROBE = "entsemble.backends.openai.probe._Probe"


def main() -> None:
    """Measure a server, unless it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("server", help="its name in the table")
    parser.add_argument("url", help="its address, up to /v1")
    parser.add_argument("model", help="the model's name there")
    parser.add_argument(
        "--one-free-answer", action="store_true", help="list without a grammar, type by one answer in free text"
    )
    arguments = parser.parse_args()
    way = " --one-free-answer" if arguments.one_free_answer else ""
    command = f"python -m benchmarks.server.answers {arguments.server!r} URL MODEL{way}"
    file = RESULTS / f"{arguments.server}{way}.json".replace(" ", "-").replace("---", "-")
    measurement = partial(measure, arguments.server, arguments.url, arguments.model, is_free=arguments.one_free_answer)
    run_once(file, command, measurement)


def measure(server: str, url: str, model: str, *, is_free: bool) -> dict[str, Any]:
    """What a member behind the server answers, and what the probe says of it."""
    notes: list[str] = []
    member = {"name": "smollm2", "model": f"openai:{model}", "base_url": url, "shots": _SHOTS, "timeout": 1200}
    if is_free:
        member |= {"option_scoring": "text", "samples": 1}
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        write(_sample("train.txt", _POOL), pool)
        settings = load(
            preset="balanced",
            overrides={
                "members": [member],
                "pool": {"path": pool, "gazetteer": 0},
                "classification": {"vote": "soft"},
                "cache": {"replies": False},
                "workers": 1,
            },
        )
        grammars = patch(f"{_PROBE}._follows_grammar", return_value=False) if is_free else nullcontext()
        with grammars, Assembly(settings, environment(), ProgressCallbacks(on_note=notes.append)) as assembly:
            results = list(assembly.extractor().extract(map(without_mentions, _sample("valid.txt", _SENTENCES))))
    extracted = [result for result in results if isinstance(result, Extracted)]
    if len(extracted) < len(results):
        sys.exit(f"{len(results) - len(extracted)} sentences failed")
    return {
        "server": server,
        "one free answer": is_free,
        "probe": notes[0].partition("/v1: ")[2],
        "texts": [result.document.text for result in extracted],
        "mentions": [
            sorted([mention.start, mention.end, mention.label] for mention in result.document.mentions)
            for result in extracted
        ],
        "listed": [sorted([span.start, span.end] for span in result.candidate_spans) for result in extracted],
    }


def _sample(name: str, count: int) -> list[Document]:
    documents = [d for d in read(corpora_folder() / "conll2003-4col" / name) if d.text.strip() and d.mentions]
    return random.Random(SEED).sample(documents, count)


if __name__ == "__main__":
    main()
