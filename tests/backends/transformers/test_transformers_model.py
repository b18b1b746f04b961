"""transformers with PEFT adapters, on a tiny random Llama."""

from __future__ import annotations

import gc
import math
import re
import shutil
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from entsemble.backends.transformers import kv_cache as states
from entsemble.backends.transformers.batcher import Wanted
from entsemble.backends.transformers import TransformersModel
from entsemble.errors import BadReplyError, ModelUnavailableError, PromptTooLongError
from entsemble.types import AdapterSum, Decoding

pytest.importorskip("peft", reason="needs the extra 'experts'")

PROMPT = "Text: Ann left Oslo.\nEntities:"
OPTIONS = [" a;", " b c;", " b d;"]
SHAPE = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)


@pytest.fixture(scope="module")
def model(tiny_folder: Path, tiny_adapters: dict[str, Path]) -> TransformersModel:
    return TransformersModel("tiny", tiny_folder, fingerprint="f", context=256, adapters=tiny_adapters)


def test_what_came_first_is_not_passed_over_for_ever(tiny_folder: Path, tiny_adapters: dict[str, Path]) -> None:
    """By shorter ones, of which there are always more, and by those under adapters that are applied already."""
    reader = TransformersModel(
        "tiny", tiny_folder, fingerprint="f", context=256, slots=40, adapters=tiny_adapters
    )._reader
    applied = (("two", 1.0),)
    for first in (Wanted(applied, [1] * 200), Wanted((), [1, 2, 3])):
        others = [Wanted(applied, [5, i]) for i in range(3)]
        served = [[place for place, _ in reader.step(others)]]
        while 0 not in served[-1] or len(served) == 1:
            others = [Wanted(applied, [*other.ids, 6]) for other in others]
            served.append([place for place, _ in reader.step([first, *others])])
            assert len(served) <= states._PATIENCE + 2
        assert served[1] == [1, 2, 3]


def test_a_closed_model_is_forgotten(tiny_folder: Path) -> None:
    model = TransformersModel("tiny", tiny_folder, fingerprint="f", context=256)
    reader = weakref.ref(model._reader)
    model.choose([PROMPT], OPTIONS)
    model.close()
    model.close()
    gc.collect()
    assert reader() is None
    with pytest.raises(ModelUnavailableError, match="closed"):
        model.choose([PROMPT], OPTIONS)


def test_a_choice_is_what_the_whole_continuations_say(model: TransformersModel) -> None:
    """Against the product over tokens, normalised over siblings, without any kept state."""
    found = model.choose([PROMPT], OPTIONS)[0].log_probabilities
    assert sum(map(math.exp, found)) == pytest.approx(1)
    [first] = model.choose([PROMPT], [" a", " b"])
    assert found[0] == pytest.approx(first.log_probabilities[0], abs=1e-4)
    [later] = model.choose([PROMPT + " b"], [" c", " d"])
    assert found[1] == pytest.approx(first.log_probabilities[1] + later.log_probabilities[0], abs=1e-4)


def test_what_was_read_is_not_read_again(model: TransformersModel) -> None:
    [reply] = model.generate([PROMPT], Decoding(4))
    [choice] = model.choose([PROMPT + " x"], [" a", " b"])
    assert (reply.usage.generated_tokens, reply.finished) == (4, False)
    assert choice.usage.cached_tokens >= len(PROMPT)


PROMPTS = [f"Text: {'Ann left ' * (i % 5)}Oslo {i}.\nEntities:" for i in range(12)]


def alone(model: TransformersModel, prompts: list[str]) -> list[Any]:
    """Each by itself, nothing known of it."""
    found = []
    for prompt in prompts:
        model._reader.forget()
        [reply], [choice] = model.generate([prompt], Decoding(9)), model.choose([prompt + " x"], OPTIONS)
        found.append((reply.text, pytest.approx(choice.log_probabilities, abs=1e-4)))
    return found


