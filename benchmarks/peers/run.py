"""entsemble beside spacy-llm, langextract, spaCy and a plain EL4NER: the same sentences, models, server and examples.

    python -m benchmarks.peers.run [--only conll2003,wnut17] [--sentences 30]

Needs the corpora. Each language model is served by llama.cpp, with OpenAI's protocol, on this machine; spacy-llm and
langextract ask one model each, entsemble asks both. Everyone has the same eight annotated sentences of the training
file to show. Beside that, what entsemble is for: a pool of 100 sentences, of which it shows eight, from which it knows
names, and which teaches what the votes are worth; that is done once, and timed apart. `plain EL4NER` is the paper's
method with that pool, its prompts evaluated one at a time and from their first token (see `benchmarks.throughput.run`).
spaCy is trained from nothing on the same 100 sentences too; its small English model was trained on news of its own, and
its labels are mapped.

One result a corpus, all systems in a row, so that their seconds can be compared; what is there is not run again. The
peers live in an environment of their own, made at the first run (`requirements.txt`, from the package index).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.common import read_sentences, run_missing
from benchmarks.quality.compare import count_sentences
from benchmarks.quality.corpora import CORPORA
from benchmarks.throughput import engine
from entsemble.assembly import Assembly, without_mentions
from entsemble.backends.catalogue import find_card
from entsemble.backends.download import pull
from entsemble.backends.llamacpp.engine import load_engine
from entsemble.data.formats import write
from entsemble.ner.documents import Extracted
from entsemble.prompting.labels import label_set
from entsemble.settings import environment, load
from entsemble.types import Document, LabelSet, Mention

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SEED = 0
EXAMPLES = 8
POOL = 100
OURS_WITH_POOL = f"entsemble, a pool of {POOL}"

TOKENS = 256
"""Of a peer's reply: more than any right one takes; small models go on for ever otherwise."""

MODELS = ("smollm2-135m", "gemma-3-270m")
CHATS = MODELS[:1]
"""Those trained to chat; the other is a base model."""

SLOTS = 4

MAPPED: Mapping[str, Mapping[str, str]] = {
    "conll2003": {
        "PERSON": "PER",
        "ORG": "ORG",
        **dict.fromkeys(("GPE", "LOC", "FAC"), "LOC"),
        **dict.fromkeys(("NORP", "EVENT", "WORK_OF_ART", "PRODUCT", "LANGUAGE", "LAW"), "MISC"),
    },
    "wnut17": {
        "PERSON": "person",
        "ORG": "corporation",
        **dict.fromkeys(("GPE", "LOC", "FAC"), "location"),
        "PRODUCT": "product",
        "WORK_OF_ART": "creative-work",
    },
}
"""Labels of spaCy's small English model -> a corpus' own; what is not here is left out."""


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="corpora, separated by commas")
    parser.add_argument("--sentences", type=int, default=30)
    options = parser.parse_args()
    corpus_names = options.only.split(",") if options.only else MAPPED
    command = f"python -m benchmarks.peers.run --only {{}} --sentences {options.sentences}"
    run_missing(RESULTS, corpus_names, command, partial(measure, count=options.sentences))


def measure(corpus: str, count: int) -> dict[str, Any]:
    """Every system on sentences of a corpus' development file."""
    python = peers_python()
    [files] = [c for c in CORPORA if c.name == corpus]
    gold = random.Random(SEED).sample(read_sentences(files.dev), count)
    gold_texts = {d.text for d in gold}
    train = [d for d in read_sentences(files.train) if d.text not in gold_texts]
    pool = random.Random(SEED).sample(train, POOL)
    examples = [d for d in pool if d.mentions][:EXAMPLES]
    labels = label_set(dict.fromkeys(sorted({m.label for d in train for m in d.mentions}), ""))
    systems: dict[str, dict[str, Any]] = {}

    def report_system(system: str, result: Mapping[str, Any]) -> None:
        systems[system] = dict(result)
        counts = [sum(column) for column in zip(*result["counts"], strict=True)]
        print(f"{corpus}: {system}: right, wrong, missed {counts}, {result['seconds']:.0f} s", flush=True)

    with served(MODELS) as urls:
        report_system(f"entsemble, the same {EXAMPLES} sentences", ours(urls, examples, gold))
        report_system(OURS_WITH_POOL, ours(urls, pool, gold))
        for peer in ("spacy-llm", "langextract"):
            for model in MODELS:
                with spent([urls[model]]) as tokens:
                    result = theirs(python, peer, gold, examples, labels, urls[model], chat=model in CHATS)
                report_system(f"{peer}, {model}", result | tokens)
    report_system(f"spaCy trained on {POOL}", theirs(python, "spacy trained", gold, pool, labels, ""))
    report_system("en_core_web_sm", theirs(python, "en_core_web_sm", gold, (), labels, "", mapped=MAPPED[corpus]))
    report_system(f"plain EL4NER, a pool of {POOL}", plain(pool, gold))
    return {"corpus": corpus, "seed": SEED, "sentences": count, "examples": EXAMPLES, "systems": systems}


def ours(urls: Mapping[str, str], pool: Sequence[Document], gold: Sequence[Document]) -> dict[str, Any]:
    """The default ensemble, its members at the server."""
    members = [{"name": m, "model": "openai:local", "base_url": f"{url}/v1"} for m, url in urls.items()]
    with ExitStack() as stack:
        tokens: dict[str, int] = {}

        def begun() -> None:
            nonlocal tokens
            tokens = stack.enter_context(spent(list(urls.values())))

        result = evaluated({"members": members}, pool, gold, begun)
    return result | tokens


