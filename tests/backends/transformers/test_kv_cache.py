"""Cached and batched answers equal those of the same model without a cache."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from entsemble.backends.transformers import TransformersModel
from entsemble.backends.transformers.scheduler import StepLimits
from entsemble.types import Decoding
from tests.backends.transformers.tiny import OPTIONS, PROMPT, PROMPTS, load_tiny, with_sum

pytest.importorskip("peft", reason="needs the extra 'experts'")

REPLY = Decoding(9)
SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)


@pytest.fixture(scope="module")
def model(tiny_folder: Path, tiny_adapters: dict[str, Path]) -> TransformersModel:
    return load_tiny(tiny_folder, adapters=tiny_adapters)


def answer(model: TransformersModel, prompt: str) -> tuple[str, tuple[float, ...]]:
    """A reply, and the scores of options in a continued prompt."""
    [reply], [choice] = model.generate([prompt], REPLY), model.choose([prompt + " x"], OPTIONS)
    return reply.text, choice.log_probabilities


def uncached_answer(model: TransformersModel, prompt: str) -> tuple[str, Any]:
    model._runner.forget()
    text, log_probabilities = answer(model, prompt)
    return text, pytest.approx(log_probabilities, abs=1e-4)


def test_a_cached_prefix_is_not_read_again(model: TransformersModel) -> None:
    [reply] = model.generate([PROMPT], Decoding(4))
    [choice] = model.choose([PROMPT + " x"], [" a", " b"])
    assert (reply.usage.generated_tokens, reply.finished) == (4, False)
    assert choice.usage.cached_tokens >= len(PROMPT)


def test_a_batch_gives_the_answers_of_single_requests(model: TransformersModel) -> None:
    expected = [uncached_answer(model, prompt) for prompt in PROMPTS]
    model._runner.forget()
    replies = model.generate(PROMPTS, REPLY)
    choices = model.choose([prompt + " x" for prompt in PROMPTS], OPTIONS)
    assert [(r.text, c.log_probabilities) for r, c in zip(replies, choices, strict=True)] == expected
    assert sum(reply.usage.prompt_tokens for reply in replies) == sum(map(len, PROMPTS))


@pytest.mark.parametrize("slots", [1, 3, 40])
def test_threads_get_the_answers_of_single_requests(
    tiny_folder: Path, tiny_adapters: dict[str, Path], slots: int
) -> None:
    model = load_tiny(tiny_folder, slots=slots, adapters=tiny_adapters)
    views = [model, with_sum(model, "1", v1_0=1.0), with_sum(model, "2", two=1.0)] * 4
    expected = [uncached_answer(view, prompt) for view, prompt in zip(views, PROMPTS, strict=True)]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            assert list(threads.map(answer, views, PROMPTS)) == expected


def test_the_cache_and_batches_stay_within_their_limit(tiny_folder: Path) -> None:
    max_tokens = 3 * max(map(len, PROMPTS))
    model = load_tiny(tiny_folder, slots=40, limits=StepLimits(cached_tokens=max_tokens))
    expected = [uncached_answer(model, prompt) for prompt in PROMPTS]
    replies = model.generate(PROMPTS, REPLY)
    cached_tokens = model._runner.cached_tokens
    choices = model.choose([prompt + " x" for prompt in PROMPTS], OPTIONS)
    assert [(r.text, c.log_probabilities) for r, c in zip(replies, choices, strict=True)] == expected
    assert len(PROMPTS[0]) < cached_tokens <= max_tokens


def test_a_larger_batch_makes_no_more_calls_of_torch(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For small models on few cores, calls cost more than what they compute."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class CallCounter(TorchDispatchMode):  # type: ignore[misc] # untyped library
        calls = 0

        def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.calls += 1
            return function(*args, **(kwargs or {}))

    model = load_tiny(tiny_folder, slots=40)
    original_step, steps = model._runner.step, []

    def step(inputs: Any) -> Any:
        with CallCounter() as counter:
            outputs = original_step(inputs)
        steps.append((len(outputs), counter.calls))
        return outputs

    monkeypatch.setattr(model._runner, "step", step)
    for batch_size in (2, 9):
        model.generate([f"{number} {PROMPT}" for number in range(batch_size)], Decoding(5))
    last_calls = dict(steps)  # the last step of each size reads one more token of each reply
    assert last_calls[2] == last_calls[9], steps


def other_architecture(kind: str, config: Any) -> Any:
    """A random model with layers of another kind than Llama's."""
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = {name: getattr(config, name) for name in SIZES} | {"bos_token_id": 256, "eos_token_id": 257}
    if kind == "all layers slide":
        return transformers.MistralForCausalLM(transformers.MistralConfig(**sizes, sliding_window=16))
    if kind == "some layers slide":
        layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16}
        gemma_config = transformers.Gemma3TextConfig(**sizes, **layers, head_dim=8, pad_token_id=0)
        return transformers.Gemma3ForCausalLM(gemma_config)
    if kind == "no cache":
        few = {name: sizes[name] for name in ("vocab_size", "hidden_size", "num_hidden_layers")}
        return transformers.RwkvForCausalLM(transformers.RwkvConfig(**few, bos_token_id=256, eos_token_id=257))
    linear = {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
    linear |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
    layers = {"layer_types": ["linear_attention", "full_attention"], "head_dim": 8, "pad_token_id": 0}
    qwen_config = transformers.Qwen3NextConfig(**sizes, **linear, **layers, mlp_only_layers=[0, 1])
    return transformers.Qwen3NextForCausalLM(qwen_config)


@pytest.mark.parametrize("kind", ["all layers slide", "some layers slide", "recurrent", "no cache"])
def test_other_kinds_of_layers_give_the_answers_of_the_library(
    kind: str, tiny_folder: Path, tmp_path: Path, tiny_llama: Callable[..., Any]
) -> None:
    """Against the library's own forward pass over the whole text, without a cache."""
    import torch

    folder = shutil.copytree(tiny_folder, tmp_path / "other")
    library_model = other_architecture(
        kind, tiny_llama(vocab_size=258, bos_token_id=256, eos_token_id=257).config
    ).eval()
    library_model.save_pretrained(folder)
    model = load_tiny(folder, slots=20)
    tokenizer = model._tokenizer
    prompts = [*PROMPTS, *PROMPTS[:2]]
    replies = model.generate(prompts, REPLY)
    continued_prompts = [prompt + reply.text[:1] for prompt, reply in zip(prompts, replies, strict=True)]
    choices = model.choose(continued_prompts, OPTIONS)
    branching_ids = tokenizer.encode("ab")
    for prompt, continued, reply, choice in zip(prompts, continued_prompts, replies, choices, strict=True):
        token_ids = tokenizer(prompt)[0]
        with torch.no_grad():
            for _ in range(reply.usage.generated_tokens):
                token_ids.append(int(library_model(torch.tensor([token_ids])).logits[0, -1].argmax()))
            logits = library_model(torch.tensor([tokenizer(continued + " ")[0]])).logits[0, -1]
            score_a, score_b = logits.log_softmax(0)[branching_ids]
        assert tokenizer.decode([], token_ids).startswith(prompt + reply.text)
        log_odds = choice.log_probabilities[0] - math.log(sum(map(math.exp, choice.log_probabilities[1:])))
        assert log_odds == pytest.approx(float(score_a - score_b), abs=1e-3)