def test_a_batch_is_answered_as_each_by_itself(model: TransformersModel) -> None:
    expected = alone(model, PROMPTS)
    model._reader.forget()
    replies = model.generate(PROMPTS, Decoding(9))
    choices = model.choose([prompt + " x" for prompt in PROMPTS], OPTIONS)
    assert [(r.text, c.log_probabilities) for r, c in zip(replies, choices, strict=True)] == expected
    assert sum(r.usage.prompt_tokens for r in replies) == sum(map(len, PROMPTS))


@pytest.mark.parametrize("slots", [1, 3, 40])
def test_threads_are_answered_as_each_by_itself(tiny_folder: Path, tiny_adapters: dict[str, Path], slots: int) -> None:
    model = TransformersModel("tiny", tiny_folder, fingerprint="f", context=256, slots=slots, adapters=tiny_adapters)
    views = [
        model,
        model.with_adapters("1", AdapterSum({"v1.0": 1.0}, "p")),
        model.with_adapters("2", AdapterSum({"two": 1.0}, "q")),
    ]
    expected = [alone(views[i % 3], [prompt])[0] for i, prompt in enumerate(PROMPTS)]

    def asked(i: int) -> Any:
        [reply] = views[i % 3].generate([PROMPTS[i]], Decoding(9))
        [choice] = views[i % 3].choose([PROMPTS[i] + " x"], OPTIONS)
        return reply.text, choice.log_probabilities

    with ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            assert list(threads.map(asked, range(len(PROMPTS)))) == expected


