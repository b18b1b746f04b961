"""Low-rank differences of a label reader's matrices (LoRA, Hu et al., 2021, arXiv 2106.09685)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from tools.reader.model import LabelReader
from torch import nn
from torch.nn import functional

RANK = 8
FROZEN = (
    "encoder.encoder.layer.0.",
    "encoder.encoder.layer.1.",
    "encoder.encoder.layer.2.",
    "encoder.encoder.layer.3.",
)
"""What has no difference: the last two layers of the encoder and the heads have."""

SCALE = 2.0
"""What the product of both factors is multiplied with: alpha / rank."""


class LowRankLinear(nn.Module):  # type: ignore[misc]
    """A frozen linear layer plus a product of two narrow ones, which starts as zero."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.weight = layer.weight.detach().to(torch.bfloat16)  # cast once, not in every step
        self.bias = None if layer.bias is None else layer.bias.detach().to(torch.bfloat16)
        self.left = nn.Parameter(torch.zeros(layer.out_features, rank))
        self.right = nn.Parameter(torch.empty(rank, layer.in_features))
        nn.init.kaiming_uniform_(self.right, a=math.sqrt(5))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The layer's output with the difference."""
        difference = functional.linear(functional.linear(inputs, self.right), SCALE * self.left)
        return functional.linear(inputs, self.weight, self.bias) + difference


def add_differences(reader: LabelReader, rank: int) -> list[nn.Parameter]:
    """Freeze a reader, and give its last linear layers a difference; returns what is to be trained."""
    for parameter in reader.parameters():
        parameter.requires_grad_(False)
    for name, layer in [*reader.named_modules()]:
        if isinstance(layer, nn.Linear) and not name.startswith(FROZEN):
            owner, _, attribute = name.rpartition(".")
            setattr(reader.get_submodule(owner), attribute, LowRankLinear(layer, rank))
    return [parameter for parameter in reader.parameters() if parameter.requires_grad]


def factors_of(reader: LabelReader) -> Iterator[tuple[str, torch.Tensor]]:
    """The trained factors as named tensors, in half precision."""
    for name, layer in reader.named_modules():
        if isinstance(layer, LowRankLinear):
            yield f"{name}.weight.left", layer.left.detach().half().contiguous()
            yield f"{name}.weight.right", layer.right.detach().half().contiguous()


def dense_differences(factors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Parameter -> difference, of an expert's file."""
    names = sorted(name.removesuffix(".left") for name in factors if name.endswith(".left"))
    return {name: SCALE * (factors[f"{name}.left"].float() @ factors[f"{name}.right"].float()) for name in names}
