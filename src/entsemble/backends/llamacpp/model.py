"""llama.cpp in process, through xllamacpp: the embedded default. The only module that knows xllamacpp's names.

Two properties matter more here than anywhere else.

*Prefix reuse.* The prompts of one sentence begin alike, and the engine evaluates that beginning once. A prompt that
begins with what a slot holds continues there; any other prompt starts a slot afresh.

*The same answer every time.* Evaluating a prompt in other pieces changes its logits in the second digit (quantised
activations). So a slot's first prompt is always evaluated whole, never on top of what an unrelated earlier prompt
happened to leave behind, and by default the engine works on one request at a time. What a sentence is answered does
not depend on its neighbours.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx

from entsemble.backends.option_trie import TokenTrie, Tries
from entsemble.errors import BadReplyError, MissingExtraError, ModelUnavailableError, PromptTooLongError
from entsemble.prompting.parse import truncate_at_repetition
from entsemble.types import AdapterSum, Choice, Decoding, Reply, Usage

_BIAS = 100.0
"""Added to the logits of the tokens we ask about: all others get a share below exp(-100), which is none."""

_FLOOR = 1e-30
"""Stands for a probability that the engine rounds to zero, so that its logarithm stays a number."""

_TOO_LONG = "exceed_context_size_error"


Owner = tuple[int, str | None]
"""A thread, and the adapter that is applied."""


@dataclass(slots=True)
class _Slot:
    """One KV cache of the engine.

    Attributes:
        anchor: the prompt it was started with; whatever begins with it may continue here.
        owner: the thread that started it, since a sentence is one thread's, and its copy in another is read afresh; and
            the adapter that it was read with, since none may go on where another read.
        used: when, on a counter, so that the longest unused goes first.
    """

    number: int
    anchor: str | None = None
    owner: Owner = (0, None)
    used: int = 0
    busy: bool = False


class _Slots:
    """Which slot a prompt goes to."""

    def __init__(self, count: int) -> None:
        self._slots = [_Slot(i) for i in range(count)]
        self._clock = 0
        self._free = threading.Condition()

    @contextmanager
    def taken_for(self, prompt: str, adapter: str | None = None) -> Iterator[tuple[int, bool]]:
        """The slot's number, and whether it already holds a beginning of `prompt`; waits while all are busy.

        Args:
            prompt: to be read.
            adapter: that it is read with.
        """
        owner = threading.get_ident(), adapter
        with self._free:
            while (slot := self._pick(prompt, owner)) is None:
                self._free.wait()
            holds = slot in self._holding(prompt, owner)
            if not holds:
                slot.anchor, slot.owner = prompt, owner
            self._clock += 1
            slot.used, slot.busy = self._clock, True
        try:
            yield slot.number, holds
        except BaseException:
            slot.anchor, slot.used = None, 0  # so that it is taken again, and none that another goes on in
            raise
        finally:
            with self._free:
                slot.busy = False
                self._free.notify_all()

    def _holding(self, prompt: str, owner: Owner) -> list[_Slot]:
        """Its own slots that hold a beginning of `prompt`; the very same prompt begins anew."""
        own = [s for s in self._slots if s.anchor is not None and s.owner == owner]
        return [s for s in own if prompt.startswith(s.anchor or "") and prompt != s.anchor]

    def _pick(self, prompt: str, owner: Owner) -> _Slot | None:
        """Whoever starts afresh does so in a slot of its own; with one an owner, none takes what another goes on in."""
        if holding := self._holding(prompt, owner):
            best = max(holding, key=lambda s: (len(s.anchor or ""), s.used))
            return None if best.busy else best
        free = [s for s in self._slots if not s.busy]
        own = [s for s in free if s.anchor is not None and s.owner == owner]
        return min(own or free, key=lambda s: s.used, default=None)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How llama.cpp runs a model.

    Attributes:
        context: tokens that a prompt and its reply may fill.
        slots: sentences whose KV cache is kept side by side.
        parallel: requests that the engine works on at once. More than one is faster on a GPU, and answers may then
            differ in the second digit from run to run, since the engine's batches do.
        threads: CPU threads.
        gpu_layers: layers put on a GPU, where the installed engine has one.
        adapters: fingerprint of a sum of adapters -> the sum as one GGUF LoRA file, loaded beside the model; without
            effect until `with_adapters` applies it. One file, because llama.cpp would add up several in the order in
            which they lie in memory, and quantised activations turn another order into another answer.
    """

    context: int = 4096
    slots: int = 2
    parallel: int = 1
    threads: int = 2
    gpu_layers: int = 0
    adapters: Mapping[str, Path] = field(default_factory=dict)


