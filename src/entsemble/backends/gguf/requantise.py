"""Requantise a GGUF file, so that a faster kernel runs it.

The quantisation kernels are those of the `gguf` package, applied to chunks that stay in the CPU's cache.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from entsemble._lib.optional import require
from entsemble.backends.gguf.file import (
    UINT32,
    BlockSizes,
    Tensor,
    file_type,
    read_header,
    tensor_size,
    write_header,
    write_padding,
)
from entsemble.errors import DataError

KEEP_AS_FLOAT = ("position_embd.weight", "token_types.weight")
"""Tensors that llama.cpp expects unquantised, whatever their shape."""

_CHUNK_ELEMENTS = 1 << 16
"""Elements quantised at a time: a multiple of every block size, and 256 KiB as float32."""

_MAX_THREADS = 8


def requantise(
    source: Path, target: Path, quantisation: str, on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Write `source` with its matrices in another quantisation; metadata and vectors are copied.

    Matrices whose rows do not fill whole blocks, and those that have the type already, are copied. Memory stays within
    tens of megabytes, whatever the file's size.

    Args:
        source: a GGUF file of any type that the `gguf` package can read.
        target: the file to write; complete only when this function returns.
        quantisation: a key of `FILE_TYPES`.
        on_progress: called with the bytes of the source that are converted, and their total.

    Raises:
        ConfigError: an unknown quantisation.
        DataError: the source is not a GGUF file, or it is truncated.
        MissingExtraError: the package `gguf` is not installed.
    """
    target_file_type = file_type(quantisation)
    gguf = require("gguf", "embedded", "requantising a model")
    target_type = int(gguf.GGMLQuantizationType[quantisation.upper()])
    block_sizes = {int(tensor_type): sizes for tensor_type, sizes in gguf.GGML_QUANT_SIZES.items()}
    header = read_header(source)
    header.metadata["general.file_type"] = (UINT32, struct.pack("<I", target_file_type))
    header.metadata["general.quantization_version"] = (UINT32, struct.pack("<I", gguf.GGML_QUANT_VERSION))
    tensor_types = [_target_type(tensor, target_type, block_sizes) for tensor in header.tensors]
    data = np.memmap(source, dtype=np.uint8, mode="r")
    thread_count = min(os.cpu_count() or 1, _MAX_THREADS)
    bytes_done, bytes_total = 0, data.size - header.data_start
    with target.open("wb") as file, ThreadPoolExecutor(thread_count) as threads:
        write_header(file, header, tensor_types, block_sizes)
        for tensor, tensor_type in zip(header.tensors, tensor_types, strict=True):
            size = tensor_size(tensor.shape, tensor.type, block_sizes)
            start = header.data_start + tensor.offset
            content = data[start : start + size]
            if content.size != size:
                raise DataError(f"the file ends inside the tensor {tensor.name!r}; pull it again", source)
            if tensor_type == tensor.type:
                file.write(content.data)
            else:
                convert = _ChunkConverter(tensor.type, tensor_type, block_sizes)
                for chunk in convert.in_threads(content, threads, 4 * thread_count):
                    file.write(chunk.data)
            write_padding(file, header.alignment)
            bytes_done += size
            if on_progress is not None:
                on_progress(bytes_done, bytes_total)


def _target_type(tensor: Tensor, target_type: int, block_sizes: BlockSizes) -> int:
    block_elements, _ = block_sizes[target_type]
    is_matrix = len(tensor.shape) >= 2 and tensor.name.endswith(".weight") and tensor.name not in KEEP_AS_FLOAT
    return target_type if is_matrix and tensor.shape[0] % block_elements == 0 else tensor.type


class _ChunkConverter:
    """Converts tensor data from one GGML type to another, chunk by chunk."""

    def __init__(self, source_type: int, target_type: int, block_sizes: BlockSizes) -> None:
        from gguf import GGMLQuantizationType, quants

        self._quants = quants
        self._source_type, self._target_type = GGMLQuantizationType(source_type), GGMLQuantizationType(target_type)
        block_elements, block_bytes = block_sizes[source_type]
        self._chunk_bytes = _CHUNK_ELEMENTS // block_elements * block_bytes

    def in_threads(
        self, content: npt.NDArray[np.uint8], threads: ThreadPoolExecutor, chunks_at_once: int
    ) -> Iterator[npt.NDArray[Any]]:
        """The converted chunks in order, a limited number of them in memory."""

        def convert(start: int) -> npt.NDArray[Any]:
            chunk = np.asarray(content[start : start + self._chunk_bytes]).reshape(1, -1)
            values = self._quants.dequantize(chunk, self._source_type)
            return np.asarray(self._quants.quantize(values, self._target_type))

        starts = range(0, content.size, self._chunk_bytes)
        for first in range(0, len(starts), chunks_at_once):
            yield from threads.map(convert, starts[first : first + chunks_at_once])
