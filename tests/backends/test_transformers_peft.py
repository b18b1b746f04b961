"""transformers with PEFT adapters, on a tiny random Llama."""

from __future__ import annotations

import gc
import json
import math
import re
import shutil
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.assemble.models import Models, Watch, base_checksum
from entsemble.backends import states, transformers_adapters, transformers_base
from entsemble.backends.batch import Wanted
from entsemble.backends.transformers_base import Tokenizer
from entsemble.backends.transformers_peft import TransformersModel
from entsemble.errors import BadReplyError, ConfigError, DataError, ModelUnavailableError, PromptTooLongError
from entsemble.experts import adapter
from entsemble.experts.adapter import Adapter
from entsemble.experts.card import Card
from entsemble.experts.merging.factors import Factors
from entsemble.experts.merging.merge import Merging, merge
from entsemble.experts.store import ExpertStore
from entsemble.settings import CacheSettings, MemberSettings, Settings, environment

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


def change(seed: int) -> Adapter:
    random = np.random.default_rng(seed)
    return Adapter(
        {
            f"model.layers.{i}.mlp.down_proj": Factors(
                random.normal(scale=0.5, size=(2, 48)).astype(np.float32),
                random.normal(scale=0.5, size=(32, 2)).astype(np.float32),
            )
            for i in (0, 1)
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Callable[..., Any]) -> Path:
    """A model folder with a tokenizer of single bytes."""
    import tokenizers
    import transformers

    place = tmp_path_factory.mktemp("tiny")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    raw = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate([*letters, "<s>", "</s>"])}, []))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = tokenizers.decoders.ByteLevel()
    transformers.PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>").save_pretrained(place)
    tiny_llama(vocab_size=258, bos_token_id=256, eos_token_id=257).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("adapters")
    one, two = change(1), change(2)
    both = merge([one, two], [0.5, 0.25], Merging()).adapter
    for name, made in (("v1.0", one), ("two", two), ("both", both)):
        adapter.save(made, place / name)
    return {name: place / name for name in ("v1.0", "two", "both")}


@pytest.fixture(scope="module")
def model(folder: Path, adapters: dict[str, Path]) -> TransformersModel:
    return TransformersModel("tiny", folder, fingerprint="f", context=256, adapters=adapters)


