"""The look of the review page: sizes, colours, focus, and what axe says, in every state."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.ner.pipeline import Pipeline

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
pytest.importorskip("playwright", reason="needs playwright")
from playwright.sync_api import expect

from entsemble.server.learning import PoolLearner
from tests.server.browser import (
    BROWSER_MARKS,
    WIDTHS,
    everywhere,
    letter,
    press,
    running_server,
    scored,
    select_text,
    settle,
    violations,
)

pytestmark = BROWSER_MARKS

OpenPage = Callable[..., Any]


def is_in_view(page: Any, selector: str) -> bool:
    box = page.locator(selector).bounding_box()
    height = page.viewport_size["height"]
    return box is not None and box["y"] >= 0 and box["y"] + box["height"] <= height


def show_candidates(page: Any) -> None:
    page.locator("#candidate-score").evaluate("(s) => { s.value = 1; s.dispatchEvent(new Event('input')); }")
    settle(page)


def unfold(page: Any, *names: str) -> None:
    for name in names:
        page.locator(f"#{name}").evaluate("(details) => { details.open = true; }")
    settle(page)


Check = Callable[[str], None]


def check_running(page: Any, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Extraction in progress, and learning."""
    with monkeypatch.context() as patched:
        run_pipeline = Pipeline.run

        def slow(self: Pipeline, text: str) -> Any:
            time.sleep(0.2)
            return run_pipeline(self, text)

        patched.setattr(Pipeline, "run", slow)
        patched.setattr(PoolLearner, "is_learning", True)
        unfold(page, "add")
        page.fill("#new-text", "\n".join(f"Ann left Oslo on day {number}." for number in range(300)))
        page.click("#extract")
        expect(page.locator("#work-text")).to_contain_text("of 300, ")
        expect(page.locator("#learning")).to_be_visible()
        check("running, and learning")
        page.click("#cancel")
        expect(page.locator("#incomplete-text")).to_be_visible()
    check("cancelled after a while")
    page.click("#delete")
    settle(page)


def check_first_text(page: Any, check: Check) -> None:
    check("form")
    page.click("#extract")
    expect(page.locator("#problem")).to_contain_text("Enter a text first")
    check("error in the form")
    page.fill("#new-text", "Ann left Oslo.\nThen Bob slept.")
    page.click("#extract")
    expect(page.locator("#text mark")).to_have_count(2)
    check("result")


def check_documents(page: Any, check: Check) -> None:
    press(page, "f", "ArrowRight", "ArrowRight", "a", "Enter")
    show_candidates(page)
    check("corrected")
    press(page, "c")
    check("a rejected candidate")
    press(page, "f")
    check("cancelled")
    press(page, "f")
    check("failed")
    press(page, "d")
    check("done, next")
    press(page, "ArrowRight", "m")
    check("menu of a mention")
    page.keyboard.press("Escape")
    select_text(page, "silence", drop=3)
    expect(page.locator("#menu")).to_be_visible()
    check("menu of selected words")
    press(page, "Escape")


def check_panels(page: Any, check: Check) -> None:
    unfold(page, "queue-details")
    expect(page.locator("#queue li").first).to_be_visible()
    check("queue")
    unfold(page, "list-details", "add", "export", "mention-details")
    page.locator("summary", has_text="All that are shown").click()
    check("list, form, export, sheet: all unfolded")
    page.locator("#nested").check()
    settle(page)
    select_text(page, "Lee")
    press(page, "2")
    check("nested mentions")
    page.locator("[data-bulk=reject-below]").click()
    settle(page)
    expect(page.locator("#status")).to_contain_text("changed")
    check("notice of a bulk edit")
    page.click("#undo")
    settle(page)
    page.fill("#search", "nowhere")
    expect(page.locator("#list-count")).to_have_text("0 shown")
    check("nothing is found")
    page.fill("#search", "")
    page.locator("#filters button").first.click()
    check("a label is hidden")
    page.locator("#text-pane").focus()
    press(page, "?")
    check("keys")
    page.keyboard.press("Escape")
    page.evaluate("document.body.classList.add('dropping')")
    check("a file is dragged over it")
    page.evaluate("document.body.classList.remove('dropping')")


@everywhere
def test_axe_finds_nothing_in_any_state(
    open_page: OpenPage, tmp_path: Path, size: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, list[str]] = {}

    def check(state: str) -> None:
        found[state] = violations(page)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), f"{state}: is cut off"

    with running_server(tmp_path) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        check_first_text(page, check)
        check_running(page, check, monkeypatch)
        running.session.add([letter("one"), letter("two"), letter("three"), letter("four")], is_extracted=True)
        *_, third, fourth = (row["id"] for row in running.session.changes(-1)["documents"])
        running.session.set_extraction(third, "cancelled")
        running.session.set_extraction(fourth, "failed", "the model is gone")
        page.reload()
        settle(page)
        check_documents(page, check)
        check_panels(page, check)
        running.server.should_exit = True
        expect(page.locator("#gone")).to_be_visible()
        check("gone")
    with running_server(tmp_path / "locked", [letter()], key="s3cret") as running:
        page = open_page(running.address, size, color_scheme=scheme, waits=False)
        expect(page.locator("#key-dialog")).to_be_visible()
        check("key")
    assert found == {state: [] for state in found}


