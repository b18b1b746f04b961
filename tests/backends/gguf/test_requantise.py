"""Requantisation of GGUF files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

gguf = pytest.importorskip("gguf")

from entsemble.backends.gguf.file import read_header  # noqa: E402
from entsemble.backends.gguf.requantise import requantise  # noqa: E402
from entsemble.errors import ConfigError, DataError  # noqa: E402

Q8_0, Q4_0, F16, F32 = (gguf.GGMLQuantizationType[name] for name in ("Q8_0", "Q4_0", "F16", "F32"))


def write_model(path: Path, tensors: dict[str, Any], tensor_type: Any = F32) -> Path:
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_token_list(["a", "ß", "東京", ""])
    writer.add_token_scores([0.0, -1.5, 2.0, 3.0])
    writer.add_array("tiny.flags", [True, False])
    writer.add_file_type(0)
    for name, values in tensors.items():
        if values.ndim > 1:
            writer.add_tensor(name, gguf.quants.quantize(values, tensor_type), raw_dtype=tensor_type)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read_tensors(path: Path) -> dict[str, tuple[Any, Any]]:
    """Name -> type and float values, by the gguf package's own reader."""
    return {
        t.name: (t.tensor_type, gguf.quants.dequantize(np.array(t.data), t.tensor_type))
        for t in gguf.GGUFReader(path).tensors
    }


@pytest.fixture
def weights() -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {
        "token_embd.weight": random.normal(size=(700, 256)).astype(np.float32),  # more than one chunk
        "blk.0.attn_q.weight": random.normal(size=(5, 64)).astype(np.float32),
        "blk.0.odd.weight": random.normal(size=(4, 20)).astype(np.float32),
        "position_embd.weight": random.normal(size=(8, 32)).astype(np.float32),
        "output_norm.weight": random.normal(size=33).astype(np.float32),
    }


@pytest.mark.parametrize(
    ("quantisation", "tensor_type", "max_error"), [("q8_0", Q8_0, 0.03), ("q4_0", Q4_0, 0.6), ("f16", F16, 0.002)]
)
def test_matrices_are_requantised_and_the_rest_is_copied(
    tmp_path: Path, weights: Any, quantisation: str, tensor_type: Any, max_error: float
) -> None:
    source = write_model(tmp_path / "source.gguf", weights)
    requantise(source, target := tmp_path / "target.gguf", quantisation)
    converted = read_tensors(target)
    assert list(converted) == list(weights)
    for tensor, values in weights.items():
        written_type, written_values = converted[tensor]
        has_whole_blocks = values.shape[-1] % (1 if tensor_type == F16 else 32) == 0
        is_changed = values.ndim > 1 and tensor != "position_embd.weight" and has_whole_blocks
        assert written_type == (tensor_type if is_changed else F32)
        assert np.abs(written_values - values).max() < (max_error if is_changed else 1e-7)
    for key, (type_, value) in read_header(source).metadata.items():
        if key != "general.file_type":
            assert read_header(target).metadata[key] == (type_, value)
    fields = gguf.GGUFReader(target).fields
    assert fields["tokenizer.ggml.tokens"].contents() == ["a", "ß", "東京", ""]
    assert fields["general.file_type"].contents() == {"q8_0": 7, "q4_0": 2, "f16": 1}[quantisation]


def test_the_values_are_those_of_the_gguf_package(tmp_path: Path, weights: Any) -> None:
    source = write_model(tmp_path / "source.gguf", weights, F16)
    requantise(source, target := tmp_path / "target.gguf", "q8_0")
    converted = {t.name: np.array(t.data) for t in gguf.GGUFReader(target).tensors}
    embeddings = weights["token_embd.weight"].astype(np.float16).astype(np.float32)
    assert np.array_equal(converted["token_embd.weight"], gguf.quants.quantize(embeddings, Q8_0))


def test_tensors_of_the_target_type_are_copied(tmp_path: Path, weights: Any) -> None:
    del weights["blk.0.odd.weight"], weights["position_embd.weight"]
    source = write_model(tmp_path / "source.gguf", weights, Q8_0)
    calls: list[tuple[int, int]] = []
    requantise(source, target := tmp_path / "target.gguf", "q8_0", lambda *progress: calls.append(progress))
    assert [np.array(t.data).tobytes() for t in gguf.GGUFReader(target).tensors] == [
        np.array(t.data).tobytes() for t in gguf.GGUFReader(source).tensors
    ]
    assert calls == sorted(calls)
    assert 0 < calls[-1][0] <= calls[-1][1]


def test_files_that_are_not_gguf_or_truncated_are_errors(tmp_path: Path, weights: Any) -> None:
    source = write_model(tmp_path / "source.gguf", weights)
    content = source.read_bytes()
    for damage, damaged in {
        "html": b"<html>",
        "empty": b"",
        "header": content[:60],
        "tensors": content[:-4000],
    }.items():
        broken = tmp_path / damage
        broken.write_bytes(damaged)
        with pytest.raises(DataError, match=damage):
            requantise(broken, tmp_path / "target.gguf", "q8_0")
    with pytest.raises(ConfigError, match="q8_0"):
        requantise(source, tmp_path / "target.gguf", "q3_x")
