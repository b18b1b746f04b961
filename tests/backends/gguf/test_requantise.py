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


def write_model(path: Path, tensors: dict[str, Any], kind: Any = F32) -> Path:
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_token_list(["a", "ß", "東京", ""])
    writer.add_token_scores([0.0, -1.5, 2.0, 3.0])
    writer.add_array("tiny.flags", [True, False])
    writer.add_file_type(0)
    for name, values in tensors.items():
        if values.ndim > 1:
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tensors_of(path: Path) -> dict[str, tuple[Any, Any]]:
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


@pytest.mark.parametrize(("name", "kind", "error"), [("q8_0", Q8_0, 0.03), ("q4_0", Q4_0, 0.6), ("f16", F16, 0.002)])
def test_matrices_change_and_the_rest_stays(tmp_path: Path, weights: Any, name: str, kind: Any, error: float) -> None:
    source = write_model(tmp_path / "source.gguf", weights)
    requantise(source, target := tmp_path / "target.gguf", name)
    made = tensors_of(target)
    assert list(made) == list(weights)
    for tensor, values in weights.items():
        written, read = made[tensor]
        whole_blocks = values.shape[-1] % (1 if kind == F16 else 32) == 0
        changes = values.ndim > 1 and tensor != "position_embd.weight" and whole_blocks
        assert written == (kind if changes else F32)
        assert np.abs(read - values).max() < (error if changes else 1e-7)
    for key, (type_, value) in read_header(source).metadata.items():
        if key != "general.file_type":
            assert read_header(target).metadata[key] == (type_, value)
    fields = gguf.GGUFReader(target).fields
    assert fields["tokenizer.ggml.tokens"].contents() == ["a", "ß", "東京", ""]
    assert fields["general.file_type"].contents() == {"q8_0": 7, "q4_0": 2, "f16": 1}[name]


def test_it_is_what_the_gguf_package_makes(tmp_path: Path, weights: Any) -> None:
    source = write_model(tmp_path / "source.gguf", weights, F16)
    requantise(source, target := tmp_path / "target.gguf", "q8_0")
    made = {t.name: np.array(t.data) for t in gguf.GGUFReader(target).tensors}
    embeddings = weights["token_embd.weight"].astype(np.float16).astype(np.float32)
    assert np.array_equal(made["token_embd.weight"], gguf.quants.quantize(embeddings, Q8_0))


def test_what_has_the_type_already_is_copied(tmp_path: Path, weights: Any) -> None:
    del weights["blk.0.odd.weight"], weights["position_embd.weight"]
    source = write_model(tmp_path / "source.gguf", weights, Q8_0)
    calls: list[tuple[int, int]] = []
    requantise(source, target := tmp_path / "target.gguf", "q8_0", lambda done, whole: calls.append((done, whole)))
    assert [np.array(t.data).tobytes() for t in gguf.GGUFReader(target).tensors] == [
        np.array(t.data).tobytes() for t in gguf.GGUFReader(source).tensors
    ]
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert 0 < calls[-1][0] <= calls[-1][1]


def test_files_that_are_no_models(tmp_path: Path, weights: Any) -> None:
    source = write_model(tmp_path / "source.gguf", weights)
    whole = source.read_bytes()
    for cut, content in {"html": b"<html>", "empty": b"", "header": whole[:60], "tensors": whole[:-4000]}.items():
        broken = tmp_path / cut
        broken.write_bytes(content)
        with pytest.raises(DataError, match=cut):
            requantise(broken, tmp_path / "target.gguf", "q8_0")
    with pytest.raises(ConfigError, match="q8_0"):
        requantise(source, tmp_path / "target.gguf", "q3_x")
