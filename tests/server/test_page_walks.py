"""All that the page can do, with the keyboard alone and with the mouse alone, at both widths and in both schemes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
pytest.importorskip("playwright", reason="needs playwright")
from playwright.sync_api import expect

from tests.server.browser import (
    BROWSER_MARKS,
    Running,
    current,
    everywhere,
    letter,
    press,
    running_server,
    select_text,
    settle,
    tab_to,
    violations,
)

pytestmark = BROWSER_MARKS

OpenPage = Callable[..., Any]


def use(page: Any, selector: str, key: str = "Enter") -> None:
    """Go to a control by Tab, and press a key there."""
    tab_to(page, selector)
    press(page, key)


def focus_is_in_text(page: Any) -> bool:
    return bool(page.evaluate("document.activeElement.id") == "text-pane")


def labels_of(running: Running, surface: str) -> list[str]:
    """The labels that a name has, in all documents."""
    documents = running.session.documents()
    return [mention.label for document in documents for mention in document.mentions if mention.text == surface]


@everywhere
def test_names_sentences_and_candidates_by_keyboard_alone(
    open_page: OpenPage, tmp_path: Path, size: str, scheme: str
) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        press(page, "ArrowRight", "3", "ArrowLeft", "g")
        assert labels_of(running, "Ann") == ["location", "location", "person"], "the second Ann is new"
        press(page, "G")
        expect(page.locator("#status")).to_have_text("all of “Ann”: 2 changed everywhere")
        press(page, "Control+z", "X")
        assert labels_of(running, "Ann") == ["person"]
        press(page, "Control+z")
        if size == "narrow":
            use(page, "#mention-details > summary")
        use(page, "[aria-label='Reject all everywhere']")
        assert labels_of(running, "Ann") == []
        assert focus_is_in_text(page)
        press(page, "Control+z", "Control+z", "Control+z")
        assert labels_of(running, "Ann") == ["person", "person"]

        use(page, "#candidate-score", "End")
        press(page, "Escape", "c")
        assert current(page) == "Nobody"
        expect(page.locator("#mention-facts")).to_contain_text("below the threshold")
        press(page, "a")
        assert labels_of(running, "Nobody") == ["person"]
        press(page, "Control+z", "ArrowUp", "ArrowUp", "Enter")
        expect(page.locator("#document-facts")).to_contain_text("1 of 3 sentences signed off")
        press(page, "0")
        expect(page.locator("#document-facts")).to_contain_text("2 of 3 sentences signed off")
        press(page, "ArrowUp", "ArrowUp", "Enter")
        expect(page.locator("#document-facts")).to_contain_text("1 of 3 sentences signed off")

        use(page, "#queue-details > summary")
        expect(page.locator("#queue button").first).to_be_visible()
        use(page, "#queue button")
        assert current(page) == "Oslo"
        use(page, "#order", "l")
        press(page, "Escape", "q", "a")
        assert current(page) == "Bergen", "the next one in the order in use"
        assert violations(page) == []


@everywhere
def test_documents_by_keyboard_alone(open_page: OpenPage, tmp_path: Path, size: str, scheme: str) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        press(page, "s")
        page.keyboard.insert_text("second")
        press(page, "Enter")
        expect(page.locator("#document-name")).to_have_text("second")
        press(page, "?")
        expect(page.locator("#help")).to_be_visible()
        press(page, "Escape", "s", "Escape", "d")
        expect(page.locator("#help")).to_be_hidden()
        expect(page.locator("#document-name")).to_have_text("first")
        use(page, "#state-filter", "d")
        expect(page.locator("#documents li:visible")).to_have_count(1)
        use(page, "#state-filter", "a")
        use(page, "#documents button", "ArrowDown")
        press(page, "Enter")
        expect(page.locator("#document-name")).to_have_text("second")
        assert focus_is_in_text(page)
        if size == "narrow":  # where a document that is opened folds the list
            use(page, "#list-details > summary")
        use(page, "nav details details > summary")
        use(page, "[data-bulk=reject-below]")
        assert running.mentions() == [("Ann", "person"), ("Bob Lee", "person")], "those of the other one are accepted"
        press(page, "Escape", "Control+z")
        assert len(running.mentions()) == 4
        use(page, "#delete")
        expect(page.locator("#documents li")).to_have_count(1)
        press(page, "Control+z")
        expect(page.locator("#documents li")).to_have_count(2)


@everywhere
def test_labels_and_files_by_keyboard_alone(open_page: OpenPage, tmp_path: Path, size: str, scheme: str) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        use(page, "#add > summary")
        use(page, "#add-label")
        page.keyboard.insert_text("ship")
        press(page, "Tab")
        page.keyboard.insert_text("with a name")
        use(page, "#nested", "Space")
        assert (running.session.labels["ship"], running.session.nested) == ("with a name", True)
        path = tmp_path / "more.txt"
        path.write_text("Bob Lee left Oslo.")
        press(page, "Escape")
        tab_to(page, "#file")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(path)
        expect(page.locator("#document-name")).to_have_text("more.txt")
        expect(page.locator("#text mark")).to_have_count(2)
        use(page, "#filters button", "Space")
        expect(page.locator("#text mark")).to_have_count(1)
        use(page, "#export > summary")
        tab_to(page, "#download")
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        download.value.save_as(tmp_path / "out.jsonl")
        assert len(list(read(tmp_path / "out.jsonl"))) == 3
        assert violations(page) == []


def unfold(page: Any, *selectors: str) -> None:
    for selector in selectors:
        page.locator(selector).click()


def click(page: Any, *selectors: str) -> None:
    """Click controls one after the other, and wait for the page."""
    for selector in selectors:
        page.locator(selector).first.click()
        settle(page)


@everywhere
def test_names_sentences_and_candidates_by_mouse_alone(
    open_page: OpenPage, tmp_path: Path, size: str, scheme: str
) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        click(page, "#text mark")
        if size == "narrow":
            unfold(page, "#mention-details > summary")
        click(page, "#mention-labels button:nth-child(3)", "#text mark", "[aria-label='Label all here']")
        assert labels_of(running, "Ann") == ["location", "location", "person"]
        click(page, "[aria-label='Label all everywhere']")
        assert labels_of(running, "Ann") == ["location"] * 4
        click(page, "#undo", "[aria-label='Reject all here']")
        assert labels_of(running, "Ann") == ["person"]
        click(page, "#undo", "[aria-label='Reject all everywhere']")
        assert labels_of(running, "Ann") == []
        click(page, "#undo", "#redo", "#undo", "#undo", "#undo")
        assert labels_of(running, "Ann") == ["person", "person"]

        slider = page.locator("#candidate-score")
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
        click(page, "mark.faint")
        assert labels_of(running, "Nobody") == ["person"], "one click adds"
        assert current(page) == "Nobody"
        assert focus_is_in_text(page)
        click(page, "#undo", ".sentence[data-number='0']", "#sign")
        expect(page.locator("#document-facts")).to_contain_text("1 of 3 sentences signed off")
        click(page, "#empty", ".sentence[data-number='0']", "#sign")
        expect(page.locator("#document-facts")).to_contain_text("1 of 3 sentences signed off")

        unfold(page, "#queue-details > summary")
        click(page, "#queue button")
        assert current(page) == "Oslo"
        page.locator("#order").select_option("least")
        click(page, "#least-certain", "#mention-actions button")
        assert current(page) == "Bergen", "the next one in the order in use"
        click(page, "#show-keys")
        expect(page.locator("#help")).to_be_visible()
        click(page, "#close-help")
        expect(page.locator("#help")).to_be_hidden()
        assert violations(page) == []


@everywhere
def test_documents_labels_and_files_by_mouse_alone(open_page: OpenPage, tmp_path: Path, size: str, scheme: str) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        click(page, "#next", "#finish")
        expect(page.locator("#document-name")).to_have_text("first")
        if size == "narrow":
            unfold(page, "#list-details > summary")
        page.locator("#state-filter").select_option("done")
        expect(page.locator("#documents li:visible")).to_have_count(1)
        page.locator("#state-filter").select_option("all")
        unfold(page, "nav details details > summary")
        click(page, "[data-bulk=reject-below]")
        assert running.mentions() == [("Ann", "person"), ("Bob Lee", "person")]
        click(page, "#undo")
        assert len(running.mentions()) == 4
        click(page, "#documents button", "#delete")
        expect(page.locator("#documents li")).to_have_count(1)
        click(page, "#undo")
        expect(page.locator("#documents li")).to_have_count(2)

        unfold(page, "#add > summary")
        click(page, "#nested", "[aria-label='Remove label 2']")
        assert (list(running.session.labels), running.session.nested) == (["person", "location"], True)
        path = tmp_path / "more.txt"
        path.write_text("Bob Lee left Oslo.")
        with page.expect_file_chooser() as chooser:
            page.locator("#file").click()
        chooser.value.set_files(path)
        expect(page.locator("#document-name")).to_have_text("more.txt")
        expect(page.locator("#text mark")).to_have_count(2)
        settle(page)
        select_text(page, "left")
        page.locator("#menu button").first.click()
        settle(page)
        assert running.mentions(2) == [("Bob Lee", "person"), ("left", "person"), ("Oslo", "location")]
        click(page, "#filters button")
        expect(page.locator("#text mark")).to_have_count(1)
        unfold(page, "#export > summary")
        with page.expect_download() as download:
            page.locator("#download").click()
        download.value.save_as(tmp_path / "out.jsonl")
        assert len(list(read(tmp_path / "out.jsonl"))) == 3
        assert violations(page) == []


@everywhere
def test_ctrl_z_is_caught_wherever_the_focus_is(open_page: OpenPage, tmp_path: Path, size: str, scheme: str) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        if size == "narrow":
            unfold(page, "#list-details > summary")
        before = running.mentions()
        for selector in ("#search", "#min-score", "#candidate-score", "#finish", "#documents button"):
            page.locator("#text-pane").focus()
            press(page, "ArrowDown", "ArrowUp", "ArrowRight", "x")
            assert len(running.mentions()) == len(before) - 1
            page.locator(selector).first.focus()
            press(page, "Control+z")
            assert running.mentions() == before, selector
