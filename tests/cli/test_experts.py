"""`entsemble experts`: come, go, merge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.experts import card, peft_folder

Command = Callable[..., Any]
Folder = Callable[..., Path]
Tiny = Callable[..., peft_folder.Adapter]

TOLD = ("--base", "smollm2-135m", "--labels", "person, organisation", "--licence", "CC-BY-4.0")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENTSEMBLE_EXPERTS", str(tmp_path / "experts"))
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path / "cache"))  # no base is here that an adapter could be held to
    return tmp_path / "experts"


def listed(command: Command) -> dict[str, Any]:
    ran = command("experts", "list", "--json")
    assert ran.code == 0
    return {card["name"]: card for card in map(json.loads, ran.out.splitlines())}


def test_an_expert_comes_is_shown_goes_elsewhere_and_away(
    command: Command, adapter_folder: Folder, tmp_path: Path, place: Path
) -> None:
    before = listed(command)
    added = command("experts", "add", adapter_folder(1), "--name", "news", "--domain", "newswire", *TOLD)
    assert (added.code, added.out) == (0, f"news: {place / 'news'}\n")
    assert listed(command).keys() - before.keys() == {"news"}
    table = command("experts", "list").out
    assert "newswire" in table
    shown = command("experts", "show", "news").out
    assert "labels:         person, organisation" in shown
    assert "licence:        CC-BY-4.0" in shown
    out = tmp_path / "out"
    assert command("experts", "export", "news", out).code == 0
    assert command("experts", "remove", "news").code == 0
    assert listed(command) == before
    assert command("experts", "add", out).code == 0
    assert listed(command)["news"]["labels"] == ["person", "organisation"]


def test_experts_are_merged_into_one(command: Command, adapter_folder: Folder, tiny_adapter: Tiny, place: Path) -> None:
    for i, name in enumerate(("one", "two")):
        command("experts", "add", adapter_folder(i), "--name", name, *TOLD)
    made = command("experts", "merge", "one", "two", "--into", "both", "--weights", "0.75,0.25")
    assert made.code == 0, made.err
    one, two = tiny_adapter(0).factors, tiny_adapter(1).factors
    for module, found in peft_folder.load_adapter(place / "both").factors.items():
        assert found.dense() == pytest.approx(0.75 * one[module].dense() + 0.25 * two[module].dense(), abs=1e-5)
    recipe = card.load_card(place / "both").recipe
    assert recipe is not None
    assert [(p.expert, p.weight) for p in recipe.parts] == [("one", 0.75), ("two", 0.25)]
    stamp = (place / "both" / peft_folder.WEIGHTS_FILE).stat().st_mtime_ns
    assert command("experts", "merge", "one", "two", "--into", "both", "--weights", "0.75,0.25").code == 0
    assert (place / "both" / peft_folder.WEIGHTS_FILE).stat().st_mtime_ns == stamp, "made by the same recipe"
    cut = command("experts", "merge", "one", "two", "--into", "thin", "--rank", "1", "--method", "ties")
    assert cut.code == 0
    assert "the rank limit cost" in cut.err
    assert "merged from:    one x 0.500" in command("experts", "show", "thin").out


def test_what_a_card_says_is_shown_as_it_is(command: Command, adapter_folder: Folder) -> None:
    assert command("experts", "add", adapter_folder(), "--name", "law", "--domain", "[b] law [/i]", *TOLD).code == 0
    assert "[b] law" in command("experts", "list").out


class TestBadInput:
    def test_a_card_and_the_same_by_options(self, command: Command, adapter_folder: Folder, tmp_path: Path) -> None:
        command("experts", "add", adapter_folder(), "--name", "one", *TOLD)
        command("experts", "export", "one", tmp_path / "out")
        ran = command("experts", "add", tmp_path / "out", "--name", "two", "--domain", "news")
        assert (ran.code, "leave these options out" in ran.err) == (64, True)

    def test_a_merged_expert_takes_no_name_that_came_with_entsemble(
        self, command: Command, adapter_folder: Folder
    ) -> None:
        command("experts", "add", adapter_folder(), "--name", "one", *TOLD)
        ran = command("experts", "merge", "one", "--into", "social")
        assert (ran.code, "already" in ran.err) == (64, True)
        assert command("experts", "merge", "one", "--into", "social", "--replace").code == 0

    def test_a_name_that_is_taken(self, command: Command, adapter_folder: Folder) -> None:
        command("experts", "add", adapter_folder(), "--name", "one", *TOLD)
        again = command("experts", "add", adapter_folder(1), "--name", "one", *TOLD)
        assert (again.code, "already" in again.err) == (64, True)
        assert command("experts", "add", adapter_folder(1), "--name", "one", "--replace", *TOLD).code == 0

    @pytest.mark.models
    def test_an_adapter_of_another_model(
        self, command: Command, adapter_folder: Folder, model_file: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("ENTSEMBLE_CACHE")
        model_file("smollm2-135m")
        ran = command("experts", "add", adapter_folder(), "--name", "one", *TOLD)
        assert (ran.code, "the adapter is for another base" in ran.told) == (65, True)
        assert "one" not in listed(command)

    def test_no_card_and_no_base(self, command: Command, adapter_folder: Folder) -> None:
        ran = command("experts", "add", adapter_folder(), "--name", "one")
        assert (ran.code, "--base" in ran.err) == (64, True)

    def test_an_unknown_base(self, command: Command, adapter_folder: Folder) -> None:
        ran = command("experts", "add", adapter_folder(), "--name", "one", "--base", "gpt-9")
        assert (ran.code, "smollm2-135m" in ran.err) == (64, True)

    def test_a_name_that_cannot_be(self, command: Command, adapter_folder: Folder) -> None:
        ran = command("experts", "add", adapter_folder(), "--name", "My Expert", *TOLD)
        assert (ran.code, "lower case" in ran.err) == (64, True)

    def test_an_unknown_expert(self, command: Command) -> None:
        ran = command("experts", "show", "none-such")
        assert (ran.code, "unknown expert" in ran.err) == (64, True)

    def test_no_adapter(self, command: Command, tmp_path: Path) -> None:
        ran = command("experts", "add", tmp_path, "--name", "one", *TOLD)
        assert (ran.code, "no adapter" in ran.err) == (65, True)

    def test_different_bases(self, command: Command, adapter_folder: Folder) -> None:
        command("experts", "add", adapter_folder(0), "--name", "one", "--base", "smollm2-135m")
        command("experts", "add", adapter_folder(1), "--name", "two", "--base", "gemma-3-270m")
        ran = command("experts", "merge", "one", "two", "--into", "both")
        assert (ran.code, "they differ in base (smollm2-135m, gemma-3-270m)" in ran.err) == (64, True)

    def test_too_few_weights(self, command: Command, adapter_folder: Folder) -> None:
        command("experts", "add", adapter_folder(0), "--name", "one", *TOLD)
        for weights in ("0.5,0.5", "much"):
            ran = command("experts", "merge", "one", "--into", "x", "--weights", weights)
            assert (ran.code, "one number an expert" in ran.err) == (64, True)

    def test_an_expert_that_is_named_twice(self, command: Command, adapter_folder: Folder) -> None:
        command("experts", "add", adapter_folder(0), "--name", "one", *TOLD)
        ran = command("experts", "merge", "one", "one", "--into", "x", "--weights", "0.3,0.7")
        assert (ran.code, "named twice" in ran.err) == (64, True)

    def test_a_name_with_a_card(self, command: Command, adapter_folder: Folder, tmp_path: Path) -> None:
        command("experts", "add", adapter_folder(0), "--name", "one", *TOLD)
        command("experts", "export", "one", tmp_path / "out")
        ran = command("experts", "add", tmp_path / "out", "--name", "../x", "--replace")
        assert (ran.code, "no name for an expert" in ran.err) == (64, True)

    @pytest.mark.parametrize("asked", [("--pool", "pool.jsonl"), ("--shots", "0"), ("--similarity", "random")])
    def test_experts_by_themselves_are_shown_nothing(self, command: Command, asked: tuple[str, str]) -> None:
        ran = command("experts", "evaluate", "gold.jsonl", *asked)
        assert ran.code == 64
        assert "No such option" in ran.told

    def test_a_broken_expert_hides_no_other(self, command: Command, adapter_folder: Folder, place: Path) -> None:
        for i, name in enumerate(("one", "two")):
            command("experts", "add", adapter_folder(i), "--name", name, *TOLD)
        (place / "one" / peft_folder.WEIGHTS_FILE).write_bytes(b"")
        (place / "notes").mkdir()
        ran = command("experts", "list", "--json")
        assert ran.code == 65
        assert [json.loads(line)["name"] for line in ran.out.splitlines() if '"two"' in line] == ["two"]
        assert "one: " in ran.err
        assert "notes: " in ran.err