@pytest.mark.parametrize("size", WIDTHS)
def test_filters_actions_and_progress_stay_in_view_on_a_long_text(
    open_page: OpenPage, tmp_path: Path, size: str
) -> None:
    from entsemble.types import Document, Mention

    text = "Ann left Oslo again, and nobody knew why.\n" * 200
    mentions = tuple(Mention(42 * number, 42 * number + 3, "person", "Ann", 0.9) for number in range(200))
    with running_server(tmp_path, [Document("long", text, mentions)]) as running:
        page = open_page(running.address, size)
        page.locator("#text-pane").focus()
        press(page, "ArrowLeft")
        assert page.evaluate("scrollY") > 1000
        controls = [
            "#filters",
            "#finish",
            "#done-count",
            "#undo",
            "#mention-actions",
            "#mention-labels",
            "mark.current",
        ]
        for selector in [*controls, *(["#documents"] if size == "wide" else ["#sign"])]:
            assert is_in_view(page, selector), selector
        assert not hides(page, "#bars", "mark.current")
        running.server.should_exit = True
        expect(page.locator("#gone")).to_be_visible()
        assert is_in_view(page, "#gone"), "wherever one is in the text"
        assert is_in_view(page, "#filters")


def hides(page: Any, bar: str, selector: str) -> bool:
    """Whether a bar at the top covers an element."""
    upper, lower = page.locator(bar).bounding_box(), page.locator(selector).bounding_box()
    return bool(upper["y"] + upper["height"] > lower["y"])


def test_a_narrow_page_has_the_actions_in_a_sheet_below_the_text(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter(), letter("two")]) as running:
        page = open_page(running.address, "narrow", has_touch=True)
        page.locator("#text mark", has_text="Bergen").tap()
        settle(page)
        sheet, mark = page.locator("aside").bounding_box(), page.locator("mark.current").bounding_box()
        assert mark["y"] + mark["height"] <= sheet["y"], "the sheet does not cover the mention"
        assert is_in_view(page, "#mention-actions")
        page.locator("#mention-actions button", has_text="Reject").tap()
        settle(page)
        assert ("Bergen", "location") not in running.mentions()
        page.locator("#undo").tap()
        settle(page)
        select_text(page, "silence")
        expect(page.locator("#menu")).to_be_visible()
        page.locator("#menu button", has_text="organisation").click()
        settle(page)
        assert ("silence", "organisation") in running.mentions()
        page.locator("#finish").tap()
        expect(page.locator("#document-name")).to_have_text("two")


def test_focus_stays_in_the_text_after_every_button(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter(), letter("two")]) as running:
        page = open_page(running.address)
        page.locator("#text mark", has_text="Ann").click()
        for selector in ("#mention-actions button", "#undo", "#sign", "#next", "#least-certain"):
            page.locator(selector).first.click()
            settle(page)
            assert page.evaluate("document.activeElement.id") == "text-pane", selector


def test_every_control_is_reached_by_tab(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address)
        press(page, "ArrowRight")
        page.evaluate("document.activeElement.blur()")
        reached = set()
        for _ in range(80):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.closest('[id]')?.id"))
        expected = {"search", "state-filter", "documents", "finish", "filters", "min-score", "candidate-score", "order"}
        expected |= {
            "text-pane",
            "mention-actions",
            "mention-labels",
            "mention-edges",
            "mention-names",
            "sign",
            "empty",
        }
        assert expected <= reached


@pytest.mark.soak
def test_pictures_for_the_documentation(open_page: OpenPage, tmp_path: Path) -> None:
    """If ENTSEMBLE_IMAGES names a folder, they are written there."""
    folder = os.environ.get("ENTSEMBLE_IMAGES")
    if folder is None:
        pytest.skip("ENTSEMBLE_IMAGES names no folder")
    text = (
        "Ida Lund took the Aurelia from Hull to Bremen in March. Tomasz Wilk, who had run the harbour for Baltic Lines "
        "since 1934, had waited for two days. Nobody in Hull had sent word.\n\nWhen Lund landed, Wilk said nothing."
    )
    mentions = [("Ida Lund", "person", 0.97), ("Aurelia", "organisation", 0.52), ("Hull", "location", 0.93)]
    mentions += [("Bremen", "location", 0.95), ("Tomasz Wilk", "person", 0.96), ("Baltic Lines", "organisation", 0.88)]
    names = ["letter from Hull", "letter from Bremen", "harbour log", "telegram", "inventory", "diary of I. Lund"]
    rejected = [("Nobody", "person", 0.3), ("March", "person", 0.1)]
    documents = [scored(text, *mentions, name=name, ledger=rejected) for name in names]
    with running_server(tmp_path, documents) as running:
        for size in WIDTHS:
            page = open_page(running.address, size)
            press(page, "ArrowRight", "a")
            page.locator("#candidate-score").evaluate("(s) => { s.value = 0.75; s.dispatchEvent(new Event('input')); }")
            settle(page)
            page.screenshot(path=Path(folder) / f"page-{size}.png")
