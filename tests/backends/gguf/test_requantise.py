import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest

gguf = pytest.importorskip("gguf")

from entsemble.backends.catalogue import find_card  # noqa: E402
from entsemble.backends.download import pull  # noqa: E402
from entsemble.backends.gguf.requantise import convert_bert, phantom_space_token, read_header, requantise  # noqa: E402
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


# The reference for the encoder: BERT's forward pass and WordPiece, written from the paper and not from llama.cpp.


class Bert:
    def __init__(self, weights: dict[str, Any], words: list[str], heads: int) -> None:
        self.w, self.words, self.heads = weights, {word: i for i, word in enumerate(words)}, heads

    def tokens(self, text: str) -> list[int]:
        pieces = ["[CLS]"]
        for word in text.lower().replace(".", " .").split():
            start = 0
            while start < len(word):
                mark = "##" if start else ""
                end = next(e for e in range(len(word), start, -1) if mark + word[start:e] in self.words)
                pieces.append(mark + word[start:end])
                start = end
        return [self.words[piece] for piece in [*pieces, "[SEP]"]]

    def encode(self, text: str) -> Any:
        ids, w = self.tokens(text), self.w
        e = "embeddings."
        x = w[e + "word_embeddings.weight"][ids] + w[e + "position_embeddings.weight"][: len(ids)]
        x = self.norm(x + w[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
        layer = 0
        while f"encoder.layer.{layer}.output.dense.weight" in w:
            at = f"encoder.layer.{layer}."
            x = self.norm(x + self.attention(x, at), at + "attention.output.LayerNorm")
            hidden = self.linear(x, at + "intermediate.dense")
            erf = np.vectorize(math.erf)
            hidden = hidden * 0.5 * (1 + erf(hidden / math.sqrt(2)))
            x = self.norm(x + self.linear(hidden, at + "output.dense"), at + "output.LayerNorm")
            layer += 1
        mean = x.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def attention(self, x: Any, at: str) -> Any:
        def split(name: str) -> Any:
            return self.linear(x, f"{at}attention.self.{name}").reshape(len(x), self.heads, -1).swapaxes(0, 1)

        query, key, value = split("query"), split("key"), split("value")
        scores = query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1])
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ value
        return self.linear(mixed.swapaxes(0, 1).reshape(len(x), -1), at + "attention.output.dense")

    def linear(self, x: Any, name: str) -> Any:
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, x: Any, name: str) -> Any:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return scaled * self.w[name + ".weight"] + self.w[name + ".bias"]


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "man", "eat", "##ing", "bread", "stock", "##s", "fell", "."]


@pytest.fixture
def tiny_bert(tmp_path: Path) -> Path:
    """A BERT of two layers with random weights, in a folder as sentence-transformers lays it out."""
    save_file = pytest.importorskip("safetensors.numpy").save_file
    random, width, inner = np.random.default_rng(1), 64, 128
    shapes = {
        "embeddings.word_embeddings.weight": (len(WORDS), width),
        "embeddings.position_embeddings.weight": (64, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "pooler.dense.weight": (width, width),
        "pooler.dense.bias": (width,),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(2):
        at = f"encoder.layer.{layer}."
        norms += [at + "attention.output.LayerNorm", at + "output.LayerNorm"]
        denses = {f"attention.self.{name}": (width, width) for name in ("query", "key", "value")}
        denses |= {"attention.output.dense": (width, width), "intermediate.dense": (inner, width)}
        for name, shape in (denses | {"output.dense": (width, inner)}).items():
            shapes |= {f"{at}{name}.weight": shape, f"{at}{name}.bias": shape[:1]}
    weights = {name: random.normal(size=shape, scale=0.3).astype(np.float32) for name, shape in shapes.items()}
    for name in norms:
        weights[name + ".weight"] = random.uniform(0.5, 1.5, width).astype(np.float32)
        weights[name + ".bias"] = random.normal(size=width, scale=0.1).astype(np.float32)
    save_file({**weights, "embeddings.position_ids": np.arange(64)[None]}, tmp_path / "model.safetensors")
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    sizes = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": 2, "num_attention_heads": 4}
    more = {"max_position_embeddings": 64, "type_vocab_size": 2, "layer_norm_eps": 1e-12}
    (tmp_path / "config.json").write_text(json.dumps(sizes | more))
    return tmp_path


def embed(path: Path, texts: list[str]) -> Any:
    """Unit rows by llama.cpp, from the GGUF file at `path`."""
    xllamacpp = pytest.importorskip("xllamacpp")
    settings = xllamacpp.CommonParams()
    settings.model.path, settings.embedding, settings.verbosity, settings.ui = str(path), True, -1, False
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 64
    settings.n_parallel, settings.warmup = 1, False
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(settings)
    answer = server.handle_embeddings({"input": texts})
    del server
    return np.array([entry["embedding"] for entry in sorted(answer["data"], key=lambda entry: entry["index"])])


def test_phantom_spaces() -> None:
    assert [phantom_space_token(word) for word in ("man", "##ing", "#", "##")] == ["▁man", "ing", "▁#", ""]


def test_llama_cpp_computes_the_bert_that_was_converted(tiny_bert: Path) -> None:
    convert_bert(tiny_bert, target := tiny_bert / "model.gguf", "f32")
    weights = pytest.importorskip("safetensors.numpy").load_file(tiny_bert / "model.safetensors")
    reference = Bert(weights, WORDS, heads=4)
    texts = ["a man eating bread.", "Stocks fell", "man", "a bread eating man. stocks eat a man."]
    assert np.allclose(embed(target, texts), [reference.encode(text) for text in texts], atol=2e-3)


def test_a_tensor_that_llama_cpp_has_no_place_for(tiny_bert: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    path = tiny_bert / "model.safetensors"
    numpy_files.save_file(numpy_files.load_file(path) | {"encoder.rope.weight": np.ones((2, 2), np.float32)}, path)
    with pytest.raises(DataError, match=r"encoder\.rope\.weight"):
        convert_bert(tiny_bert, tiny_bert / "model.gguf")


@pytest.fixture(scope="module")
def minilm() -> Path:
    return pull(find_card("minilm-l6"), platformdirs.user_cache_path("entsemble"))


@pytest.mark.models
def test_minilm_knows_what_is_alike(minilm: Path) -> None:
    texts = [
        "A man is eating food.",
        "A man is eating a piece of bread.",
        "A cheetah is running behind its prey.",
        "The stock market fell sharply on Monday.",
    ]
    vectors = embed(minilm, texts)
    alike = vectors @ vectors.T
    assert alike[0, 1] == pytest.approx(0.7553, abs=2e-3)  # as sentence-transformers' documentation prints it
    assert alike[[0, 0, 1, 2], [2, 3, 3, 3]].max() < 0.2