@pytest.fixture(params=["added to the weights", "applied by PEFT"])
def either(
    request: pytest.FixtureRequest, folder: Path, adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> TransformersModel:
    """Of the two ways in which adapters are applied: where there is memory for changed weights, and where not."""
    if request.param == "applied by PEFT":
        monkeypatch.setattr(transformers_adapters, "_MERGED", 0)
    made = TransformersModel("tiny", folder, fingerprint="f", context=256, slots=8, adapters=adapters)
    assert made._reader.adapted.merges == (request.param == "added to the weights")
    return made


def scored(model: TransformersModel) -> tuple[float, ...]:
    return model.choose([PROMPT], OPTIONS)[0].log_probabilities


def test_a_weighted_sum_is_the_merged_adapter(either: TransformersModel) -> None:
    model = either
    summed = model.adapted("sum", "x", {"v1.0": 0.5, "two": 0.25})
    merged = model.adapted("merged", "y", {"both": 1.0})
    assert scored(summed) == pytest.approx(scored(merged), abs=1e-4)
    assert max(abs(a - b) for a, b in zip(scored(summed), scored(model), strict=True)) > 0.01
    assert len({m.fingerprint for m in (model, summed, merged)}) == 3


def test_one_adapter_that_is_applied_whole(either: TransformersModel) -> None:
    nearly = either.adapted("nearly", "n", {"two": 0.999999})
    whole = either.adapted("whole", "w", {"v1.0": 0.0, "two": 1.0})
    assert scored(whole) == pytest.approx(scored(nearly), abs=1e-4)
    assert max(abs(a - b) for a, b in zip(scored(whole), scored(either), strict=True)) > 0.01


def test_sums_that_memory_has_no_room_for_are_made_again(
    folder: Path, adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_adapters, "_MERGED", 2 * 2 * 32 * 48 * 4)  # two sums of two layers in float32
    model = TransformersModel("tiny", folder, fingerprint="f", context=256, adapters=adapters)
    views = [model.adapted("x", "y", {"two": weight}) for weight in (0.5, 1.0, 1.5)]
    first = [scored(view) for view in views]
    assert len(set(first)) == 3
    base, *back = [scored(view) for view in (model, *views[::-1])]
    assert back == [pytest.approx(x, abs=1e-4) for x in first[::-1]]
    assert base == pytest.approx(scored(TransformersModel("alone", folder, fingerprint="f", context=256)), abs=1e-4)
    assert len(model._reader.adapted._made) == 2


def test_a_sum_that_could_not_be_made_is_made_the_next_time(
    folder: Path, adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TransformersModel("tiny", folder, fingerprint="f", context=256, adapters=adapters)
    one, two = model.adapted("1", "p", {"v1.0": 1.0}), model.adapted("2", "q", {"two": 1.0})
    first = [scored(m) for m in (model, one)]

    def failing(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(transformers_adapters, "_added", failing)
        with pytest.raises(ModelUnavailableError, match=r"2: out of memory|tiny: out of memory"):
            scored(two)
    assert [scored(m) for m in (model, one)] == [pytest.approx(x, abs=1e-4) for x in first]
    assert max(abs(a - b) for a, b in zip(scored(two), first[0], strict=True)) > 0.01


def test_nothing_is_added_to_packed_weights() -> None:
    import torch

    plain, packed = torch.ones(3, 2), torch.ones(3, 2, dtype=torch.int8)
    assert [transformers_adapters._bytes(w) for w in ([plain, plain], [plain, packed], [plain, None])] == [48, 0, 0]


def test_what_came_first_is_not_passed_over_for_ever(folder: Path, adapters: dict[str, Path]) -> None:
    """By shorter ones, of which there are always more, and by those under adapters that are applied already."""
    reader = TransformersModel("tiny", folder, fingerprint="f", context=256, slots=40, adapters=adapters)._reader
    applied = (("two", 1.0),)
    for first in (Wanted(applied, [1] * 200), Wanted((), [1, 2, 3])):
        others = [Wanted(applied, [5, i]) for i in range(3)]
        served = [[place for place, _ in reader.step(others)]]
        while 0 not in served[-1] or len(served) == 1:
            others = [Wanted(applied, [*other.ids, 6]) for other in others]
            served.append([place for place, _ in reader.step([first, *others])])
            assert len(served) <= states._PATIENCE + 2
        assert served[1] == [1, 2, 3]


def test_a_closed_model_is_forgotten(folder: Path) -> None:
    model = TransformersModel("tiny", folder, fingerprint="f", context=256)
    reader = weakref.ref(model._reader)
    scored(model)
    model.close()
    model.close()
    gc.collect()
    assert reader() is None
    with pytest.raises(ModelUnavailableError, match="closed"):
        scored(model)


def test_views_do_not_disturb_each_other_and_the_base_stays(either: TransformersModel, folder: Path) -> None:
    model = either
    alone = TransformersModel("alone", folder, fingerprint="f", context=256)
    one, two = model.adapted("1", "p", {"v1.0": 1.0}), model.adapted("2", "q", {"two": 1.0})
    first = [scored(m) for m in (one, two, model)]
    assert [scored(m) for m in (model, two, one)] == [pytest.approx(x, abs=1e-4) for x in first[::-1]]
    assert scored(model) == pytest.approx(scored(alone), abs=1e-4)
    assert scored(model.adapted("none", "", {"v1.0": 0.0})) == pytest.approx(scored(alone), abs=1e-4)


def test_a_choice_is_what_the_whole_continuations_say(model: TransformersModel) -> None:
    """Against the product over tokens, normalised over siblings, without any kept state."""
    found = model.choose([PROMPT], OPTIONS)[0].log_probabilities
    assert sum(map(math.exp, found)) == pytest.approx(1)
    [first] = model.choose([PROMPT], [" a", " b"])
    assert found[0] == pytest.approx(first.log_probabilities[0], abs=1e-4)
    [later] = model.choose([PROMPT + " b"], [" c", " d"])
    assert found[1] == pytest.approx(first.log_probabilities[1] + later.log_probabilities[0], abs=1e-4)


def test_what_was_read_is_not_read_again(model: TransformersModel) -> None:
    [reply] = model.generate([PROMPT], max_tokens=4)
    [choice] = model.choose([PROMPT + " x"], [" a", " b"])
    assert (reply.usage.generated_tokens, reply.finished) == (4, False)
    assert choice.usage.cached_tokens >= len(PROMPT)


PROMPTS = [f"Text: {'Ann left ' * (i % 5)}Oslo {i}.\nEntities:" for i in range(12)]


def alone(model: TransformersModel, prompts: list[str]) -> list[Any]:
    """Each by itself, nothing known of it."""
    found = []
    for prompt in prompts:
        model._reader.forget()
        [reply], [choice] = model.generate([prompt], max_tokens=9), model.choose([prompt + " x"], OPTIONS)
        found.append((reply.text, pytest.approx(choice.log_probabilities, abs=1e-4)))
    return found


def test_a_batch_is_answered_as_each_by_itself(model: TransformersModel) -> None:
    expected = alone(model, PROMPTS)
    model._reader.forget()
    replies = model.generate(PROMPTS, max_tokens=9)
    choices = model.choose([prompt + " x" for prompt in PROMPTS], OPTIONS)
    assert [(r.text, c.log_probabilities) for r, c in zip(replies, choices, strict=True)] == expected
    assert sum(r.usage.prompt_tokens for r in replies) == sum(map(len, PROMPTS))


@pytest.mark.parametrize("slots", [1, 3, 40])
def test_threads_are_answered_as_each_by_itself(folder: Path, adapters: dict[str, Path], slots: int) -> None:
    model = TransformersModel("tiny", folder, fingerprint="f", context=256, slots=slots, adapters=adapters)
    views = [model, model.adapted("1", "p", {"v1.0": 1.0}), model.adapted("2", "q", {"two": 1.0})]
    expected = [alone(views[i % 3], [prompt])[0] for i, prompt in enumerate(PROMPTS)]

    def asked(i: int) -> Any:
        [reply] = views[i % 3].generate([PROMPTS[i]], max_tokens=9)
        [choice] = views[i % 3].choose([PROMPTS[i] + " x"], OPTIONS)
        return reply.text, choice.log_probabilities

    with ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            assert list(threads.map(asked, range(len(PROMPTS)))) == expected


def test_a_batch_and_what_is_kept_hold_no_more_than_they_may(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = TransformersModel("tiny", folder, fingerprint="f", context=256, slots=40)
    expected = alone(model, PROMPTS)
    most = 3 * max(map(len, PROMPTS))
    monkeypatch.setattr(states, "_HELD", most)
    held = []

    def read(applied: Any, rows: Any) -> Any:
        held.append(len(rows) * (max(r.known for r in rows) + max(r.new for r in rows)))
        return states.Reader._read(model._reader, applied, rows)

    monkeypatch.setattr(model._reader, "_read", read)
    replies = model.generate(PROMPTS, max_tokens=9)
    kept = sum(len(ids) for _, ids in model._reader._kept)
    choices = model.choose([prompt + " x" for prompt in PROMPTS], OPTIONS)
    assert [(r.text, c.log_probabilities) for r, c in zip(replies, choices, strict=True)] == expected
    assert len(PROMPTS[0]) < kept <= most
    assert max(map(len, PROMPTS)) < max(held) <= most


def test_a_step_that_serves_many_makes_no_more_calls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of torch: they cost more than what they compute, for small models on few cores."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):  # type: ignore[misc] # untyped library
        calls = 0

        def __torch_dispatch__(self, function: Any, _: Any, given: Any = (), named: Any = None) -> Any:
            self.calls += 1
            return function(*given, **(named or {}))

    model = TransformersModel("tiny", folder, fingerprint="f", context=256, slots=40)
    own, steps = model._reader.step, []

    def step(wanted: Any) -> Any:
        with Counting() as counting:
            served = own(wanted)
        steps.append((len(served), counting.calls))
        return served

    monkeypatch.setattr(model._reader, "step", step)
    for many in (2, 9):
        model.generate([f"{i} {PROMPT}" for i in range(many)], max_tokens=5)
    replies = {served: calls for served, calls in steps if served in (2, 9)}  # the last of each: one more token
    assert replies[2] == replies[9], steps


@pytest.mark.parametrize("kind", ["all layers slide", "some layers slide", "recurrent", "no cache"])
def test_other_kinds_of_layers_are_answered_as_by_the_library(
    kind: str, folder: Path, tmp_path: Path, tiny_llama: Callable[..., Any]
) -> None:
    """Against the model's own reading of the whole text, which knows no kept states."""
    import torch
    import transformers

    like = tiny_llama(vocab_size=258, bos_token_id=256, eos_token_id=257).config
    told = {name: getattr(like, name) for name in SHAPE} | {"bos_token_id": 256, "eos_token_id": 257}
    place = shutil.copytree(folder, tmp_path / "other")
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
    replies = model.generate(prompts, max_tokens=9)
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
    [free] = model.generate([PROMPT], max_tokens=40)
    [reply] = model.generate([PROMPT], max_tokens=40, constraint=LISTING)
    assert not re.fullmatch(r" none\n?| Ann( left)?( \| Ann( left)?)*( \|?)?.*", free.text, re.DOTALL)
    listed = reply.text.removesuffix("\n")
    assert listed == " none" or all(" Ann left".startswith(item) for item in listed.split(" |")), reply
    assert listed.split(" |")[0] in (" none", " Ann", " Ann left")


def test_a_reply_ends_with_its_grammar(model: TransformersModel) -> None:
    [reply] = model.generate([PROMPT], max_tokens=40, constraint='root ::= " none" "\\n"')
    assert (reply.text, reply.finished, reply.usage.generated_tokens) == (" none\n", True, 6)


def test_no_grammar(model: TransformersModel) -> None:
    with pytest.raises(BadReplyError, match=r"tiny.*grammar"):
        model.generate([PROMPT], max_tokens=40, constraint="root ::= nowhere")


@pytest.fixture
def gguf(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Path]]:
    """A file that stands for a GGUF of the folder's model, and what was loaded so far."""
    own, loaded = transformers_base._load, []

    def load(path: Path, dtype: Any) -> Any:
        loaded.append(path)
        return own(path if path.is_dir() else folder, dtype)

    monkeypatch.setattr(transformers_base, "_load", load)
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    return file, loaded


def test_a_gguf_file_is_unpacked_once(gguf: tuple[Path, list[Path]], folder: Path, tmp_path: Path) -> None:
    file, loaded = gguf
    kept = tmp_path / "unpacked" / "0123"
    made = [TransformersModel("x", file, fingerprint="f", context=256, kept=kept) for _ in range(2)]
    assert loaded == [file, kept, kept]
    assert [p.name for p in kept.parent.iterdir()] == ["0123"]
    plain = TransformersModel("x", folder, fingerprint="f", context=256)
    assert [scored(m) for m in made] == [pytest.approx(scored(plain), abs=1e-6)] * 2


def test_a_large_gguf_file_is_not_kept_unpacked(
    gguf: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, loaded = gguf
    monkeypatch.setattr(transformers_base, "_UNPACKED", 3)
    TransformersModel("x", file, fingerprint="f", context=256, kept=tmp_path / "unpacked")
    assert loaded == [file]
    assert not (tmp_path / "unpacked").exists()


def test_where_nothing_can_be_unpacked(gguf: tuple[Path, list[Path]], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ModelUnavailableError, match=r"model\.gguf.*cache.*ENTSEMBLE_CACHE"):
        TransformersModel("x", gguf[0], fingerprint="f", context=256, kept=tmp_path / "cache" / "0123")


def test_too_long(model: TransformersModel) -> None:
    with pytest.raises(PromptTooLongError, match=r"tiny.*256"):
        model.generate(["x" * 250], max_tokens=20)
    assert sum(map(math.exp, model.choose(["x" * 254], [" ab", " ac"])[0].log_probabilities)) == pytest.approx(1)
    with pytest.raises(PromptTooLongError, match=r"tiny.*256"):
        model.choose(["x" * 255], [" ab", " ac"])


def test_a_beginning_is_put_before_a_prompt_and_before_no_option() -> None:
    class Beginning:
        bos_token_id = 1

        def __call__(self, text: str, *, add_special_tokens: bool = True, **_: Any) -> dict[str, Any]:
            ids = [*([1] if add_special_tokens else []), *map(ord, text)]
            return {"input_ids": ids, "offset_mapping": [(i, i + 1) for i in range(len(ids))]}

    tokenizer = Tokenizer(Beginning(), [])
    assert tokenizer("=a") == ([1, ord("="), ord("a")], [0, 0, 1])
    assert tokenizer.bare("=a") == [ord("="), ord("a")]


def test_a_folder_is_a_member_and_takes_its_experts(
    folder: Path, adapters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTSEMBLE_EXPERTS", str(tmp_path / "experts"))
    plain, with_expert = MemberSettings(model=str(folder)), MemberSettings(model=str(folder), experts={"one": 1.0})
    settings = Settings(members=(plain, with_expert), cache=CacheSettings(replies=False))
    models = Models(settings, environment(), Watch())
    told = Card(name="one", base=str(folder), base_sha256=models.base(plain), template="ner-1", labels=("x",))
    ExpertStore(environment().experts).add(adapters["two"], told)
    asked = [models.language_model(m) for m in settings.members]
    assert asked[0].choose([PROMPT], OPTIONS) != asked[1].choose([PROMPT], OPTIONS)
    models.close()


def test_an_expert_with_rslora_is_as_strong_as_it_was_trained(
    folder: Path, adapters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEFT's sums scale it by the root of its rank once too often; on llama.cpp it was right all along."""
    monkeypatch.setenv("ENTSEMBLE_EXPERTS", str(tmp_path / "experts"))
    rooted = tmp_path / "rooted"
    shutil.copytree(adapters["two"], rooted)
    told = json.loads((rooted / adapter.CONFIG).read_text())
    told |= {"use_rslora": True, "lora_alpha": math.sqrt(2), "r": 2}  # alpha / root of rank = 1, as in plain LoRA
    (rooted / adapter.CONFIG).write_text(json.dumps(told))
    store, place = ExpertStore(environment().experts), environment()
    base = base_checksum(str(folder), place)
    for name, given in (("plain", adapters["two"]), ("rooted", rooted)):
        store.add(given, Card(name=name, base=str(folder), base_sha256=base, template="ner-1"))
    members = tuple(MemberSettings(model=str(folder), experts={name: 0.5}) for name in ("plain", "rooted"))
    models = Models(Settings(members=members, cache=CacheSettings(replies=False)), place, Watch())
    one, two = (models.language_model(m).choose([PROMPT], OPTIONS)[0].log_probabilities for m in members)
    assert one == pytest.approx(two, abs=1e-4)
    models.close()


@pytest.mark.parametrize("tied", [False, True])
def test_in_bfloat16_it_says_nearly_the_same(
    tmp_path: Path, folder: Path, adapters: dict[str, Path], tiny_llama: Callable[..., Any], tied: bool
) -> None:
    import torch

    shutil.copytree(folder, tmp_path / "m")
    tiny_llama(vocab_size=258, bos_token_id=256, eos_token_id=257, tie_word_embeddings=tied).save_pretrained(
        tmp_path / "m"
    )
    full, half = (
        TransformersModel("x", tmp_path / "m", fingerprint="f", context=256, slots=40, adapters=adapters, precision=p)
        for p in ("float32", "bfloat16")
    )
    parts = {p.dtype for n, p in half._reader.adapted.model.named_parameters() if "lm_head" not in n}
    assert parts == {torch.bfloat16}  # the embeddings and the adapters too
    assert half.fingerprint != full.fingerprint
    views = [m.adapted("sum", "x", {"v1.0": 0.5, "two": 0.25}) for m in (full, half)]
    exact, found = (np.array([c.log_probabilities for c in v.choose(PROMPTS, OPTIONS)]) for v in views)
    assert 0 < np.abs(found - exact).max() < 0.05
    assert np.unique(found).size > 0.9 * np.unique(exact).size  # not rounded to the few numbers that bfloat16 has
    assert [r.usage.generated_tokens for r in views[1].generate(PROMPTS, max_tokens=3)] == [3] * len(PROMPTS)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"model": "openai:x", "base_url": "http://localhost/v1", "precision": "bfloat16"}, "engine of its own"),
        ({"model": "openai:x", "base_url": "http://localhost/v1", "engine": "transformers"}, "engine of its own"),
        ({"model": "model.gguf", "precision": "bfloat16"}, "leave `precision` out"),
        ({"model": "model.gguf", "engine": "llama.cpp", "precision": "float32"}, "leave `precision` out"),
    ],
)
def test_an_engine_that_takes_no_precision(
    told: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.gguf").touch()
    with pytest.raises(ConfigError, match=said):
        Models(Settings(), environment(), Watch()).language_model(MemberSettings(**told))


def test_an_adapter_of_another_model(folder: Path, tmp_path: Path) -> None:
    wide = Factors(np.ones((2, 99), np.float32), np.ones((32, 2), np.float32))
    adapter.save(Adapter({"model.layers.0.mlp.down_proj": wide}), tmp_path / "wide")
    with pytest.raises(DataError, match="does not fit its base"):
        TransformersModel("x", folder, fingerprint="", adapters={"wide": tmp_path / "wide"})


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model in .*no safetensors"):
        Models(Settings(), environment(), Watch()).base(MemberSettings(model=str(tmp_path)))
    with pytest.raises(ModelUnavailableError, match="cannot load"):
        TransformersModel("x", tmp_path, fingerprint="")
