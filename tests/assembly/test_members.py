"""Members chosen by name, and settings that mean the same elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from entsemble.assembly import select_members, with_absolute_paths
from entsemble.errors import UnknownNameError
from entsemble.settings import load


def test_models_by_name_replace_the_members() -> None:
    settings = load(preset="paper")
    selected = select_members(settings, ["gemma-3-270m"])
    assert [member.model for member in selected.members] == ["gemma-3-270m"]
    assert selected.verification.member == ""
    assert selected.pool == settings.pool
    with pytest.raises(UnknownNameError, match="'gemma'"):
        select_members(settings, ["gemma"])


def test_a_member_selected_by_its_name_or_its_model_keeps_its_settings() -> None:
    members = [
        {"model": "smollm2-135m", "weight": 2.0},
        {"model": "gemma-3-270m", "name": "judge", "context": 1024},
        {"model": "openai:big", "base_url": "http://localhost:1/v1"},
    ]
    settings = load(overrides={"members": members, "verification": {"member": "judge"}})
    for names in (["judge", "smollm2-135m"], ["gemma-3-270m", "smollm2-135m"]):
        selected = select_members(settings, names)
        assert selected.members == (settings.members[1], settings.members[0])
        assert selected.verification.member == "judge"
    assert select_members(settings, ["openai:big"]).members == settings.members[2:]
    assert select_members(settings, ["x.gguf"]).members[0].weight == 1.0


def test_paths_become_absolute_and_names_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = tmp_path.resolve()
    settings = with_absolute_paths(
        load(overrides={"pool": {"path": "pool.jsonl"}, "members": [{"model": "own.gguf"}, {"model": "openai:x"}]})
    )
    assert settings.pool.path == here / "pool.jsonl"
    assert [member.model for member in settings.members] == [str(here / "own.gguf"), "openai:x"]
    (tmp_path / "mine").mkdir()
    for model, expected in (("mine", str(here / "mine")), ("minilm-l6", "minilm-l6")):
        settings = with_absolute_paths(load(overrides={"encoder": {"model": model}}))
        assert settings.encoder.model == expected
