from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.errors import ConfigError, DataError, UnknownNameError
from entsemble.experts import peft_folder
from entsemble.experts.card import CARD_FILE, Card, load_card, save_card
from entsemble.experts.store import ExpertStore, load_checked_adapter

MakeFolder = Callable[..., Path]
MakeAdapter = Callable[..., peft_folder.Adapter]
MakeCard = Callable[[str], Card]


@pytest.fixture
def store(tmp_path: Path) -> ExpertStore:
    return ExpertStore(tmp_path / "deep" / "experts")


def entries(store: ExpertStore) -> list[str]:
    return sorted(path.name for path in store.root.iterdir() if path.name not in {".lock", ".checksums.json"})


def test_adding_and_removing_experts_does_not_change_others(
    store: ExpertStore, adapter_folder: MakeFolder, tmp_path: Path, tiny_adapter: MakeAdapter, expert_card: MakeCard
) -> None:
    assert store.names() == ()
    for seed, name in enumerate(("one", "two", "three")):
        store.add(adapter_folder(seed), expert_card(name))
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file() and "two" not in path.parts}
    store.remove("two")
    assert store.names() == ("one", "three")
    assert {path: path.read_bytes() for path in before} == before
    expert = store.get("three")
    assert (expert.card.labels, expert.shipped) == (("person",), False)
    assert peft_folder.load_adapter(expert.folder).factors.keys() == tiny_adapter(2).factors.keys()
    exported = store.export("one", tmp_path / "out" / "one")
    assert sorted(path.name for path in exported.iterdir()) == [
        peft_folder.CONFIG_FILE,
        peft_folder.WEIGHTS_FILE,
        CARD_FILE,
    ]
    assert ExpertStore(tmp_path / "other").add(exported, load_card(exported)).card == store.get("one").card


def test_an_expert_is_replaced_only_on_request(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard
) -> None:
    first = store.add(adapter_folder(0), expert_card("one"))
    with pytest.raises(ConfigError, match="already"):
        store.add(adapter_folder(1), expert_card("one"))
    assert store.get("one").card == first.card
    assert store.add(adapter_folder(1), expert_card("one"), replace=True).card.files != first.card.files
    assert entries(store) == ["one"]


def test_shipped_experts_cannot_be_removed_but_overridden(
    tmp_path: Path, adapter_folder: MakeFolder, expert_card: MakeCard
) -> None:
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
    def test_an_unknown_name_is_refused(
        self, store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard
    ) -> None:
        store.add(adapter_folder(), expert_card("one"))
        for operation in (store.get, store.remove):
            with pytest.raises(UnknownNameError, match="known: one"):
                operation("two")

    @pytest.mark.parametrize("name", ["", "One", "../one", ".one", "a" * 65, "a/b"])
    def test_an_invalid_name_is_refused(self, name: str, expert_card: MakeCard) -> None:
        with pytest.raises(ValueError, match="name has up to 64"):
            expert_card(name)

    def test_a_corrupt_adapter_is_not_added(
        self, store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard
    ) -> None:
        broken = adapter_folder()
        (broken / peft_folder.WEIGHTS_FILE).write_bytes(b"x" * 100)
        with pytest.raises(DataError, match="safetensors"):
            store.add(broken, expert_card("one"))
        assert store.names() == ()

    def test_a_changed_file_is_detected(
        self, store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard
    ) -> None:
        path = store.add(adapter_folder(), expert_card("one")).folder / peft_folder.CONFIG_FILE
        path.write_text(path.read_text().replace('"r": 2', '"r": 4'))
        with pytest.raises(DataError, match="not the file that its card promises"):
            store.get("one")
        store.add(adapter_folder(1), expert_card("two"))
        store.remove("one")
        assert store.names() == ("two",)

    def test_a_card_without_a_required_field_is_refused(
        self, store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard
    ) -> None:
        path = store.add(adapter_folder(), expert_card("one")).folder / CARD_FILE
        path.write_text('{"name": "one"}')
        with pytest.raises(DataError, match=r"card\.json: base: Field required"):
            store.get("one")

    def test_other_files_are_not_copied(
        self, store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard
    ) -> None:
        (adapter_folder() / "README.md").write_text("notes")
        assert sorted(path.name for path in store.add(adapter_folder(), expert_card("one")).folder.iterdir()) == [
            peft_folder.CONFIG_FILE,
            peft_folder.WEIGHTS_FILE,
            CARD_FILE,
        ]

    @pytest.mark.parametrize("replace", [False, True])
    def test_a_full_disk_leaves_the_store_unchanged(
        self,
        store: ExpertStore,
        adapter_folder: MakeFolder,
        monkeypatch: pytest.MonkeyPatch,
        replace: bool,
        expert_card: MakeCard,
    ) -> None:
        before = store.add(adapter_folder(0), expert_card("one")).card
        copy = shutil.copyfile

        def fail_on_weights(source: Path, target: Path) -> Any:
            if source.name == peft_folder.WEIGHTS_FILE:
                target.write_bytes(source.read_bytes()[:50])
                raise OSError(28, "No space left on device")
            return copy(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copyfile", fail_on_weights)
            with pytest.raises(DataError, match="No space left on device"):
                store.add(adapter_folder(1), expert_card("one" if replace else "two"), replace=replace)
        assert entries(store) == ["one"]
        assert store.get("one").card == before

    def test_an_export_does_not_overwrite(
        self, store: ExpertStore, adapter_folder: MakeFolder, tmp_path: Path, expert_card: MakeCard
    ) -> None:
        store.add(adapter_folder(), expert_card("one"))
        with pytest.raises(DataError, match="exists already"):
            store.export("one", tmp_path)

    def test_a_store_within_a_file_is_refused(
        self, tmp_path: Path, adapter_folder: MakeFolder, expert_card: MakeCard
    ) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match="cannot be stored here"):
            ExpertStore(tmp_path / "file" / "experts").add(adapter_folder(), expert_card("one"))


