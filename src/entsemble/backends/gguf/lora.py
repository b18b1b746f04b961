"""LoRA adapters as GGUF files, for llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from entsemble._lib.optional import require
from entsemble.backends.gguf.file import Header, read_header
from entsemble.errors import DataError, ModelUnavailableError

Matrix = npt.NDArray[np.float32]

Factors = Mapping[str, tuple[Matrix, Matrix]]
"""Module, such as `model.layers.0.self_attn.q_proj` -> (a [rank, inputs], b [outputs, rank]); `b @ a` is the change."""

_PURPOSE = "converting an adapter"

_UNPERMUTED_ARCHITECTURES = {"gemma", "gemma2", "gemma3", "phi3", "qwen2", "qwen3"}
_PERMUTED_ARCHITECTURES = {"llama"}
"""Architectures whose rows of queries and keys are in another order in GGUF than in Hugging Face's files."""


def write_lora(factors: Factors, base: Path, target: Path) -> None:
    """Write an adapter for the model in `base`.

    Args:
        factors: the change of each module; ranks may differ.
        base: the GGUF file of the model.
        target: the file to write; complete only when this function returns.

    Raises:
        DataError: the base has no such module, or one of another shape.
        ModelUnavailableError: adapters of the base's architecture cannot be converted.
        MissingExtraError: the package `gguf` is not installed.
    """
    gguf, header = require("gguf", "embedded", _PURPOSE), read_header(base)
    architecture = _supported_architecture(header)
    tensor_names = _match_tensors(factors, base, header)
    head_counts = {
        "q_proj": header.number(f"{architecture}.attention.head_count"),
        "k_proj": header.number(f"{architecture}.attention.head_count_kv"),
    }
    writer = gguf.GGUFWriter(target, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 0.0)  # no scaling
    for module, (factor_a, factor_b) in factors.items():
        tensor_name, projection = tensor_names[module], module.rpartition(".")[2]
        is_permuted = architecture in _PERMUTED_ARCHITECTURES and projection in head_counts
        rows = _permute_rows(factor_b, head_counts[projection]) if is_permuted else factor_b
        writer.add_tensor(f"{tensor_name}.weight.lora_a", np.ascontiguousarray(factor_a, dtype=np.float32))
        writer.add_tensor(f"{tensor_name}.weight.lora_b", np.ascontiguousarray(rows, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def match_tensors(factors: Factors, base: Path) -> dict[str, str]:
    """Module -> name of its tensor in `base`.

    Raises:
        DataError: the base has no such module, or one of another shape.
        ModelUnavailableError: adapters of the base's architecture cannot be converted.
        MissingExtraError: the package `gguf` is not installed.
    """
    return _match_tensors(factors, base, read_header(base))


def adapter_architecture(base: Path) -> str:
    """The architecture of the model in `base`.

    Raises:
        ModelUnavailableError: adapters of this architecture cannot be converted.
    """
    return _supported_architecture(read_header(base))


def _match_tensors(factors: Factors, base: Path, header: Header) -> dict[str, str]:
    gguf, architecture = require("gguf", "embedded", _PURPOSE), _supported_architecture(header)
    architecture_numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    layer_count = header.number(f"{architecture}.block_count")
    names = gguf.get_tensor_name_map(architecture_numbers[architecture], layer_count)
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    tensor_names = {}
    for module, (factor_a, factor_b) in factors.items():
        outputs, inputs = factor_b.shape[0], factor_a.shape[1]
        tensor_name = names.get_name(module)
        if tensor_name is None or shapes.get(f"{tensor_name}.weight") != (inputs, outputs):
            raise DataError(f"{module} [{outputs}, {inputs}] is not in it; the adapter is for another base", base)
        tensor_names[module] = tensor_name
    return tensor_names


def _supported_architecture(header: Header) -> str:
    architecture = header.text("general.architecture")
    supported = _UNPERMUTED_ARCHITECTURES | _PERMUTED_ARCHITECTURES
    if architecture not in supported:
        names = ", ".join(sorted(supported))
        raise ModelUnavailableError(f"adapters for {architecture!r} models cannot be converted; those for {names} can")
    return architecture


def _permute_rows(factor_b: Matrix, head_count: int) -> Matrix:
    """Rows in llama.cpp's order, which rotates pairs of neighbouring rows and not the two halves of a head."""
    outputs, rank = factor_b.shape
    halves = factor_b.reshape(head_count, 2, outputs // head_count // 2, rank)
    return np.asarray(halves.swapaxes(1, 2).reshape(outputs, rank))
