"""`entsemble experts`: add, list, show, export, remove and merge."""

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

CARD_OPTIONS = ("--base", "smollm2-135m", "--labels", "person, organisation", "--licence", "CC-BY-4.0")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENTSEMBLE_EXPERTS", str(tmp_path / "experts"))
    # Without base models in the cache, adapters are not checked against them.
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "experts"


def list_experts(command: Command) -> dict[str, Any]:
    result = command("experts", "list", "--json")
    assert result.code == 0
    return {card["name"]: card for card in map(json.loads, result.out.splitlines())}


def test_a_card_shows_no_control_characters(command: Command, adapter_folder: Folder) -> None:
    domain = f"news{chr(27)}]0;title{chr(7)}\nlicence: none"
    assert command("experts", "add", adapter_folder(1), "--name", "news", "--domain", domain, *CARD_OPTIONS).code == 0
    lines = command("experts", "show", "news").out.splitlines()
    assert r"domain:         news\x1b]0;title\x07 licence: none" in lines


def test_an_expert_that_is_a_link_is_not_replaced(
    command: Command, adapter_folder: Folder, tmp_path: Path, store: Path
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("mine")
    store.mkdir()
    (store / "news").symlink_to(tmp_path / "letters")
    result = command("experts", "add", adapter_folder(1), "--name", "news", "--replace", *CARD_OPTIONS)
    assert result.code == 64
    assert "is a link" in result.err
    assert command("experts", "remove", "news").code == 0
    assert (tmp_path / "letters" / "mine.txt").read_text() == "mine"


def test_an_expert_is_added_shown_exported_and_removed(
    command: Command, adapter_folder: Folder, tmp_path: Path, store: Path
) -> None:
    before = list_experts(command)
    added = command("experts", "add", adapter_folder(1), "--name", "news", "--domain", "newswire", *CARD_OPTIONS)
    assert (added.code, added.out) == (0, f"news: {store / 'news'}\n")
    assert list_experts(command).keys() - before.keys() == {"news"}
    table = command("experts", "list").out
    assert "newswire" in table
    description = command("experts", "show", "news").out
    assert "labels:         person, organisation" in description
    assert "licence:        CC-BY-4.0" in description
    out = tmp_path / "out"
    assert command("experts", "export", "news", out).code == 0
    assert command("experts", "remove", "news").code == 0
    assert list_experts(command) == before
    assert command("experts", "add", out).code == 0
    assert list_experts(command)["news"]["labels"] == ["person", "organisation"]


def test_experts_are_merged_into_one(command: Command, adapter_folder: Folder, tiny_adapter: Tiny, store: Path) -> None:
    for i, name in enumerate(("one", "two")):
        command("experts", "add", adapter_folder(i), "--name", name, *CARD_OPTIONS)
    merged = command("experts", "merge", "one", "two", "--into", "both", "--weights", "0.75,0.25")
    assert merged.code == 0, merged.err
    one, two = tiny_adapter(0).factors, tiny_adapter(1).factors
    for module, factors in peft_folder.load_adapter(store / "both").factors.items():
        assert factors.dense() == pytest.approx(0.75 * one[module].dense() + 0.25 * two[module].dense(), abs=1e-5)
    recipe = card.load_card(store / "both").recipe
    assert recipe is not None
    assert [(p.expert, p.weight) for p in recipe.parts] == [("one", 0.75), ("two", 0.25)]
    stamp = (store / "both" / peft_folder.WEIGHTS_FILE).stat().st_mtime_ns
    assert command("experts", "merge", "one", "two", "--into", "both", "--weights", "0.75,0.25").code == 0
    assert (store / "both" / peft_folder.WEIGHTS_FILE).stat().st_mtime_ns == stamp, (
        "the same recipe is not merged again"
    )
    cut = command("experts", "merge", "one", "two", "--into", "thin", "--rank", "1", "--method", "ties")
    assert cut.code == 0
    assert "the rank limit cost" in cut.err
    assert "merged from:    one x 0.500" in command("experts", "show", "thin").out


def test_a_list_is_one_entry_for_each_expert_whatever_its_card_says(
    command: Command, adapter_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    domain = "\x1b[2J court\nrulings " + "府" * 30
    command("experts", "add", adapter_folder(), "--name", "law", "--domain", domain, *CARD_OPTIONS)
    header, *lines = command("experts", "list").out.splitlines()
    assert header.split() == ["name", "base", "labels", "licence", "yours", "domain"]
    [row] = [line for line in lines if line.startswith("law ")]
    assert "\\x1b[2J court" in row
    assert all(line.isprintable() for line in lines)


def test_brackets_in_a_card_are_not_markup(command: Command, adapter_folder: Folder) -> None:
    assert (
        command("experts", "add", adapter_folder(), "--name", "law", "--domain", "[b] law [/i]", *CARD_OPTIONS).code
        == 0
    )
    assert "[b] law" in command("experts", "list").out


class TestBadInput:
    def test_options_that_the_card_has_are_refused(
        self, command: Command, adapter_folder: Folder, tmp_path: Path
    ) -> None:
        command("experts", "add", adapter_folder(), "--name", "one", *CARD_OPTIONS)
        command("experts", "export", "one", tmp_path / "out")
        result = command("experts", "add", tmp_path / "out", "--name", "two", "--domain", "news")
        assert (result.code, "leave these options out" in result.err) == (64, True)

    def test_a_merged_expert_replaces_a_bundled_one_only_with_replace(
        self, command: Command, adapter_folder: Folder
    ) -> None:
        command("experts", "add", adapter_folder(), "--name", "one", *CARD_OPTIONS)
        result = command("experts", "merge", "one", "--into", "social")
        assert (result.code, "already" in result.err) == (64, True)
        assert command("experts", "merge", "one", "--into", "social", "--replace").code == 0

    def test_a_name_in_use_is_refused_without_replace(self, command: Command, adapter_folder: Folder) -> None:
        command("experts", "add", adapter_folder(), "--name", "one", *CARD_OPTIONS)
        again = command("experts", "add", adapter_folder(1), "--name", "one", *CARD_OPTIONS)
        assert (again.code, "already" in again.err) == (64, True)
        assert command("experts", "add", adapter_folder(1), "--name", "one", "--replace", *CARD_OPTIONS).code == 0

    @pytest.mark.models
    def test_an_adapter_for_another_base_is_refused(
        self, command: Command, adapter_folder: Folder, model_file: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("ENTSEMBLE_CACHE")
        model_file("smollm2-135m")
        result = command("experts", "add", adapter_folder(), "--name", "one", *CARD_OPTIONS)
        assert (result.code, "the adapter is for another base" in result.messages) == (65, True)
        assert "one" not in list_experts(command)

    def test_a_folder_without_card_needs_a_base(self, command: Command, adapter_folder: Folder) -> None:
        result = command("experts", "add", adapter_folder(), "--name", "one")
        assert (result.code, "--base" in result.err) == (64, True)

    def test_an_unknown_base_is_refused_with_the_known_ones(self, command: Command, adapter_folder: Folder) -> None:
        result = command("experts", "add", adapter_folder(), "--name", "one", "--base", "gpt-9")
        assert (result.code, "smollm2-135m" in result.err) == (64, True)

    def test_an_invalid_name_is_refused_with_the_rule(self, command: Command, adapter_folder: Folder) -> None:
        result = command("experts", "add", adapter_folder(), "--name", "My Expert", *CARD_OPTIONS)
        assert (result.code, "lower case" in result.err) == (64, True)

    def test_an_unknown_expert_is_refused(self, command: Command) -> None:
        result = command("experts", "show", "none-such")
        assert (result.code, "unknown expert" in result.err) == (64, True)

    def test_a_folder_without_an_adapter_is_refused(self, command: Command, tmp_path: Path) -> None:
        result = command("experts", "add", tmp_path, "--name", "one", *CARD_OPTIONS)
        assert (result.code, "not an adapter" in result.err) == (65, True)

    def test_experts_of_different_bases_cannot_be_merged(self, command: Command, adapter_folder: Folder) -> None:
        command("experts", "add", adapter_folder(0), "--name", "one", "--base", "smollm2-135m")
        command("experts", "add", adapter_folder(1), "--name", "two", "--base", "gemma-3-270m")
        result = command("experts", "merge", "one", "two", "--into", "both")
        assert (result.code, "they differ in base (smollm2-135m, gemma-3-270m)" in result.err) == (64, True)

    def test_merging_needs_one_weight_for_each_expert(self, command: Command, adapter_folder: Folder) -> None:
        command("experts", "add", adapter_folder(0), "--name", "one", *CARD_OPTIONS)
        for weights in ("0.5,0.5", "much"):
            result = command("experts", "merge", "one", "--into", "x", "--weights", weights)
            assert (result.code, "one number per expert" in result.err) == (64, True)

    def test_an_expert_cannot_be_merged_with_itself(self, command: Command, adapter_folder: Folder) -> None:
        command("experts", "add", adapter_folder(0), "--name", "one", *CARD_OPTIONS)
        result = command("experts", "merge", "one", "one", "--into", "x", "--weights", "0.3,0.7")
        assert (result.code, "named twice" in result.err) == (64, True)

    def test_an_invalid_name_for_a_folder_with_a_card_is_refused(
        self, command: Command, adapter_folder: Folder, tmp_path: Path
    ) -> None:
        command("experts", "add", adapter_folder(0), "--name", "one", *CARD_OPTIONS)
        command("experts", "export", "one", tmp_path / "out")
        result = command("experts", "add", tmp_path / "out", "--name", "../x", "--replace")
        assert (result.code, "not a valid expert name" in result.err) == (64, True)

    @pytest.mark.parametrize("option", [("--pool", "pool.jsonl"), ("--shots", "0"), ("--similarity", "random")])
    def test_evaluating_single_experts_takes_no_demonstration_options(
        self, command: Command, option: tuple[str, str]
    ) -> None:
        result = command("experts", "evaluate", "gold.jsonl", *option)
        assert result.code == 64
        assert "No such option" in result.messages

    def test_broken_experts_are_reported_and_the_others_listed(
        self, command: Command, adapter_folder: Folder, store: Path
    ) -> None:
        for i, name in enumerate(("one", "two")):
            command("experts", "add", adapter_folder(i), "--name", name, *CARD_OPTIONS)
        (store / "one" / peft_folder.WEIGHTS_FILE).write_bytes(b"")
        (store / "notes").mkdir()
        result = command("experts", "list", "--json")
        assert result.code == 65
        assert [json.loads(line)["name"] for line in result.out.splitlines() if '"two"' in line] == ["two"]
        assert "one: " in result.err
        assert "notes: " in result.err
