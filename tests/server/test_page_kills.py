"""Kills of the server between the keys that are pressed on its page: none that was answered is lost."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import write
from entsemble.types import Document, Mention

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
pytest.importorskip("playwright", reason="needs playwright")
from playwright.sync_api import expect

from tests.server.browser import CHROMIUM, press

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.skipif(sys.platform == "win32", reason="kills by signals"),
]

ROOT = Path(__file__).parents[2]
LINE = "Ann met Bob.\n"
COUNT = 600
ACCEPTED = """async () => {
  const { state } = await import("/static/store.js");
  return [...state.open.spans.values()].filter((span) => span.status === "accepted").length;
}"""


@contextmanager
def reviewing(file: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`entsemble review` in a process of its own, killed at the end."""
    options = ["--no-browser", "--port", str(port), str(file)]
    command = [sys.executable, "-m", "benchmarks.server.scripted", "review", *options]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_port(port: int) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the server does not start")


@pytest.mark.parametrize("kill_count", [2, pytest.param(100, marks=pytest.mark.soak)])
def test_keys_survive_kills_of_the_server(
    open_page: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_count: int
) -> None:
    """The page stays open; half of the kills wait for the answer to the last key, and half come before it."""
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path / "cache"))
    mentions = [Mention(len(LINE) * line, len(LINE) * line + 3, "person", "Ann", 0.9) for line in range(COUNT)]
    write([Document("long", LINE * COUNT, tuple(mentions))], tmp_path / "long.jsonl")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    chance, answered, page = random.Random(7), 0, None
    for number in range(kill_count + 1):
        with reviewing(tmp_path / "long.jsonl", port):
            wait_for_port(port)
            if page is None:
                page = open_page(f"http://127.0.0.1:{port}/")
                press(page, "ArrowRight")
            expect(page.locator("#gone")).to_be_hidden()
            page.locator("#text-pane").focus()
            press(page, "ArrowRight", "ArrowLeft")
            accepted = page.evaluate(ACCEPTED)
            assert answered <= accepted <= answered + 1, f"kill {number}: an answered key is lost"
            press(page, *["a"] * chance.randint(1, 4))
            answered = page.evaluate(ACCEPTED)
            assert answered >= accepted
            if number % 2:
                page.keyboard.press("a")
                time.sleep(chance.random() * 0.02)
        expect(page.locator("#gone")).to_be_visible()
    assert answered > kill_count