class LlamaCppModel:
    """A GGUF model in this process.

    Args:
        name: how the user calls it.
        path: the `.gguf` file.
        fingerprint: identifies the weights; see `backends.pull`.
        parameters: number of weights, where known.
        options: how it is run.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        ModelUnavailableError: the file is not a model that the engine can load.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        fingerprint: str,
        parameters: int | None = None,
        options: EngineOptions | None = None,
    ) -> None:
        options = options or EngineOptions()
        self.name, self.parameters = name, parameters
        told = (fingerprint, options.context, options.parallel, options.threads, options.gpu_layers, engine_version())
        self.fingerprint = "llamacpp:" + ":".join(map(str, told))
        self._context = options.context
        self._server = start_engine(path, options)
        self._slots = _Slots(options.slots)
        self._turns = threading.Semaphore(options.parallel)
        self._http = httpx.Client(base_url=self._server.listening_address, timeout=60, trust_env=False)
        self._tries = Tries(self.tokenize)
        self._adapters = tuple(options.adapters)
        self._adapter: str | None = None
        self._owner = True

    def with_adapters(self, name: str, adapter_sum: AdapterSum) -> LlamaCppModel:
        """See `AdaptableModel.with_adapters`. The engine must have loaded the sum as one adapter."""
        adapter = adapter_sum.fingerprint if adapter_sum.weights else None
        if adapter not in {None, *self._adapters}:
            raise ValueError(f"the engine of {self.name} was not started with the adapter {adapter}")
        view = copy(self)
        view.name, view._owner, view._adapter = name, False, adapter
        view.fingerprint = f"{self.fingerprint}:{adapter_sum.fingerprint}"
        return view

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """See `LanguageModel.generate`."""
        body: dict[str, Any] = {"max_tokens": decoding.max_tokens, "temperature": 0.0, "stop": list(decoding.stop)}
        if decoding.grammar is not None:
            body["grammar"] = decoding.grammar
        replies = []
        for prompt in prompts:
            answer, usage = self._ask(prompt, prompt, body, decoding.list_separator)
            choice = answer["choices"][0]
            if choice["finish_reason"] != "stop" and usage.generated_tokens < decoding.max_tokens:
                token_counts = f"{usage.prompt_tokens} + {decoding.max_tokens}"
                self._refuse({"type": _TOO_LONG, "n_prompt_tokens": token_counts})
            replies.append(Reply(choice["text"], choice["finish_reason"] == "stop", usage))
        return replies

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """See `LanguageModel.choose`. One evaluation for each branching of the options' token trie."""
        trie = self._tries.of(options)
        return [self._choose_one(prompt, trie) for prompt in prompts]

    def close(self) -> None:
        """Stop the engine and free its memory, unless another model's engine it is."""
        if self._owner:
            self._http.close()
        del self._server

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`, nothing added in front."""
        answer = self._http.post("/tokenize", json={"content": text, "add_special": False}).json()
        return [int(t) for t in answer["tokens"]]

    def _choose_one(self, prompt: str, trie: TokenTrie) -> Choice:
        usages: list[Usage] = []

        def siblings(path: tuple[int, ...], children: tuple[int, ...]) -> Mapping[int, float]:
            body = {
                "max_tokens": 1,
                "temperature": 1.0,
                "seed": 0,
                "samplers": ["top_k", "temperature"],
                "top_k": len(children),
                "logprobs": len(children),
                "post_sampling_probs": True,
                "logit_bias": [[token, _BIAS] for token in children],
            }
            answer, usage = self._ask(prompt, [prompt, *path] if path else prompt, body)
            usages.append(usage)
            shown = answer["choices"][0]["logprobs"]["content"][0]["top_probs"]
            return {entry["id"]: math.log(max(entry["prob"], _FLOOR)) for entry in shown}

        scores = trie.log_probabilities(siblings, floor=math.log(_FLOOR))
        return Choice(scores, sum(usages, Usage()))

    def _ask(
        self, prompt: str, content: str | list[Any], body: Mapping[str, Any], separator: str | None = None
    ) -> tuple[dict[str, Any], Usage]:
        with self._turns, self._slots.taken_for(prompt, self._adapter) as (slot, holds):
            told = {**body, "prompt": content, "id_slot": slot, "cache_prompt": holds}
            if self._adapters:
                told["lora"] = [{"id": i, "scale": float(x == self._adapter)} for i, x in enumerate(self._adapters)]
            if separator is None:
                answer = self._server.handle_completions(told)
            else:
                answer = _listed(self._server, told, separator)
            if "error" in answer:
                self._refuse(answer["error"])
        return answer, _usage(answer)

    def _refuse(self, error: Mapping[str, Any]) -> None:
        if error.get("type") == _TOO_LONG:
            raise PromptTooLongError(
                f"{self.name}: a prompt of {error.get('n_prompt_tokens')} tokens does not fit the context of "
                f"{self._context}; use fewer shots, shorter sentences, or a larger `context`"
            )
        raise BadReplyError(f"{self.name}: the engine refused a request: {error.get('message', error)}")


def _listed(server: Any, body: Mapping[str, Any], separator: str) -> dict[str, Any]:  # noqa: ANN401 - untyped library
    """The reply, ended where the list begins to repeat itself; in the form that a whole reply has."""
    text, last = "", {}

    def take(piece: dict[str, Any]) -> bool:
        nonlocal text, last
        last = piece
        text += "" if "error" in piece else piece["choices"][0]["text"]
        return truncate_at_repetition(text, separator) is not None

    server.handle_completions({**body, "stream": True, "timings_per_token": True}, take)
    if "error" in last:
        return last
    ended = truncate_at_repetition(text, separator)
    timings = last["timings"]
    usage = {
        "prompt_tokens": timings["cache_n"] + timings["prompt_n"],
        "completion_tokens": timings["predicted_n"],
        "prompt_tokens_details": {"cached_tokens": timings["cache_n"]},
    }
    reason = last["choices"][0]["finish_reason"] if ended is None else "stop"
    return {
        "choices": [{"text": text if ended is None else ended, "finish_reason": reason}],
        "usage": usage,
        "timings": timings,
    }


def engine_version() -> str:
    """The engine's: another may answer otherwise in the second digit."""
    try:
        return metadata.version("xllamacpp")
    except metadata.PackageNotFoundError:
        return "unknown"


def _usage(answer: Mapping[str, Any]) -> Usage:
    counts, timings = answer["usage"], answer["timings"]
    return Usage(
        prompt_tokens=counts["prompt_tokens"],
        cached_tokens=counts["prompt_tokens_details"]["cached_tokens"],
        generated_tokens=counts["completion_tokens"],
        seconds=(timings["prompt_ms"] + timings["predicted_ms"]) / 1000,
        calls=1,
    )


def start_engine(path: Path, options: EngineOptions) -> Any:  # noqa: ANN401 - untyped library
    """A language model's engine, running as `options` say; raises as `load_engine` does."""

    def configure(params: Any) -> None:  # noqa: ANN401 - untyped library
        params.n_ctx, params.n_parallel = options.context * options.slots, options.slots
        params.kv_unified = False
        params.swa_full = True  # sliding-window models forget the prefix otherwise
        params.cache_ram_mib = 0  # the engine's own prefix store would make answers depend on history
        params.n_gpu_layers = options.gpu_layers
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
        params.lora_adapters = [_adapter(path) for path in options.adapters.values()]
        params.lora_init_without_apply = True

    return load_engine(path, configure)


def _adapter(path: Path) -> Any:  # noqa: ANN401 - untyped library
    import xllamacpp

    if not path.is_file():
        raise ModelUnavailableError(f"no adapter file at {path}")
    told = xllamacpp.CommonAdapterLoraInfo()
    told.path, told.scale = str(path), 1.0
    return told


def load_engine(path: Path, configure: Callable[[Any], None]) -> Any:  # noqa: ANN401 - untyped library
    """A running engine for the model at `path`, its parameters set by `configure`.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        ModelUnavailableError: there is no such file, or it is not a model that llama.cpp can load.
    """
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingExtraError("xllamacpp", "embedded", "a model in this process") from error
    if not path.is_file():
        raise ModelUnavailableError(f"no model file at {path}")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelUnavailableError(f"{path} is not a GGUF file; llama.cpp loads no other kind")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.verbosity, params.ui, params.warmup = -1, False, False
    configure(params)
    try:
        return xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        raise ModelUnavailableError(f"llama.cpp cannot load {path}: {error}") from error
