"""A stand-in for an OpenAI-compatible server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from entsemble.backends.openai.client import RequestPolicy
from entsemble.backends.openai.model import OpenAIModel
from entsemble.backends.openai.probe import ServerProfile
from entsemble.backends.openai.routes import ChatRoute, CompletionsRoute

API_KEY = "sk-very-secret"
NO_WAIT = RequestPolicy(retries=2, backoff=0.0)

RAW = ServerProfile(CompletionsRoute(), top_tokens=20, guidance="choice", has_grammars=True)
"""A server that does everything."""
RAW_TEXT = ServerProfile(CompletionsRoute(), sampling_fields=None)
"""A server that does nothing but continue prompts, and always in the same way."""
CHAT = ServerProfile(ChatRoute(), top_tokens=20)

Answer = tuple[int, Any]
"""Status and content; what is not a string is sent as JSON."""


@contextmanager
def serving(answer: Callable[[str, dict[str, Any]], Answer]) -> Iterator[str]:
    """The address of a server whose answers are a function of the path and the body of a request; a GET has none."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_answer({})

        def do_POST(self) -> None:
            self.send_answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def send_answer(self, body: dict[str, Any]) -> None:
            assert self.headers["Authorization"] == f"Bearer {API_KEY}"
            status, content = answer(self.path, body)
            encoded = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def served_model(
    answer: Callable[[str, dict[str, Any]], Answer], profile: ServerProfile | None = RAW, **arguments: Any
) -> Iterator[OpenAIModel]:
    """A model at a server whose answers are a function of the path and the body of a request."""
    with serving(answer) as url:
        model = OpenAIModel("m", url, "big", API_KEY, profile=profile, **{"policy": NO_WAIT, **arguments})
        try:
            yield model
        finally:
            model.close()


def completion(text: str, **more: Any) -> Answer:
    """An answer of the completions API."""
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}
    return 200, {"choices": [{"text": text, "finish_reason": "stop", **more}], "usage": usage}
