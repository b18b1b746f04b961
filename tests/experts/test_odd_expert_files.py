"""Experts whose files are pipes, devices, folders, links or far too large."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from entsemble.errors import DataError
from entsemble.experts.card import CARD_FILE, Card
from entsemble.experts.peft_folder import CONFIG_FILE, WEIGHTS_FILE
from entsemble.experts.store import ExpertStore


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def make_deep(path: Path) -> None:
    path.write_text("[" * 200_000)


@pytest.mark.parametrize("file_name", [CARD_FILE, CONFIG_FILE, WEIGHTS_FILE])
@pytest.mark.parametrize("make", [make_pipe, make_device, make_folder, make_loop])
def test_an_odd_file_is_named_by_all_commands(
    tmp_path: Path,
    adapter_folder: Callable[..., Path],
    expert_card: Callable[[str], Card],
    file_name: str,
    make: Callable[[Path], None],
) -> None:
    store = ExpertStore(tmp_path / "experts")
    folder = store.add(adapter_folder(1), expert_card("news")).folder
    (folder / file_name).unlink()
    make(folder / file_name)
    _, listed = store.summarize_intact()
    _, loaded = store.load_intact()
    with pytest.raises(DataError) as caught:
        store.get("news")
    for error in (listed["news"], loaded["news"], caught.value):
        assert "news" in str(error)
        assert "cannot be read (" in str(error)
    if file_name != CARD_FILE:  # `add` takes the card as it was read before
        with pytest.raises(DataError):
            ExpertStore(tmp_path / "other").add(folder, expert_card("news"))


def test_a_configuration_that_is_nested_without_end_is_named(
    tmp_path: Path, adapter_folder: Callable[..., Path], expert_card: Callable[[str], Card]
) -> None:
    folder = adapter_folder(1)
    make_deep(folder / CONFIG_FILE)
    with pytest.raises(DataError, match=r"adapter_config\.json: cannot be read as JSON .*get the adapter again"):
        ExpertStore(tmp_path / "experts").add(folder, expert_card("news"))
