"""Experts selected for a target, and merged into one label reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tools.reader.encode import Encoder
from tools.reader.model import load_encoder
from tools.reader.predict import Predictor
from torch.nn import functional

from benchmarks.reader_experts.low_rank import dense_differences
from benchmarks.reader_experts.train import load_shipped
from entsemble.protocols import Vectors

_LONGEST, _BATCH = 96, 32


@dataclass
class ExpertReaders:
    """The shipped reader, and experts that are added to it."""

    folder: Path
    encoder_folder: Path
    _differences: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reader = load_shipped(self.encoder_folder).eval()
        self._weights = {name: value.clone() for name, value in self._reader.state_dict().items()}
        self._encoder = Encoder(self.encoder_folder / "tokenizer.json")

    def merged(self, weights: Mapping[str, float]) -> Predictor:
        """The reader plus the weighted sum of experts' differences; the one that was returned before is changed.

        Args:
            weights: expert -> its weight; none for the reader as it is.
        """
        state = dict(self._weights)
        for expert, weight in weights.items():
            for name, difference in self.differences(expert).items():
                state[name] = state[name] + weight * difference
        self._reader.load_state_dict(state)
        return Predictor(self._reader, self._encoder)

    def differences(self, name: str) -> dict[str, torch.Tensor]:
        """Parameter -> what an expert adds to it."""
        if name not in self._differences:
            self._differences[name] = dense_differences(load_file(self.folder / f"{name}.safetensors"))
        return self._differences[name]


class SentenceVectors:
    """Sentences as unit vectors of all-MiniLM-L6-v2: the mean of their tokens."""

    def __init__(self, encoder_folder: Path) -> None:
        self._model = load_encoder(encoder_folder).eval()
        self._tokenizer = Tokenizer.from_file(str(encoder_folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(_LONGEST)
        self._tokenizer.enable_padding()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """[texts, 384]."""
        batches = [texts[first : first + _BATCH] for first in range(0, len(texts), _BATCH)]
        return np.concatenate([self._mean_states(batch) for batch in batches])

    def _mean_states(self, texts: Sequence[str]) -> Vectors:
        rows = self._tokenizer.encode_batch(list(texts))
        ids, mask = torch.tensor([row.ids for row in rows]), torch.tensor([row.attention_mask for row in rows])
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        means = (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        return np.asarray(functional.normalize(means, dim=-1).numpy(), dtype=np.float32)
