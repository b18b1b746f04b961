"""The page in a real Chromium, against a server in this process."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read
from entsemble.settings import environment, load

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
pytest.importorskip("playwright", reason="needs playwright")
import uvicorn
from playwright import sync_api as playwright

from entsemble.review.session import Session
from entsemble.server.app import create_app
from entsemble.server.pool_file import PoolFile
from entsemble.server.service import ExtractionService

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

TEXT = "Ann flew to Oslo. <b>Nobody</b> met Bob Lee & Ann in Bergen.\nThe rest is silence 🛶."
WIDTHS = {"narrow": (360, 740), "wide": (1440, 900)}


@contextmanager
def running_server(folder: Path, key: str | None = None) -> Iterator[tuple[str, PoolFile]]:
    pool = PoolFile(folder / "pool.jsonl")
    session = Session(folder / "texts.review")
    service = ExtractionService(lambda values: load(overrides=dict(values)), environment(), pool)
    app = create_app(service, session, key=key)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", pool
    finally:
        server.should_exit = True
        thread.join()
        session.close()
        pool.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page of a server; fails if it logs to the console or sends a request to another host."""
    contexts, problems = [], []

    def open_at(address: str, size: str = "wide", **context_options: Any) -> Any:
        width, height = WIDTHS[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True, **context_options
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda message: problems.append(message.text) if message.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        allowed = (address, "data:", "blob:")
        page.on("request", lambda sent: problems.append(sent.url) if not sent.url.startswith(allowed) else None)
        page.goto(address)
        playwright.expect(page.locator("#state")).to_have_text("ready", timeout=60_000)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert [text for text in problems if "401" not in text] == []


def extract(page: Any, text: str, seconds: float = 20) -> None:
    page.fill("#text", text)
    page.click("#extract")
    playwright.expect(page.locator("#cancel")).to_be_hidden(timeout=seconds * 1000)


def displayed_mentions(page: Any) -> list[tuple[str, str]]:
    return [(m.inner_text(), m.get_attribute("data-label")) for m in page.locator("#result mark").all()]


def violations(page: Any) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    results = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in results if v["impact"] in {"serious", "critical"}]


