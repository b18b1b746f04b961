"""A model as Hugging Face's transformers loads it, to train on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entsemble.errors import MissingExtraError, ModelUnavailableError

Tokens = tuple[list[int], list[int]]
"""Token ids, and where in the text each begins."""


def load_base(path: Path) -> tuple[Any, Callable[[str], Tokens]]:
    """The model in full precision, and what makes tokens of a text, as llama.cpp makes them.

    Args:
        path: a GGUF file, whose weights are taken out of their quantisation.

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
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:  # nothing but the model, so that nothing beside it is taken for code
        (Path(folder) / "model.gguf").symlink_to(path.resolve())
        told = {"gguf_file": "model.gguf", "local_files_only": True, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, **told)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **told)
        except (OSError, ValueError, KeyError) as error:
            raise ModelUnavailableError(f"transformers cannot load {path}: {error}") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    begins = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]  # as llama.cpp begins a prompt

    def tokenize(text: str) -> Tokens:
        found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, starts = list(found["input_ids"]), [start for start, _ in found["offset_mapping"]]
        return ([tokenizer.bos_token_id, *ids], [0, *starts]) if begins else (ids, starts)

    return model.to(device), tokenize