def plain(pool: Sequence[Document], gold: Sequence[Document]) -> dict[str, Any]:
    """EL4NER as the paper has it, and what it takes where nothing is reused."""
    overrides = {
        "pool": {"similarity": "span", "spans": "members", "gazetteer": 0, "max_empty_share": 1.0},
        "classification": {"vote": "majority", "threshold": 0.0},
        "verification": {"member": MODELS[-1]},
    }
    with engine.record_requests() as requests:
        result = evaluated(overrides, pool, gold, requests.clear)
    seconds, read_, written = engine.run_plain(requests, len(os.sched_getaffinity(0)))
    return result | {"seconds": seconds, "evaluated": read_, "generated": written}


def evaluated(
    overrides: Mapping[str, Any], pool: Sequence[Document], gold: Sequence[Document], begun: Callable[[], None]
) -> dict[str, Any]:
    """What an ensemble finds, the seconds from the first sentence to the last, and those before it.

    Args:
        overrides: settings.
        pool: what it is shown.
        gold: what it is asked.
        begun: called when all is prepared.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        write(pool, path)
        settings = {**overrides, "pool": {**overrides.get("pool", {}), "path": path}, "cache": {"replies": False}}
        with Assembly(load(preset="balanced", overrides=settings), environment(), held_out=gold) as assembly:
            before = time.perf_counter()
            extractor = assembly.extractor()
            began = time.perf_counter()
            begun()
            results = list(extractor.extract(map(without_mentions, gold)))
            seconds = time.perf_counter() - began
    mentions = [r.document.mentions if isinstance(r, Extracted) else () for r in results]
    failed = {i: str(r.error) for i, r in enumerate(results) if not isinstance(r, Extracted)}
    once = began - before
    return {
        "counts": count_sentences(gold, mentions),
        "failed": failed,
        "seconds": seconds,
        "preparation_seconds": once,
    }


def theirs(
    python: Path,
    system: str,
    gold: Sequence[Document],
    examples: Sequence[Document],
    labels: LabelSet,
    url: str,
    *,
    chat: bool = False,
    mapped: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What a peer finds; it is asked with readable labels, which are mapped back, or has its own."""
    words = {x.name: x.readable for x in labels}
    names = mapped if mapped is not None else {word: name for name, word in words.items()}
    task = {
        "system": system,
        "texts": [d.text for d in gold],
        "labels": list(words.values()),
        "examples": [
            {"text": d.text, "mentions": [(m.start, m.end, words[m.label]) for m in d.mentions]} for d in examples
        ],
        "url": url,
        "tokens": TOKENS,
        "chat": chat,
    }
    ran = subprocess.run(
        [str(python), str(HERE / "theirs.py")], input=json.dumps(task), stdout=subprocess.PIPE, text=True, check=True
    )
    reply: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    if len(reply["failed"]) == len(gold):
        raise RuntimeError(f"{system} answers no sentence: {next(iter(reply['failed'].values()))}")
    mentions = [
        [Mention(start, end, names[label], d.text[start:end]) for start, end, label in peer_mentions if label in names]
        for d, peer_mentions in zip(gold, reply["found"], strict=True)
    ]
    del reply["found"]
    return reply | {"counts": count_sentences(gold, mentions)}


@contextmanager
def served(models: Sequence[str], *, context: int = 4096, slots: int = SLOTS) -> Iterator[dict[str, str]]:
    """A server of each model, by its address, as `llama-server --parallel 4` would be.

    Args:
        models: names in the catalogue.
        context: tokens of a prompt and its reply.
        slots: requests that are answered at a time.
    """
    cores = len(os.sched_getaffinity(0))

    def configure(params: Any) -> None:  # noqa: ANN401 - untyped library
        params.n_ctx, params.n_parallel = context * slots, slots
        params.kv_unified, params.swa_full, params.endpoint_metrics = False, True, True
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = cores

    engines = {name: load_engine(pull(find_card(name), environment().cache), configure) for name in models}
    yield {name: running.listening_address for name, running in engines.items()}
    engines.clear()  # the engine stops where nobody holds it
    gc.collect()


@contextmanager
def spent(urls: Sequence[str]) -> Iterator[dict[str, int]]:
    """The tokens that servers read and wrote in here."""
    token_counts: dict[str, int] = {}
    before = [_read_and_written(url) for url in urls]
    yield token_counts
    after = [_read_and_written(url) for url in urls]
    for i, key in enumerate(("evaluated", "generated")):
        token_counts[key] = sum(b[i] - a[i] for a, b in zip(before, after, strict=True))


def _read_and_written(url: str) -> tuple[int, int]:
    lines = httpx.get(f"{url}/metrics").raise_for_status().text.splitlines()
    values = dict(line.split() for line in lines if not line.startswith("#"))
    return tuple(int(float(values[f"llamacpp:{x}_total"])) for x in ("prompt_tokens", "tokens_predicted"))  # type: ignore[return-value]


def peers_python() -> Path:
    """The interpreter of the peers' environment, made where it is missing."""
    folder = HERE / "cache" / "venv"
    python = folder / "bin" / "python"
    done = folder / "made"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(HERE / "requirements.txt")],
            stdout=sys.stderr,
            check=True,
        )
        done.touch()
    return python


if __name__ == "__main__":
    main()