def _change_repeatedly(root: Path, source: Path, private: Card, shared: Card) -> None:
    store = ExpertStore(root)
    for turn in range(10):
        store.add(source, private, replace=True)
        try:
            store.add(source, shared)
        except ConfigError:
            store.get("shared")
        if turn < 9:
            store.remove(private.name)


def test_two_processes_may_change_one_store(tmp_path: Path, adapter_folder: MakeFolder, expert_card: MakeCard) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(
            target=_change_repeatedly,
            args=(tmp_path / "experts", adapter_folder(seed), expert_card(f"private-{seed}"), expert_card("shared")),
        )
        for seed in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(600)
    store = ExpertStore(tmp_path / "experts")
    assert [process.exitcode for process in processes] == [0, 0]
    assert store.names() == ("private-0", "private-1", "shared")
    assert all(store.get(name).card.name == name for name in store.names())
    assert entries(store) == ["private-0", "private-1", "shared"]


def test_remains_of_killed_changes_are_removed(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard
) -> None:
    store.add(adapter_folder(), expert_card("one"))
    for name in (".two.x1.replacing", ".expert-removing-x2"):
        shutil.copytree(store.root / "one", store.root / name)
    assert store.names() == ("one",)
    store.add(adapter_folder(1), expert_card("two"))
    assert entries(store) == ["one", "two"]


def test_other_folders_are_left_alone(store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard) -> None:
    files = [store.root / folder / "x" for folder in (".aws-sam", ".rust-things", ".adding-machines", "Notes")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.touch()
    store.add(adapter_folder(), expert_card("one"))
    store.remove("one")
    assert all(file.exists() for file in files)


def test_a_card_of_another_expert_or_of_other_files_is_refused(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard
) -> None:
    for name in ("one", "two"):
        store.add(adapter_folder(), expert_card(name))
    (store.root / "one").rename(store.root / "three")
    empty = load_card(store.root / "two").model_copy(update={"files": {}})
    save_card(empty, store.root / "two")
    intact, errors = store.load_intact()
    assert intact == []
    assert "of another expert" in str(errors["three"])
    assert "promises other files" in str(errors["two"])


def test_an_expert_removed_by_another_process_is_skipped(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(adapter_folder(), expert_card("one"))
    monkeypatch.setattr(store, "names", lambda: ("gone", "one"))
    assert [expert.card.name for expert in store.load_intact()[0]] == ["one"]
    with pytest.raises(UnknownNameError):
        store.load_intact(["gone"])


def test_an_expert_replaced_after_it_was_read_is_refused(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard
) -> None:
    original = store.add(adapter_folder(0), expert_card("one"))
    replacement = store.add(adapter_folder(1), expert_card("one"), replace=True)
    assert load_checked_adapter(replacement).factors
    with pytest.raises(DataError, match="not the file that its card promises"):
        load_checked_adapter(original)


@pytest.mark.parametrize("name", ["../other", "My Expert", ".hidden", ""])
def test_names_cannot_leave_the_store(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard, name: str
) -> None:
    other = store.root.parent / "other"
    other.mkdir(parents=True)
    invalid = expert_card("one").model_copy(update={"name": name})
    with pytest.raises(ConfigError, match="not a valid expert name"):
        store.add(adapter_folder(), invalid, replace=True)
    assert other.is_dir()
    assert store.names() == ()


def test_an_interrupted_replacement_is_undone(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard
) -> None:
    """A kill between the two renames leaves the old expert in the hidden folder of the replacement."""
    before = store.add(adapter_folder(0), expert_card("one")).card
    hidden = store.root / ".one.x.replacing"
    hidden.mkdir()
    (store.root / "one").rename(hidden / "previous")
    store.add(adapter_folder(1), expert_card("two"))
    assert store.get("one").card == before
    assert entries(store) == ["one", "two"]


def test_a_failed_rename_changes_nothing(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.add(adapter_folder(0), expert_card("one")).card
    rename = Path.rename

    def fail_on_replacement(self: Path, target: Path) -> Path:
        if self.parent.name.endswith(".replacing") and self.name != "previous":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail_on_replacement)
        with pytest.raises(DataError, match="nothing was changed"):
            store.add(adapter_folder(1), expert_card("one"), replace=True)
    assert store.get("one").card == before
    store.add(adapter_folder(1), expert_card("two"))
    assert entries(store) == ["one", "two"]


def test_an_exported_file_that_was_changed_is_not_added(
    store: ExpertStore, adapter_folder: MakeFolder, expert_card: MakeCard, tmp_path: Path
) -> None:
    store.add(adapter_folder(0), expert_card("one"))
    exported = store.export("one", tmp_path / "out")
    (exported / peft_folder.WEIGHTS_FILE).write_bytes((adapter_folder(1) / peft_folder.WEIGHTS_FILE).read_bytes())
    with pytest.raises(DataError, match=r"out/adapter_model\.safetensors: it is not the file that its card promises"):
        ExpertStore(tmp_path / "other").add(exported, load_card(exported))
