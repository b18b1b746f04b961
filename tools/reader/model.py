"""The network: one encoder over labels and text, every span scored against every label.

A label is the mean of its name's states; its definition or examples follow the name, as context. A span is scored in
two ways that are added: by a small network over its first word, its last word and the mean of its words, and by the
cosine between its mean and the label's, which in a sentence encoder is a usable start before anything is trained.
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
    """`forward` takes tensors and returns the scores (B, W, K, L), as logits, and the spans' vectors (B, W, K, S)."""

    def __init__(self, bert_encoder: Any, head_config: ReaderConfig | None = None) -> None:  # noqa: ANN401 - transformers is untyped
        super().__init__()
        self.config = head_config or ReaderConfig()
        encoder_size, hidden_size, score_size = (
            bert_encoder.config.hidden_size,
            self.config.hidden_size,
            self.config.score_size,
        )
        self.encoder = bert_encoder
        self.start_word, self.end_word, self.span_mean = (nn.Linear(encoder_size, hidden_size) for _ in range(3))
        self.width = nn.Embedding(self.config.span_width, hidden_size)
        self.span_head = nn.Sequential(
            nn.GELU(), nn.Dropout(self.config.dropout), nn.Linear(hidden_size, hidden_size), nn.GELU()
        )
        self.span_out = nn.Linear(hidden_size, score_size)
        self.label_head = nn.Sequential(
            nn.Linear(encoder_size, hidden_size),
            nn.GELU(),
            nn.Dropout(self.config.dropout),
            nn.Linear(hidden_size, score_size),
        )
        self.similarity = nn.Linear(encoder_size, encoder_size, bias=False)
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
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `encode.Batch` for the shapes."""
        token_states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        label_vectors = segment_mean(token_states, label_first, label_last)  # (B, L, H)
        first_states, last_states = gather(token_states, word_first), gather(token_states, word_last)  # (B, W, H)
        word_vectors = segment_mean(token_states, word_first, word_last)
        row_count, word_count, span_width = word_first.shape[0], word_first.shape[1], span_last.shape[1]
        flat_last = span_last.reshape(1, -1).expand(row_count, -1)  # (B, W * K)
        span_first = torch.arange(word_count).unsqueeze(1).expand(-1, span_width).reshape(1, -1).expand(row_count, -1)
        span_means = segment_mean(word_vectors, span_first, flat_last)  # (B, W * K, H)
        span_features = (
            gather(self.start_word(first_states), span_first)
            + gather(self.end_word(last_states), flat_last)
            + self.span_mean(span_means)
            + self.width.weight[:span_width].repeat(word_count, 1)
        )
        span_vectors = self.span_out(self.span_head(span_features))  # (B, W * K, S)
        learnt_scores = torch.matmul(span_vectors, self.label_head(label_vectors).transpose(1, 2)) / math.sqrt(
            self.config.score_size
        )
        span_scores = learnt_scores.float() + self._cosines(span_means, label_vectors, label_mask) + self.bias
        shape = row_count, word_count, span_width, -1
        return span_scores.reshape(shape), span_vectors.reshape(shape)

    def _cosines(self, span_means: torch.Tensor, label_vectors: torch.Tensor, label_mask: torch.Tensor) -> torch.Tensor:
        """The cosine of each span and label, less a learnt share of its mean over the labels; (B, W * K, L)."""
        span_side = functional.normalize(self.similarity(span_means).float(), dim=-1)
        label_side = functional.normalize(self.similarity(label_vectors).float(), dim=-1)
        cosines = torch.matmul(span_side, label_side.transpose(1, 2)).float()
        label_weights = label_mask.unsqueeze(1).float()
        mean_cosine = (cosines * label_weights).sum(-1, keepdim=True) / label_weights.sum(-1, keepdim=True).clamp(min=1)
        return self.config.cosine_scale * self.cosine_weight * (cosines - self.centring * mean_cosine)


def gather(token_states: torch.Tensor, state_places: torch.Tensor) -> torch.Tensor:
    """The states (B, N, H) at places (B, M): (B, M, H)."""
    return torch.gather(token_states, 1, state_places.unsqueeze(-1).expand(-1, -1, token_states.shape[-1]))


def segment_mean(token_states: torch.Tensor, first_index: torch.Tensor, last_index: torch.Tensor) -> torch.Tensor:
    """The mean of the states (B, N, H) from `first` to `last` (B, M), both included: (B, M, H)."""
    running_sums = functional.pad(torch.cumsum(token_states.float(), dim=1), (0, 0, 1, 0))
    segment_sizes = (last_index - first_index + 1).unsqueeze(-1).float()
    return (gather(running_sums, last_index + 1) - gather(running_sums, first_index)) / segment_sizes


def reader_loss(span_scores: torch.Tensor, right_answers: Targets, input_batch: Batch) -> tuple[torch.Tensor, float]:
    """The binary cross-entropy of all spans and labels per word, plus the cross-entropy over labels at right spans.

    Second comes the share of right spans whose highest label is right.
    """
    cell_exists = input_batch.span_mask.unsqueeze(-1) & input_batch.label_mask[:, None, None, :]
    binary_losses = functional.binary_cross_entropy_with_logits(span_scores, right_answers.scores, reduction="none")
    total_loss = (binary_losses * cell_exists).sum() / input_batch.span_mask[:, :, 0].sum()
    if not len(right_answers.spans):
        return total_loss, 1.0
    row_index, word_index, extra_words, label_index = right_answers.spans.unbind(1)
    span_logits = span_scores[row_index, word_index, extra_words].masked_fill(~input_batch.label_mask[row_index], -1e4)
    other_right_labels = right_answers.scores[row_index, word_index, extra_words].bool()
    other_right_labels[torch.arange(len(label_index)), label_index] = (
        False  # another right label of the same span is no mistake
    )
    span_logits = span_logits.masked_fill(other_right_labels, -1e4)
    typing_accuracy = (span_logits.argmax(-1) == label_index).float().mean().item()
    return total_loss + 0.5 * functional.cross_entropy(span_logits, label_index), typing_accuracy


def load_encoder(encoder_folder: Path) -> Any:  # noqa: ANN401 - transformers is untyped
    """A BERT encoder from `config.json` and, where there is one, `model.safetensors`."""
    config_values = json.loads((encoder_folder / "config.json").read_text(encoding="utf-8"))
    head_config = BertConfig(**{**config_values, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    bert_encoder = BertModel(head_config, add_pooling_layer=False)
    if (encoder_folder / "model.safetensors").exists():
        weight_tensors = load_file(encoder_folder / "model.safetensors")
        bert_encoder.load_state_dict(
            {weight_name.removeprefix("bert."): weight_value for weight_name, weight_value in weight_tensors.items()},
            strict=False,
        )
    return bert_encoder


def config_json(head_config: ReaderConfig) -> str:
    """The configuration of the heads as JSON."""
    return json.dumps(asdict(head_config), indent=1)
