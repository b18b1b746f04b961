"""Servers that claim to be OpenAI-compatible and differ in what they do, around a scripted model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entsemble.backends.scripted import ScriptedModel
from entsemble.types import Decoding
from tests.backends.openai.stand_in import Answer

LABELS = ("person", "place")
_STANDARD = {"model", "prompt", "messages", "max_tokens", "temperature", "stop", "seed"}


@dataclass
class SimulatedServer:
    """The answers of a server.

    Attributes:
        entities: surface -> label, for the model's answers to prompts of entsemble.
        owner: of the models, as the server lists them.
        has_completions: whether there is `/completions`.
        templates: whether `/completions` puts prompts in a chat template.
        counts_tokens: whether answers say how many tokens they cost.
        logprobs: `listed`, `ignored`, `null`, or `greedy`: those after a greedy choice, which are 0 and none.
        max_top_tokens: how many it lists at most; more are refused.
        guidance: names of the fields that restrict an answer to options; others are ignored.
        has_grammars: whether it follows `grammar`.
        is_strict: whether it refuses fields that it does not know.
        ignores: fields without effect.
        varies: whether sampled answers differ.
        prefill: whether `plain` or `flagged` messages of the assistant are continued, or neither.
        repeats_prefill: whether the answer then repeats the beginning of the message.
        is_ollama: whether there is Ollama's own interface, which alone sends raw prompts.
    """

    entities: Mapping[str, str] = field(default_factory=dict)
    owner: str = "vllm"
    has_completions: bool = True
    templates: bool = False
    counts_tokens: bool = True
    logprobs: str = "listed"
    max_top_tokens: int = 20
    guidance: tuple[str, ...] = ("structured_outputs",)
    has_grammars: bool = True
    is_strict: bool = False
    ignores: tuple[str, ...] = ()
    varies: bool = True
    prefill: str = ""
    repeats_prefill: bool = False
    is_ollama: bool = False

    def __post_init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._model = ScriptedModel("scripted", self.entities)

    def __call__(self, path: str, body: dict[str, Any]) -> Answer:
        if not body:
            return self._get(path)
        self.requests.append((path, body))
        if path == "/v1/completions" and self.has_completions:
            return self._completions(body)
        if path == "/v1/chat/completions":
            return self._chat(body)
        if path == "/api/generate" and self.is_ollama:
            return self._ollama(body)
        return 404, {"error": f"nothing at {path}"}

    def _get(self, path: str) -> Answer:
        if path == "/api/version" and self.is_ollama:
            return 200, {"version": "0.13.0"}
        if path == "/v1/models":
            return 200, {"data": [{"id": "big", "owned_by": self.owner}]}
        return 404, {"error": "not found"}

    def _completions(self, body: dict[str, Any]) -> Answer:
        refusal = self._refusal(body, {"logprobs"} if self.logprobs != "refused" else set())
        if refusal:
            return refusal
        text, cut = self._write(body["prompt"], body) if not self.templates else self._chatter(body["prompt"])
        choice: dict[str, Any] = {"text": text, "finish_reason": "length" if cut else "stop"}
        if body.get("logprobs") and self.logprobs != "ignored":
            choice["logprobs"] = {"top_logprobs": [self._top_tokens(body["prompt"])]}
        return 200, {"choices": [choice], **self._usage(body["prompt"], text, 30 if self.templates else 0)}

    def _chat(self, body: dict[str, Any]) -> Answer:
        refusal = self._refusal(body, {"logprobs", "top_logprobs"})
        if refusal:
            return refusal
        *_, last = messages = body["messages"]
        prompt = "\n\n".join(message["content"] for message in messages)
        continues = last["role"] == "assistant" and (
            self.prefill == "plain" or (self.prefill == "flagged" and body.get("continue_final_message"))
        )
        is_answered = "one two" not in prompt or self._restricted(body) is not None
        text, cut = self._write(prompt, body) if continues or is_answered else self._chatter(prompt)
        usage = self._usage(prompt, text, 30)
        if continues and self.repeats_prefill:
            text = last["content"] + text
        choice: dict[str, Any] = {"message": {"content": text}, "finish_reason": "length" if cut else "stop"}
        if body.get("logprobs") and self.logprobs != "ignored":
            entries = [{"token": token, "logprob": value} for token, value in (self._top_tokens(prompt) or {}).items()]
            choice["logprobs"] = {"content": [{"top_logprobs": entries}]}
        return 200, {"choices": [choice], **usage}

    def _ollama(self, body: dict[str, Any]) -> Answer:
        assert body["raw"] is True
        assert body["stream"] is False
        options = dict(body["options"])
        request = {**options, "max_tokens": options.pop("num_predict"), "format": body.get("format")}
        text, cut = self._write(body["prompt"], request)
        answer = {"response": text, "done": True, "done_reason": "length" if cut else "stop", "eval_count": 1}
        if body.get("logprobs") and self.logprobs == "listed":
            top_tokens = self._top_tokens(body["prompt"]) or {}
            entries = [{"token": token, "logprob": value} for token, value in top_tokens.items()]
            answer["logprobs"] = [{"token": text, "logprob": 0.0, "top_logprobs": entries}]
        return 200, answer

    def _refusal(self, body: dict[str, Any], known: set[str]) -> Answer | None:
        unknown = body.keys() - _STANDARD - known
        if self.is_strict and unknown:
            return 422, {"detail": f"Unexpected fields in the request: {sorted(unknown)}"}
        if max(body.get("top_logprobs", 0), body.get("logprobs", 0)) > self.max_top_tokens:
            return 400, {"error": f"logprobs: at most {self.max_top_tokens}"}
        return None

    def _write(self, prompt: str, request: Mapping[str, Any]) -> tuple[str, bool]:
        """What the model writes under the fields that the server does not ignore, and whether it was cut off."""
        restricted = self._restricted(request)
        if restricted is not None:
            return restricted, False
        text = self._continue(prompt, request)
        for end in request.get("stop") or () if "stop" not in self.ignores else ():
            text = text.partition(end)[0]
        max_tokens = 99 if "max_tokens" in self.ignores else request["max_tokens"]
        pieces = text.split(" ")
        return " ".join(pieces[: max_tokens + 1]), len(pieces) > max_tokens + 1

    def _restricted(self, request: Mapping[str, Any]) -> str | None:
        if self.has_grammars and "zulu" in (request.get("grammar") or "") and "|" not in request["grammar"]:
            return " zulu 7"
        if "structured_outputs" in self.guidance and "choice" in (request.get("structured_outputs") or {}):
            return str(request["structured_outputs"]["choice"][0])
        if "response_format" in self.guidance and request.get("response_format"):
            schema = request["response_format"]["json_schema"]["schema"]
            return json.dumps({"answer": schema["properties"]["answer"]["enum"][0]})
        if "format" in self.guidance and request.get("format"):
            return json.dumps(request["format"]["enum"][0])
        return None

    def _continue(self, prompt: str, request: Mapping[str, Any]) -> str:
        if "one two" in prompt:
            return " three\nText: one two three\nText: one two three\nText: one two three"
        if "Text: " not in prompt:
            seed = request.get("seed") if request["temperature"] and self.varies else 0
            return f" cat number {seed}"
        if prompt.endswith(("=", "?")):
            options = self._options(prompt)
            return options[self._model.choose([prompt], options)[0].best_index]
        return self._model.generate([prompt], Decoding(99))[0].text

    @staticmethod
    def _options(prompt: str) -> list[str]:
        return [" yes;", " no;"] if prompt.endswith("?") else [f" {label};" for label in (*LABELS, "none")]

    @staticmethod
    def _chatter(prompt: str) -> tuple[str, bool]:
        return f"Sure! You wrote {len(prompt)} characters.", False

    def _top_tokens(self, prompt: str) -> dict[str, float] | None:
        if self.logprobs == "null":
            return None
        if "Text: " not in prompt:
            second = -math.inf if self.logprobs == "greedy" else math.log(0.3)
            return {" cat": 0.0 if self.logprobs == "greedy" else math.log(0.6), " dog": second}
        options = self._options(prompt)
        [choice] = self._model.choose([prompt], options)
        return dict(zip(options, choice.log_probabilities, strict=True))

    def _usage(self, prompt: str, text: str, template_tokens: int) -> dict[str, Any]:
        if not self.counts_tokens:
            return {}
        counts = {"prompt_tokens": len(prompt.split()) + template_tokens, "completion_tokens": len(text.split())}
        return {"usage": counts}
