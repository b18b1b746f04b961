"""Adapters as llama.cpp reads them: GGUF files beside a base model's."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from entsemble.backends.gguf.requantise import Header, read_header
from entsemble.errors import DataError, MissingExtraError, ModelUnavailableError

Matrix = npt.NDArray[np.float32]

_AS_THEY_ARE = {"gemma", "gemma2", "gemma3", "phi3", "qwen2", "qwen3"}
_ROTATED = {"llama"}
"""Architectures whose rows of queries and keys stand in another order in GGUF than in Hugging Face's files."""


def write_lora(factors: Mapping[str, tuple[Matrix, Matrix]], base: Path, target: Path) -> None:
    """Write an adapter for the model in `base`.

    Args:
        factors: module of the base, such as `model.layers.0.self_attn.q_proj` -> (a [rank, inputs], b [outputs, rank]),
            whose product `b @ a` is the change as it is. Ranks may differ.
        base: the GGUF file of the model.
        target: complete only when this function returns.

    Raises:
        DataError: the base has no such module, or one of another size.
        ModelUnavailableError: an architecture whose adapters we cannot convert.
        MissingExtraError: the package `gguf` is not installed.
    """
    gguf, header = _gguf(), read_header(base)
    name = _architecture(header)
    tensors = _match_tensors(factors, base, header)
    heads = {
        "q_proj": _number(header.metadata[f"{name}.attention.head_count"][1]),
        "k_proj": _number(header.metadata[f"{name}.attention.head_count_kv"][1]),
    }
    writer = gguf.GGUFWriter(target, name)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 0.0)  # the factors are the change as it is
    for module, (a, b) in factors.items():
        tensor, kind = tensors[module], module.rpartition(".")[2]
        rows = _rotated(b, heads[kind]) if name in _ROTATED and kind in heads else b
        writer.add_tensor(f"{tensor}.weight.lora_a", np.ascontiguousarray(a, dtype=np.float32))
        writer.add_tensor(f"{tensor}.weight.lora_b", np.ascontiguousarray(rows, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def match_tensors(factors: Mapping[str, tuple[Matrix, Matrix]], base: Path) -> dict[str, str]:
    """The tensor of `base` that each module is; see `write_lora`.

    Raises:
        DataError: the base has no such module, or one of another size.
        ModelUnavailableError: an architecture whose adapters we cannot convert.
        MissingExtraError: the package `gguf` is not installed.
    """
    return _match_tensors(factors, base, read_header(base))


def adapter_architecture(base: Path) -> str:
    """The architecture of the model in `base`.

    Raises:
        ModelUnavailableError: one whose adapters we cannot convert.
    """
    return _architecture(read_header(base))


def _match_tensors(factors: Mapping[str, tuple[Matrix, Matrix]], base: Path, header: Header) -> dict[str, str]:
    gguf, name = _gguf(), _architecture(header)
    number = {v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}[name]
    names = gguf.get_tensor_name_map(number, _number(header.metadata[f"{name}.block_count"][1]))
    shapes = {t.name: t.shape for t in header.tensors}
    found = {}
    for module, (a, b) in factors.items():
        tensor = names.get_name(module)
        if tensor is None or shapes.get(f"{tensor}.weight") != (a.shape[1], b.shape[0]):
            told = f"{module} [{b.shape[0]}, {a.shape[1]}] is not in it; the adapter is for another base"
            raise DataError(told, base)
        found[module] = tensor
    return found


def _gguf() -> Any:  # noqa: ANN401 - untyped library
    try:
        import gguf
    except ImportError as error:
        raise MissingExtraError("gguf", "embedded", "converting an adapter") from error
    return gguf


def _architecture(header: Header) -> str:
    name = _text(header.metadata["general.architecture"][1])
    if name not in _AS_THEY_ARE | _ROTATED:
        known = ", ".join(sorted(_AS_THEY_ARE | _ROTATED))
        raise ModelUnavailableError(f"adapters for {name!r} models cannot be converted; those for {known} can")
    return name


def _rotated(b: Matrix, heads: int) -> Matrix:
    """Rows in the order in which llama.cpp turns pairs of them: neighbours, and not halves of a head."""
    outputs, rank = b.shape
    return np.asarray(b.reshape(heads, 2, outputs // heads // 2, rank).swapaxes(1, 2).reshape(outputs, rank))


def _text(raw: bytes) -> str:
    return raw[8:].decode("utf-8")


def _number(raw: bytes) -> int:
    return int(struct.unpack("<I", raw[:4])[0])
