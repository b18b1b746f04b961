"""Arrays with a header as bytes; no pickle, since others may be able to write the file that they are read from."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_HEADER = "header"


def pack_arrays(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The header, as JSON, and the arrays, without loss."""
    stream = io.BytesIO()
    contents: dict[str, Any] = {**arrays, _HEADER: np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)}
    np.savez(stream, **contents)
    return stream.getvalue()


def unpack_arrays(content: bytes) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """What `pack_arrays` packed.

    Raises:
        ValueError: the content is nothing of the kind.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = dict(archive)
        header: dict[str, Any] = json.loads(arrays.pop(_HEADER).tobytes())
    except (EOFError, KeyError, OSError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"not packed arrays: {error}") from error
    return header, arrays
