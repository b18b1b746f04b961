"""A model as Hugging Face's transformers loads it, to train on and to ask."""

from __future__ import annotations

import tempfile
import threading
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from entsemble.backends.transformers.grammar import Constraint, Vocabulary
from entsemble.errors import MissingExtraError, ModelUnavailableError
from entsemble.types import Precision

_UNPACKED = 1 << 29
"""Bytes of the largest GGUF file that is unpacked_folder unpacked, which takes four to eight times as many."""

Tokens = tuple[list[int], list[int]]
"""Token ids, and where in the text each begins."""


class Tokenizer:
    """A tokenizer of transformers, as llama.cpp cuts a prompt. Threads may share it.

    Args:
        tokenizer: of transformers, a fast one.
        ends: tokens that end a text.

    Attributes:
        ends: tokens that end a text.
    """

    def __init__(self, tokenizer: Any, ends: Iterable[int]) -> None:  # noqa: ANN401 - untyped library
        self._tokenizer, self._turn = tokenizer, threading.Lock()  # the library's own fails under two threads
        self._begin = tokenizer.bos_token_id if tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id] else None
        self.ends = frozenset(ends)
        self._vocabulary: Vocabulary | Literal["untried"] | None = "untried"

    def bare(self, text: str) -> list[int]:
        """Token ids, nothing added in front."""
        return self._tokens(text)[0]

    def _tokens(self, text: str) -> Tokens:
        with self._turn:
            found = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return list(found["input_ids"]), [start for start, _ in found["offset_mapping"]]

    def __call__(self, text: str) -> Tokens:
        """Token ids, a first one for the beginning where the model wants it, and where each begins."""
        ids, starts = self._tokens(text)
        return (ids, starts) if self._begin is None else ([self._begin, *ids], [0, *starts])

    def constraint(self, grammar: str) -> Constraint | None:
        """What a GBNF grammar lets a reply say; `None` where the tokenizer is of a kind that grammars do not know.

        Raises:
            MissingExtraError: llguidance is not installed.
            ValueError: it is no grammar.
        """
        with self._turn:
            if self._vocabulary == "untried":  # takes a second
                try:
                    self._vocabulary = Vocabulary(self._tokenizer, sorted(self.ends))
                except ValueError:
                    self._vocabulary = None
            vocabulary = self._vocabulary
        return vocabulary.constraint(grammar) if vocabulary else None

    def text(self, before: Sequence[int], ids: Sequence[int]) -> str:
        """What `ids` say behind `before`, blanks at their beginning included."""
        last = list(before[-1:])
        with self._turn:
            whole, start = (
                self._tokenizer.decode(t, clean_up_tokenization_spaces=False) for t in ([*last, *ids], last)
            )
        return str(whole[len(start) :])


def load_model(
    path: Path, precision: Precision = "float32", unpacked_folder: Path | None = None
) -> tuple[Any, Tokenizer]:
    """The model, and what makes tokens of a text, as llama.cpp makes them.

    Args:
        path: a GGUF file, whose weights are taken out of their quantisation, or a folder as transformers writes it,
            of which only safetensors are read.
        precision: of the model up to its last layer; what it says of the next token is of full precision always.
        unpacked_folder: folder for a GGUF file's weights in the format of transformers, if the file is not large:
            transformers takes many times as long to read them from GGUF.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        ModelUnavailableError: transformers cannot load it, or `unpacked_folder` cannot be written.
    """
    try:
        import torch
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError(error.name or "transformers", "experts", f"the model {path}") from error
    logging.disable_progress_bar()
    asked_by_peft = ".*is_gradient_checkpointing"  # which users can do nothing about
    warnings.filterwarnings("ignore", message=asked_by_peft, category=FutureWarning)
    if unpacked_folder is not None and path.is_file() and path.stat().st_size <= _UNPACKED:
        _unpack(path, unpacked_folder)
        path = unpacked_folder
    model, tokenizer = _load(path, getattr(torch, precision))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision != "float32":
        _head_in_full(model)
    ends = model.generation_config.eos_token_id
    ended_by = ends if isinstance(ends, list) else [ends, tokenizer.eos_token_id]
    return model.to(device), Tokenizer(tokenizer, [t for t in ended_by if t is not None])


def _unpack(file: Path, folder: Path) -> None:
    """Write a GGUF file as transformers writes a model, unless that was done before."""
    from safetensors import SafetensorError
    from torch import float32

    if folder.is_dir():
        return
    made = _load(file, float32)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            for part in made:
                part.save_pretrained(Path(work) / folder.name)
            (Path(work) / folder.name).rename(folder)
    except (OSError, SafetensorError) as error:
        if not folder.is_dir():  # else another process was faster
            advice = "make room there, or name another place by ENTSEMBLE_CACHE"
            raise ModelUnavailableError(f"{file} cannot be unpacked in {folder.parent} ({error}); {advice}") from error


def _load(path: Path, dtype: Any) -> tuple[Any, Any]:  # noqa: ANN401 - untyped library
    """A model and a tokenizer of transformers."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with tempfile.TemporaryDirectory() as place:
        told: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        if path.is_dir():
            folder = path
        else:  # alone in a folder, so that nothing beside it is taken for code
            folder = Path(place)
            (folder / "model.gguf").symlink_to(path.resolve())
            told["gguf_file"] = "model.gguf"
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, **told)
            packed = GgufConfig(dequantize=True)  # else whoever has the package `kernels` gets layers without adapters
            told |= {"use_safetensors": True} if path.is_dir() else {"quantization_config": packed}
            return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **told), tokenizer
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            raise ModelUnavailableError(f"transformers cannot load {path}: {error}") from error


def _head_in_full(model: Any) -> None:  # noqa: ANN401 - untyped library
    """Have the last layer compute in full precision.

    Logits are about 20, and there bfloat16 knows steps of an eighth: two labels would look alike that are not. One
    token of a sequence passes the last layer, all of them the others, so it costs little.
    """
    import torch

    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.float(), requires_grad=False)  # no longer the embeddings' own
    head.register_forward_pre_hook(lambda _, hidden: tuple(h.float() for h in hidden))
