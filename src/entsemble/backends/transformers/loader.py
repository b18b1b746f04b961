"""Loads transformers models and tokenizers, for training and for inference."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from entsemble._lib.atomic import lock_output, replacing
from entsemble._lib.optional import require
from entsemble._lib.paths import real_path
from entsemble._lib.temporary import temporary_folder
from entsemble.backends.torch_memory import copy_from_file
from entsemble.backends.transformers.grammar import GrammarConstraint, Vocabulary
from entsemble.errors import InUseError, ModelUnavailableError
from entsemble.types import Precision

_MAX_UNPACKED_FILE = 1 << 29
"""Bytes of the largest GGUF file whose unpacked weights are kept, which take four to eight times as many."""

_UNPACKING_SECONDS = 600.0
"""How long a process waits for another one that unpacks the same file."""

Tokens = tuple[list[int], list[int]]
"""Token ids [tokens], and the offset in the text at which each begins [tokens]."""


class Tokenizer:
    """A transformers tokenizer that splits a prompt as llama.cpp does. Threads may share it.

    Args:
        tokenizer: a fast transformers tokenizer.
        end_token_ids: tokens that end a text.

    Attributes:
        end_token_ids: tokens that end a text.
    """

    def __init__(self, tokenizer: Any, end_token_ids: Iterable[int]) -> None:  # noqa: ANN401 - untyped library
        self._tokenizer, self._lock = tokenizer, threading.Lock()  # fast tokenizers fail under two threads
        begins_texts = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
        self._begin_token_id = tokenizer.bos_token_id if begins_texts else None
        self.end_token_ids = frozenset(end_token_ids)
        self._vocabulary: Vocabulary | Literal["not built"] | None = "not built"

    def __call__(self, text: str) -> Tokens:
        """The tokens of a prompt; the first is the model's begin token if it has one."""
        token_ids, starts = self._tokenize(text)
        if self._begin_token_id is None:
            return token_ids, starts
        return [self._begin_token_id, *token_ids], [0, *starts]

    def encode(self, text: str) -> list[int]:
        """Token ids without special tokens."""
        return self._tokenize(text)[0]

    def decode(self, previous_ids: Sequence[int], token_ids: Sequence[int]) -> str:
        """The text of `token_ids` when they follow `previous_ids`, leading whitespace included."""
        context = list(previous_ids[-1:])
        with self._lock:
            whole_text, context_text = (
                self._tokenizer.decode(ids, clean_up_tokenization_spaces=False)
                for ids in ([*context, *token_ids], context)
            )
        return str(whole_text[len(context_text) :])

    def constraint(self, grammar: str) -> GrammarConstraint | None:
        """The constraint that a GBNF grammar puts on a reply; `None` if llguidance does not support the tokenizer.

        Raises:
            MissingExtraError: llguidance is not installed.
            ValueError: it is not a valid grammar.
        """
        with self._lock:
            if self._vocabulary == "not built":  # takes a second
                try:
                    self._vocabulary = Vocabulary(self._tokenizer, sorted(self.end_token_ids))
                except ValueError:
                    self._vocabulary = None
            vocabulary = self._vocabulary
        return vocabulary.constraint(grammar) if vocabulary else None

    def _tokenize(self, text: str) -> Tokens:
        with self._lock:
            encoding = self._tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
            )  # what a text spells is never a control token
        return list(encoding["input_ids"]), [start for start, _ in encoding["offset_mapping"]]


def load_model(
    path: Path, precision: Precision = "float32", unpacked_folder: Path | None = None
) -> tuple[Any, Tokenizer]:
    """A causal language model and its tokenizer.

    Args:
        path: a GGUF file, whose weights are dequantised, or a folder in the format of transformers, of which only
            safetensors are read.
        precision: of the model except its last layer; logits are always computed in float32.
        unpacked_folder: where a small GGUF file's weights are kept in the format of transformers, which takes many
            times as long to read GGUF.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        ModelUnavailableError: transformers cannot load it, or `unpacked_folder` cannot be written.
    """
    torch = require("torch", "experts", f"the model {path}")
    require("transformers.utils.logging", "experts", f"the model {path}").disable_progress_bar()
    caused_by_peft = ".*is_gradient_checkpointing"  # users can do nothing about it
    warnings.filterwarnings("ignore", message=caused_by_peft, category=FutureWarning)
    if unpacked_folder is not None and path.is_file() and path.stat().st_size <= _MAX_UNPACKED_FILE:
        _unpack(path, unpacked_folder)
        path = unpacked_folder
    model, tokenizer = _load(path, getattr(torch, precision))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision != "float32":
        _compute_logits_in_float32(model)
    configured_ids = model.generation_config.eos_token_id
    end_token_ids = configured_ids if isinstance(configured_ids, list) else [configured_ids, tokenizer.eos_token_id]
    return model.to(device), Tokenizer(tokenizer, [token_id for token_id in end_token_ids if token_id is not None])


def _unpack(file: Path, folder: Path) -> None:
    """Write a GGUF file's model in the format of transformers, unless the folder exists."""
    from safetensors import SafetensorError
    from torch import float32

    if folder.is_dir():
        return
    parts = _load(file, float32)
    try:
        with closing(lock_output(folder, _UNPACKING_SECONDS)) as lock:
            if not folder.is_dir():  # otherwise another process was faster
                with replacing(folder, lock=lock) as new_folder:
                    for part in parts:
                        part.save_pretrained(new_folder)
    except (OSError, SafetensorError, InUseError) as error:
        advice = "free some space there, or set ENTSEMBLE_CACHE to another folder"
        raise ModelUnavailableError(f"{file} cannot be unpacked in {folder.parent} ({error}); {advice}") from error


def _load(path: Path, dtype: Any) -> tuple[Any, Any]:  # noqa: ANN401 - untyped library
    """A transformers model and its tokenizer."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with temporary_folder() as link_folder:
        arguments: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        if path.is_dir():
            folder = path
        else:  # alone in a folder, so that no file beside it is run as code
            folder = link_folder
            (folder / "model.gguf").symlink_to(real_path(path))
            arguments["gguf_file"] = "model.gguf"
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, **arguments)
            # without `dequantize` the layers are of a kind that takes no adapters if the package `kernels` is installed
            gguf_config = GgufConfig(dequantize=True)
            arguments |= {"use_safetensors": True} if path.is_dir() else {"quantization_config": gguf_config}
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **arguments)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            raise ModelUnavailableError(f"transformers cannot load {path}: {error}") from error
    copy_from_file(model)
    return model, tokenizer


def _compute_logits_in_float32(model: Any) -> None:  # noqa: ANN401 - untyped library
    """Have the last layer compute in float32.

    Logits are about 20, where bfloat16 has steps of 1/8: labels that differ would get equal scores. It costs little,
    since only one token of a sequence passes the last layer.
    """
    import torch

    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.float(), requires_grad=False)  # no longer tied to the embeddings
    head.register_forward_pre_hook(lambda _, inputs: tuple(hidden.float() for hidden in inputs))
