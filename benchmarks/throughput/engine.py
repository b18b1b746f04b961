"""The requests that a run sends to the engine: written down, and sent again in other ways."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from entsemble.backends.llamacpp import engine as llamacpp


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the engine got it, and what it took.

    Attributes:
        model: the file.
        body: sent.
        evaluated: prompt tokens that no cache held.
        generated: tokens of the reply.
    """

    model: str
    body: dict[str, Any]
    evaluated: int
    generated: int


class Recording:
    """An engine that writes down what it is sent."""

    def __init__(self, server: Any, model: Path, requests: list[Request]) -> None:  # noqa: ANN401 - untyped library
        self._server, self._model, self._requests = server, model, requests
        self.listening_address = server.listening_address

    def handle_completions(self, body: dict[str, Any], take: Callable[[dict[str, Any]], bool] | None = None) -> Any:  # noqa: ANN401 - untyped library
        """As the engine's own."""
        if take is None:
            answer = self._server.handle_completions(body)
            if "error" not in answer:
                self._requests.append(Request(str(self._model), body, *_tokens(answer)))
            return answer
        last: dict[str, Any] = {}

        def seen(piece: dict[str, Any]) -> bool:
            last.update(piece)
            return take(piece)

        self._server.handle_completions(body, seen)
        if "error" not in last:
            told = {key: value for key, value in body.items() if key not in {"stream", "timings_per_token"}}
            evaluated, generated = last["timings"]["prompt_n"], last["timings"]["predicted_n"]
            self._requests.append(Request(str(self._model), {**told, "max_tokens": generated}, evaluated, generated))
        return None


@contextmanager
def recorded() -> Iterator[list[Request]]:
    """What every engine that starts in here is sent, in the order in which it answered."""
    requests: list[Request] = []
    load = llamacpp.load_engine

    def loaded(path: Path, configure: Callable[[Any], None]) -> Recording:
        return Recording(load(path, configure), path, requests)

    with mock.patch.object(llamacpp, "load_engine", loaded):
        yield requests


def save(requests: list[Request], path: Path) -> None:
    """Keep requests for another process."""
    path.write_text("".join(json.dumps(asdict(r)) + "\n" for r in requests))


def saved(path: Path) -> list[Request]:
    """What `save` kept."""
    return [Request(**json.loads(line)) for line in path.read_text().splitlines()]


def plainly(requests: list[Request], threads: int) -> tuple[float, int, int]:
    """Send every request on its own, its prompt evaluated from the first token, on all cores.

    Only the later branchings of one and the same choice go on where the first ended.

    Returns:
        Seconds, tokens evaluated, tokens generated.
    """
    engines = _engines(requests, threads, slots=1)
    evaluated = generated = 0
    began = time.perf_counter()
    for request in _choices_together(requests):
        later = isinstance(request.body["prompt"], list)
        answer = engines[request.model].handle_completions({**request.body, "id_slot": 0, "cache_prompt": later})
        tokens = _tokens(answer)
        evaluated, generated = evaluated + tokens[0], generated + tokens[1]
    return time.perf_counter() - began, evaluated, generated


def ceiling(requests: list[Request], threads: int) -> tuple[float, int, int]:
    """Only evaluate: the same prompts with the same reuse, each model for itself; no grammar, no probabilities.

    Returns:
        Seconds, tokens evaluated, tokens generated.
    """
    engines = _engines(requests, threads, slots=1 + max(r.body["id_slot"] for r in requests))

    def work(model: str) -> tuple[int, int]:
        evaluated = generated = 0
        for request in requests:
            if request.model == model:
                told = {key: request.body[key] for key in ("prompt", "id_slot", "cache_prompt")}
                told |= {"max_tokens": request.generated, "ignore_eos": True, "temperature": 0.0}
                tokens = _tokens(engines[model].handle_completions(told))
                evaluated, generated = evaluated + tokens[0], generated + tokens[1]
        return evaluated, generated

    began = time.perf_counter()
    with ThreadPoolExecutor(len(engines)) as pool:
        counts = list(pool.map(work, engines))
    return time.perf_counter() - began, sum(c[0] for c in counts), sum(c[1] for c in counts)


def _choices_together(requests: list[Request]) -> list[Request]:
    """In the recorded order, each question followed by its own branchings, whatever other threads asked in between."""
    first: dict[tuple[str, str], int] = {}

    def question(request: Request) -> int:
        prompt = request.body["prompt"]
        key = (request.model, prompt[0] if isinstance(prompt, list) else prompt)
        return first.setdefault(key, len(first))

    return sorted(requests, key=question)


def _engines(requests: list[Request], threads: int, slots: int) -> dict[str, Any]:
    engine = llamacpp.LlamaCppOptions(slots=slots, threads=threads)
    return {model: llamacpp.start_engine(Path(model), engine) for model in sorted({r.model for r in requests})}


def _tokens(answer: dict[str, Any]) -> tuple[int, int]:
    usage = answer["usage"]
    return usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"], usage["completion_tokens"]
