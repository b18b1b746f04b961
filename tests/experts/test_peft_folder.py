from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from entsemble.errors import DataError
from entsemble.experts import peft_folder

Folder = Callable[..., Path]
Tiny = Callable[..., peft_folder.Adapter]


def changed(folder: Path, **values: Any) -> Path:
    path = folder / peft_folder.CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


def test_what_is_saved_is_read_again(adapter_folder: Folder, tiny_adapter: Tiny) -> None:
    found = peft_folder.load_adapter(adapter_folder(3))
    for module, factors in tiny_adapter(3).factors.items():
        assert found.factors[module].dense() == pytest.approx(factors.dense(), abs=1e-6)
    assert found.factors.keys() == tiny_adapter(3).factors.keys()
    assert (found.base, found.uses_rslora) == ("tiny", False)


def test_mixed_ranks_go_by_module(tmp_path: Path, tiny_adapter: Tiny) -> None:
    one, two = tiny_adapter(0, rank=2), tiny_adapter(1, rank=5)
    first, second = one.factors
    mixed = peft_folder.Adapter({first: one.factors[first], second: two.factors[second]})
    peft_folder.save_adapter(mixed, tmp_path / "a")
    found = peft_folder.load_adapter(tmp_path / "a").factors
    assert [found[m].rank for m in one.factors] == [2, 5]
    assert found[second].dense() == pytest.approx(two.factors[second].dense(), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ({"lora_alpha": 6}, 3),
        ({"lora_alpha": 6, "use_rslora": True}, 6 / np.sqrt(2)),
        ({"alpha_pattern": {"q_proj": 8, "down_proj": 8}}, 4),
    ],
)
def test_the_scale_is_the_adapters_own(
    adapter_folder: Folder, values: dict[str, Any], scale: float, tiny_adapter: Tiny
) -> None:
    found = peft_folder.load_adapter(changed(adapter_folder(), **values))
    for module, factors in tiny_adapter(0).factors.items():
        assert found.factors[module].dense() == pytest.approx(factors.dense() * scale, rel=1e-5)


def test_half_precision_is_read(adapter_folder: Folder, tiny_adapter: Tiny) -> None:
    made = adapter_folder()
    tensors = load_file(made / peft_folder.WEIGHTS_FILE)
    save_file({name: t.astype(np.float16) for name, t in tensors.items()}, made / peft_folder.WEIGHTS_FILE)
    module = next(iter(tiny_adapter(0).factors))
    assert peft_folder.load_adapter(made).factors[module].lora_a == pytest.approx(
        tiny_adapter(0).factors[module].lora_a, abs=2e-3
    )


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"lora_bias": True}, "biases"),
        ({"bias": "all"}, "biases of its base"),
        ({"modules_to_save": ["lm_head"]}, "whole modules"),
        ({"init_lora_weights": "pissa"}, "changes the base"),
        ({"peft_type": "IA3"}, "only LoRA"),
        ({"auto_mapping": {"parent_library": "os"}}, "run code"),
        ({"r": 0}, "r must be"),
        ({"r": 3}, "the configuration says 3"),
        ({"lora_alpha": "many"}, "lora_alpha must be"),
        ({"lora_alpha": float("nan")}, "lora_alpha must be"),
        ({"use_qalora": True}, "groups of inputs"),
        ({"something_new": {"x": 1}}, "something_new is set: we do not know"),
        ({"rank_pattern": {"(": 4}}, "no expression"),
        ({"rank_pattern": ["x"]}, "must map"),
        ({"alpha_pattern": {"q_proj": "8"}}, "must map"),
        ({"init_lora_weights": []}, "changes the base"),
    ],
)
def test_what_cannot_be_right_is_refused(adapter_folder: Folder, values: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        peft_folder.load_adapter(changed(adapter_folder(), **values))


class TestBroken:
    def test_no_configuration(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no adapter_config\.json"):
            peft_folder.load_adapter(tmp_path)

    def test_no_json(self, adapter_folder: Folder) -> None:
        made = adapter_folder()
        (made / peft_folder.CONFIG_FILE).write_text("{")
        with pytest.raises(DataError, match="as JSON"):
            peft_folder.load_adapter(made)

    def test_no_weights(self, adapter_folder: Folder) -> None:
        made = adapter_folder()
        (made / peft_folder.WEIGHTS_FILE).unlink()
        with pytest.raises(DataError, match=r"no adapter_model\.safetensors"):
            peft_folder.load_adapter(made)

    @pytest.mark.parametrize("cut", [0, 5, 100, -10])
    def test_half_a_file(self, adapter_folder: Folder, cut: int) -> None:
        made = adapter_folder()
        whole = (made / peft_folder.WEIGHTS_FILE).read_bytes()
        (made / peft_folder.WEIGHTS_FILE).write_bytes(whole[:cut])
        with pytest.raises(DataError, match="safetensors"):
            peft_folder.load_adapter(made)

    @pytest.mark.parametrize("name", ["run.py", "adapter_model.bin", "deep/x.pkl"])
    def test_code_is_refused_and_not_run(self, adapter_folder: Folder, name: str) -> None:
        made = adapter_folder()
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text("raise SystemExit('it ran')")
        with pytest.raises(DataError, match="can run code"):
            peft_folder.load_adapter(made)

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda t: {k: v for k, v in t.items() if "lora_A" in k}, "one factor of two"),
            (lambda t: {**t, "base_model.model.model.embed_tokens.lora_embedding_A": t[next(iter(t))]}, "no factor"),
            (lambda t: {k: v.astype(np.int32) for k, v in t.items()}, "not a floating point"),
            (lambda t: {k: v * np.float32("nan") for k, v in t.items()}, "no numbers"),
            (lambda t: {}, "changes nothing"),
        ],
    )
    def test_tensors_that_are_none(self, adapter_folder: Folder, change: Callable[[Any], Any], told: str) -> None:
        made = adapter_folder()
        save_file(change(load_file(made / peft_folder.WEIGHTS_FILE)), made / peft_folder.WEIGHTS_FILE)
        with pytest.raises(DataError, match=told):
            peft_folder.load_adapter(made)
