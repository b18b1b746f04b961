"""GGUF files made from other files: `requantise` for a faster kernel, `convert_bert` for an encoder.

The container is read and written here and not through `gguf.GGUFReader`, which spends 17 seconds on a vocabulary of
262,144 tokens; the quantisation kernels are the `gguf` package's own, fed with chunks that stay in the CPU's cache.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from entsemble.errors import ConfigError, DataError, MissingExtraError

QUANTISATIONS = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 7}
"""What `requantise` can write -> llama.cpp's `general.file_type`."""

if TYPE_CHECKING:
    from gguf import GGUFWriter

Sizes = Mapping[int, tuple[int, int]]
"""GGML type -> elements and bytes of one of its blocks."""

_MAGIC = b"GGUF"
_UINT32, _STRING, _ARRAY = 4, 8, 9
_SCALAR_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, _UINT32: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_CHUNK = 1 << 16
"""Elements quantised at a time: a multiple of every block size, and 256 KiB as float32."""

_KEPT = ("position_embd.weight", "token_types.weight")
"""Tensors that llama.cpp wants as they are, whatever their shape."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One line of a GGUF file's table of tensors; `shape` is in GGML's order, the row's length first."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """What precedes the weights in a GGUF file.

    Attributes:
        metadata: key -> its value's type and bytes, undecoded.
        tensors: in the file's order; offsets count from `data_start`.
        data_start: where the first tensor begins.
        alignment: each tensor begins at a multiple of it.
    """

    metadata: dict[str, tuple[int, bytes]]
    tensors: tuple[Tensor, ...]
    data_start: int
    alignment: int


def read_header(path: Path) -> Header:
    """The metadata and the table of tensors of a GGUF file.

    Raises:
        DataError: it is no GGUF file, or is cut short.
    """
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            raise DataError("this is not a GGUF file; pull or convert the model again", path)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _Scanner(data).header()
            except (struct.error, UnicodeDecodeError, KeyError, IndexError) as error:
                raise DataError("the GGUF header is damaged or cut short; pull or convert it again", path) from error


def requantise(
    source: Path, target: Path, quantisation: str, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write `source` again with its matrices in another quantisation; metadata and vectors stay as they are.

    Matrices whose rows do not fill whole blocks, and those that have the type already, are copied. Memory stays
    within tens of megabytes, whatever the file's size.

    Args:
        source: a GGUF file in any type that the `gguf` package can read.
        target: the file to write; it is complete only when this function returns.
        quantisation: one of `QUANTISATIONS`.
        progress: called with bytes of the source done and their total.
    """
    file_type = _file_type(quantisation)
    gguf = _gguf("requantising a model")
    wanted = int(gguf.GGMLQuantizationType[quantisation.upper()])
    sizes = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
    header = read_header(source)
    header.metadata["general.file_type"] = (_UINT32, struct.pack("<I", file_type))
    header.metadata["general.quantization_version"] = (_UINT32, struct.pack("<I", gguf.GGML_QUANT_VERSION))
    types = [_target_type(tensor, wanted, sizes) for tensor in header.tensors]
    data = np.memmap(source, dtype=np.uint8, mode="r")
    workers = min(os.cpu_count() or 1, 8)
    done, whole = 0, data.size - header.data_start
    with target.open("wb") as file, ThreadPoolExecutor(workers) as pool:
        _write_header(file, header, types, sizes)
        for tensor, new_type in zip(header.tensors, types, strict=True):
            start, size = header.data_start + tensor.offset, _bytes_of(tensor.shape, tensor.type, sizes)
            raw = data[start : start + size]
            if raw.size != size:
                raise DataError(f"the file ends inside the tensor {tensor.name!r}; pull it again", source)
            if new_type == tensor.type:
                file.write(raw.data)
            else:
                for chunk in _converted(raw, tensor.type, new_type, sizes, pool, 4 * workers):
                    file.write(chunk.data)
            _pad(file, header.alignment)
            done += size
            if progress is not None:
                progress(done, whole)


