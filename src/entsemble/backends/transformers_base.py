"""A model as Hugging Face's transformers loads it, to train on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from entsemble.errors import MissingExtraError, ModelUnavailableError


def load_base(path: Path) -> tuple[Any, Callable[[str], list[int]]]:
    """The model in full precision, and what makes token ids of a text.

    Args:
        path: a GGUF file, whose weights are taken out of their quantisation, or a folder with a transformers model.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        ModelUnavailableError: transformers cannot load it.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError(error.name or "transformers", "experts", "training an expert") from error
    folder, told = (path.parent, {"gguf_file": path.name}) if path.suffix == ".gguf" else (path, {})
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **told)
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32, **told)
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnavailableError(f"transformers cannot load {path}: {error}") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def tokenize(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    return model.to(device), tokenize
