from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from entsemble.assembly.cache_folder import CacheUse
from entsemble.execution.reply_cache import ReplyCache

Command = Callable[..., Any]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the command's cache, with a model and a reply in it."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(folder))
    (folder / "models" / "small").mkdir(parents=True)
    (folder / "models" / "small" / "model.gguf").write_bytes(b"0" * 1_500_000)
    replies = ReplyCache(folder / "replies.sqlite", 1 << 20)
    for number in range(100):
        replies.put(b"%d" % number, b"0" * 1000)
    replies.close()
    return folder


def test_it_shows_what_is_stored_and_where(command: Command, cache: Path) -> None:
    shown = command("cache")
    assert shown.code == 0
    assert f"cache: {cache}" in shown.out
    for word in ("models/small", "1.5 MB", "replies.sqlite", "what models answered", "total", "experts:", "pool:"):
        assert word in shown.out


def test_json_holds_the_same(command: Command, cache: Path) -> None:
    content = json.loads(command("cache", "--json").out)
    assert content["cache"] == str(cache)
    rows = {row["what"]: row for row in content["entries"] if row["what"] != "temporary"}
    assert rows["models"]["path"] == str(cache / "models" / "small")
    assert rows["models"]["bytes"] == 1_500_000
    assert rows.keys() == {"models", "replies"}


def test_clear_says_what_it_removed_and_leaves_the_models(command: Command, cache: Path) -> None:
    cleared = command("cache", "clear")
    assert cleared.code == 0
    assert "replies: replies.sqlite (" in cleared.out
    assert cleared.out.splitlines()[-1].endswith(f"kB removed from {cache}")
    assert (cache / "models" / "small").exists()
    assert command("cache", "clear", "models").out.splitlines() == [
        "models: models/small (1.5 MB)",
        f"1.5 MB removed from {cache}",
    ]


def test_what_a_process_uses_stays_and_is_named(command: Command, cache: Path) -> None:
    with closing(CacheUse(cache)):
        refused = command("cache", "clear", "models")
    assert refused.code == 65
    assert f"entsemble: models/small: process {os.getpid()} (at work since " in refused.err
    assert (cache / "models" / "small").exists()


def test_an_unknown_kind_is_refused_with_the_known_ones(command: Command, cache: Path) -> None:
    refused = command("cache", "clear", "model")
    assert refused.code == 64
    assert "replies" in refused.messages
    assert (cache / "models" / "small").exists()
