"""Raw prompts against the chat template of a small instruct model, behind the same server.

    python -m benchmarks.server.prompts http://127.0.0.1:8101/v1 smollm2 [--sentences 60]

The server runs already: `llama-server -m model.gguf` with SmolLM2 135M Instruct. It is the only member, with eight
demonstrations out of 200 sentences of CoNLL-2003's train.txt; its own vote decides on sentences of valid.txt, and no
other proposer takes part. In the chat, the prompt's last paragraph begins the answer, which the server continues.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import read_sentences, run_once
from benchmarks.quality.compare import count_sentences
from entsemble.assembly import Assembly, ProgressCallbacks, without_mentions
from entsemble.data.formats import write
from entsemble.ner.documents import Extracted
from entsemble.settings import environment, load
from entsemble.types import Document

RESULT = Path(__file__).parent / "results" / "prompts.json"
WAYS = {"completions": "raw prompts", "chat": "chat template"}
SEED = 0
_POOL = 200


def main() -> None:
    """Measure both ways, unless they are measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url", help="the server's address, up to /v1")
    parser.add_argument("model", help="the model's name there")
    parser.add_argument("--sentences", type=int, default=60)
    arguments = parser.parse_args()
    command = f"python -m benchmarks.server.prompts URL MODEL --sentences {arguments.sentences}"
    run_once(RESULT, command, partial(measure, arguments.url, arguments.model, arguments.sentences))


def measure(url: str, model: str, sentence_count: int) -> dict[str, Any]:
    """Exact counts of every sentence, and the tokens, for both ways."""
    gold, ways = _sample("valid.txt", sentence_count), {}
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        write(_sample("train.txt", _POOL), pool)
        for api in WAYS:
            notes: list[str] = []
            member = {"name": "smollm2", "model": f"openai:{model}", "base_url": url, "api": api, "timeout": 1200}
            overrides = {
                "members": [member],
                "pool": {"path": pool, "gazetteer": 0},
                "classification": {"vote": "soft"},
                "cache": {"replies": False},
            }
            settings = load(preset="balanced", overrides=overrides)
            callbacks = ProgressCallbacks(on_note=notes.append)
            with Assembly(settings, environment(), callbacks, held_out=gold) as assembly:
                results = list(assembly.extractor().extract(map(without_mentions, gold)))
            extracted = [result for result in results if isinstance(result, Extracted)]
            if len(extracted) < len(gold):
                sys.exit(f"{len(gold) - len(extracted)} sentences failed")
            counts = count_sentences(gold, [result.document.mentions for result in extracted])
            ways[api] = {"probe": notes[0].partition("/v1: ")[2], "counts": counts}
            print(api, [sum(column) for column in zip(*counts, strict=True)], flush=True)
    return {"pool": _POOL, "seed": SEED, "ways": ways}


def _sample(name: str, count: int) -> list[Document]:
    documents = read_sentences(f"conll2003-4col/{name}")
    return random.Random(SEED).sample(documents, count)


if __name__ == "__main__":
    main()
