"""The review page in a real Chromium: many documents, other tabs, extraction, and a server that goes away."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.types import Document

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
pytest.importorskip("playwright", reason="needs playwright")
from playwright.sync_api import expect

from tests.server.browser import (
    BROWSER_MARKS,
    TEXT,
    current,
    everywhere,
    letter,
    marks,
    press,
    running_server,
    scored,
    settle,
    tab_to,
)

pytestmark = BROWSER_MARKS

ALL = [("Ann", "person"), ("Oslo", "location"), ("Bob Lee", "person"), ("Bergen", "location")]

OpenPage = Callable[..., Any]


def test_documents_are_searched_filtered_and_edited_together(open_page: OpenPage, tmp_path: Path) -> None:
    documents = [letter(f"letter {number}") for number in range(3)] + [Document("note", "Nothing.")]
    with running_server(tmp_path, documents) as running:
        page = open_page(running.address)
        page.fill("#search", "letter bergen")
        expect(page.locator("#documents li:visible")).to_have_count(3)
        page.locator("summary", has_text="All that are shown").click()
        page.locator("[data-bulk=reject-below]").click()
        settle(page)
        assert [running.mentions(number) for number in range(3)] == [[ALL[0], ALL[2]]] * 3
        page.locator("[data-bulk=finish]").click()
        expect(page.locator("#done-count")).to_have_text("3 of 4 done")
        page.locator("#state-filter").select_option("done")
        page.locator("[data-bulk=delete]").click()
        expect(page.locator("#done-count")).to_have_text("0 of 1 done")
        for _ in range(3):
            page.locator("#undo").click()
        expect(page.locator("#done-count")).to_have_text("0 of 4 done")
        settle(page)
        assert running.mentions() == ALL


def test_two_tabs_see_each_others_edits(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        first, second = open_page(running.address), open_page(running.address)
        press(first, "ArrowRight", "x")
        expect(second.locator("#text mark")).to_have_count(3)
        second.bring_to_front()
        press(second, "Control+z")
        expect(first.locator("#text mark")).to_have_count(4)
        press(second, "d")
        expect(first.locator("#done-count")).to_have_text("1 of 2 done")
        first.reload()
        expect(first.locator("#document-name")).to_have_text("second")


def test_two_tabs_that_edit_at_once_lose_nothing(open_page: OpenPage, tmp_path: Path) -> None:
    text = "".join(f"Ann{number} left. " for number in range(40))
    mentions = [(f"Ann{number} ".strip(), "person", 0.9) for number in range(10, 40)]
    with running_server(tmp_path, [scored(text, *mentions)]) as running:
        tabs = [open_page(running.address), open_page(running.address)]
        press(tabs[0], "ArrowRight")
        press(tabs[1], *["ArrowLeft"] * 15)
        for _ in range(12):  # one from the start, the other from the middle, neither waiting for the other
            tabs[0].keyboard.press("x")
            tabs[1].keyboard.press("2")
        for tab in tabs:
            settle(tab)
        labels = [label for _, label in running.mentions()]
        assert labels == ["person"] * 3 + ["organisation"] * 12 + ["person"] * 3
        for tab in tabs:
            expect(tab.locator("#text mark")).to_have_count(18)
        for _ in range(24):
            press(tabs[0], "Control+z")
        assert running.mentions() == [(name, label) for name, label, _ in mentions], "all of both can be undone"


def test_a_page_that_is_loaded_again_returns_to_its_place(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address)
        press(page, "f", "ArrowDown")
        page.reload()
        expect(page.locator("#document-name")).to_have_text("second")
        settle(page)
        assert page.locator(".sentence.here").get_attribute("data-number") == "1"
        press(page, "d")
        page.goto("about:blank")
        page.goto(running.address)
        expect(page.locator("#document-name")).to_have_text("first")


def test_the_last_document_that_a_search_shows_is_not_the_last_one(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address)
        press(page, "s")
        page.keyboard.insert_text("second")
        press(page, "Enter", "d")
        expect(page.locator("#status")).to_have_text("All that the list shows are done; it does not show 1 other.")
        press(page, "s", "Escape", "b", "d")
        expect(page.locator("#status")).to_have_text("All documents are done.")


def test_reloading_and_going_back_lose_nothing(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address)
        press(page, "ArrowRight", "x")
        page.reload()
        expect(page.locator("#text mark")).to_have_count(3)
        page.goto("about:blank")
        page.go_back()
        expect(page.locator("#text mark")).to_have_count(3)
        settle(page)
        press(page, "Control+z")
        assert running.mentions() == ALL


@pytest.mark.parametrize("hand", ["keyboard", "mouse"])
def test_sentences_appear_one_by_one_and_cancelling_keeps_them(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hand: str
) -> None:
    def use(selector: str) -> None:
        if hand == "mouse":
            page.click(selector)
        else:
            tab_to(page, selector)
            page.keyboard.press("Enter")

    from entsemble.ner.pipeline import Pipeline

    run_pipeline = Pipeline.run

    def slow(self: Pipeline, text: str) -> Any:
        time.sleep(0.15)
        return run_pipeline(self, text)

    monkeypatch.setattr(Pipeline, "run", slow)
    with running_server(tmp_path) as running:
        page = open_page(running.address)
        page.fill("#new-text", "\n".join(f"Ann left Oslo on day {number}." for number in range(300)))
        use("#extract")
        expect(page.locator("#work-text")).to_contain_text(re.compile(r"sentence \d+ of 300, (about|less)"))
        expect(page.locator("#text mark").nth(3)).to_be_visible()
        press(page, "ArrowRight", "a")
        assert current(page) == "Oslo", "what is there can be corrected already"
        use("#cancel")
        expect(page.locator("#work")).to_be_hidden()
        count = page.locator("#text mark").count()
        assert 4 <= count < 600
        expect(page.locator("#incomplete-text")).to_have_text("The extraction was cancelled.")
        monkeypatch.setattr(Pipeline, "run", run_pipeline)
        use("#continue")
        expect(page.locator("#text mark")).to_have_count(600)


LAYOUTS = {  # where a key is on the keyboard, and what it prints there if that is not the key itself
    "German": {"2": "Digit2", "0": "Digit0", "a": "KeyA", "z": "KeyY", "y": "KeyZ", "?": "Minus"},
    "French": {"2": "Digit2 é", "0": "Digit0 à", "a": "KeyQ", "z": "KeyW", "y": "KeyY", "?": "KeyM"},
    "Nordic": {"2": "Digit2", "0": "Digit0", "a": "KeyA", "z": "KeyZ", "y": "KeyY", "?": "Minus"},
    "number pad": {"2": "Numpad2", "0": "Numpad0", "a": "KeyA", "z": "KeyZ", "y": "KeyY", "?": "Slash"},
}
CONTROL = 2  # the modifier, as Chromium numbers it


@everywhere
def test_keys_work_on_any_keyboard_layout(open_page: OpenPage, tmp_path: Path, size: str, scheme: str) -> None:
    def strike(layout: str, key: str, modifiers: int = 0) -> None:
        code, _, printed = LAYOUTS[layout][key].partition(" ")
        event = {"key": printed or key, "code": code, "modifiers": modifiers}
        text = {} if modifiers else {"text": printed or key}
        devtools.send("Input.dispatchKeyEvent", {"type": "keyDown", **event, **text})
        devtools.send("Input.dispatchKeyEvent", {"type": "keyUp", **event})
        settle(page)

    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        devtools = page.context.new_cdp_session(page)
        for layout in LAYOUTS:
            press(page, "ArrowDown", "ArrowUp", "ArrowRight")
            assert current(page) == "Ann"
            strike(layout, "2")
            assert running.mentions()[0] == ("Ann", "organisation"), layout
            assert current(page) == "Oslo"
            strike(layout, "a")
            assert current(page) == "Bob Lee", layout
            strike(layout, "z", CONTROL)
            strike(layout, "z", CONTROL)
            assert running.mentions() == ALL, layout
            strike(layout, "y", CONTROL)
            assert running.mentions()[0] == ("Ann", "organisation"), layout
            strike(layout, "z", CONTROL)
            press(page, "ArrowDown", "ArrowUp")
            strike(layout, "0")
            assert running.mentions() == ALL[2:], layout
            strike(layout, "z", CONTROL)
            strike(layout, "?")
            expect(page.locator("#help")).to_be_visible()
            press(page, "Escape")
            assert running.mentions() == ALL, layout


@everywhere
def test_labels_and_scores_are_filtered(open_page: OpenPage, tmp_path: Path, size: str, scheme: str) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        page.locator("#filters button", has_text="person").click()
        assert marks(page) == [ALL[1], ALL[3]]
        page.locator("#min-score").evaluate("(s) => { s.value = 0.5; s.dispatchEvent(new Event('input')); }")
        expect(page.locator("#text mark")).to_have_text(["Bergen"])


@everywhere
def test_the_page_asks_for_the_key(open_page: OpenPage, tmp_path: Path, size: str, scheme: str) -> None:
    with running_server(tmp_path, [letter()], key="s3cret") as running:
        page = open_page(running.address, size, color_scheme=scheme, waits=False)
        page.fill("#key", "s3cret")
        page.keyboard.press("Enter")
        expect(page.locator("#text mark")).to_have_count(4)


def test_a_link_opens_a_place(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter("first"), letter("a b&c")]) as running:
        page = open_page(f"{running.address}#name=a%20b%26c&start={TEXT.index('Bergen')}")
        expect(page.locator("#document-name")).to_have_text("a b&c")
        assert current(page) == "Bergen"


def test_the_page_says_that_the_server_is_gone_and_goes_on_when_it_is_back(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address)
        expect(page.locator("#gone")).to_be_hidden()
        running.server.should_exit = True
        expect(page.locator("#gone")).to_contain_text("The server is gone")


@pytest.mark.models
@pytest.mark.soak
def test_a_correction_is_a_demonstration_for_the_next_text(
    open_page: OpenPage, tmp_path: Path, model_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the embedded models."""
    monkeypatch.undo()  # the scripted ones
    for name in ("smollm2-135m", "gemma-3-270m", "minilm-l6"):
        model_file(name)
    with running_server(tmp_path) as running:
        running.session.set_defaults({"ship": "", "town": "", "captain": ""}, nested=False)
        page = open_page(running.address)
        page.fill("#new-text", "The Aurelia left Hull on Friday. Her captain is Tomasz Wilk.")
        page.click("#extract")
        expect(page.locator("#text .sentence:not(.pending)")).to_have_count(2, timeout=240_000)
        for surface, label in (("Aurelia", "ship"), ("Hull", "town"), ("Tomasz Wilk", "captain")):
            start = "The Aurelia left Hull on Friday. Her captain is Tomasz Wilk.".index(surface)
            end = start + len(surface)
            page.evaluate(
                """async ([start, end, label]) => {
                  const { enqueue } = await import("/static/store.js");
                  const { addMention } = await import("/static/actions.js");
                  await enqueue(() => addMention(start, end, label));
                }""",
                [start, end, label],
            )
        press(page, "d")
        page.locator("#add > summary").click()
        page.fill("#new-text", "The Borealis left Bremen on Monday. Her captain is Ida Lund.")
        expect(page.locator("#pool-count")).to_have_text("2 sentences signed off and in the pool")
        page.click("#extract")
        expect(page.locator("#document-name")).to_contain_text("Borealis")
        expect(page.locator("#text .sentence:not(.pending)")).to_have_count(2, timeout=240_000)
        assert {("Bremen", "town"), ("Ida Lund", "captain")} <= set(marks(page))
