from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.errors import ConfigError, DataError, UnknownNameError
from entsemble.experts import card, peft_folder
from entsemble.experts.card import Card
from entsemble.experts.store import ExpertStore, load_checked_adapter

Folder = Callable[..., Path]
Tiny = Callable[..., peft_folder.Adapter]
Told = Callable[[str], Card]


@pytest.fixture
def store(tmp_path: Path) -> ExpertStore:
    return ExpertStore(tmp_path / "deep" / "experts")


def left(store: ExpertStore) -> list[str]:
    return sorted(p.name for p in store.root.iterdir() if p.name != ".lock")


def test_experts_come_and_go_without_touching_others(
    store: ExpertStore, adapter_folder: Folder, tmp_path: Path, tiny_adapter: Tiny, expert_card: Told
) -> None:
    assert store.names() == ()
    for i, name in enumerate(("one", "two", "three")):
        store.add(adapter_folder(i), expert_card(name))
    before = {p: p.read_bytes() for p in store.root.rglob("*") if p.is_file() and "two" not in p.parts}
    store.remove("two")
    assert store.names() == ("one", "three")
    assert {p: p.read_bytes() for p in before} == before
    found = store.get("three")
    assert (found.card.labels, found.shipped) == (("person",), False)
    assert peft_folder.load_adapter(found.folder).factors.keys() == tiny_adapter(2).factors.keys()
    out = store.export("one", tmp_path / "out" / "one")
    assert sorted(p.name for p in out.iterdir()) == [peft_folder.CONFIG_FILE, peft_folder.WEIGHTS_FILE, card.CARD_FILE]
    assert ExpertStore(tmp_path / "other").add(out, card.load_card(out)).card == store.get("one").card


def test_one_of_the_same_name_is_replaced_only_where_asked(
    store: ExpertStore, adapter_folder: Folder, expert_card: Told
) -> None:
    first = store.add(adapter_folder(0), expert_card("one"))
    with pytest.raises(ConfigError, match="already"):
        store.add(adapter_folder(1), expert_card("one"))
    assert store.get("one").card == first.card
    assert store.add(adapter_folder(1), expert_card("one"), replace=True).card.files != first.card.files
    assert left(store) == ["one"]


def test_those_that_were_shipped_stay_and_give_way(tmp_path: Path, adapter_folder: Folder, expert_card: Told) -> None:
    ExpertStore(tmp_path / "shipped").add(adapter_folder(0), expert_card("news"))
    store = ExpertStore(tmp_path / "own", tmp_path / "shipped")
    assert store.names() == ("news",)
    assert store.get("news").shipped
    with pytest.raises(ConfigError, match="came with entsemble"):
        store.remove("news")
    with pytest.raises(ConfigError, match="already"):
        store.add(adapter_folder(1), expert_card("news"))
    store.add(adapter_folder(1), expert_card("news"), replace=True)
    assert not store.get("news").shipped
    store.remove("news")
    assert store.get("news").shipped


