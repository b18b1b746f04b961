"""Encoders: the embedded one through llama.cpp, and any sentence-transformers model as an extra."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entsemble.backends.llamacpp.model import engine_version, load_engine
from entsemble.errors import BadReplyError, MissingExtraError
from entsemble.protocols import Vectors

_MAX_CHARACTERS = 1200
"""Of a text that are encoded at the most, and fewer where these are more tokens than the encoder holds (512 for BERT):
the beginning of a sentence says enough to find its like. Only retrieval sees the shortened text."""


class LlamaCppEncoder:
    """A GGUF embedding model in this process.

    It reads one text at a time. Of several in one batch, each vector's fourth digit hangs on which others are there and
    in what order, and these on what was encoded before. Sentences take no longer this way, names a third longer.

    Args:
        path: the `.gguf` file.
        fingerprint: identifies the weights.
        threads: CPU threads.
        batch: texts a request; no matter to the vectors.
    """

    def __init__(self, path: Path, *, fingerprint: str, threads: int = 2, batch: int = 64) -> None:
        self.weights_fingerprint = fingerprint
        self.fingerprint = f"llamacpp-encoder:{fingerprint}:{engine_version()}:alone"
        self._batch = batch

        def configure(params: Any) -> None:  # noqa: ANN401 - untyped library
            params.embedding = True
            params.n_ctx = params.n_batch = params.n_ubatch = 512
            params.n_parallel = 1
            params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads

        self._server = load_engine(path, configure)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        parts = [self._encode(texts[i : i + self._batch]) for i in range(0, len(texts), self._batch)]
        return np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float32)

    def _encode(self, texts: Sequence[str], limit: int = _MAX_CHARACTERS) -> Vectors:
        answer = self._server.handle_embeddings({"input": [text[:limit] if text.strip() else "." for text in texts]})
        if "error" in answer and len(texts) > 1:  # only the text that is too long is to be shortened
            return np.concatenate([self._encode([text], limit) for text in texts])
        if "error" in answer and limit > 1 and "large" in str(answer["error"]):
            return self._encode(texts, limit // 2)
        if "error" in answer:
            raise BadReplyError(f"the encoder refused a request: {answer['error'].get('message', answer['error'])}")
        rows = sorted(answer["data"], key=lambda row: row["index"])
        return unit_rows(np.array([row["embedding"] for row in rows], dtype=np.float32))

    def close(self) -> None:
        """Stop the engine and free its memory."""
        del self._server


class SentenceTransformerEncoder:
    """Any sentence-transformers model (extra `sentence-transformers`).

    Args:
        name: of the model, or its folder.
        checksum: of a folder, which may hold another model tomorrow.
    """

    def __init__(self, name: str, checksum: str | None = None) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError(
                "sentence-transformers", "sentence-transformers", f"the encoder {name!r}"
            ) from error
        self.weights_fingerprint = self.fingerprint = f"sentence-transformers:{checksum or name}"
        self._model = SentenceTransformer(name)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        return unit_rows(np.asarray(self._model.encode(list(texts), show_progress_bar=False), dtype=np.float32))


def unit_rows(vectors: Vectors) -> Vectors:
    """`vectors` with each row at length 1; a row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
