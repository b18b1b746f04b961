"""The GGUF container, read and written without decoding what it holds.

`gguf.GGUFReader` is not used, since it takes 17 seconds for a vocabulary of 262,144 tokens. The format is described in
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from entsemble.errors import ConfigError, DataError

FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 7}
"""Quantisations that we write -> llama.cpp's `general.file_type`."""

UINT32 = 4
"""The value type of 32-bit unsigned integers."""

BlockSizes = Mapping[int, tuple[int, int]]
"""GGML tensor type -> elements and bytes of one of its blocks."""

_MAGIC = b"GGUF"
_STRING, _ARRAY = 8, 9
_SCALAR_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, UINT32: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_DEFAULT_ALIGNMENT = 32
_CONTROL_TOKEN = 3


@dataclass(frozen=True, slots=True)
class Tensor:
    """An entry of a file's tensor table.

    Attributes:
        name: unique in the file.
        shape: in GGML's order, the row length first.
        type: GGML tensor type.
        offset: bytes from the start of the tensor data.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """What precedes the tensor data of a GGUF file.

    Attributes:
        metadata: key -> value type and encoded value.
        tensors: in the file's order.
        data_start: offset of the tensor data in the file.
        alignment: each tensor begins at a multiple of it.
    """

    metadata: dict[str, tuple[int, bytes]]
    tensors: tuple[Tensor, ...]
    data_start: int
    alignment: int

    def text(self, key: str) -> str:
        """A string of the metadata; KeyError if it is missing."""
        return self.metadata[key][1][8:].decode("utf-8")

    def number(self, key: str) -> int:
        """A 32-bit unsigned integer of the metadata; KeyError if it is missing."""
        return int(struct.unpack("<I", self.metadata[key][1][:4])[0])

    def control_tokens(self) -> tuple[str, ...]:
        """The tokens of the vocabulary that a tokenizer treats as control tokens; empty for a file without types."""
        tokens, types = (self.metadata.get(f"tokenizer.ggml.{key}") for key in ("tokens", "token_type"))
        if tokens is None or types is None:
            return ()
        (count,) = struct.unpack_from("<Q", types[1], 4)
        is_control = [value == _CONTROL_TOKEN for value in struct.unpack_from(f"<{count}i", types[1], 12)]
        return tuple(token for token, control in zip(_decode_strings(tokens[1]), is_control, strict=True) if control)


def file_type(quantisation: str) -> int:
    """llama.cpp's number for a quantisation; ConfigError if we do not write it."""
    try:
        return FILE_TYPES[quantisation]
    except KeyError:
        raise ConfigError(f"cannot quantise to {quantisation!r}; known: {', '.join(sorted(FILE_TYPES))}") from None


def read_header(path: Path) -> Header:
    """The metadata and tensor table of a GGUF file.

    Raises:
        DataError: it is not a GGUF file, or it is truncated.
    """
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            raise DataError("this is not a GGUF file; pull or convert the model again", path)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _HeaderReader(data).read()
            except (struct.error, UnicodeDecodeError, KeyError, IndexError) as error:
                raise DataError("the GGUF header is damaged or truncated; pull or convert it again", path) from error


def write_header(file: BinaryIO, header: Header, tensor_types: Sequence[int], block_sizes: BlockSizes) -> None:
    """Write everything that precedes the tensor data, for tensors of other types.

    Args:
        file: at its beginning.
        header: metadata and tensors.
        tensor_types: GGML type of each tensor in the new file.
        block_sizes: of these types.
    """
    file.write(_MAGIC + struct.pack("<IQQ", 3, len(header.tensors), len(header.metadata)))
    for key, (value_type, value) in header.metadata.items():
        file.write(_encode_string(key) + struct.pack("<I", value_type) + value)
    offset = 0
    for tensor, tensor_type in zip(header.tensors, tensor_types, strict=True):
        rank = len(tensor.shape)
        entry = struct.pack(f"<I{rank}QIQ", rank, *tensor.shape, tensor_type, offset)
        file.write(_encode_string(tensor.name) + entry)
        size = tensor_size(tensor.shape, tensor_type, block_sizes)
        offset += math.ceil(size / header.alignment) * header.alignment
    write_padding(file, header.alignment)


def write_padding(file: BinaryIO, alignment: int) -> None:
    """Zero bytes up to the next multiple of `alignment`."""
    file.write(bytes(-file.tell() % alignment))


def tensor_size(shape: tuple[int, ...], tensor_type: int, block_sizes: BlockSizes) -> int:
    """Bytes of a tensor."""
    block_elements, block_bytes = block_sizes[tensor_type]
    return math.prod(shape) // int(block_elements) * int(block_bytes)


def _decode_strings(array: bytes) -> Iterator[str]:
    """The items of an encoded array of strings."""
    (count,) = struct.unpack_from("<Q", array, 4)
    position = 12
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", array, position)
        yield array[position + 8 : position + 8 + length].decode("utf-8", "replace")
        position += 8 + length


def _end_of_strings(data: bytes | mmap.mmap, position: int, count: int) -> int:
    """Where so many strings end; vocabularies have hundreds of thousands."""
    read_length = struct.Struct("<Q").unpack_from
    for _ in range(count):
        position += 8 + read_length(data, position)[0]
    return position


def _encode_string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


class _HeaderReader:
    """Reads a header from a memory-mapped file, behind the magic number."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._position = data, len(_MAGIC)

    def read(self) -> Header:
        version, tensor_count, metadata_count = self._unpack("IQQ")
        if version not in (2, 3):
            raise KeyError(f"GGUF version {version}")
        metadata: dict[str, tuple[int, bytes]] = {}
        for _ in range(metadata_count):
            key, (value_type,) = self._read_string(), self._unpack("I")
            start = self._position
            self._skip_value(value_type)
            metadata[key] = (value_type, self._data[start : self._position])
        tensors = tuple(self._read_tensor() for _ in range(tensor_count))
        alignment = _DEFAULT_ALIGNMENT
        if "general.alignment" in metadata:
            (alignment,) = struct.unpack("<I", metadata["general.alignment"][1])
        return Header(metadata, tensors, math.ceil(self._position / alignment) * alignment, alignment)

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self._data, self._position)
        self._position += struct.calcsize("<" + layout)
        return values

    def _read_string(self) -> str:
        (length,) = self._unpack("Q")
        self._position += length
        return self._data[self._position - length : self._position].decode()

    def _read_tensor(self) -> Tensor:
        name, (rank,) = self._read_string(), self._unpack("I")
        shape = self._unpack(f"{rank}Q")
        tensor_type, offset = self._unpack("IQ")
        return Tensor(name, shape, tensor_type, offset)

    def _skip_value(self, value_type: int) -> None:
        if value_type == _STRING:
            (length,) = self._unpack("Q")
            self._position += length
        elif value_type == _ARRAY:
            item_type, count = self._unpack("IQ")
            if item_type in _SCALAR_SIZES:
                self._position += count * _SCALAR_SIZES[item_type]
            elif item_type == _STRING:
                self._position = _end_of_strings(self._data, self._position, count)
            else:
                for _ in range(count):
                    self._skip_value(item_type)
        else:
            self._position += _SCALAR_SIZES[value_type]
