"""A server that answers in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from entsemble import settings
from entsemble.settings import environment


@pytest.fixture
def extraction_service(tmp_path: Path, scripted: None, plain_members: None) -> Iterator[Any]:
    """The service of a server, with scripted members and an empty pool."""
    pytest.importorskip("fastapi", reason="needs the extra 'serve'")
    from entsemble.server.pool_file import PoolFile
    from entsemble.server.service import ExtractionService

    def settings_for(values: Any) -> settings.Settings:
        return settings.load(overrides={"cache": {"replies": False}, **values})

    pool = PoolFile(tmp_path / "server" / "pool.jsonl")
    yield ExtractionService(settings_for, environment(), pool)
    pool.close()


@pytest.fixture
def review_session(tmp_path: Path) -> Iterator[Any]:
    """An empty review session with two labels."""
    from entsemble.review.session import Session

    session = Session(tmp_path / "server" / "texts.review")
    session.set_defaults({"person": "", "location": ""}, nested=False)
    yield session
    session.close()


@pytest.fixture
def serve(extraction_service: Any, review_session: Any) -> Iterator[Callable[..., Any]]:
    """Starts a server, and returns a client."""
    from fastapi.testclient import TestClient

    from entsemble.server.app import create_app
    from entsemble.server.limits import Limits

    with ExitStack() as stack:

        def start(key: str | None = None, retry_seconds: float = 30, **limits: Any) -> Any:
            app = create_app(extraction_service, review_session, Limits(**limits), key, retry_seconds=retry_seconds)
            return stack.enter_context(TestClient(app, base_url="http://localhost:8765"))

        yield start


@pytest.fixture
def listen(extraction_service: Any, review_session: Any) -> Iterator[Callable[..., Any]]:
    """Starts a server that listens on a port of this machine, and returns it."""
    from entsemble.server.app import create_app
    from entsemble.server.connections import Server
    from entsemble.server.limits import Limits

    running: list[tuple[Any, threading.Thread]] = []

    def start(key: str | None = None, **limit_values: Any) -> Any:
        limits, has_started = Limits(**limit_values), threading.Event()
        app = create_app(extraction_service, review_session, limits, key)
        server = Server(
            app, "127.0.0.1", 0, limits, on_started=lambda *_: has_started.set(), on_stopping=app.state.stop
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        running.append((server, thread))
        assert has_started.wait(60)
        return server

    yield start
    for server, _ in running:
        server.should_exit = True
    for _, thread in running:
        thread.join(60)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium for all tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    from tests.server.browser import CHROMIUM

    with playwright.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens the page of a server; fails if it logs to the console or sends a request elsewhere, but to `also`."""
    from playwright.sync_api import expect

    from tests.server.browser import WIDTHS, settle

    expect.set_options(timeout=20_000)
    contexts, problems = [], []

    def open_at(address: str, size: str = "wide", *, waits: bool = True, also: str = "data:", **options: Any) -> Any:
        width, height = WIDTHS[size]
        context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on(
            "console", lambda message: problems.append(message.text) if message.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        allowed = (address.partition("#")[0], also, "data:", "blob:")
        page.on("request", lambda sent: problems.append(sent.url) if not sent.url.startswith(allowed) else None)
        page.goto(address)
        if waits:
            expect(page.locator("#done-count")).not_to_have_text("connecting …")
            settle(page)
        return page

    yield open_at
    for context in contexts:
        context.close()
    expected = ("401", "409", "503", "net::ERR_CON")  # models that are being loaded, and a server that has gone
    assert [text for text in problems if not any(part in text for part in expected)] == []
