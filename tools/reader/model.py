"""The network: one encoder over labels and text, every span scored against every label.

A label is the mean of its own tokens' states. A span is scored in two ways that are added: by a small network over its
first word, its last word and the mean of its words, and by the cosine between its mean and the label's, which in a
sentence encoder is a usable start before anything is trained.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from tools.reader.encode import Batch, Targets
from tools.reader.prompts import SPAN_WIDTH


@dataclass(frozen=True)
class ReaderConfig:
    """Sizes of the heads; the encoder's are in its own configuration."""

    hidden_size: int = 384
    score_size: int = 256
    span_width: int = SPAN_WIDTH
    dropout: float = 0.0  # no sentence is seen often enough to be learnt by heart
    cosine_scale: float = 8.0
    start_bias: float = -4.0


class LabelReader(nn.Module):  # type: ignore[misc]
    """`forward` takes tensors only and returns the scores (B, W, K, L), as logits."""

    def __init__(self, encoder: Any, config: ReaderConfig | None = None) -> None:  # noqa: ANN401 - transformers is untyped
        super().__init__()
        self.config = config or ReaderConfig()
        size, hidden, out = encoder.config.hidden_size, self.config.hidden_size, self.config.score_size
        self.encoder = encoder
        self.start_word, self.end_word, self.span_mean = (nn.Linear(size, hidden) for _ in range(3))
        self.width = nn.Embedding(self.config.span_width, hidden)
        self.span_head = nn.Sequential(nn.GELU(), nn.Dropout(self.config.dropout), nn.Linear(hidden, hidden), nn.GELU())
        self.span_out = nn.Linear(hidden, out)
        self.label_head = nn.Sequential(
            nn.Linear(size, hidden), nn.GELU(), nn.Dropout(self.config.dropout), nn.Linear(hidden, out)
        )
        self.similarity = nn.Linear(size, size, bias=False)
        self.cosine_weight = nn.Parameter(torch.tensor(1.0))
        self.centring = nn.Parameter(torch.tensor(1.0))
        self.bias = nn.Parameter(torch.tensor(self.config.start_bias))
        nn.init.eye_(self.similarity.weight)
        nn.init.normal_(self.width.weight, std=0.02)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        label_first: torch.Tensor,
        label_last: torch.Tensor,
        word_first: torch.Tensor,
        word_last: torch.Tensor,
        span_last: torch.Tensor,
        label_mask: torch.Tensor,
    ) -> torch.Tensor:
        """See `encode.Batch` for the shapes."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        labels = segment_mean(states, label_first, label_last)  # (B, L, H)
        first, last = gather(states, word_first), gather(states, word_last)  # (B, W, H)
        words = segment_mean(states, word_first, word_last)
        rows, word_count, width = word_first.shape[0], word_first.shape[1], span_last.shape[1]
        flat_last = span_last.reshape(1, -1).expand(rows, -1)  # (B, W * K)
        starts = torch.arange(word_count).unsqueeze(1).expand(-1, width).reshape(1, -1).expand(rows, -1)
        means = segment_mean(words, starts, flat_last)  # (B, W * K, H)
        hidden = (
            gather(self.start_word(first), starts)
            + gather(self.end_word(last), flat_last)
            + self.span_mean(means)
            + self.width.weight[:width].repeat(word_count, 1)
        )
        spans = self.span_out(self.span_head(hidden))  # (B, W * K, S)
        learnt = torch.matmul(spans, self.label_head(labels).transpose(1, 2)) / math.sqrt(self.config.score_size)
        scores = learnt.float() + self._cosines(means, labels, label_mask) + self.bias
        return scores.reshape(rows, word_count, width, -1)

    def _cosines(self, means: torch.Tensor, labels: torch.Tensor, label_mask: torch.Tensor) -> torch.Tensor:
        """The cosine of each span and label, less a learnt share of its mean over the labels; (B, W * K, L)."""
        span_side = functional.normalize(self.similarity(means).float(), dim=-1)
        label_side = functional.normalize(self.similarity(labels).float(), dim=-1)
        cosines = torch.matmul(span_side, label_side.transpose(1, 2)).float()
        present = label_mask.unsqueeze(1).float()
        mean = (cosines * present).sum(-1, keepdim=True) / present.sum(-1, keepdim=True)
        return self.config.cosine_scale * self.cosine_weight * (cosines - self.centring * mean)


def gather(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The states (B, N, H) at places (B, M): (B, M, H)."""
    return torch.gather(states, 1, places.unsqueeze(-1).expand(-1, -1, states.shape[-1]))


def segment_mean(states: torch.Tensor, first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """The mean of the states (B, N, H) from `first` to `last` (B, M), both included: (B, M, H)."""
    sums = functional.pad(torch.cumsum(states.float(), dim=1), (0, 0, 1, 0))
    counts = (last - first + 1).unsqueeze(-1).float()
    return (gather(sums, last + 1) - gather(sums, first)) / counts


def reader_loss(scores: torch.Tensor, targets: Targets, batch: Batch) -> tuple[torch.Tensor, float]:
    """The binary cross-entropy of all spans and labels per word, plus the cross-entropy over labels at right spans.

    Second comes the share of right spans whose highest label is right.
    """
    exists = batch.span_mask.unsqueeze(-1) & batch.label_mask[:, None, None, :]
    binary = functional.binary_cross_entropy_with_logits(scores, targets.scores, reduction="none")
    loss = (binary * exists).sum() / batch.span_mask[:, :, 0].sum()
    if not len(targets.spans):
        return loss, 1.0
    row, word, width, label = targets.spans.unbind(1)
    logits = scores[row, word, width].masked_fill(~batch.label_mask[row], -1e4)
    others = targets.scores[row, word, width].bool()
    others[torch.arange(len(label)), label] = False  # another right label of the same span is no mistake
    logits = logits.masked_fill(others, -1e4)
    right = (logits.argmax(-1) == label).float().mean().item()
    return loss + 0.5 * functional.cross_entropy(logits, label), right


def load_encoder(folder: Path) -> Any:  # noqa: ANN401 - transformers is untyped
    """A BERT encoder from `config.json` and, where there is one, `model.safetensors`."""
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = BertConfig(**{**values, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    encoder = BertModel(config, add_pooling_layer=False)
    if (folder / "model.safetensors").exists():
        weights = load_file(folder / "model.safetensors")
        encoder.load_state_dict({name.removeprefix("bert."): value for name, value in weights.items()}, strict=False)
    return encoder


def config_json(config: ReaderConfig) -> str:
    """The configuration of the heads as JSON."""
    return json.dumps(asdict(config), indent=1)