class TestBadInput:
    def test_an_unknown_name(self, store: ExpertStore, adapter_folder: Folder, expert_card: Told) -> None:
        store.add(adapter_folder(), expert_card("one"))
        for act in (store.get, store.remove):
            with pytest.raises(UnknownNameError, match="known: one"):
                act("two")

    @pytest.mark.parametrize("name", ["", "One", "../one", ".one", "a" * 65, "a/b"])
    def test_a_name_that_is_none(self, name: str, expert_card: Told) -> None:
        with pytest.raises(ValueError, match="name has up to 64"):
            expert_card(name)

    def test_a_corrupt_adapter_is_not_added(
        self, store: ExpertStore, adapter_folder: Folder, expert_card: Told
    ) -> None:
        broken = adapter_folder()
        (broken / peft_folder.WEIGHTS_FILE).write_bytes(b"x" * 100)
        with pytest.raises(DataError, match="safetensors"):
            store.add(broken, expert_card("one"))
        assert store.names() == ()

    def test_a_file_that_changed_is_noticed(
        self, store: ExpertStore, adapter_folder: Folder, expert_card: Told
    ) -> None:
        place = store.add(adapter_folder(), expert_card("one")).folder / peft_folder.CONFIG_FILE
        place.write_text(place.read_text().replace('"r": 2', '"r": 4'))
        with pytest.raises(DataError, match="not the file that its card promises"):
            store.get("one")
        store.add(adapter_folder(1), expert_card("two"))
        store.remove("one")
        assert store.names() == ("two",)

    def test_a_card_that_says_too_little(self, store: ExpertStore, adapter_folder: Folder, expert_card: Told) -> None:
        place = store.add(adapter_folder(), expert_card("one")).folder / card.CARD_FILE
        place.write_text('{"name": "one"}')
        with pytest.raises(DataError, match=r"card\.json: base: Field required"):
            store.get("one")

    def test_what_else_lies_there_is_not_taken_over(
        self, store: ExpertStore, adapter_folder: Folder, expert_card: Told
    ) -> None:
        (adapter_folder() / "README.md").write_text("notes")
        assert sorted(p.name for p in store.add(adapter_folder(), expert_card("one")).folder.iterdir()) == [
            peft_folder.CONFIG_FILE,
            peft_folder.WEIGHTS_FILE,
            card.CARD_FILE,
        ]

    @pytest.mark.parametrize("replace", [False, True])
    def test_a_full_disk_leaves_the_store_as_it_was(
        self,
        store: ExpertStore,
        adapter_folder: Folder,
        monkeypatch: pytest.MonkeyPatch,
        replace: bool,
        expert_card: Told,
    ) -> None:
        before = store.add(adapter_folder(0), expert_card("one")).card
        copy = shutil.copyfile

        def full(source: Path, target: Path) -> Any:
            if source.name == peft_folder.WEIGHTS_FILE:
                target.write_bytes(source.read_bytes()[:50])
                raise OSError(28, "No space left on device")
            return copy(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copyfile", full)
            with pytest.raises(DataError, match="No space left on device"):
                store.add(adapter_folder(1), expert_card("one" if replace else "two"), replace=replace)
        assert left(store) == ["one"]
        assert store.get("one").card == before

    def test_an_export_does_not_overwrite(
        self, store: ExpertStore, adapter_folder: Folder, tmp_path: Path, expert_card: Told
    ) -> None:
        store.add(adapter_folder(), expert_card("one"))
        with pytest.raises(DataError, match="there already"):
            store.export("one", tmp_path)

    def test_a_place_that_is_a_file(self, tmp_path: Path, adapter_folder: Folder, expert_card: Told) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match="cannot be kept here"):
            ExpertStore(tmp_path / "file" / "experts").add(adapter_folder(), expert_card("one"))


def _busy(root: Path, source: Path, own: Card, shared: Card) -> None:
    store = ExpertStore(root)
    for turn in range(10):
        store.add(source, own, replace=True)
        try:
            store.add(source, shared)
        except ConfigError:
            store.get("shared")
        if turn < 9:
            store.remove(own.name)


