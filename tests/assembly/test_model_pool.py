"""What is loaded, and how often, for members that share a model."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import closing
from copy import copy
from pathlib import Path
from typing import Any, ClassVar

import pytest

from entsemble.assembly import ProgressCallbacks, model_pool
from entsemble.assembly.expert_files import WeightedSum
from entsemble.assembly.model_pool import ModelPool
from entsemble.errors import DataError
from entsemble.experts.store import Expert
from entsemble.settings import Environment, Settings, load
from entsemble.types import AdapterSum

VALUE, NEXT = "model.layers.0.self_attn.v_proj", "model.layers.1.mlp.up_proj"


class FakeEngine:
    """Stands in for llama.cpp: records which adapters are loaded, and which one is applied."""

    started: ClassVar[list[FakeEngine]] = []

    def __init__(self, name: str, path: Path, *, fingerprint: str, options: Any, **_: Any) -> None:
        self.name, self.slots, self.parameters = name, options.slots, 100
        self.adapters = {adapter: file.read_bytes() for adapter, file in options.adapters.items()}
        self.applied: str | None = None
        self.started.append(self)

    def with_adapters(self, name: str, adapter_sum: AdapterSum) -> FakeEngine:
        adapted = copy(self)
        adapted.name, adapted.applied = name, adapter_sum.fingerprint or None
        assert adapted.applied is None or adapted.applied in self.adapters
        return adapted

    def close(self) -> None:
        self.adapters = {}


@pytest.fixture(autouse=True)
def fake_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def write(weighted_sum: WeightedSum, base: Path, target: Path) -> None:
        target.write_text(weighted_sum.fingerprint)

    monkeypatch.setattr(FakeEngine, "started", [])
    monkeypatch.setattr(model_pool, "LlamaCppModel", FakeEngine)
    monkeypatch.setattr(WeightedSum, "write", write)
    (tmp_path / "base.gguf").write_bytes(b"GGUF")


@pytest.fixture
def experts(add_random_expert: Any, monkeypatch: pytest.MonkeyPatch, expert_card: Callable[[str], Any]) -> list[Expert]:
    monkeypatch.setattr(ModelPool, "base_checksum", lambda *_: expert_card("x").base_sha256)
    return [
        add_random_expert("one", {VALUE: (4, 6, 2)}),
        add_random_expert("two", {VALUE: (4, 6, 2), NEXT: (4, 6, 2)}),
    ]


def make_settings(tmp_path: Path, *expert_weights: dict[str, float]) -> Settings:
    """Settings with a member for each sum of experts, called 0, 1 and so on."""
    base = str(tmp_path / "base.gguf")
    members = [{"model": base, "name": str(i), "experts": weights} for i, weights in enumerate(expert_weights)]
    return load(overrides={"members": members, "cache": {"replies": False}})


def test_members_of_one_model_share_an_engine_each_with_its_own_sum(
    storage: Environment, experts: list[Expert], tmp_path: Path
) -> None:
    both, one = {"one": 0.5, "two": 0.5}, {"one": 1.0}
    settings = make_settings(tmp_path, {}, both, one, {"one": 0.0}, both)
    with closing(ModelPool(settings, storage, ProgressCallbacks())) as models:
        adapted: list[Any] = [models.language_model(member) for member in settings.members]
        of_both, of_one = (WeightedSum.from_weights(experts, weights).fingerprint for weights in (both, one))
        assert [model.applied for model in adapted] == [None, of_both, of_one, None, of_both]
        assert [model.name for model in adapted] == ["0", "1", "2", "3", "4"]
        [engine] = FakeEngine.started
        assert engine.adapters == {fingerprint: fingerprint.encode() for fingerprint in (of_both, of_one)}
        assert engine.slots == 5 * models.worker_count()
        assert models.parameters == 100, "a shared model is counted once"


def test_an_expert_that_was_replaced_is_loaded_again(
    storage: Environment, experts: list[Expert], add_random_expert: Any, tmp_path: Path
) -> None:
    settings = make_settings(tmp_path, {"one": 1.0})
    with closing(ModelPool(settings, storage, ProgressCallbacks())) as models:
        before: Any = models.language_model(settings.members[0])
        assert models.language_model(settings.members[0]) is not None
        assert len(FakeEngine.started) == 1
        add_random_expert("one", {VALUE: (4, 6, 2), NEXT: (4, 6, 2)}, replace=True)
        after: Any = models.language_model(settings.members[0])
        assert after.applied != before.applied
        assert len(FakeEngine.started) == 2


def test_a_full_disk_is_distinguished_from_an_engine_that_fails(
    storage: Environment, experts: list[Expert], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    settings = make_settings(tmp_path, {"one": 1.0})
    with closing(ModelPool(settings, storage, ProgressCallbacks())) as models, monkeypatch.context() as patched:
        patched.setattr(model_pool, "LlamaCppModel", fail)
        with pytest.raises(OSError, match="No space"):
            models.language_model(settings.members[0])
    with closing(ModelPool(settings, storage, ProgressCallbacks())) as models, monkeypatch.context() as patched:
        patched.setattr(WeightedSum, "write", fail)
        with pytest.raises(DataError, match=r"experts cannot be written for the engine \(No space left.*TMPDIR"):
            models.language_model(settings.members[0])
    assert not FakeEngine.started


def test_several_sums_of_a_member_share_an_engine(storage: Environment, experts: list[Expert], tmp_path: Path) -> None:
    settings = make_settings(tmp_path, {})
    [member] = settings.members
    weights: dict[str, dict[str, float]] = {"base": {}, "1": {"one": 1.0}, "2": {"two": 1.0}}
    with closing(ModelPool(settings, storage, ProgressCallbacks())) as models:
        assert models.weighted_sums(member, experts, {}) == {}
        assert not FakeEngine.started
        sums: dict[str, Any] = models.weighted_sums(member, experts, weights)
        again = models.weighted_sums(member, experts, weights)
        assert len({model.applied for model in sums.values()}) == 3
        assert sums.keys() == again.keys()
        assert len(FakeEngine.started) == 1
        other: Any = models.weighted_sums(member, experts, {"both": {"one": 0.5, "two": 0.5}})["both"]
        assert list(other.adapters) == [other.applied]
        assert sums["1"].applied in sums["1"].adapters
