"""Sums of adapters on a transformers model, a tiny random Llama."""

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
from entsemble.backends.transformers import TransformersModel, adapters
from entsemble.errors import DataError, ModelUnavailableError
from entsemble.experts import peft_folder
from entsemble.experts.card import Card
from entsemble.experts.merging.low_rank import LowRankFactors
from entsemble.experts.peft_folder import Adapter
from entsemble.experts.store import ExpertStore
from entsemble.settings import CacheSettings, MemberSettings, Settings, environment
from tests.backends.transformers.tiny import OPTIONS, PROMPT, largest_difference, load_tiny, score_options, with_sum

pytest.importorskip("peft", reason="needs the extra 'experts'")

NO_CACHE = CacheSettings(replies=False)


@pytest.fixture(params=["added to the weights", "applied by PEFT"])
def model(request: pytest.FixtureRequest, tiny_folder: Path, tiny_adapters: dict[str, Path]) -> TransformersModel:
    """A model for each way of applying adapters: with memory for changed weights, and without."""
    memory = {"merged_bytes": 0} if request.param == "applied by PEFT" else {}
    model = load_tiny(tiny_folder, slots=8, adapters=tiny_adapters, **memory)
    assert model._runner.adapted.merges_weights == (request.param == "added to the weights")
    return model


def test_a_weighted_sum_equals_the_merged_adapter(model: TransformersModel) -> None:
    weighted_sum, merged = with_sum(model, "sum", v1_0=0.5, two=0.25), with_sum(model, "merged", both=1.0)
    assert score_options(weighted_sum) == pytest.approx(score_options(merged), abs=1e-4)
    assert largest_difference(score_options(weighted_sum), score_options(model)) > 0.01
    assert len({view.fingerprint for view in (model, weighted_sum, merged)}) == 3


def test_an_adapter_of_weight_one_is_continuous_with_smaller_weights(model: TransformersModel) -> None:
    almost_one, one = with_sum(model, "almost", two=0.999999), with_sum(model, "one", v1_0=0.0, two=1.0)
    assert score_options(one) == pytest.approx(score_options(almost_one), abs=1e-4)
    assert largest_difference(score_options(one), score_options(model)) > 0.01


def test_views_do_not_affect_each_other_or_the_base(model: TransformersModel, tiny_folder: Path) -> None:
    base_scores = score_options(load_tiny(tiny_folder))
    first, second = with_sum(model, "1", v1_0=1.0), with_sum(model, "2", two=1.0)
    scores = [score_options(view) for view in (first, second, model)]
    backwards = [score_options(view) for view in (model, second, first)]
    assert backwards == [pytest.approx(expected, abs=1e-4) for expected in scores[::-1]]
    assert score_options(model) == pytest.approx(base_scores, abs=1e-4)
    assert score_options(with_sum(model, "none", v1_0=0.0)) == pytest.approx(base_scores, abs=1e-4)


def test_sums_beyond_the_memory_for_merged_weights_are_merged_again(
    tiny_folder: Path, tiny_adapters: dict[str, Path]
) -> None:
    bytes_of_two_sums = 2 * 2 * 32 * 48 * 4  # two sums of two layers in float32
    model = load_tiny(tiny_folder, adapters=tiny_adapters, merged_bytes=bytes_of_two_sums)
    views = [with_sum(model, str(weight), two=weight) for weight in (0.5, 1.0, 1.5)]
    scores = [score_options(view) for view in views]
    assert len(set(scores)) == 3
    base_scores, *backwards = [score_options(view) for view in (model, *views[::-1])]
    assert backwards == [pytest.approx(expected, abs=1e-4) for expected in scores[::-1]]
    assert base_scores == pytest.approx(score_options(load_tiny(tiny_folder)), abs=1e-4)
    assert model._runner.adapted.merged_sum_count == 2


