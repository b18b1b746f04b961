"""Weighted sums of experts, as one adapter for llama.cpp."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.assembly.expert_files import WeightedSum, write_peft_folders
from entsemble.errors import DataError
from entsemble.experts import peft_folder
from entsemble.experts.merging.merge import MergeSettings, merge_adapters

QUERY, VALUE, NEXT = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj", "model.layers.1.mlp.up_proj"


@pytest.mark.models
def test_a_sum_is_one_adapter_of_all_modules_and_ranks(
    add_random_expert: Any, model_file: Callable[[str], Path], tmp_path: Path
) -> None:
    gguf = pytest.importorskip("gguf")
    one = add_random_expert("one", {QUERY: (576, 576, 2), VALUE: (192, 576, 2)})
    two = add_random_expert("two", {VALUE: (192, 576, 3), NEXT: (1536, 576, 3)})
    three = add_random_expert("three", {VALUE: (192, 576, 1)})
    weighted_sum = WeightedSum.from_weights([one, two, three], {"two": -0.25, "one": 0.5, "three": 0.0})
    assert weighted_sum.parts == ((one, 0.5), (two, -0.25))
    weighted_sum.write(model_file("smollm2-135m"), tmp_path / "sum.gguf")
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(tmp_path / "sum.gguf").tensors}
    first, second = (peft_folder.load_adapter(expert.folder).factors for expert in (one, two))
    expected = {
        "blk.0.attn_v": 0.5 * first[VALUE].dense() - 0.25 * second[VALUE].dense(),
        "blk.1.ffn_up": -0.25 * second[NEXT].dense(),
        "blk.0.attn_q": None,  # its rows are permuted; compared in the tests of GGUF
    }
    assert len(tensors) == 2 * len(expected)
    assert tensors["blk.0.attn_v.weight.lora_a"].shape[0] == 2 + 3
    for module, change in expected.items():
        lora_a, lora_b = (tensors[f"{module}.weight.lora_{factor}"] for factor in "ab")
        assert change is None or lora_b @ lora_a == pytest.approx(change, abs=1e-4)


@pytest.mark.models
def test_an_expert_of_another_base_is_named(
    add_random_expert: Any, model_file: Callable[[str], Path], tmp_path: Path
) -> None:
    pytest.importorskip("gguf")
    experts = [
        add_random_expert("one", {VALUE: (192, 576, 2)}),
        add_random_expert("wide", {VALUE: (192, 640, 2), NEXT: (9, 9, 1)}),
    ]
    weighted_sum = WeightedSum.from_weights(experts, {"one": 0.5, "wide": 0.5})
    with pytest.raises(DataError, match=r"the expert wide: .*for another base"):
        weighted_sum.write(model_file("smollm2-135m"), tmp_path / "sum.gguf")


def test_sums_of_other_experts_weights_or_contents_have_other_fingerprints(add_random_expert: Any) -> None:
    experts = [
        add_random_expert("one", {VALUE: (4, 6, 2)}),
        add_random_expert("two", {VALUE: (4, 6, 2), NEXT: (4, 6, 2)}),
    ]
    weights = [{}, {"one": 1.0}, {"two": 1.0}, {"one": 0.5, "two": 0.5}, {"one": 0.5}, {"one": 0.5, "two": -0.5}]
    scaled = add_random_expert("one", {VALUE: (4, 6, 2)}, replace=True, alpha=16)  # the same weights, scaled by 8
    fingerprints = {WeightedSum.from_weights(experts, sum_weights).fingerprint for sum_weights in weights}
    fingerprints.add(WeightedSum.from_weights([scaled], {"one": 1.0}).fingerprint)
    assert len(fingerprints) == len(weights) + 1


@pytest.mark.parametrize("method", ["ties", "dare", "dare-ties"])
def test_experts_are_merged_by_the_method_of_the_run(add_random_expert: Any, tmp_path: Path, method: str) -> None:
    experts = [
        add_random_expert("one", {VALUE: (4, 6, 2)}),
        add_random_expert("two", {VALUE: (4, 6, 2), NEXT: (4, 6, 2)}),
    ]
    weights = {"one": 0.7, "two": 0.3}
    merged, plain = (WeightedSum.from_weights(experts, weights, name) for name in (method, "weighted-sum"))
    assert merged.fingerprint != plain.fingerprint
    assert list(plain.adapter_sum.weights) == ["one", "two"]
    alone = WeightedSum.from_weights(experts, {"two": 1.0}, method)
    assert alone == WeightedSum.from_weights(experts, {"two": 1.0})
    folders = write_peft_folders([merged, alone], tmp_path)
    assert list(folders) == [*merged.adapter_sum.weights, "two"]
    adapters = [peft_folder.load_adapter(expert.folder) for expert in experts]
    expected = merge_adapters(adapters, [0.7, 0.3], MergeSettings(method)).adapter.factors
    written = peft_folder.load_adapter(folders[merged.merged_name]).factors
    assert {module: factors.dense() for module, factors in written.items()} == {
        module: pytest.approx(factors.dense(), abs=1e-6) for module, factors in expected.items()
    }


@pytest.mark.models
def test_merged_experts_are_written_for_llama_cpp(
    add_random_expert: Any, model_file: Callable[[str], Path], tmp_path: Path
) -> None:
    gguf = pytest.importorskip("gguf")
    experts = [add_random_expert(name, {VALUE: (192, 576, 2)}) for name in ("one", "two")]
    merged = WeightedSum.from_weights(experts, {"one": 0.5, "two": 0.5}, "ties")
    merged.write(model_file("smollm2-135m"), tmp_path / "merged.gguf")
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(tmp_path / "merged.gguf").tensors}
    change = tensors["blk.0.attn_v.weight.lora_b"] @ tensors["blk.0.attn_v.weight.lora_a"]
    assert change == pytest.approx(merged.merged_adapter().factors[VALUE].dense(), abs=1e-4)