def test_two_processes_change_one_store(tmp_path: Path, adapter_folder: Folder, expert_card: Told) -> None:
    context = multiprocessing.get_context("spawn")
    running = [
        context.Process(
            target=_busy, args=(tmp_path / "experts", adapter_folder(i), expert_card(f"own-{i}"), expert_card("shared"))
        )
        for i in range(2)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join(600)
    store = ExpertStore(tmp_path / "experts")
    assert [p.exitcode for p in running] == [0, 0]
    assert store.names() == ("own-0", "own-1", "shared")
    assert all(store.get(name).card.name == name for name in store.names())
    assert left(store) == ["own-0", "own-1", "shared"]


def test_what_a_killed_change_left_is_cleared(store: ExpertStore, adapter_folder: Folder, expert_card: Told) -> None:
    store.add(adapter_folder(), expert_card("one"))
    for name in (".expert-adding-x1", ".expert-removing-x2"):
        shutil.copytree(store.root / "one", store.root / name)
    assert store.names() == ("one",)
    store.add(adapter_folder(1), expert_card("two"))
    assert left(store) == ["one", "two"]


def test_what_is_not_ours_stays(store: ExpertStore, adapter_folder: Folder, expert_card: Told) -> None:
    theirs = [store.root / folder / "x" for folder in (".aws-sam", ".rust-things", ".adding-machines", "Notes")]
    for file in theirs:
        file.parent.mkdir(parents=True)
        file.touch()
    store.add(adapter_folder(), expert_card("one"))
    store.remove("one")
    assert all(file.exists() for file in theirs)


def test_a_card_of_another_expert_or_of_other_files_is_said(
    store: ExpertStore, adapter_folder: Folder, expert_card: Told
) -> None:
    for name in ("one", "two"):
        store.add(adapter_folder(), expert_card(name))
    (store.root / "one").rename(store.root / "three")
    empty = card.load_card(store.root / "two").model_copy(update={"files": {}})
    card.save_card(empty, store.root / "two")
    found, broken = store.whole()
    assert found == []
    assert "of another expert" in str(broken["three"])
    assert "promises other files" in str(broken["two"])


def test_one_that_is_removed_while_others_are_listed_stops_nothing(
    store: ExpertStore, adapter_folder: Folder, expert_card: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(adapter_folder(), expert_card("one"))
    monkeypatch.setattr(store, "names", lambda: ("gone", "one"))
    assert [e.card.name for e in store.whole()[0]] == ["one"]
    with pytest.raises(UnknownNameError):
        store.whole(["gone"])


def test_an_expert_that_was_replaced_since_is_not_taken_for_the_one_before(
    store: ExpertStore, adapter_folder: Folder, expert_card: Told
) -> None:
    before = store.add(adapter_folder(0), expert_card("one"))
    now = store.add(adapter_folder(1), expert_card("one"), replace=True)
    assert load_checked_adapter(now).factors
    with pytest.raises(DataError, match="not the file that its card promises"):
        load_checked_adapter(before)


@pytest.mark.parametrize("name", ["../other", "My Expert", ".hidden", ""])
def test_no_name_leads_out_of_the_store(
    store: ExpertStore, adapter_folder: Folder, expert_card: Told, name: str
) -> None:
    other = store.root.parent / "other"
    other.mkdir(parents=True)
    wrong = expert_card("one").model_copy(update={"name": name})
    with pytest.raises(ConfigError, match="no name for an expert"):
        store.add(adapter_folder(), wrong, replace=True)
    assert other.is_dir()
    assert store.names() == ()


def test_an_expert_that_was_being_replaced_comes_back(
    store: ExpertStore, adapter_folder: Folder, expert_card: Told
) -> None:
    """A kill between the two renames leaves the old one aside and the new one unnamed."""
    before = store.add(adapter_folder(0), expert_card("one")).card
    aside = store.root / ".expert-replacing-x"
    aside.mkdir()
    (store.root / "one").rename(aside / "one")
    store.add(adapter_folder(1), expert_card("two"))
    assert store.get("one").card == before
    assert left(store) == ["one", "two"]


def test_a_replacement_that_cannot_be_named_changes_nothing(
    store: ExpertStore, adapter_folder: Folder, expert_card: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.add(adapter_folder(0), expert_card("one")).card
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self.name.startswith(".expert-adding-"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fails)
        with pytest.raises(DataError, match="nothing was changed"):
            store.add(adapter_folder(1), expert_card("one"), replace=True)
    assert store.get("one").card == before
    store.add(adapter_folder(1), expert_card("two"))
    assert left(store) == ["one", "two"]


def test_a_file_that_changed_on_the_way_is_not_taken_over(
    store: ExpertStore, adapter_folder: Folder, expert_card: Told, tmp_path: Path
) -> None:
    store.add(adapter_folder(0), expert_card("one"))
    out = store.export("one", tmp_path / "out")
    (out / peft_folder.WEIGHTS_FILE).write_bytes((adapter_folder(1) / peft_folder.WEIGHTS_FILE).read_bytes())
    with pytest.raises(DataError, match=r"out/adapter_model\.safetensors: it is not the file that its card promises"):
        ExpertStore(tmp_path / "other").add(out, card.load_card(out))


def test_a_licence_is_named_once() -> None:
    assert card.combine_licences(["MIT", "CC-BY-4.0 and MIT"]) == "MIT and CC-BY-4.0"
    assert card.combine_licences(["unknown"]) == "unknown"
