"""A token-classification model of transformers, with its own labels."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entsemble._lib.optional import require
from entsemble.backends.torch_memory import copy_from_file
from entsemble.errors import ConfigError, ModelUnavailableError
from entsemble.types import ScoredSpan, Span

_BATCH = 8

_MAX_TOKENS, _OVERLAP_TOKENS = 512, 64
"""Of a window, if the tokenizer states no shorter one; a longer text is read in windows that overlap."""

_PREFIXES: Mapping[str, str] = {"S-": "B-", "U-": "B-", "E-": "I-", "L-": "I-"}
"""Prefixes of other schemes -> B and I, the only ones that transformers groups."""


class TokenClassifier:
    """Tags groups of tokens with the mean probability of their label.

    Args:
        name: in messages.
        folder: with safetensors, configuration and tokenizer, as `save_pretrained` writes them.
        checksum: of these files.

    Raises:
        ConfigError: it is no model that classifies tokens.
        MissingExtraError: transformers or PyTorch is not installed.
        ModelUnavailableError: it cannot be loaded.
    """

    is_exhaustive = True

    def __init__(self, name: str, folder: Path, checksum: str) -> None:
        purpose = f"the voice {name}"
        require("torch", "tokens", purpose)
        transformers: Any = require("transformers", "tokens", purpose)
        transformers.utils.logging.disable_progress_bar()  # standard error is for messages
        self.name, self.fingerprint = name, f"tokens:{transformers.__version__}:{checksum}"
        try:
            config = transformers.AutoConfig.from_pretrained(folder)
            if not any(architecture.endswith("ForTokenClassification") for architecture in config.architectures or ()):
                raise ConfigError(
                    f"{folder} is no model that classifies tokens; its configuration names {config.architectures}"
                )
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, model_max_length=_max_tokens(config))
            model = transformers.AutoModelForTokenClassification.from_pretrained(folder, use_safetensors=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            problem = str(error).strip().partition("\n")[0]
            raise ModelUnavailableError(f"cannot load the token classifier {folder}: {problem}") from error
        if not tokenizer.is_fast:
            raise ConfigError(f"{folder} has no fast tokenizer, and without one no offsets: it needs a tokenizer.json")
        copy_from_file(model)
        model.config.id2label = {index: _two_prefixes(label) for index, label in model.config.id2label.items()}
        self.labels = tuple(sorted({_bare(label) for label in model.config.id2label.values()} - {"O"}))
        self.parameters = int(model.num_parameters())
        self._classifier = transformers.pipeline(
            "token-classification",
            model=model.eval(),
            tokenizer=tokenizer,
            aggregation_strategy="simple",
            stride=min(_OVERLAP_TOKENS, tokenizer.model_max_length // 4),
        )
        self._lock = threading.Lock()  # its tokenizer's truncation is a state

    def tag(self, texts: Sequence[str]) -> list[list[ScoredSpan]]:
        """See `SpanTagger.tag`."""
        with self._lock:
            groups = self._classifier([text or " " for text in texts], batch_size=_BATCH)
        return [
            [_scored_span(group) for group in text_groups if group["start"] < group["end"]] for text_groups in groups
        ]

    def close(self) -> None:
        """Free the model's memory."""
        self._classifier = None


def _scored_span(group: Mapping[str, Any]) -> ScoredSpan:
    return ScoredSpan(Span(group["start"], group["end"]), {group["entity_group"]: float(group["score"])})


def _max_tokens(config: Any) -> int:  # noqa: ANN401 - untyped library
    positions = getattr(config, "max_position_embeddings", None) or _MAX_TOKENS
    return min(_MAX_TOKENS, positions - 2)  # RoBERTa's positions begin behind the padding's


def _two_prefixes(label: str) -> str:
    return _PREFIXES.get(label[:2], label[:2]) + label[2:]


def _bare(label: str) -> str:
    return label[2:] if label[:2] in {"B-", "I-"} else label
