"""Weights of PyTorch models, in memory of their own."""

from __future__ import annotations

from typing import Any


def copy_from_file(model: Any) -> None:  # noqa: ANN401 - untyped library
    """Replace each weight by a copy.

    Weights in safetensors are mapped, and if the file is truncated while it is mapped, SIGBUS ends the process.

    Args:
        model: a `torch.nn.Module` on the CPU; tied weights stay tied.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()