def test_a_sum_that_failed_to_merge_is_merged_on_the_next_request(
    tiny_folder: Path, tiny_adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_tiny(tiny_folder, adapters=tiny_adapters)
    first, second = with_sum(model, "1", v1_0=1.0), with_sum(model, "2", two=1.0)
    scores = [score_options(view) for view in (model, first)]

    def run_out_of_memory(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(adapters, "merge_layer", run_out_of_memory)
        with pytest.raises(ModelUnavailableError, match="tiny: out of memory"):
            score_options(second)
    assert [score_options(view) for view in (model, first)] == [pytest.approx(each, abs=1e-4) for each in scores]
    assert largest_difference(score_options(second), scores[0]) > 0.01


def test_packed_weights_cannot_be_merged_into() -> None:
    import torch

    plain, packed = torch.ones(3, 2), torch.ones(3, 2, dtype=torch.int8)
    sizes = [adapters.size_in_bytes(weights) for weights in ([plain, plain], [plain, packed], [plain, None])]
    assert sizes == [48, 0, 0]


def test_an_adapter_for_another_model_is_rejected(tiny_folder: Path, tmp_path: Path) -> None:
    wide = LowRankFactors(np.ones((2, 99), np.float32), np.ones((32, 2), np.float32))
    peft_folder.save_adapter(Adapter({"model.layers.0.mlp.down_proj": wide}), tmp_path / "wide")
    with pytest.raises(DataError, match="does not fit its base"):
        load_tiny(tiny_folder, adapters={"wide": tmp_path / "wide"})


# through the model pool


def test_members_of_one_folder_have_their_own_experts(
    tiny_folder: Path, tiny_adapters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTSEMBLE_EXPERTS", str(tmp_path / "experts"))
    members = (
        MemberSettings(model=str(tiny_folder)),
        MemberSettings(model=str(tiny_folder), experts={"one": 1.0}),
    )
    models = ModelPool(Settings(members=members, cache=NO_CACHE), environment(), ProgressCallbacks())
    checksum = base_checksum(str(tiny_folder), environment())
    card = Card(name="one", base=str(tiny_folder), base_sha256=checksum, template="ner-1", labels=("x",))
    ExpertStore(environment().experts).add(tiny_adapters["two"], card)
    plain, with_expert = (models.language_model(member) for member in members)
    assert plain.choose([PROMPT], OPTIONS) != with_expert.choose([PROMPT], OPTIONS)
    models.close()


def test_an_rslora_expert_has_the_strength_it_was_trained_with(
    tiny_folder: Path, tiny_adapters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEFT's sums scale it by the square root of its rank once too often."""
    monkeypatch.setenv("ENTSEMBLE_EXPERTS", str(tmp_path / "experts"))
    rslora_folder = tmp_path / "rslora"
    shutil.copytree(tiny_adapters["two"], rslora_folder)
    config = json.loads((rslora_folder / peft_folder.CONFIG_FILE).read_text())
    config |= {"use_rslora": True, "lora_alpha": math.sqrt(2), "r": 2}  # alpha / sqrt(rank) = 1, as in plain LoRA
    (rslora_folder / peft_folder.CONFIG_FILE).write_text(json.dumps(config))
    store, checksum = ExpertStore(environment().experts), base_checksum(str(tiny_folder), environment())
    for name, folder in (("plain", tiny_adapters["two"]), ("rslora", rslora_folder)):
        store.add(folder, Card(name=name, base=str(tiny_folder), base_sha256=checksum, template="ner-1"))
    members = tuple(MemberSettings(model=str(tiny_folder), experts={name: 0.5}) for name in ("plain", "rslora"))
    models = ModelPool(Settings(members=members, cache=NO_CACHE), environment(), ProgressCallbacks())
    plain, rslora = (models.language_model(m).choose([PROMPT], OPTIONS)[0].log_probabilities for m in members)
    assert plain == pytest.approx(rslora, abs=1e-4)
    models.close()
