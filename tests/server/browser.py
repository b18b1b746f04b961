"""The review page in a real Chromium, against a server in this process."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from entsemble.review.session import Session
from entsemble.settings import environment, load
from entsemble.types import Document, Mention

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER_MARKS = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.usefixtures("scripted", "plain_members"),
]
"""Of every module whose tests open the page."""

WIDTHS = {"narrow": (360, 740), "wide": (1440, 900)}


def everywhere(test: Any) -> Any:
    """The test at both widths and in both colour schemes, which it takes as `size` and `scheme`."""
    return pytest.mark.parametrize("size", WIDTHS)(pytest.mark.parametrize("scheme", ["light", "dark"])(test))


TEXT = "Ann flew to Oslo. <b>Nobody</b> met Bob Lee & Ann in Bergen.\nThe rest is silence 🛶."
LABELS = {"person": "", "organisation": "", "location": ""}


@dataclass(frozen=True)
class Running:
    """A server in this process."""

    address: str
    session: Session
    pool: Any
    server: Any

    def mentions(self, number: int = 0) -> list[tuple[str, str]]:
        """Text and label of the mentions of a document."""
        document = list(self.session.documents())[number]
        return [(mention.text, mention.label) for mention in document.mentions]


def scored(text: str, *mentions: tuple[str, str, float], name: str = "letter", ledger: Sequence[Any] = ()) -> Document:
    """A document with scored mentions, as `extract` writes it; `ledger` has rejected candidates."""
    starts = [(text.index(surface), surface, label, score) for surface, label, score in mentions]
    entries = [
        {
            "text": surface,
            "start": text.index(surface),
            "end": text.index(surface) + len(surface),
            "label": label,
            "fate": "below the threshold",
            "members": ["smollm2-135m"],
            "score": score,
        }
        for surface, label, score in ledger
    ]
    found = tuple(
        Mention(start, start + len(surface), label, surface, score, {"smollm2-135m": label})
        for start, surface, label, score in starts
    )
    return Document(name, text, found, (), {"entsemble": {"ledger": entries}})


def letter(name: str = "letter") -> Document:
    """A text with five mentions and two rejected candidates."""
    return scored(
        TEXT,
        ("Ann", "person", 0.95),
        ("Oslo", "location", 0.4),
        ("Bob Lee", "person", 0.9),
        ("Bergen", "location", 0.7),
        name=name,
        ledger=[("Nobody", "person", 0.3), ("silence", "location", 0.1)],
    )


@contextmanager
def running_server(folder: Path, documents: Sequence[Document] = (), key: str | None = None) -> Iterator[Running]:
    """A server whose session holds these documents, extracted."""
    import uvicorn

    from entsemble.server.app import create_app
    from entsemble.server.pool_file import PoolFile
    from entsemble.server.service import ExtractionService

    pool = PoolFile(folder / "pool.jsonl")
    session = Session(folder / "texts.review")
    session.set_defaults(LABELS, nested=False)
    session.add(documents, is_extracted=True)
    service = ExtractionService(lambda values: load(overrides=dict(values)), environment(), pool)
    app = create_app(service, session, key=key)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Running(f"http://127.0.0.1:{listener.getsockname()[1]}/", session, pool, server)
    finally:
        server.should_exit = True
        thread.join()
        session.close()
        pool.close()


def settle(page: Any) -> None:
    """Wait until the page has done all that it was asked to, and drawn it."""
    page.evaluate(
        """async () => {
          const { enqueue } = await import("/static/store.js");
          await enqueue(() => {});
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        }"""
    )


def press(page: Any, *keys: str) -> None:
    """Press keys one after the other, and wait for the page."""
    for key in keys:
        page.keyboard.press(key)
    settle(page)


MAX_TABS = 120


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until the focus is on an element."""
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"{selector} is not reached by Tab")


def marks(page: Any) -> list[tuple[str, str]]:
    """Text and label of the mentions that are shown."""
    shown = page.locator("#text mark:not(.faint)").all()
    return [(mark.inner_text(), mark.get_attribute("data-label")) for mark in shown]


def current(page: Any) -> str:
    """The text of the current mention; empty if there is none."""
    mark = page.locator("#text mark.current")
    return str(mark.first.inner_text()) if mark.count() else ""


def violations(page: Any) -> list[str]:
    """What axe finds, of any impact."""
    from axe_playwright_python.sync_playwright import Axe

    results = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in results]


def select_text(page: Any, surface: str, drop: int = 0) -> None:
    """Select words with the mouse, from the first character to the last but `drop`."""
    place = page.evaluate(
        """([surface, drop]) => {
          const walker = document.createTreeWalker(document.querySelector("#text"), NodeFilter.SHOW_TEXT);
          for (let node = walker.nextNode(); node; node = walker.nextNode()) {
            const at = node.data.indexOf(surface);
            if (at < 0) continue;
            const range = document.createRange();
            range.setStart(node, at);
            range.setEnd(node, at + surface.length - drop);
            node.parentElement.scrollIntoView({ block: "center" });
            const { left, right, top, bottom } = range.getBoundingClientRect();
            return [left + 1, right - 1, (top + bottom) / 2];
          }
          return null;
        }""",
        [surface, drop],
    )
    assert place is not None, f"{surface!r} is in no single text node"
    left, right, middle = place
    page.mouse.move(left, middle)
    page.mouse.down()
    page.mouse.move((left + right) / 2, middle)
    page.mouse.move(right, middle)
    page.mouse.up()
