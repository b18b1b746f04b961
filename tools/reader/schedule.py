"""Warm-up, a stable phase of any length, and a decay that can be begun at any step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

ENCODER_RATE, HEAD_RATE, WEIGHT_DECAY = 1.5e-4, 5e-4, 0.01
WARM_UP = 200  # steps
LAST_SHARE = 0.01  # of the stable rate, where the decay ends


@dataclass(frozen=True)
class Schedule:
    """The share of the full learning rate; the decay is over steps, or over seconds where time is what is short."""

    warm_up: int = WARM_UP
    decay_start: float | None = None  # a step, or with `timed` a second; None while there is no end in sight
    decay_length: float = 1
    timed: bool = False

    def progress(self, step_number: int, clock_second: float) -> float | None:
        """How much of the decay is behind: 1 or more at its end, None before its start."""
        current_time = clock_second if self.timed else step_number
        if self.decay_start is None or current_time < self.decay_start:
            return None
        return (current_time - self.decay_start) / self.decay_length

    def share(self, step_number: int, clock_second: float = 0.0) -> float:
        """Linear up, flat, then down along a square root, which takes long over the low rates."""
        warm_up_share = min(1.0, (step_number + 1) / self.warm_up)
        progress = self.progress(step_number, clock_second)
        if progress is None:
            return warm_up_share
        return warm_up_share * (LAST_SHARE + (1 - LAST_SHARE) * (1 - math.sqrt(min(1.0, progress))))


def make_optimiser(reader_model: nn.Module) -> torch.optim.AdamW:
    """AdamW with a lower rate for the encoder than for the heads, and no decay of biases and norms."""
    parameter_groups: dict[tuple[bool, bool], list[Any]] = {}
    for parameter_name, parameter in reader_model.named_parameters():
        parameter_groups.setdefault((parameter_name.startswith("encoder."), parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": ENCODER_RATE if in_encoder else HEAD_RATE,
                "full_rate": ENCODER_RATE if in_encoder else HEAD_RATE,
                "weight_decay": WEIGHT_DECAY if with_decay else 0.0,
            }
            for (in_encoder, with_decay), parameters in sorted(parameter_groups.items())
        ],
        fused=True,
        betas=(0.9, 0.98),
    )


def set_rate(optimiser: torch.optim.AdamW, share: float) -> None:
    """Set every group to its share of the full rate."""
    for parameter_group in groups_of(optimiser):
        parameter_group["lr"] = share * parameter_group["full_rate"]


def groups_of(optimiser: torch.optim.AdamW) -> Iterator[dict[str, Any]]:
    """The parameter groups."""
    yield from optimiser.param_groups
