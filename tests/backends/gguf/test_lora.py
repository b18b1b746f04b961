from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.backends.gguf.lora import Matrix, write_lora
from entsemble.backends.gguf.requantise import requantise
from entsemble.backends.llamacpp.engine import LlamaCppOptions
from entsemble.backends.llamacpp.model import LlamaCppModel
from entsemble.errors import DataError, ModelUnavailableError
from entsemble.experts import peft_folder
from entsemble.experts.merging.low_rank import LowRankFactors, weighted_sum
from entsemble.experts.peft_folder import Adapter
from entsemble.types import AdapterSum

pytestmark = pytest.mark.models

LAYERS, SIZES = 30, {"q_proj": 576, "k_proj": 192, "v_proj": 192}
PROMPT = (
    "Named entity recognition. Entity types: person, location.\n\nText: Ann Lee met Bob in Oslo.\nEntities: Ann Lee |"
)
OPTIONS = [" Bob", " Person", " Oslo", " Al"]

WEIGHTS = 0.5, 0.25

Pairs = dict[str, tuple[Matrix, Matrix]]


def random_factors(seed: int, rank: int = 4, size: float = 0.07) -> Pairs:
    random = np.random.default_rng(seed)
    return {
        f"model.layers.{layer}.self_attn.{kind}": (
            random.normal(scale=size, size=(rank, 576)).astype(np.float32),
            random.normal(scale=size, size=(outputs, rank)).astype(np.float32),
        )
        for layer in range(LAYERS)
        for kind, outputs in SIZES.items()
    }


def low_rank_changes(pairs: Pairs) -> dict[str, LowRankFactors]:
    return {module: LowRankFactors(a, b) for module, (a, b) in pairs.items()}


@pytest.fixture(scope="module")
def base(model_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In full precision: quantised activations would hide small mistakes."""
    path = tmp_path_factory.mktemp("f32") / "model.gguf"
    requantise(model_file("smollm2-135m"), path, "f32")
    return path


@pytest.fixture(scope="module")
def files(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("lora")
    one, two = (low_rank_changes(random_factors(seed, rank)) for seed, rank in ((1, 4), (2, 2)))
    both = {module: weighted_sum([one[module], two[module]], WEIGHTS) for module in one}
    for name, change in (("one", one), ("two", two), ("both", both)):
        write_lora(Adapter(change).factor_pairs, base, folder / f"{name}.gguf")
    return {name: folder / f"{name}.gguf" for name in ("one", "two", "both")}


@pytest.fixture(scope="module")
def model(base: Path, files: dict[str, Path]) -> Iterator[LlamaCppModel]:
    options = LlamaCppOptions(context=512, slots=4, threads=1, adapters=files)
    model = LlamaCppModel("base", base, fingerprint="b", options=options)
    yield model
    model.close()


def option_scores(model: LlamaCppModel) -> np.ndarray[Any, Any]:
    return np.array(model.choose([PROMPT], OPTIONS)[0].log_probabilities)


def test_a_model_without_an_applied_adapter_answers_as_the_base(model: LlamaCppModel, base: Path) -> None:
    alone = LlamaCppModel("alone", base, fingerprint="b", options=LlamaCppOptions(context=512, slots=1, threads=1))
    assert option_scores(model) == pytest.approx(option_scores(alone), abs=1e-5)
    alone.close()


def test_views_of_one_engine_do_not_affect_each_other(model: LlamaCppModel) -> None:
    one, two = (model.with_adapters(name, AdapterSum({name: 1.0}, name)) for name in ("one", "two"))
    first = option_scores(one), option_scores(two), option_scores(model)
    again = option_scores(one), option_scores(two), option_scores(model)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != first[1]).all()
    longer = one.choose([PROMPT + " Bob\nTypes: Bob ="], [" person;", " location;"])[0]
    assert math.exp(longer.log_probabilities[0]) + math.exp(longer.log_probabilities[1]) == pytest.approx(1)


def test_peft_and_llama_cpp_agree(base: Path, tmp_path: Path, model: LlamaCppModel) -> None:
    """On the base, on an adapter, and on a sum of two, which PEFT makes by itself."""
    torch = pytest.importorskip("torch", reason="needs the extra 'experts'")
    transformers = pytest.importorskip("transformers", reason="needs the extra 'experts'")
    peft = pytest.importorskip("peft", reason="needs the extra 'experts'")

    peft_folder.save_adapter(Adapter(low_rank_changes(random_factors(1))), tmp_path / "one")
    peft_folder.save_adapter(Adapter(low_rank_changes(random_factors(2, rank=2))), tmp_path / "two")
    plain = transformers.AutoModelForCausalLM.from_pretrained(base.parent, gguf_file=base.name, dtype=torch.float32)
    tuned = peft.PeftModel.from_pretrained(plain, tmp_path / "one", adapter_name="one")
    tuned.load_adapter(tmp_path / "two", adapter_name="two")
    tuned.add_weighted_adapter(["one", "two"], WEIGHTS, "both", combination_type="cat")
    ids = {"input_ids": torch.tensor([model.tokenize(PROMPT)])}
    option_tokens = [model.tokenize(option)[0] for option in OPTIONS]

    def peft_scores() -> np.ndarray[Any, Any]:
        return np.asarray(tuned(**ids).logits[0, -1, option_tokens].log_softmax(-1).numpy())

    with torch.no_grad():
        with tuned.disable_adapter():
            unchanged = peft_scores()
        assert option_scores(model) == pytest.approx(unchanged, abs=0.03)
        for name in ("one", "both"):
            tuned.set_adapter(name)
            assert option_scores(model.with_adapters(name, AdapterSum({name: 1.0}, name))) == pytest.approx(
                peft_scores(), abs=0.03
            )
            assert np.abs(peft_scores() - unchanged).max() > 0.1


def test_an_adapter_for_another_base_is_an_error(base: Path, tmp_path: Path) -> None:
    wrong = {"model.layers.0.self_attn.q_proj": (np.ones((2, 640), np.float32), np.ones((640, 2), np.float32))}
    with pytest.raises(DataError, match="for another base"):
        write_lora(wrong, base, tmp_path / "x.gguf")
    with pytest.raises(DataError, match="for another base"):
        write_lora({"model.layers.99.self_attn.q_proj": random_factors(0).popitem()[1]}, base, tmp_path / "x.gguf")


def test_no_such_adapter_file(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="no adapter file"):
        LlamaCppModel("m", base, fingerprint="b", options=LlamaCppOptions(adapters={"none": tmp_path / "none.gguf"}))
