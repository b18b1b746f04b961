"""Twenty documents of 150 words, corrected with the keyboard alone: on the page of `review`, and on the one before it.

    python -m benchmarks.review.walk [--again] [--rounds 5]

A robot presses the keys in Chromium, and waits after each until the page has drawn the answer. Five corrections a
document: two labels, a mention to reject, one to add and one to shorten. Both pages have the same mentions; the time of
opening and extracting is not counted. The page before `review` is served from its commit; its documents are one file,
and `s` saves at the end of each. A clock measures the keys, so the machine should have nothing else to do; the
two pages take turns. Each round checks that what was stored is right. Needs Playwright and Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Page as BrowserPage
from playwright.sync_api import expect, sync_playwright

from benchmarks.common import ROOT, run_once
from benchmarks.review.walk_documents import CORRECTIONS, PageName, WalkDocument, walk_document, walk_keys
from entsemble.data.formats import read, write
from entsemble.types import Document

RESULT = Path(__file__).with_name("results") / "walk.json"
COMMAND = "python -m benchmarks.review.walk"
OLD_COMMIT = "cffabbcb370f125ec488f013e2b1c859cc69a343"
"""The last commit before the page of `review`."""

COUNT = 20
_START_SECONDS = 180
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_COMMANDS: Mapping[PageName, str] = {"new": "review", "old": "serve"}

# Until the page has done what the key asks for, and the next frame is drawn.
_ANSWERED = """async () => {
  const store = await import("/static/store.js").catch(() => null);
  await store?.enqueue(() => {});
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}"""
_ANSWERED_OLD = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"


def main() -> None:
    """Measure, unless this is stored, and print the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--again", action="store_true", help="measure again what is measured")
    parser.add_argument("--rounds", type=int, default=5, help="of each page")
    options = parser.parse_args()
    inputs = {"rounds": options.rounds, "documents": COUNT, "corrections": COUNT * CORRECTIONS, "old": OLD_COMMIT}
    path = Path(os.environ.get("WALK_RESULT", RESULT))
    run_once(path, COMMAND, partial(measure, options.rounds), inputs, force=options.again)
    result = json.loads(path.read_text(encoding="utf-8"))
    for page, keys in result["keys"].items():
        seconds = [value / result["corrections"] for value in result["seconds"][page]]
        per_key = f"{keys / result['corrections']:.2f} keys"
        print(f"{page}: {per_key}, {median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f}) a correction")


def measure(rounds: int) -> dict[str, Any]:
    """Keys of a walk, and the seconds of each walk, of both pages."""
    executable = next((path for name in _CHROMIUM if (path := shutil.which(name))), None)
    documents = [walk_document(number) for number in range(COUNT)]
    keys = {page: COUNT * len(walk_keys(page)) for page in _COMMANDS}
    seconds: dict[PageName, list[float]] = {page: [] for page in _COMMANDS}
    with sync_playwright() as play, old_source() as old, TemporaryDirectory() as folder:
        chromium = play.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for number in range(rounds):
            for page in _COMMANDS:
                place = Path(folder) / f"{page}-{number}"
                place.mkdir()
                browser_page = chromium.new_page(viewport={"width": 1440, "height": 900})
                with running(page, old if page == "old" else ROOT / "src", place, documents) as address:
                    seconds[page].append(round(walk(page, browser_page, address, documents, place), 3))
                browser_page.close()
                print(f"round {number + 1}, {page}: {seconds[page][-1]} s", flush=True)
        chromium.close()
    return {"keys": keys, "seconds": seconds}


def walk(
    page: PageName, browser_page: BrowserPage, address: str, documents: Sequence[WalkDocument], folder: Path
) -> float:
    """Seconds that the keys of all documents take.

    Raises:
        ValueError: what the page has stored is not what the robot was to correct.
    """
    if page == "old":
        _open_old(browser_page, address, documents, folder)
    else:
        browser_page.goto(address)
        expect(browser_page.locator("#documents li")).to_have_count(COUNT)
    started = time.monotonic()
    for number in range(len(documents)):
        for key in walk_keys(page):
            browser_page.keyboard.press(key)
            browser_page.evaluate(_ANSWERED if page == "new" else _ANSWERED_OLD)
        if page == "old":
            expect(browser_page.locator("#summary")).to_contain_text("saved")
        elif number + 1 < len(documents):
            expect(browser_page.locator("#document-name")).to_have_text(documents[number + 1].gold.id)
    seconds = time.monotonic() - started
    _check(page, address, documents, folder)
    return seconds


