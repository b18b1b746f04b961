"""The review page in a real Chromium: every line of work, with the keyboard and with the mouse."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read
from entsemble.types import Document

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
pytest.importorskip("playwright", reason="needs playwright")
from playwright.sync_api import expect

from tests.server.browser import (
    CHROMIUM,
    TEXT,
    current,
    letter,
    marks,
    press,
    running_server,
    scored,
    select_text,
    settle,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.usefixtures("scripted", "plain_members"),
]

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


def test_a_document_is_corrected_by_keyboard_alone(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address)
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


def test_a_document_is_corrected_by_mouse_alone(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address)
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
        page.locator("#mention-names button").nth(3).click()
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
        page.locator("#mention-actions button", has_text="Add").click()
        settle(page)
        assert ("Nobody", "person") in running.mentions()
        page.locator("#candidate-score").evaluate("(s) => { s.value = 0.95; s.dispatchEvent(new Event('input')); }")
        expect(page.locator("mark.faint")).to_have_text(["silence"])
        page.locator("#text-pane").focus()
        press(page, "c", "a")
        assert ("silence", "location") in running.mentions()


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


def test_sentences_appear_one_by_one_and_cancelling_keeps_them(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from entsemble.ner.pipeline import Pipeline

    run_pipeline = Pipeline.run

    def slow(self: Pipeline, text: str) -> Any:
        time.sleep(0.15)
        return run_pipeline(self, text)

    monkeypatch.setattr(Pipeline, "run", slow)
    with running_server(tmp_path) as running:
        page = open_page(running.address)
        page.fill("#new-text", "\n".join(f"Ann left Oslo on day {number}." for number in range(300)))
        page.click("#extract")
        expect(page.locator("#work-text")).to_contain_text(re.compile(r"sentence \d+ of 300, (about|less)"))
        expect(page.locator("#text mark").nth(3)).to_be_visible()
        press(page, "ArrowRight", "a")
        assert current(page) == "Oslo", "what is there can be corrected already"
        page.click("#cancel")
        expect(page.locator("#work")).to_be_hidden()
        count = page.locator("#text mark").count()
        assert 4 <= count < 600
        expect(page.locator("#incomplete-text")).to_have_text("The extraction was cancelled.")
        monkeypatch.setattr(Pipeline, "run", run_pipeline)
        page.click("#continue")
        expect(page.locator("#text mark")).to_have_count(600)


def test_files_are_dropped_anywhere_and_errors_name_them(open_page: OpenPage, tmp_path: Path) -> None:
    line = {"id": "gold", "text": "Ann slept.", "mentions": [{"start": 0, "end": 3, "label": "pilot"}]}
    with running_server(tmp_path) as running:
        page = open_page(running.address)
        files = {"gold.jsonl": json.dumps(line), "broken.jsonl": "{}", "words.conll": "Ann B-person\nslept O\n"}
        page.evaluate(
            """(files) => {
              const dataTransfer = new DataTransfer();
              for (const [name, text] of Object.entries(files)) dataTransfer.items.add(new File([text], name));
              const options = { dataTransfer, bubbles: true, cancelable: true };
              const drop = (kind, target) => target.dispatchEvent(new DragEvent(kind, options));
              drop("dragenter", document.body);
              drop("drop", document.querySelector("h1"));
            }""",
            files,
        )
        expect(page.locator("#documents li")).to_have_count(2)
        expect(page.locator("#problem")).to_contain_text("broken.jsonl:1: there is no text")
        expect(page.locator("#document-name")).to_have_text("gold")
        assert running.mentions(0) == [("Ann", "pilot")]
        path = tmp_path / "more.txt"
        path.write_text("Bob Lee left Oslo.")
        page.locator("#add > summary").click()
        page.locator("#file").set_input_files([path])
        expect(page.locator("#document-name")).to_have_text("more.txt")
        expect(page.locator("#text mark")).to_have_count(2)


@pytest.mark.parametrize(("key", "code"), [("é", "Digit2"), ("2", "Digit2"), ("2", "Numpad2")])
def test_digits_of_any_keyboard_layout_set_labels(open_page: OpenPage, tmp_path: Path, key: str, code: str) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address)
        press(page, "ArrowRight")
        page.evaluate(
            """([key, code]) => {
              const event = new KeyboardEvent("keydown", { key, code, bubbles: true });
              document.activeElement.dispatchEvent(event);
            }""",
            [key, code],
        )
        settle(page)
        assert running.mentions()[0] == ("Ann", "organisation")


def test_labels_belong_to_the_session(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address)
        page.locator("#add > summary").click()
        page.locator("#add-label").click()
        page.locator("#labels input").nth(-2).fill("ship")
        page.locator("#labels input").nth(-1).fill("with a name")
        page.locator("#text-pane").click()
        expect(page.locator("#filters")).to_contain_text("ship 0")
        assert running.session.labels["ship"] == "with a name"
        other = open_page(running.address)
        expect(other.locator("#filters")).to_contain_text("ship 0")


def test_labels_and_scores_are_filtered(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address)
        page.locator("#filters button", has_text="person").click()
        assert marks(page) == [ALL[1], ALL[3]]
        page.locator("#min-score").evaluate("(s) => { s.value = 0.5; s.dispatchEvent(new Event('input')); }")
        expect(page.locator("#text mark")).to_have_text(["Bergen"])


def test_the_session_is_downloaded(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter("first"), letter("second")]) as running:
        page = open_page(running.address)
        press(page, "d")
        page.locator("#export > summary").click()
        page.locator("#only-done").check()
        with page.expect_download() as download:
            page.click("#download")
        download.value.save_as(tmp_path / "out.jsonl")
        [exported] = read(tmp_path / "out.jsonl")
        assert (exported.id, exported.text, len(exported.mentions)) == ("first", TEXT, 4)


def test_the_page_asks_for_the_key(open_page: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path, [letter()], key="s3cret") as running:
        page = open_page(running.address, waits=False)
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
        expect(page.locator("#text .sentence:not(.pending)")).to_have_count(2, timeout=240_000)
        assert {("Bremen", "town"), ("Ida Lund", "captain")} <= set(marks(page))
