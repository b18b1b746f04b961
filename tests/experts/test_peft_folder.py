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

MakeFolder = Callable[..., Path]
MakeAdapter = Callable[..., peft_folder.Adapter]


def with_settings(folder: Path, **values: Any) -> Path:
    path = folder / peft_folder.CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


def test_a_saved_adapter_is_loaded_again(adapter_folder: MakeFolder, tiny_adapter: MakeAdapter) -> None:
    adapter = peft_folder.load_adapter(adapter_folder(3))
    for module, factors in tiny_adapter(3).factors.items():
        assert adapter.factors[module].dense() == pytest.approx(factors.dense(), abs=1e-6)
    assert adapter.factors.keys() == tiny_adapter(3).factors.keys()
    assert (adapter.base, adapter.uses_rslora) == ("tiny", False)


def test_modules_may_have_different_ranks(tmp_path: Path, tiny_adapter: MakeAdapter) -> None:
    one, two = tiny_adapter(0, rank=2), tiny_adapter(1, rank=5)
    first, second = one.factors
    mixed = peft_folder.Adapter({first: one.factors[first], second: two.factors[second]})
    peft_folder.save_adapter(mixed, tmp_path / "a")
    factors = peft_folder.load_adapter(tmp_path / "a").factors
    assert [factors[module].rank for module in one.factors] == [2, 5]
    assert factors[second].dense() == pytest.approx(two.factors[second].dense(), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ({"lora_alpha": 6}, 3),
        ({"lora_alpha": 6, "use_rslora": True}, 6 / np.sqrt(2)),
        ({"alpha_pattern": {"q_proj": 8, "down_proj": 8}}, 4),
    ],
)
def test_the_scale_of_the_configuration_is_applied(
    adapter_folder: MakeFolder, values: dict[str, Any], scale: float, tiny_adapter: MakeAdapter
) -> None:
    adapter = peft_folder.load_adapter(with_settings(adapter_folder(), **values))
    for module, factors in tiny_adapter(0).factors.items():
        assert adapter.factors[module].dense() == pytest.approx(factors.dense() * scale, rel=1e-5)


def test_half_precision_is_loaded(adapter_folder: MakeFolder, tiny_adapter: MakeAdapter) -> None:
    folder = adapter_folder()
    tensors = load_file(folder / peft_folder.WEIGHTS_FILE)
    save_file({name: tensor.astype(np.float16) for name, tensor in tensors.items()}, folder / peft_folder.WEIGHTS_FILE)
    module = next(iter(tiny_adapter(0).factors))
    assert peft_folder.load_adapter(folder).factors[module].lora_a == pytest.approx(
        tiny_adapter(0).factors[module].lora_a, abs=2e-3
    )


@pytest.mark.parametrize(
    ("values", "message"),
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
        ({"lora_alpha": 10**400}, "lora_alpha must be"),
        ({"lora_alpha": 1e308}, "not finite when it is scaled"),
        ({"alpha_pattern": {"q_proj": 10**39}}, "not finite when it is scaled"),
        ({"use_qalora": True}, "groups of inputs"),
        ({"something_new": {"x": 1}}, "something_new is set: its effect on the adapter is unknown"),
        ({"rank_pattern": {"(": 4}}, "invalid regular expression"),
        ({"rank_pattern": ["x"]}, "must map"),
        ({"alpha_pattern": {"q_proj": "8"}}, "must map"),
        ({"init_lora_weights": []}, "changes the base"),
    ],
)
def test_unsupported_settings_are_refused(adapter_folder: MakeFolder, values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        peft_folder.load_adapter(with_settings(adapter_folder(), **values))


class TestCorruptFolders:
    def test_a_missing_configuration(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no adapter_config\.json"):
            peft_folder.load_adapter(tmp_path)

    def test_a_configuration_that_is_not_json(self, adapter_folder: MakeFolder) -> None:
        folder = adapter_folder()
        (folder / peft_folder.CONFIG_FILE).write_text("{")
        with pytest.raises(DataError, match="as JSON"):
            peft_folder.load_adapter(folder)

    def test_missing_weights(self, adapter_folder: MakeFolder) -> None:
        folder = adapter_folder()
        (folder / peft_folder.WEIGHTS_FILE).unlink()
        with pytest.raises(DataError, match=r"no adapter_model\.safetensors"):
            peft_folder.load_adapter(folder)

    @pytest.mark.parametrize("length", [0, 5, 100, -10])
    def test_truncated_weights(self, adapter_folder: MakeFolder, length: int) -> None:
        folder = adapter_folder()
        content = (folder / peft_folder.WEIGHTS_FILE).read_bytes()
        (folder / peft_folder.WEIGHTS_FILE).write_bytes(content[:length])
        with pytest.raises(DataError, match="safetensors"):
            peft_folder.load_adapter(folder)

    @pytest.mark.parametrize("name", ["run.py", "adapter_model.bin", "deep/x.pkl"])
    def test_code_is_refused_and_not_run(self, adapter_folder: MakeFolder, name: str) -> None:
        folder = adapter_folder()
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise SystemExit('it ran')")
        with pytest.raises(DataError, match="can run code"):
            peft_folder.load_adapter(folder)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda tensors: {name: tensor for name, tensor in tensors.items() if "lora_A" in name},
                "one factor of two",
            ),
            (
                lambda tensors: {
                    **tensors,
                    "base_model.model.model.embed_tokens.lora_embedding_A": tensors[next(iter(tensors))],
                },
                "not a factor",
            ),
            (
                lambda tensors: {name: tensor.astype(np.int32) for name, tensor in tensors.items()},
                "not a floating point",
            ),
            (lambda tensors: {name: tensor * np.float32("nan") for name, tensor in tensors.items()}, "not finite"),
            (lambda _: {}, "changes nothing"),
        ],
    )
    def test_invalid_tensors_are_refused(
        self, adapter_folder: MakeFolder, change: Callable[[Any], Any], message: str
    ) -> None:
        folder = adapter_folder()
        save_file(change(load_file(folder / peft_folder.WEIGHTS_FILE)), folder / peft_folder.WEIGHTS_FILE)
        with pytest.raises(DataError, match=message):
            peft_folder.load_adapter(folder)