def _open_old(browser_page: BrowserPage, address: str, documents: Sequence[WalkDocument], folder: Path) -> None:
    """Open the documents on the old page, whose extraction is answered with their mentions."""
    events = "".join(f"event: document\ndata: {json.dumps(_response(one))}\n\n" for one in documents)
    browser_page.route("**/v1/extract", lambda route: route.fulfill(content_type="text/event-stream", body=events))
    browser_page.goto(address)
    expect(browser_page.locator("#state")).to_have_text("ready", timeout=1000 * _START_SECONDS)
    browser_page.set_input_files("#file", folder / "documents.jsonl")
    expect(browser_page.locator("#message")).to_contain_text(f"{COUNT} documents")
    browser_page.click("#extract")
    expect(browser_page.locator("#summary")).to_contain_text(f"{COUNT} documents")
    browser_page.focus("#result")


def _response(document: WalkDocument) -> dict[str, Any]:
    """A document as the server of the old page answers."""
    text = document.predicted.text
    mentions: list[dict[str, Any]] = [
        {"start": m.start, "end": m.end, "label": m.label, "text": m.text, "score": m.score, "votes": {}}
        for m in document.predicted.mentions
    ]
    places = {"sentences": document.sentences, "ledger": [], "verified": [], "demonstrations": []}
    return {"id": document.predicted.id, "text": text, "mentions": mentions, **places}


def _check(page: PageName, address: str, documents: Sequence[WalkDocument], folder: Path) -> None:
    gold = {document.gold.text: _triples(document.gold) for document in documents}
    if page == "new":
        with urllib.request.urlopen(f"{address}v1/review/export?format=jsonl&only_done=true") as response:
            (folder / "out.jsonl").write_bytes(response.read())
        stored = {document.text: _triples(document) for document in read(folder / "out.jsonl")}
    else:  # the changed sentences alone
        gold = {text: triples for document in documents for text, triples in document.corrected_sentences()}
        stored = {document.text: _triples(document) for document in read(folder / "pool.jsonl")}
    if stored != gold:
        wrong = next(text for text in {**gold, **stored} if gold.get(text) != stored.get(text))
        raise ValueError(f"{page}: {wrong!r} has {stored.get(wrong)} instead of {gold.get(wrong)}")


def _triples(document: Document) -> list[tuple[int, int, str]]:
    return sorted((mention.start, mention.end, mention.label) for mention in document.mentions)


@contextmanager
def old_source() -> Iterator[Path]:
    """The source code of the commit before the page of `review`."""
    archive = subprocess.run(["git", "archive", OLD_COMMIT, "src/entsemble"], cwd=ROOT, capture_output=True, check=True)
    with TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder) / "src"


@contextmanager
def running(page: PageName, source: Path, folder: Path, documents: Sequence[WalkDocument]) -> Iterator[str]:
    """A server of the page from its source code, as the command line starts it; gives its address."""
    write([document.predicted for document in documents], folder / "documents.jsonl")
    arguments = ["--port", "0", "--pool", str(folder / "pool.jsonl"), "--labels", "person,location"]
    if page == "new":
        arguments += ["--no-browser", str(folder / "documents.jsonl")]
    command = [sys.executable, "-m", "entsemble", _COMMANDS[page], *arguments]
    environment = {**os.environ, "PYTHONPATH": str(source), "ENTSEMBLE_CACHE": str(folder / "cache")}
    with (folder / "log").open("w+") as log, subprocess.Popen(command, stderr=log, env=environment) as process:
        try:
            yield _address(process, folder / "log")
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that a server prints.

    Raises:
        ValueError: it ended, or printed none in time.
    """
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        words = log.read_text().split()
        if address := next((word for word in words if word.startswith("http://")), None):
            return address
        time.sleep(0.1)
    raise ValueError(f"the server did not start: {log.read_text()}")


if __name__ == "__main__":
    main()
