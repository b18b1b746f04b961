"""Encoders: embedded ones through llama.cpp, and sentence-transformers models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entsemble._lib.optional import require
from entsemble.backends.llamacpp.engine import Engine, engine_version
from entsemble.errors import BadReplyError
from entsemble.protocols import Vectors

_CONTEXT = 512
"""Tokens that BERT reads."""

_MAX_CHARACTERS = 1200
"""Of a text that are encoded at most, and fewer if these are more tokens than the encoder reads: the beginning of a
sentence is enough to find similar ones. Only retrieval uses the shortened text."""


class LlamaCppEncoder:
    """A GGUF embedding model in this process.

    It reads one text at a time. In a batch, the fourth digit of each vector depends on the other texts, their order,
    and what was encoded before. Sentences take no longer this way, names a third longer.

    It uses one thread. Two take 0.08 s instead of 0.14 for 60 names on idle cores, with the same vectors; but on busy
    ones 10 to 20 s if they spin while they wait for each other, and `import_library` cannot prevent that everywhere.

    Args:
        path: the `.gguf` file.
        fingerprint: identifies the file.
        weights_fingerprint: identifies the weights; the file's fingerprint if not given.
        batch_size: texts per request; without effect on the vectors.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        ModelUnavailableError: there is no such file, or llama.cpp cannot load it.
    """

    def __init__(
        self, path: Path, *, fingerprint: str, weights_fingerprint: str | None = None, batch_size: int = 64
    ) -> None:
        self.weights_fingerprint = weights_fingerprint or fingerprint
        self.fingerprint = f"llamacpp-encoder:{fingerprint}:{engine_version()}:alone"
        self._batch_size = batch_size

        def configure(parameters: Any) -> None:  # noqa: ANN401 - untyped library
            parameters.embedding = True
            parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = _CONTEXT
            parameters.n_parallel = 1
            parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1

        self._engine = Engine(path, configure)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        starts = range(0, len(texts), self._batch_size)
        batches = [self._encode_batch(texts[start : start + self._batch_size]) for start in starts]
        return np.concatenate(batches) if batches else np.zeros((0, 1), dtype=np.float32)

    def _encode_batch(self, texts: Sequence[str], max_characters: int = _MAX_CHARACTERS) -> Vectors:
        inputs = [text[:max_characters] if text.strip() else "." for text in texts]
        answer = self._engine.embed(inputs)
        if "error" in answer and len(texts) > 1:  # so that only a text that is too long is shortened
            return np.concatenate([self._encode_batch([text], max_characters) for text in texts])
        if "error" in answer and max_characters > 1 and "large" in str(answer["error"]):
            return self._encode_batch(texts, max_characters // 2)
        if "error" in answer:
            raise BadReplyError(f"the encoder refused a request: {answer['error'].get('message', answer['error'])}")
        rows = sorted(answer["data"], key=lambda row: row["index"])
        return normalise_rows(np.array([row["embedding"] for row in rows], dtype=np.float32))

    def close(self) -> None:
        """Stop the engine and free its memory."""
        self._engine.close()


class SentenceTransformerEncoder:
    """Any sentence-transformers model.

    Args:
        name: of the model, or its folder.
        checksum: of a folder, whose content may change.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
    """

    def __init__(self, name: str, checksum: str | None = None) -> None:
        library = require("sentence_transformers", "sentence-transformers", f"the encoder {name!r}")
        self.weights_fingerprint = self.fingerprint = f"sentence-transformers:{checksum or name}"
        self._model = library.SentenceTransformer(name)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        vectors = self._model.encode(list(texts), show_progress_bar=False)
        return normalise_rows(np.asarray(vectors, dtype=np.float32))


def normalise_rows(vectors: Vectors) -> Vectors:
    """`vectors` [n, d] with each row scaled to length 1; rows of zeros stay as they are."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
