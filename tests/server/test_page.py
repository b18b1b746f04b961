"""The review page in a real Chromium: one document, with the keyboard and with the mouse."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read
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
    select_text,
    settle,
)

pytestmark = BROWSER_MARKS

ALL = [("Ann", "person"), ("Oslo", "location"), ("Bob Lee", "person"), ("Bergen", "location")]

OpenPage = Callable[..., Any]


def test_a_text_is_extracted_and_shown_with_members_and_votes(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path) as running:
        page = open_page(running.address)
        assert page.locator("#add").get_attribute("open") is not None, "the form is open while there is nothing"
        page.fill("#new-text", TEXT)
        page.click("#extract")
        expect(page.locator("#text mark")).to_have_count(5)
        assert marks(page) == [*ALL[:3], ("Ann", "person"), ALL[3]]
        assert page.locator("#add").get_attribute("open") is None, "the form folds after the first result"
        assert page.locator("#text b").count() == 0, "HTML in a text is displayed as text"
        assert page.locator("#text").inner_text().replace("\xa0", " ").strip() == TEXT
        page.locator("#text mark", has_text="Oslo").click()
        facts = page.locator("#mention-facts")
        expect(facts).to_contain_text(re.compile(r"proposed by\s*smollm2-135m, gemma-3-270m"))
        expect(facts).to_contain_text(re.compile(r"vote of smollm2-135m\s*location"))


@everywhere
def test_a_document_is_corrected_by_keyboard_alone(open_page: OpenPage, tmp_path: Path, size: str, scheme: str) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        assert page.evaluate("document.activeElement.id") == "text-pane", "keys work at once"
        press(page, "ArrowRight")
        assert current(page) == "Ann"
        press(page, "a")
        assert current(page) == "Oslo", "accept goes to the next"
        press(page, "2")
        assert current(page) == "Bob Lee", "a label goes to the next"
        press(page, "l", "k", "k", "x")
        assert current(page) == "Bergen", "reject goes to the next"
        press(page, "n", "m")
        expect(page.locator("#menu")).to_be_visible()
        press(page, "ArrowDown", "Enter")
        expect(page.locator("#menu")).to_be_hidden()
        assert running.mentions() == [
            ("Ann", "person"),
            ("Oslo", "organisation"),
            ("Bergen", "location"),
            ("The", "organisation"),
        ]
        press(page, "Control+z", "Control+z", "Control+z")
        assert "The" not in dict(running.mentions())
        assert "Bob" in dict(running.mentions())
        press(page, "Control+Shift+Z", "Control+y", "Control+y")
        assert running.mentions()[2:] == [("Bergen", "location"), ("The", "organisation")]
        press(page, "d")
        expect(page.locator("#document-name")).to_have_text("second")
        expect(page.locator("#done-count")).to_have_text("1 of 2 done")
        press(page, "b")
        expect(page.locator("#document-name")).to_have_text("first")
        press(page, "f", "s")
        page.keyboard.type("first")
        settle(page)
        expect(page.locator("#document-name")).to_have_text("second")
        assert page.evaluate("document.activeElement.id") == "search"


@everywhere
def test_a_document_is_corrected_by_mouse_alone(open_page: OpenPage, tmp_path: Path, size: str, scheme: str) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        if size == "narrow":  # where both are folded at first
            page.locator("#list-details > summary").click()
            page.locator("#text mark", has_text="Oslo").click()
            page.locator("#mention-details > summary").click()
        page.locator("#text mark", has_text="Oslo").click()
        page.locator("#mention-labels button", has_text="organisation").click()
        expect(page.locator("#mention-text")).to_have_text("Bob Lee · person")
        page.locator("#mention-actions button", has_text="Reject").click()
        expect(page.locator("#mention-text")).to_have_text("Bergen · location")
        select_text(page, "silence", drop=3)
        menu = page.locator("#menu")
        expect(menu).to_be_visible()
        expect(menu.locator("p")).to_have_text("silence")
        assert page.evaluate("getSelection().toString()").startswith("sile"), "the text stays selected, to copy it"
        menu.locator("button", has_text="location").click()
        expect(page.locator("#mention-text")).to_have_text("silence · location")
        page.locator("#mention-edges button").nth(1).click()
        settle(page)
        assert running.mentions() == [
            ("Ann", "person"),
            ("Oslo", "organisation"),
            ("Bergen", "location"),
            ("silence", "location"),
        ]
        page.locator("#undo").click()
        settle(page)
        page.locator("#finish").click()
        expect(page.locator("#document-name")).to_have_text("second")
        page.locator("#documents button", has_text="first").click()
        expect(page.locator("#document-name")).to_have_text("first")
        page.locator("#delete").click()
        expect(page.locator("#documents li")).to_have_count(1)
        page.locator("#undo").click()
        expect(page.locator("#documents li")).to_have_count(2)


def test_a_missed_name_is_added_by_keyboard_one_key_a_word(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address)
        press(page, "ArrowRight", "n", "n")
        assert running.mentions() == [ALL[0], ("to", "person"), *ALL[1:]]
        press(page, "n")
        assert running.mentions() == [*ALL[:2], ("b", "person"), *ALL[2:]], "the next word that is in no mention"
        press(page, "n", "l", "n")
        assert [text for text, _ in running.mentions()[2:5]] == ["Nobody</b", "met", "Bob Lee"], (
            "after an edge, a new one"
        )
        press(page, "Control+z", "Control+z", "Control+z")
        assert running.mentions()[2] == ("b", "person")


def test_part_of_a_word_can_be_selected_and_an_overlap_replaces(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address)
        select_text(page, "silence", drop=3)
        page.locator("#menu button", has_text="only what is selected").click()
        page.locator("#menu button", has_text="organisation").click()
        settle(page)
        added = running.mentions()[-1]
        assert added[0] in ("sile", "silen", "sil")
        assert added[1] == "organisation"
        select_text(page, "Lee")
        press(page, "1")
        assert ("Lee", "person") in running.mentions()
        assert ("Bob Lee", "person") not in running.mentions()
        expect(page.locator("#status")).to_contain_text("replaces 1 overlapping mention")
        press(page, "Control+z")
        page.locator("#add > summary").click()
        page.locator("#nested").check()
        settle(page)
        select_text(page, "Lee")
        press(page, "1")
        assert {("Lee", "person"), ("Bob Lee", "person")} <= set(running.mentions())
        expect(page.locator("#text mark mark")).to_have_text("Lee")


def test_all_of_a_name_is_labelled_with_a_count_and_undone(open_page: OpenPage, tmp_path: Path) -> None:
    documents = [
        scored("Ann, Ann and Anna.", ("Ann", "person", 0.9), name="a"),
        Document("b", "Ann."),
        Document("c", "-"),
    ]
    with running_server(tmp_path, documents) as running:
        page = open_page(running.address)
        press(page, "ArrowRight", "3", "ArrowLeft", "g")
        expect(page.locator("#status")).to_have_text("all of “Ann”: 1 changed in this document")
        assert running.mentions() == [("Ann", "location")] * 2
        press(page, "G")
        expect(page.locator("#status")).to_have_text("all of “Ann”: 1 changed everywhere")
        assert running.mentions(1) == [("Ann", "location")]
        press(page, "Control+z")
        assert running.mentions(1) == []
        expect(page.locator("#status")).to_have_text("undone: all of “Ann”")
        page.locator("[aria-label='Reject all everywhere']").click()
        settle(page)
        assert running.mentions() == []


def test_rejected_candidates_are_shown_above_a_slider_and_added_with_one_click(
    open_page: OpenPage, tmp_path: Path
) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address)
        assert page.locator("mark.faint").count() == 0
        page.locator("#candidate-score").evaluate("(s) => { s.value = 0.75; s.dispatchEvent(new Event('input')); }")
        expect(page.locator("mark.faint")).to_have_text(["Nobody"])
        page.locator("mark.faint").click()
        expect(page.locator("#mention-facts")).to_contain_text("below the threshold")
        settle(page)
        assert ("Nobody", "person") in running.mentions()
        page.locator("#candidate-score").evaluate("(s) => { s.value = 0.95; s.dispatchEvent(new Event('input')); }")
        expect(page.locator("mark.faint")).to_have_text(["silence"])
        page.locator("#text-pane").focus()
        press(page, "c", "a")
        assert ("silence", "location") in running.mentions()


def test_what_a_filter_hides_is_not_changed_by_keys(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address)
        press(page, "ArrowRight")
        page.locator("#filters button", has_text="person").click()
        page.locator("#text-pane").focus()
        press(page, "x")
        assert running.mentions() == ALL
        press(page, "ArrowRight")
        assert current(page) == "Oslo"


@everywhere
def test_the_text_is_copied_as_it_is(open_page: OpenPage, tmp_path: Path, size: str, scheme: str) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address, size, color_scheme=scheme, permissions=["clipboard-read", "clipboard-write"])
        select_text(page, "Nobody")
        page.keyboard.press("Control+c")
        assert page.evaluate("navigator.clipboard.readText()") == "Nobody"
        page.evaluate("getSelection().selectAllChildren(document.querySelector('#text'))")
        page.keyboard.press("Control+c")
        assert page.evaluate("navigator.clipboard.readText()").strip() == TEXT


def test_blank_lines_between_paragraphs_are_shown_and_copied(open_page: OpenPage, tmp_path: Path) -> None:
    text = "Ann left.\n\nBob slept.\n\n\nNobody came.\nThe end."
    with running_server(tmp_path, [Document("letter", text)]) as running:
        page = open_page(running.address, permissions=["clipboard-read", "clipboard-write"])
        tops = [page.locator(".sentence").nth(number).bounding_box()["y"] for number in range(4)]
        line = tops[3] - tops[2]
        assert [round((after - before) / line) for before, after in pairwise(tops)] == [2, 3, 1]
        page.evaluate("getSelection().selectAllChildren(document.querySelector('#text'))")
        page.keyboard.press("Control+c")
        assert page.evaluate("navigator.clipboard.readText()").strip() == text


def test_sentences_are_signed_off_and_go_to_the_pool(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address)
        press(page, "Enter", "ArrowDown", "0")
        assert page.locator(".sentence.signed").count() == 2
        expect(page.locator("#document-facts")).to_contain_text("2 of 3 sentences signed off")
        page.locator("#export > summary").click()
        expect(page.locator("#pool-count")).to_have_text("2 sentences signed off and in the pool")
        stored = {d.text: [(m.text, m.label) for m in d.mentions] for d in read(running.pool.path)}
        assert stored == {"Ann flew to Oslo.": ALL[:2], "The rest is silence 🛶.": []}


def test_the_least_certain_sentence_is_next_in_that_order(open_page: OpenPage, tmp_path: Path) -> None:
    documents = [
        letter("first"),
        scored("Oslo. Ann.", ("Oslo", "location", 0.2), ("Ann", "person", 0.5), name="second"),
    ]
    with running_server(tmp_path, documents) as running:
        page = open_page(running.address)
        page.locator("#order").select_option("least")
        press(page, "q")
        expect(page.locator("#document-name")).to_have_text("second")
        assert current(page) == "Oslo"
        press(page, "x")
        assert current(page) == "Ann"
        press(page, "a")
        expect(page.locator("#document-name")).to_have_text("first")
        assert current(page) == "Oslo"
        page.locator("#queue-details > summary").click()
        expect(page.locator("#queue li").first).to_contain_text("Ann flew to Oslo. 0.40 · first")
        page.locator("#queue button", has_text="Bergen").click()
        settle(page)
        assert current(page) == "Bergen"