def convert_bert(folder: Path, target: Path, quantisation: str = "f16") -> None:
    """Convert a sentence-transformers BERT with mean pooling to a GGUF file that llama.cpp embeds with.

    Follows llama.cpp's `conversion/bert.py`: WordPiece tokens in the phantom-space convention, position and segment
    embeddings in float32, no pooler.

    Args:
        folder: holds `model.safetensors`, `config.json` and `vocab.txt`.
        target: the file to write.
        quantisation: of the matrices: one of `QUANTISATIONS`.
    """
    gguf, safetensors = _gguf("converting an encoder"), _safetensors()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(str(target), "bert")
    _bert_settings(writer, gguf, config, _file_type(quantisation))
    _bert_vocabulary(writer, gguf, (folder / "vocab.txt").read_text(encoding="utf-8").split("\n"))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for name, weights in safetensors.load_file(folder / "model.safetensors").items():
        bare = name.removeprefix("bert.")
        if bare == "embeddings.position_ids" or bare.startswith("pooler."):
            continue
        short = names.get_name(bare, try_suffixes=(".weight", ".bias"))
        if short is None:
            raise DataError(f"the tensor {name!r} has no place in llama.cpp's BERT", folder / "model.safetensors")
        kind = "f32" if weights.ndim < 2 or short in _KEPT else quantisation
        kind_type = gguf.GGMLQuantizationType[kind.upper()]
        values = gguf.quants.quantize(weights.astype(np.float32, copy=False), kind_type)
        writer.add_tensor(short, values, raw_dtype=kind_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _bert_settings(writer: GGUFWriter, gguf: ModuleType, config: dict[str, Any], file_type: int) -> None:
    writer.add_name("all-MiniLM-L6-v2" if config["num_hidden_layers"] == 6 else "bert")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_token_type_count(config.get("type_vocab_size", 1))


def _bert_vocabulary(writer: GGUFWriter, gguf: ModuleType, lines: list[str]) -> None:
    words = [line.rstrip("\r") for line in lines]
    if words and not words[-1]:
        words.pop()
    special = {word: words.index(word) for word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list([word if word in special else phantom_space_token(word) for word in words])
    kinds = gguf.TokenType
    writer.add_token_types([kinds.CONTROL if word in special else kinds.NORMAL for word in words])
    writer.add_bos_token_id(special["[CLS]"])
    writer.add_eos_token_id(special["[SEP]"])
    writer.add_unk_token_id(special["[UNK]"])
    writer.add_sep_token_id(special["[SEP]"])
    writer.add_pad_token_id(special["[PAD]"])
    writer.add_mask_token_id(special["[MASK]"])


def phantom_space_token(word: str) -> str:
    """A WordPiece token as llama.cpp spells it.

    >>> phantom_space_token("##ing"), phantom_space_token("in")
    ('ing', '▁in')
    """
    return word[2:] if word.startswith("##") else "▁" + word


class _Scanner:
    """Walks a GGUF header; see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 4

    def header(self) -> Header:
        version, n_tensors, n_metadata = self.take("IQQ")
        if version not in (2, 3):
            raise KeyError(f"GGUF version {version}")
        metadata: dict[str, tuple[int, bytes]] = {}
        for _ in range(n_metadata):
            key, (kind,) = self.string(), self.take("I")
            start = self.at
            self.skip(kind)
            metadata[key] = (kind, self.data[start : self.at])
        tensors = tuple(self.tensor() for _ in range(n_tensors))
        alignment = 32
        if "general.alignment" in metadata:
            (alignment,) = struct.unpack("<I", metadata["general.alignment"][1])
        return Header(metadata, tensors, math.ceil(self.at / alignment) * alignment, alignment)

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def string(self) -> str:
        (length,) = self.take("Q")
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def tensor(self) -> Tensor:
        name, (dimensions,) = self.string(), self.take("I")
        shape = self.take(f"{dimensions}Q")
        kind, offset = self.take("IQ")
        return Tensor(name, shape, kind, offset)

    def skip(self, kind: int) -> None:
        if kind == _STRING:
            (length,) = self.take("Q")
            self.at += length
        elif kind == _ARRAY:
            inner, count = self.take("IQ")
            if inner in _SCALAR_SIZES:
                self.at += count * _SCALAR_SIZES[inner]
            else:
                for _ in range(count):
                    self.skip(inner)
        else:
            self.at += _SCALAR_SIZES[kind]


def _target_type(tensor: Tensor, wanted: int, sizes: Sizes) -> int:
    block, _ = sizes[wanted]
    is_matrix = len(tensor.shape) >= 2 and tensor.name.endswith(".weight") and tensor.name not in _KEPT
    return wanted if is_matrix and tensor.shape[0] % block == 0 else tensor.type


def _bytes_of(shape: tuple[int, ...], kind: int, sizes: Sizes) -> int:
    block, size = sizes[kind]
    return math.prod(shape) // int(block) * int(size)


def _write_header(file: BinaryIO, header: Header, types: list[int], sizes: Sizes) -> None:
    file.write(_MAGIC + struct.pack("<IQQ", 3, len(header.tensors), len(header.metadata)))
    for key, (kind, value) in header.metadata.items():
        file.write(_string(key) + struct.pack("<I", kind) + value)
    offset = 0
    for tensor, kind in zip(header.tensors, types, strict=True):
        dimensions = len(tensor.shape)
        table = struct.pack(f"<I{dimensions}QIQ", dimensions, *tensor.shape, kind, offset)
        file.write(_string(tensor.name) + table)
        size = _bytes_of(tensor.shape, kind, sizes)
        offset += math.ceil(size / header.alignment) * header.alignment
    _pad(file, header.alignment)


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _pad(file: BinaryIO, alignment: int) -> None:
    file.write(bytes(-file.tell() % alignment))


def _converted(
    raw: npt.NDArray[np.uint8], old: int, new: int, sizes: Sizes, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[npt.NDArray[Any]]:
    """`raw` in another type, chunk by chunk, `ahead` chunks worked on at once."""
    from gguf import GGMLQuantizationType, quants

    old_type, new_type = GGMLQuantizationType(old), GGMLQuantizationType(new)
    block, size = sizes[old]
    step = _CHUNK // block * size

    def convert(start: int) -> npt.NDArray[Any]:
        chunk = np.asarray(raw[start : start + step]).reshape(1, -1)
        return np.asarray(quants.quantize(quants.dequantize(chunk, old_type), new_type))

    starts = range(0, raw.size, step)
    for first in range(0, len(starts), ahead):
        yield from pool.map(convert, starts[first : first + ahead])


def _file_type(quantisation: str) -> int:
    try:
        return QUANTISATIONS[quantisation]
    except KeyError:
        raise ConfigError(f"cannot quantise to {quantisation!r}; known: {', '.join(sorted(QUANTISATIONS))}") from None


def _gguf(purpose: str) -> ModuleType:
    try:
        import gguf
    except ImportError as error:
        raise MissingExtraError("gguf", "embedded", purpose) from error
    return gguf


def _safetensors() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingExtraError("safetensors", "embedded", "converting an encoder") from error
    return safetensors.numpy
