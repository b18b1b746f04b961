from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.assembly import expert_store
from entsemble.experts import peft_folder
from entsemble.experts.merging.low_rank import LowRankFactors
from entsemble.experts.peft_folder import Adapter
from entsemble.experts.store import Expert
from entsemble.settings import Environment, environment


@pytest.fixture
def storage(tmp_path: Path) -> Environment:
    """An environment of its own."""
    return environment({"ENTSEMBLE_CACHE": str(tmp_path / "cache"), "ENTSEMBLE_EXPERTS": str(tmp_path / "experts")})


@pytest.fixture
def add_random_expert(storage: Environment, expert_card: Callable[[str], Any], tmp_path: Path) -> Callable[..., Expert]:
    """Adds an expert that changes modules at random: module -> (outputs, inputs, rank)."""

    def add(
        name: str, shapes: dict[str, tuple[int, int, int]], *, replace: bool = False, alpha: int | None = None
    ) -> Expert:
        generator = np.random.default_rng(len(shapes))
        factors = {
            module: LowRankFactors(
                lora_a=generator.normal(size=(rank, inputs)).astype(np.float32),
                lora_b=generator.normal(size=(outputs, rank)).astype(np.float32),
            )
            for module, (outputs, inputs, rank) in shapes.items()
        }
        peft_folder.save_adapter(Adapter(factors), tmp_path / name)
        if alpha is not None:
            config = tmp_path / name / peft_folder.CONFIG_FILE
            config.write_text(json.dumps({**json.loads(config.read_text()), "lora_alpha": alpha}))
        return expert_store(storage).add(tmp_path / name, expert_card(name), replace=replace)

    return add
