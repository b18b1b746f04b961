"""Records the requests that a run sends to the engine, and replays them."""

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
    """A request as the engine received it, and its cost.

    Attributes:
        model: the file.
        body: of the request.
        evaluated: prompt tokens that were not cached.
        generated: tokens of the reply.
    """

    model: str
    body: dict[str, Any]
    evaluated: int
    generated: int


class RecordingEngine:
    """An engine that records its requests."""

    def __init__(self, server: Any, model: Path, requests: list[Request]) -> None:  # noqa: ANN401 - untyped library
        self._server, self._model, self._requests = server, model, requests
        self.listening_address = server.listening_address

    def handle_completions(self, body: dict[str, Any], receive: Callable[[dict[str, Any]], bool] | None = None) -> Any:  # noqa: ANN401 - untyped library
        """See `xllamacpp.Server.handle_completions`."""
        if receive is None:
            answer = self._server.handle_completions(body)
            if "error" not in answer:
                self._requests.append(Request(str(self._model), body, *_tokens(answer)))
            return answer
        last_chunk: dict[str, Any] = {}

        def receive_and_record(chunk: dict[str, Any]) -> bool:
            last_chunk.update(chunk)
            return receive(chunk)

        self._server.handle_completions(body, receive_and_record)
        if "error" not in last_chunk:
            body_to_record = {key: value for key, value in body.items() if key not in {"stream", "timings_per_token"}}
            evaluated, generated = last_chunk["timings"]["prompt_n"], last_chunk["timings"]["predicted_n"]
            self._requests.append(
                Request(str(self._model), {**body_to_record, "max_tokens": generated}, evaluated, generated)
            )
        return None

    def handle_embeddings(self, body: dict[str, Any]) -> Any:  # noqa: ANN401 - untyped library
        """See `xllamacpp.Server.handle_embeddings`; not recorded."""
        return self._server.handle_embeddings(body)


@contextmanager
def record_requests() -> Iterator[list[Request]]:
    """The requests to every engine that is started in the block, in the order of their answers."""
    requests: list[Request] = []
    load = llamacpp.load_engine

    def load_recording(path: Path, configure: Callable[[Any], None]) -> RecordingEngine:
        return RecordingEngine(load(path, configure), path, requests)

    with mock.patch.object(llamacpp, "load_engine", load_recording):
        yield requests


def save_requests(requests: list[Request], path: Path) -> None:
    """Write requests for another process."""
    path.write_text("".join(json.dumps(asdict(r)) + "\n" for r in requests))


def load_requests(path: Path) -> list[Request]:
    """The requests that `save_requests` wrote."""
    return [Request(**json.loads(line)) for line in path.read_text().splitlines()]


def run_plain(requests: list[Request], threads: int) -> tuple[float, int, int]:
    """Replay each request on its own on all cores, its prompt evaluated from the first token.

    Only the later branchings of the same choice continue where the first ended.

    Returns:
        Seconds, tokens evaluated, tokens generated.
    """
    engines = _engines(requests, threads, slots=1)
    evaluated = generated = 0
    started = time.perf_counter()
    for request in _group_choices(requests):
        is_continued = isinstance(request.body["prompt"], list)
        answer = engines[request.model].complete({**request.body, "id_slot": 0, "cache_prompt": is_continued})
        tokens = _tokens(answer)
        evaluated, generated = evaluated + tokens[0], generated + tokens[1]
    return time.perf_counter() - started, evaluated, generated


def run_ceiling(requests: list[Request], threads: int) -> tuple[float, int, int]:
    """Only evaluate the same prompts with the same reuse, each model on its own; no grammar, no probabilities.

    Returns:
        Seconds, tokens evaluated, tokens generated.
    """
    engines = _engines(requests, threads, slots=1 + max(r.body["id_slot"] for r in requests))

    def work(model: str) -> tuple[int, int]:
        evaluated = generated = 0
        for request in requests:
            if request.model == model:
                body_to_record = {key: request.body[key] for key in ("prompt", "id_slot", "cache_prompt")}
                body_to_record |= {"max_tokens": request.generated, "ignore_eos": True, "temperature": 0.0}
                tokens = _tokens(engines[model].complete(body_to_record))
                evaluated, generated = evaluated + tokens[0], generated + tokens[1]
        return evaluated, generated

    started = time.perf_counter()
    with ThreadPoolExecutor(len(engines)) as pool:
        counts = list(pool.map(work, engines))
    return time.perf_counter() - started, sum(c[0] for c in counts), sum(c[1] for c in counts)


def _group_choices(requests: list[Request]) -> list[Request]:
    """In the recorded order, but each choice followed by its own branchings and not by requests of other threads."""
    first: dict[tuple[str, str], int] = {}

    def question(request: Request) -> int:
        prompt = request.body["prompt"]
        key = (request.model, prompt[0] if isinstance(prompt, list) else prompt)
        return first.setdefault(key, len(first))

    return sorted(requests, key=question)


def _engines(requests: list[Request], threads: int, slots: int) -> dict[str, Any]:
    options = llamacpp.LlamaCppOptions(slots=slots, threads=threads)
    return {model: llamacpp.start_engine(Path(model), options) for model in sorted({r.model for r in requests})}


def _tokens(answer: dict[str, Any]) -> tuple[int, int]:
    usage = answer["usage"]
    return usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"], usage["completion_tokens"]
