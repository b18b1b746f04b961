"""PEFT loads our adapters, and merges them to the same result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.experts import peft_folder
from entsemble.experts.merging.low_rank import LowRankFactors
from entsemble.experts.merging.merge import MergeSettings, merge_adapters
from entsemble.experts.peft_folder import Adapter

torch = pytest.importorskip("torch", reason="needs the extra 'experts'")
peft = pytest.importorskip("peft", reason="needs the extra 'experts'")

SIZES = {"self_attn.q_proj": (32, 32), "self_attn.k_proj": (16, 32), "mlp.down_proj": (32, 48)}
Base = Callable[[], Any]
IDS = torch.arange(12)[None]


@pytest.fixture
def base(tiny_llama: Callable[[], Any]) -> Base:
    return lambda: tiny_llama().eval()


def expert(seed: int, rank: int) -> Adapter:
    generator = np.random.default_rng(seed)
    return Adapter(
        {
            f"model.layers.{layer}.{kind}": LowRankFactors(
                generator.normal(scale=0.3, size=(rank, shape[1])).astype(np.float32),
                generator.normal(scale=0.3, size=(shape[0], rank)).astype(np.float32),
            )
            for layer in range(2)
            for kind, shape in SIZES.items()
        }
    )


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    adapter_folders = []
    for seed, rank in enumerate((2, 5)):
        adapter_folders.append(tmp_path / str(seed))
        peft_folder.save_adapter(expert(seed, rank), adapter_folders[-1])
    return adapter_folders


def logits(model: Any) -> Any:
    with torch.no_grad():
        return model(IDS).logits.numpy()


def test_our_weighted_sum_equals_the_cat_combination_of_peft(folders: list[Path], tmp_path: Path, base: Base) -> None:
    theirs = peft.PeftModel.from_pretrained(base(), folders[0], adapter_name="0")
    theirs.load_adapter(folders[1], adapter_name="1")
    theirs.add_weighted_adapter(["0", "1"], [0.7, 0.3], "sum", combination_type="cat")
    theirs.set_adapter("sum")
    merged = merge_adapters([peft_folder.load_adapter(folder) for folder in folders], (0.7, 0.3), MergeSettings())
    peft_folder.save_adapter(merged.adapter, tmp_path / "ours")
    ours = peft.PeftModel.from_pretrained(base(), tmp_path / "ours")
    assert logits(ours) == pytest.approx(logits(theirs), abs=1e-4)
    assert np.abs(logits(ours) - logits(base())).max() > 0.1


def test_an_adapter_of_mixed_ranks_loads_in_peft(folders: list[Path], tmp_path: Path, base: Base) -> None:
    one, two = (peft_folder.load_adapter(folder) for folder in folders)
    mixed = {module: (one if "layers.0" in module else two).factors[module] for module in one.factors}
    peft_folder.save_adapter(Adapter(mixed), tmp_path / "mixed")
    loaded = peft.PeftModel.from_pretrained(base(), tmp_path / "mixed")
    expected = base()
    with torch.no_grad():
        for module, factors in mixed.items():
            expected.get_submodule(module).weight += torch.from_numpy(factors.dense())
    assert logits(loaded) == pytest.approx(logits(expected), abs=1e-4)


def test_rslora_is_scaled_as_by_peft(folders: list[Path], base: Base) -> None:
    path = folders[1] / peft_folder.CONFIG_FILE
    path.write_text(path.read_text().replace('"lora_alpha": 5', '"lora_alpha": 7, "use_rslora": true'))
    assert '"use_rslora": true' in path.read_text()
    loaded = peft.PeftModel.from_pretrained(base(), folders[1]).merge_and_unload()
    expected = base()
    with torch.no_grad():
        for module, factors in peft_folder.load_adapter(folders[1]).factors.items():
            expected.get_submodule(module).weight += torch.from_numpy(factors.dense())
    assert logits(loaded) == pytest.approx(logits(expected), abs=1e-4)
