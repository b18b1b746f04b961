"""Lists of experts: what is read for them, and what they say of experts that are damaged."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble._lib import digest
from entsemble.experts import peft_folder
from entsemble.experts.card import Card, load_card, save_card
from entsemble.experts.store import ExpertStore

MakeFolder = Callable[..., Path]
MakeAdapter = Callable[..., peft_folder.Adapter]
MakeCard = Callable[[str], Card]


@pytest.fixture
def store(tmp_path: Path) -> ExpertStore:
    return ExpertStore(tmp_path / "deep" / "experts")


def test_a_list_reads_each_file_once_and_again_after_a_change(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate(("one", "two")):
        store.add(adapter_folder(seed), expert_card(name))
    monkeypatch.setattr(digest, "_SETTLED_SECONDS", -1.0)
    read_files: list[str] = []
    sha256 = digest.sha256

    def record(path: Path, *arguments: Any) -> str:
        read_files.append(f"{path.parent.name}/{path.name}")
        return sha256(path, *arguments)

    monkeypatch.setattr(digest, "sha256", record)
    for listing in (store, ExpertStore(store.root)):
        assert [expert.card.name for expert in listing.load_intact()[0]] == ["one", "two"]
        assert len(read_files) == 4
    weights = store.root / "two" / peft_folder.WEIGHTS_FILE
    times, content = weights.stat(), weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    intact, errors = store.load_intact()
    assert [expert.card.name for expert in intact] == ["one"]
    assert "not the file that its card promises" in str(errors["two"])
    assert read_files[4:] == [f"two/{peft_folder.WEIGHTS_FILE}"]


def test_a_summary_opens_no_file_of_an_expert_that_did_not_change(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        store.add(adapter_folder(number), expert_card(f"e{number}"))
    monkeypatch.setattr(digest, "_SETTLED_SECONDS", -1.0)
    expected = [(f"e{number}", False) for number in range(5)]
    assert [(expert.card.name, expert.shipped) for expert in store.summarize_intact()[0]] == expected
    opened: list[str] = []

    def record(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(store.root) in str(arguments[0]):
            opened.append(Path(str(arguments[0])).name)

    sys.addaudithook(record)
    again = ExpertStore(store.root)
    assert [(expert.card.name, expert.shipped) for expert in again.summarize_intact()[0]] == expected
    assert opened == [".checksums.json"]
    card = load_card(store.root / "e3")
    save_card(card.model_copy(update={"domain": "another domain"}), store.root / "e3")
    opened.clear()
    assert [expert.card.domain for expert in again.summarize_intact()[0]][3] == "another domain"
    assert opened.count("card.json") == 1
    (store.root / ".checksums.json").write_text('{"%s": [[0, 0, 0, 0], "{}"]}' % (store.root / "e1" / "card.json"))
    assert [(expert.card.name, expert.shipped) for expert in again.summarize_intact()[0]] == expected


def test_a_summary_names_what_is_wrong(store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard) -> None:
    for name in ("one", "two", "three"):
        store.add(adapter_folder(), expert_card(name))
    (store.root / "one" / "card.json").unlink()
    (store.root / "two" / "card.json").write_text("{}")
    (store.root / "three" / peft_folder.WEIGHTS_FILE).write_bytes(b"")
    intact, errors = store.summarize_intact()
    assert intact == []
    assert {name: str(error) for name, error in errors.items()} == {
        name: str(error) for name, error in store.load_intact()[1].items()
    }
    assert set(errors) == {"one", "two", "three"}


def test_a_summary_reads_only_weights_that_were_used_before(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "_SETTLED_SECONDS", -1.0)
    store.add(adapter_folder(), expert_card("one"))
    monkeypatch.setattr(digest, "sha256", lambda *_: pytest.fail("a file was read"))
    assert len(store.summarize_intact()[0]) == 1
    monkeypatch.undo()
    monkeypatch.setattr(digest, "_SETTLED_SECONDS", -1.0)
    store.load_intact()
    weights = store.root / "one" / peft_folder.WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "not the file that its card promises" in str(store.summarize_intact()[1]["one"])


def test_one_expert_is_loaded_without_a_look_at_the_others(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(adapter_folder(), expert_card("one"))
    monkeypatch.setattr(Path, "iterdir", lambda self: pytest.fail(f"{self} was listed"))
    assert store.load_intact(["one"])[0][0].card == store.get("one").card
