"""BERT as a GGUF file: llama.cpp computes what the paper says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gguf")

from entsemble.backends.gguf.bert import convert_bert, phantom_space_token
from entsemble.errors import DataError

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


def test_tokens_that_begin_a_word_have_a_phantom_space() -> None:
    assert [phantom_space_token(word) for word in ("man", "##ing", "#", "##")] == ["▁man", "ing", "▁#", ""]


def test_llama_cpp_computes_the_bert_that_was_converted(tiny_bert: Path) -> None:
    convert_bert(tiny_bert, target := tiny_bert / "model.gguf", "f32")
    weights = pytest.importorskip("safetensors.numpy").load_file(tiny_bert / "model.safetensors")
    reference = Bert(weights, WORDS, heads=4)
    texts = ["a man eating bread.", "Stocks fell", "man", "a bread eating man. stocks eat a man."]
    assert np.allclose(embed(target, texts), [reference.encode(text) for text in texts], atol=2e-3)


def test_a_tensor_that_llama_cpp_s_bert_lacks_is_an_error(tiny_bert: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    path = tiny_bert / "model.safetensors"
    numpy_files.save_file(numpy_files.load_file(path) | {"encoder.rope.weight": np.ones((2, 2), np.float32)}, path)
    with pytest.raises(DataError, match=r"encoder\.rope\.weight"):
        convert_bert(tiny_bert, tiny_bert / "model.gguf")


@pytest.mark.models
def test_minilm_gives_the_similarities_of_its_documentation(model_file: Callable[[str], Path]) -> None:
    texts = [
        "A man is eating food.",
        "A man is eating a piece of bread.",
        "A cheetah is running behind its prey.",
        "The stock market fell sharply on Monday.",
    ]
    vectors = embed(model_file("minilm-l6"), texts)
    similarities = vectors @ vectors.T
    assert similarities[0, 1] == pytest.approx(0.7553, abs=2e-3)  # as sentence-transformers' documentation prints it
    assert similarities[[0, 0, 1, 2], [2, 3, 3, 3]].max() < 0.2
