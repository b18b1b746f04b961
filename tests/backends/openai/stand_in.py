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

API_KEY = "sk-very-secret"
NO_WAIT = RequestPolicy(retries=2, backoff=0.0)

Answer = tuple[int, Any]
"""Status and content; what is not a string is sent as JSON."""


@contextmanager
def served_model(answer: Callable[[str, dict[str, Any]], Answer], **settings: Any) -> Iterator[OpenAIModel]:
    """A model at a server whose answers are a function of the path and the body of a request."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
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
        url = f"http://127.0.0.1:{server.server_port}/v1"
        model = OpenAIModel("m", url, "big", API_KEY, **{"policy": NO_WAIT, **settings})
        try:
            yield model
        finally:
            model.close()
            server.shutdown()
            thread.join()


def completion(text: str, **more: Any) -> Answer:
    """An answer of the completions API."""
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}
    return 200, {"choices": [{"text": text, "finish_reason": "stop", **more}], "usage": usage}
