"""Sums of adapters on a model of transformers, on a tiny random Llama."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.assembly.model_pool import ModelPool, base_checksum
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.backends.transformers import adapters as transformers_adapters
from entsemble.backends.transformers import TransformersModel
from entsemble.errors import DataError, ModelUnavailableError
from entsemble.experts import peft_folder
from entsemble.experts.card import Card
from entsemble.experts.merging.low_rank import LowRankFactors
from entsemble.experts.peft_folder import Adapter
from entsemble.experts.store import ExpertStore
from entsemble.settings import CacheSettings, MemberSettings, Settings, environment
from entsemble.types import AdapterSum

pytest.importorskip("peft", reason="needs the extra 'experts'")

PROMPT = "Text: Ann left Oslo.\nEntities:"
OPTIONS = [" a;", " b c;", " b d;"]


@pytest.fixture(params=["added to the weights", "applied by PEFT"])
def either(
    request: pytest.FixtureRequest, tiny_folder: Path, tiny_adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> TransformersModel:
    """Of the two ways in which adapters are applied: where there is memory for changed weights, and where not."""
    if request.param == "applied by PEFT":
        monkeypatch.setattr(transformers_adapters, "_MERGED", 0)
    made = TransformersModel("tiny", tiny_folder, fingerprint="f", context=256, slots=8, adapters=tiny_adapters)
    assert made._reader.adapted.merges == (request.param == "added to the weights")
    return made


def scored(model: TransformersModel) -> tuple[float, ...]:
    return model.choose([PROMPT], OPTIONS)[0].log_probabilities


def test_a_weighted_sum_is_the_merged_adapter(either: TransformersModel) -> None:
    model = either
    summed = model.with_adapters("sum", AdapterSum({"v1.0": 0.5, "two": 0.25}, "x"))
    merged = model.with_adapters("merged", AdapterSum({"both": 1.0}, "y"))
    assert scored(summed) == pytest.approx(scored(merged), abs=1e-4)
    assert max(abs(a - b) for a, b in zip(scored(summed), scored(model), strict=True)) > 0.01
    assert len({m.fingerprint for m in (model, summed, merged)}) == 3


def test_one_adapter_that_is_applied_whole(either: TransformersModel) -> None:
    nearly = either.with_adapters("nearly", AdapterSum({"two": 0.999999}, "n"))
    whole = either.with_adapters("whole", AdapterSum({"v1.0": 0.0, "two": 1.0}, "w"))
    assert scored(whole) == pytest.approx(scored(nearly), abs=1e-4)
    assert max(abs(a - b) for a, b in zip(scored(whole), scored(either), strict=True)) > 0.01


def test_views_do_not_disturb_each_other_and_the_base_stays(either: TransformersModel, tiny_folder: Path) -> None:
    model = either
    alone = TransformersModel("alone", tiny_folder, fingerprint="f", context=256)
    one, two = (
        model.with_adapters("1", AdapterSum({"v1.0": 1.0}, "p")),
        model.with_adapters("2", AdapterSum({"two": 1.0}, "q")),
    )
    first = [scored(m) for m in (one, two, model)]
    assert [scored(m) for m in (model, two, one)] == [pytest.approx(x, abs=1e-4) for x in first[::-1]]
    assert scored(model) == pytest.approx(scored(alone), abs=1e-4)
    assert scored(model.with_adapters("none", AdapterSum({"v1.0": 0.0}, ""))) == pytest.approx(scored(alone), abs=1e-4)


def test_sums_that_memory_has_no_room_for_are_made_again(
    tiny_folder: Path, tiny_adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_adapters, "_MERGED", 2 * 2 * 32 * 48 * 4)  # two sums of two layers in float32
    model = TransformersModel("tiny", tiny_folder, fingerprint="f", context=256, adapters=tiny_adapters)
    views = [model.with_adapters("x", AdapterSum({"two": weight}, "y")) for weight in (0.5, 1.0, 1.5)]
    first = [scored(view) for view in views]
    assert len(set(first)) == 3
    base, *back = [scored(view) for view in (model, *views[::-1])]
    assert back == [pytest.approx(x, abs=1e-4) for x in first[::-1]]
    assert base == pytest.approx(
        scored(TransformersModel("alone", tiny_folder, fingerprint="f", context=256)), abs=1e-4
    )
    assert len(model._reader.adapted._made) == 2


def test_a_sum_that_could_not_be_made_is_made_the_next_time(
    tiny_folder: Path, tiny_adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TransformersModel("tiny", tiny_folder, fingerprint="f", context=256, adapters=tiny_adapters)
    one, two = (
        model.with_adapters("1", AdapterSum({"v1.0": 1.0}, "p")),
        model.with_adapters("2", AdapterSum({"two": 1.0}, "q")),
    )
    first = [scored(m) for m in (model, one)]

    def failing(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(transformers_adapters, "_added", failing)
        with pytest.raises(ModelUnavailableError, match=r"2: out of memory|tiny: out of memory"):
            scored(two)
    assert [scored(m) for m in (model, one)] == [pytest.approx(x, abs=1e-4) for x in first]
    assert max(abs(a - b) for a, b in zip(scored(two), first[0], strict=True)) > 0.01


def test_nothing_is_added_to_packed_weights() -> None:
    import torch

    plain, packed = torch.ones(3, 2), torch.ones(3, 2, dtype=torch.int8)
    assert [transformers_adapters._bytes(w) for w in ([plain, plain], [plain, packed], [plain, None])] == [48, 0, 0]


def test_a_folder_is_a_member_and_takes_its_experts(
    tiny_folder: Path, tiny_adapters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTSEMBLE_EXPERTS", str(tmp_path / "experts"))
    plain, with_expert = (
        MemberSettings(model=str(tiny_folder)),
        MemberSettings(model=str(tiny_folder), experts={"one": 1.0}),
    )
    settings = Settings(members=(plain, with_expert), cache=CacheSettings(replies=False))
    models = ModelPool(settings, environment(), ProgressCallbacks())
    told = Card(
        name="one", base=str(tiny_folder), base_sha256=models.base_checksum(plain), template="ner-1", labels=("x",)
    )
    ExpertStore(environment().experts).add(tiny_adapters["two"], told)
    asked = [models.language_model(m) for m in settings.members]
    assert asked[0].choose([PROMPT], OPTIONS) != asked[1].choose([PROMPT], OPTIONS)
    models.close()


def test_an_expert_with_rslora_is_as_strong_as_it_was_trained(
    tiny_folder: Path, tiny_adapters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEFT's sums scale it by the root of its rank once too often; on llama.cpp it was right all along."""
    monkeypatch.setenv("ENTSEMBLE_EXPERTS", str(tmp_path / "experts"))
    rooted = tmp_path / "rooted"
    shutil.copytree(tiny_adapters["two"], rooted)
    told = json.loads((rooted / peft_folder.CONFIG_FILE).read_text())
    told |= {"use_rslora": True, "lora_alpha": math.sqrt(2), "r": 2}  # alpha / root of rank = 1, as in plain LoRA
    (rooted / peft_folder.CONFIG_FILE).write_text(json.dumps(told))
    store, place = ExpertStore(environment().experts), environment()
    base = base_checksum(str(tiny_folder), place)
    for name, given in (("plain", tiny_adapters["two"]), ("rooted", rooted)):
        store.add(given, Card(name=name, base=str(tiny_folder), base_sha256=base, template="ner-1"))
    members = tuple(MemberSettings(model=str(tiny_folder), experts={name: 0.5}) for name in ("plain", "rooted"))
    models = ModelPool(Settings(members=members, cache=CacheSettings(replies=False)), place, ProgressCallbacks())
    one, two = (models.language_model(m).choose([PROMPT], OPTIONS)[0].log_probabilities for m in members)
    assert one == pytest.approx(two, abs=1e-4)
    models.close()


def test_an_adapter_of_another_model(tiny_folder: Path, tmp_path: Path) -> None:
    wide = LowRankFactors(np.ones((2, 99), np.float32), np.ones((32, 2), np.float32))
    peft_folder.save_adapter(Adapter({"model.layers.0.mlp.down_proj": wide}), tmp_path / "wide")
    with pytest.raises(DataError, match="does not fit its base"):
        TransformersModel("x", tiny_folder, fingerprint="", adapters={"wide": tmp_path / "wide"})