@pytest.mark.usefixtures("scripted", "plain_members")
class TestPage:
    def test_mentions_are_displayed_with_members_and_votes(self, open_page: Any, tmp_path: Path) -> None:
        with running_server(tmp_path) as (address, _):
            page = open_page(address)
            extract(page, TEXT)
            assert displayed_mentions(page) == [
                ("Ann", "person"),
                ("Oslo", "location"),
                ("Bob Lee", "person"),
                ("Ann", "person"),
                ("Bergen", "location"),
            ]
            assert page.locator("#result b").count() == 0, "HTML in a text is displayed as text"
            assert page.locator("#result").inner_text().replace("\xa0", " ").strip() == TEXT
            page.locator("#result mark", has_text="Oslo").click()
            detail = page.locator("#detail").inner_text()
            assert re.search(r"proposed by\s+smollm2-135m, gemma-3-270m", detail)
            assert re.search(r"vote of smollm2-135m\s+location", detail)

    def test_corrections_by_mouse_are_saved_to_the_pool(self, open_page: Any, tmp_path: Path) -> None:
        with running_server(tmp_path) as (address, pool):
            page = open_page(address)
            extract(page, TEXT)
            page.locator("#result mark", has_text="Oslo").click()
            page.locator("#detail").get_by_role("combobox", name="Label").select_option("organisation")
            page.locator("#result mark", has_text="Bergen").click()
            page.locator("#detail").get_by_role("button", name="Reject").click()
            page.evaluate(
                """() => {
                  const text = [...document.querySelectorAll('.sentence')].at(-1).firstChild;
                  const at = text.data.indexOf('silence');
                  getSelection().setBaseAndExtent(text, at, text, at + 'silence 🛶'.length);
                  document.querySelector('#result').dispatchEvent(new MouseEvent('mouseup', { bubbles: true }));
                }"""
            )
            page.click("#save")
            playwright.expect(page.locator("#summary")).to_contain_text("3 sentences saved")
            playwright.expect(page.locator("#pool-count")).to_have_text("(3)")
            stored = {d.text.strip(): [(m.text, m.label) for m in d.mentions] for d in read(pool.path)}
            assert stored == {
                "Ann flew to Oslo.": [("Ann", "person"), ("Oslo", "organisation")],
                "<b>Nobody</b> met Bob Lee & Ann in Bergen.": [("Bob Lee", "person"), ("Ann", "person")],
                "The rest is silence 🛶.": [("silence 🛶", "person")],
            }
            extract(page, "Ann went to Oslo again.")
            page.locator("#result mark").first.click()
            page.locator("#detail summary").click()
            playwright.expect(page.locator("#detail")).to_contain_text("Ann flew to Oslo.")

    def test_corrections_by_keyboard_are_saved_to_the_pool(self, open_page: Any, tmp_path: Path) -> None:
        with running_server(tmp_path) as (address, pool):
            page = open_page(address)
            keys = page.keyboard

            def tab_to(target: str) -> None:
                for _ in range(60):
                    if page.evaluate("() => document.activeElement?.id") == target:
                        return
                    keys.press("Tab")
                raise AssertionError(f"#{target} is not reachable by Tab")

            tab_to("text")
            keys.type("Ann flew to Oslo. Bob Lee slept.")
            tab_to("extract")
            keys.press("Enter")
            playwright.expect(page.locator("#result mark")).to_have_count(3, timeout=20_000)
            tab_to("result")
            for key in ("ArrowRight", "ArrowRight", "2", "}", "{", "ArrowRight", "x", "n", "3", "s"):
                keys.press(key)
            playwright.expect(page.locator("#pool-count")).to_have_text("(2)")
            stored = {d.text.strip(): [(m.text, m.label) for m in d.mentions] for d in read(pool.path)}
            assert stored["Ann flew to Oslo."] == [("Ann", "person"), ("Oslo", "organisation")]
            assert ("Bob Lee", "person") not in stored["Bob Lee slept."]

    @pytest.mark.parametrize("size", WIDTHS)
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_no_serious_problem(self, open_page: Any, tmp_path: Path, size: str, scheme: str) -> None:
        with running_server(tmp_path) as (address, _):
            page = open_page(address, size, color_scheme=scheme)
            assert violations(page) == []
            extract(page, TEXT)
            page.locator("#result mark").first.click()
            assert violations(page) == []
            assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "nothing is cut of"

    def test_labels_are_filtered_queued_and_exported(self, open_page: Any, tmp_path: Path) -> None:
        with running_server(tmp_path) as (address, _):
            page = open_page(address)
            extract(page, TEXT)
            page.locator("#filters button", has_text="location").click()
            assert {label for _, label in displayed_mentions(page)} == {"person"}
            assert page.locator("#queue li").count() == 3
            page.locator("#queue button").first.click()
            assert page.locator("mark.current").count() == 1
            with page.expect_download() as download:
                page.click("#export")
            download.value.save_as(tmp_path / "out.jsonl")
            [exported] = read(tmp_path / "out.jsonl")
            assert (exported.text, len(exported.mentions)) == (TEXT, 5)

    def test_the_page_asks_for_the_key(self, browser: Any, tmp_path: Path) -> None:
        with running_server(tmp_path, key="s3cret") as (address, _):
            page = browser.new_context().new_page()
            page.goto(address)
            page.fill("#key", "s3cret")
            page.keyboard.press("Enter")
            playwright.expect(page.locator("#state")).to_have_text("ready")
            extract(page, TEXT)
            assert len(displayed_mentions(page)) == 5
            page.context.close()

    def test_the_page_stays_fast_with_many_mentions(self, open_page: Any, tmp_path: Path) -> None:
        with running_server(tmp_path) as (address, _):
            page = open_page(address)
            line = "In Oslo and in Bergen there was a good deal of talk about ships, the weather and the price of fish."
            extract(page, "\n".join([line] * 900), seconds=120)
            assert page.locator("#result mark").count() == 1800
            start_time = time.monotonic()
            page.locator("#result").focus()
            for _ in range(10):
                page.keyboard.press("ArrowRight")
                page.keyboard.press("a")
            page.locator("#queue button").first.wait_for()
            assert (time.monotonic() - start_time) / 20 < 0.5, "seconds per key"

    def test_cancelling_stops_the_extraction(
        self, open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from entsemble.ner.pipeline import Pipeline

        run_pipeline, started = Pipeline.run, []

        def slow(self: Pipeline, text: str) -> Any:
            started.append(text)
            time.sleep(0.2)
            return run_pipeline(self, text)

        monkeypatch.setattr(Pipeline, "run", slow)
        with running_server(tmp_path) as (address, _):
            page = open_page(address)
            page.fill("#text", "\n".join(f"Line {i} is here." for i in range(300)))
            page.click("#extract")
            page.wait_for_timeout(500)
            page.click("#cancel")
            playwright.expect(page.locator("#message")).to_have_text("Cancelled.")
            page.wait_for_timeout(1000)
            started_count = len(started)
            page.wait_for_timeout(1000)
            assert len(started) == started_count < 300


@pytest.mark.models
@pytest.mark.soak
def test_a_correction_improves_the_next_extraction(
    open_page: Any, tmp_path: Path, model_file: Callable[[str], Path]
) -> None:
    """With the embedded models. If ENTSEMBLE_IMAGES names a folder, the documentation's pictures are written there."""
    for name in ("smollm2-135m", "gemma-3-270m", "minilm-l6"):
        model_file(name)
    images = os.environ.get("ENTSEMBLE_IMAGES")

    def picture(page: Any, name: str) -> None:
        if images:
            page.screenshot(path=Path(images) / f"{name}.png", full_page=True)

    with running_server(tmp_path) as (address, pool):
        page = open_page(address)
        names = page.locator("#labels li input:first-child")
        for number, label in enumerate(("ship", "town", "captain")):
            names.nth(number).fill(label)
        extract(page, "The Aurelia left Hull on Friday. Her captain is Tomasz Wilk.", seconds=240)
        before = set(displayed_mentions(page))
        for surface, label in (("Aurelia", "ship"), ("Hull", "town"), ("Tomasz Wilk", "captain")):
            correct(page, surface, label)
        page.click("#save")
        playwright.expect(page.locator("#pool-count")).to_have_text("(2)")
        stored = {m.text: m.label for d in read(pool.path) for m in d.mentions}
        assert {"Aurelia": "ship", "Hull": "town", "Tomasz Wilk": "captain"}.items() <= stored.items()
        extract(page, "The Borealis left Bremen on Monday. Her captain is Ida Lund.", seconds=240)
        after = set(displayed_mentions(page))
        assert {("Bremen", "town"), ("Ida Lund", "captain")} <= after, f"before: {before}"
        page.locator("#result mark", has_text="Bremen").click()
        playwright.expect(page.locator("#detail")).to_contain_text("vote of gemma-3-270m")
        page.locator("#detail summary").click()
        playwright.expect(page.locator("#detail")).to_contain_text("The Aurelia left Hull on Friday.")
        picture(page, "page-wide")
        width, height = WIDTHS["narrow"]
        page.set_viewport_size({"width": width, "height": height})
        assert violations(page) == []
        picture(page, "page-narrow")


def correct(page: Any, surface: str, label: str) -> None:
    """Make `surface` a mention with `label`, in place of any other mention there."""
    page.evaluate(
        """(surface) => {
          const result = document.querySelector('#result');
          const walker = document.createTreeWalker(result, NodeFilter.SHOW_TEXT);
          const nodes = [];
          while (walker.nextNode()) nodes.push(walker.currentNode);
          const at = nodes.map((n) => n.data).join('').indexOf(surface);
          const place = (offset) => {
            for (const node of nodes) {
              if (offset < node.data.length) return [node, offset];
              offset -= node.data.length;
            }
          };
          const [from, start] = place(at);
          const [to, end] = place(at + surface.length - 1);
          getSelection().setBaseAndExtent(from, start, to, end + 1);
          result.dispatchEvent(new MouseEvent('mouseup', { bubbles: true }));
        }""",
        surface,
    )
    page.locator("#detail").get_by_role("combobox", name="Label").select_option(label)


@pytest.mark.soak
@pytest.mark.usefixtures("scripted", "plain_members")
def test_the_server_conforms_to_its_openapi_description(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="needs schemathesis")
    with running_server(tmp_path) as (address, _):
        arguments = [f"{address}openapi.json", "--max-examples", "30", "--seed", "0"]
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", *arguments]
        finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert finished.returncode == 0, finished.stdout
    assert " passed" in finished.stdout