def test_a_batch_and_what_is_kept_hold_no_more_than_they_may(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TransformersModel("tiny", tiny_folder, fingerprint="f", context=256, slots=40)
    expected = alone(model, PROMPTS)
    most = 3 * max(map(len, PROMPTS))
    monkeypatch.setattr(states, "_HELD", most)
    held = []

    def read(applied: Any, rows: Any) -> Any:
        held.append(len(rows) * (max(r.known for r in rows) + max(r.new for r in rows)))
        return states.Reader._read(model._reader, applied, rows)

    monkeypatch.setattr(model._reader, "_read", read)
    replies = model.generate(PROMPTS, Decoding(9))
    kept = sum(len(ids) for _, ids in model._reader._kept)
    choices = model.choose([prompt + " x" for prompt in PROMPTS], OPTIONS)
    assert [(r.text, c.log_probabilities) for r, c in zip(replies, choices, strict=True)] == expected
    assert len(PROMPTS[0]) < kept <= most
    assert max(map(len, PROMPTS)) < max(held) <= most


def test_a_step_that_serves_many_makes_no_more_calls(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of torch: they cost more than what they compute, for small models on few cores."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):  # type: ignore[misc] # untyped library
        calls = 0

        def __torch_dispatch__(self, function: Any, _: Any, given: Any = (), named: Any = None) -> Any:
            self.calls += 1
            return function(*given, **(named or {}))

    model = TransformersModel("tiny", tiny_folder, fingerprint="f", context=256, slots=40)
    own, steps = model._reader.step, []

    def step(wanted: Any) -> Any:
        with Counting() as counting:
            served = own(wanted)
        steps.append((len(served), counting.calls))
        return served

    monkeypatch.setattr(model._reader, "step", step)
    for many in (2, 9):
        model.generate([f"{i} {PROMPT}" for i in range(many)], Decoding(5))
    replies = {served: calls for served, calls in steps if served in (2, 9)}  # the last of each: one more token
    assert replies[2] == replies[9], steps


@pytest.mark.parametrize("kind", ["all layers slide", "some layers slide", "recurrent", "no cache"])
def test_other_kinds_of_layers_are_answered_as_by_the_library(
    kind: str, tiny_folder: Path, tmp_path: Path, tiny_llama: Callable[..., Any]
) -> None:
    """Against the model's own reading of the whole text, which knows no kept states."""
    import torch
    import transformers

    like = tiny_llama(vocab_size=258, bos_token_id=256, eos_token_id=257).config
    told = {name: getattr(like, name) for name in SHAPE} | {"bos_token_id": 256, "eos_token_id": 257}
    place = shutil.copytree(tiny_folder, tmp_path / "other")
    torch.manual_seed(0)
    if kind == "all layers slide":
        made: Any = transformers.MistralForCausalLM(transformers.MistralConfig(**told, sliding_window=16))
    elif kind == "some layers slide":
        layers = ["sliding_attention", "full_attention"]
        slides = {"layer_types": layers, "sliding_window": 16, "head_dim": 8, "pad_token_id": 0}
        made = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**told, **slides))
    elif kind == "no cache":
        sizes = {name: told[name] for name in ("vocab_size", "hidden_size", "num_hidden_layers")}
        made = transformers.RwkvForCausalLM(transformers.RwkvConfig(**sizes, bos_token_id=256, eos_token_id=257))
    else:
        folds = {"layer_types": ["linear_attention", "full_attention"], "head_dim": 8, "pad_token_id": 0}
        sizes = {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
        sizes |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
        made = transformers.Qwen3NextForCausalLM(
            transformers.Qwen3NextConfig(**told, **folds, **sizes, mlp_only_layers=[0, 1])
        )
    made.eval().save_pretrained(place)
    model = TransformersModel("other", place, fingerprint="f", context=256, slots=20)
    prompts = [*PROMPTS, *PROMPTS[:2]]
    replies = model.generate(prompts, Decoding(9))
    choices = model.choose([prompt + reply.text[:1] for prompt, reply in zip(prompts, replies, strict=True)], OPTIONS)
    branching = model._tokenize.bare("ab")
    for prompt, reply, choice in zip(prompts, replies, choices, strict=True):
        read = model._tokenize(prompt)[0]
        with torch.no_grad():
            for _ in range(reply.usage.generated_tokens):
                read.append(int(made(torch.tensor([read])).logits[0, -1].argmax()))
            text = model._tokenize.text([], read)
            own = model._tokenize(prompt + reply.text[:1] + " ")[0]
            a, b = made(torch.tensor([own])).logits[0, -1].log_softmax(0)[branching]
        assert text.startswith(prompt + reply.text)
        ratio = choice.log_probabilities[0] - math.log(sum(map(math.exp, choice.log_probabilities[1:])))
        assert ratio == pytest.approx(float(a - b), abs=1e-3)


LISTING = 'root ::= (" none" | span (" |" span)*) "\\n"\nspan ::= " " w0\nw0 ::= "Ann" (" " w1)?\nw1 ::= "left"'


def test_a_reply_keeps_to_its_grammar(model: TransformersModel) -> None:
    """A random model would write anything."""
    [free] = model.generate([PROMPT], Decoding(40))
    [reply] = model.generate([PROMPT], Decoding(40, grammar=LISTING))
    assert not re.fullmatch(r" none\n?| Ann( left)?( \| Ann( left)?)*( \|?)?.*", free.text, re.DOTALL)
    listed = reply.text.removesuffix("\n")
    assert listed == " none" or all(" Ann left".startswith(item) for item in listed.split(" |")), reply
    assert listed.split(" |")[0] in (" none", " Ann", " Ann left")


def test_a_reply_ends_with_its_grammar(model: TransformersModel) -> None:
    [reply] = model.generate([PROMPT], Decoding(40, grammar='root ::= " none" "\\n"'))
    assert (reply.text, reply.finished, reply.usage.generated_tokens) == (" none\n", True, 6)


def test_no_grammar(model: TransformersModel) -> None:
    with pytest.raises(BadReplyError, match=r"tiny.*grammar"):
        model.generate([PROMPT], Decoding(40, grammar="root ::= nowhere"))


def test_too_long(model: TransformersModel) -> None:
    with pytest.raises(PromptTooLongError, match=r"tiny.*256"):
        model.generate(["x" * 250], Decoding(20))
    assert sum(map(math.exp, model.choose(["x" * 254], [" ab", " ac"])[0].log_probabilities)) == pytest.approx(1)
    with pytest.raises(PromptTooLongError, match=r"tiny.*256"):
        model.choose(["x" * 255], [" ab", " ac"])
