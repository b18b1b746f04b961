"""What every `Encoder` promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.backends.encoders import LlamaCppEncoder
from entsemble.protocols import Encoder
from entsemble.retrieval.embedding_cache import CachedEncoder, PoolCache

TEXTS = ["Oslo is the capital of Norway.", "Norway's capital city is called Oslo.", "The cat ate my homework."]


@pytest.fixture(
    scope="module",
    params=["trigrams", "stored", *(pytest.param(n, marks=pytest.mark.models) for n in ("minilm-l6",))],
)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encoder]:
    if request.param == "minilm-l6":
        path: Callable[[str], Path] = request.getfixturevalue("model_file")
        llamacpp_encoder = LlamaCppEncoder(path("minilm-l6"), fingerprint="minilm-l6", batch_size=4)
        yield llamacpp_encoder
        llamacpp_encoder.close()
        return
    trigrams: Any = request.getfixturevalue("shared_trigrams")
    if request.param == "stored":
        yield CachedEncoder(trigrams, PoolCache(tmp_path_factory.mktemp("store") / "s.sqlite"))
    else:
        yield trigrams


def test_rows_are_float32_of_length_one(encoder: Encoder) -> None:
    assert isinstance(encoder, Encoder)
    assert encoder.fingerprint
    rows = encoder.encode(TEXTS)
    assert rows.dtype == np.float32
    assert rows.shape[0] == len(TEXTS)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def test_similar_texts_have_similar_vectors(encoder: Encoder) -> None:
    same, similar, other = encoder.encode(TEXTS)
    assert same @ similar > same @ other + 0.1


def test_empty_texts_have_finite_vectors(encoder: Encoder) -> None:
    assert len(encoder.encode([])) == 0
    rows = encoder.encode(["", " ", "\n", "\u200b", "😀", "北京"])
    assert np.isfinite(rows).all()


def test_a_vector_depends_on_its_text_alone(encoder: Encoder) -> None:
    texts = [f"{text} {i}" for i in range(3) for text in TEXTS]
    batch = encoder.encode(texts)
    assert np.array_equal(batch, [encoder.encode([text])[0] for text in texts]), "not on the other texts"
    assert np.array_equal(batch[::-1], encoder.encode(texts[::-1])), "nor on their order or earlier texts"


@pytest.mark.parametrize("text", ["word " * 3000, "Donaudampfschifffahrt " * 400, "😀" * 2000])
def test_long_texts_have_vectors_of_length_one(encoder: Encoder, text: str) -> None:
    assert np.linalg.norm(encoder.encode([text])[0]) == pytest.approx(1, abs=1e-5)


@pytest.mark.models
@pytest.mark.parametrize("text", ["北" * 600, "3.1 " * 200, "a" * 5000])
def test_texts_of_many_tokens_have_vectors_of_length_one(model_file: Callable[[str], Path], text: str) -> None:
    llamacpp_encoder = LlamaCppEncoder(model_file("minilm-l6"), fingerprint="minilm-l6")
    try:
        assert np.linalg.norm(llamacpp_encoder.encode([text])[0]) == pytest.approx(1, abs=1e-5)
    finally:
        llamacpp_encoder.close()
