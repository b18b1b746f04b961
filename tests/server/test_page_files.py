"""The review page in a real Chromium: files and folders in, labels, and the session out as a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
pytest.importorskip("playwright", reason="needs playwright")
from playwright.sync_api import expect

from tests.server.browser import BROWSER_MARKS, TEXT, everywhere, letter, press, running_server, settle

pytestmark = BROWSER_MARKS

OpenPage = Callable[..., Any]


@everywhere
def test_files_are_dropped_anywhere_and_errors_name_them(
    open_page: OpenPage, tmp_path: Path, size: str, scheme: str
) -> None:
    line = {"id": "gold", "text": "Ann slept.", "mentions": [{"start": 0, "end": 3, "label": "pilot"}]}
    with running_server(tmp_path) as running:
        page = open_page(running.address, size, color_scheme=scheme)
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


@everywhere
def test_folders_are_dropped_and_what_cannot_be_read_is_named(
    open_page: OpenPage, tmp_path: Path, size: str, scheme: str
) -> None:
    folder = tmp_path / "letters"
    (folder / "may").mkdir(parents=True)
    (folder / "first.txt").write_text("Ann left Oslo.")
    (folder / "may" / "first.txt").write_text("Bob Lee slept.")
    (folder / "may" / "broken.pdf").write_bytes(b"not a PDF")
    (folder / ".hidden").write_text("Ann.")
    with running_server(tmp_path) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        devtools = page.context.new_cdp_session(page)
        data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 300, "data": data})
        expect(page.locator("#documents .name")).to_have_text(["letters/first.txt", "letters/may/first.txt"])
        expect(page.locator("#problem")).to_contain_text("letters/may/broken.pdf: ")
        expect(page.locator("#text mark")).to_have_count(2)


@everywhere
def test_labels_belong_to_the_session(open_page: OpenPage, tmp_path: Path, size: str, scheme: str) -> None:
    with running_server(tmp_path, [letter()]) as running:
        page = open_page(running.address, size, color_scheme=scheme)
        page.locator("#add > summary").click()
        page.locator("#add-label").click()
        page.locator("#labels input").nth(-2).fill("ship")
        page.locator("#labels input").nth(-1).fill("with a name")
        page.locator("#text-pane").click()
        expect(page.locator("#filters")).to_contain_text("ship 0")
        settle(page)
        assert running.session.labels["ship"] == "with a name"
        other = open_page(running.address, size, color_scheme=scheme)
        expect(other.locator("#filters")).to_contain_text("ship 0")


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
