"""Files in a real Chromium: the HTML export, and the page of an evaluation, whose errors open in `review`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import write
from entsemble.evaluation.render import html
from entsemble.evaluation.render.tally import PageTally
from entsemble.evaluation.report import build_report
from entsemble.types import Document, mention_at

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
pytest.importorskip("playwright", reason="needs playwright")
from playwright.sync_api import expect

from tests.server.browser import (
    BROWSER_MARKS,
    TEXT,
    current,
    everywhere,
    letter,
    running_server,
    violations,
)

pytestmark = BROWSER_MARKS

OpenPage = Callable[..., Any]

COLOURS = """() => Object.fromEntries([...document.querySelectorAll("mark[data-label]")].map((mark) => {
  const { backgroundColor, borderBottomColor } = getComputedStyle(mark);
  return [mark.dataset.label, `${backgroundColor} ${borderBottomColor}`];
}))"""


@everywhere
def test_the_html_export_is_filtered_and_stepped_through_by_key(
    open_page: OpenPage, tmp_path: Path, size: str, scheme: str
) -> None:
    path = tmp_path / "out.html"
    write([letter("one"), letter("two")], path)
    page = open_page(path.as_uri(), size, color_scheme=scheme, waits=False)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("mark:focus").inner_text().startswith("Oslo")
    expect(page.locator("#facts")).to_have_text("location 0.40; smollm2-135m: location")
    assert violations(page) == []
    page.locator("#score").evaluate("(s) => { s.value = 0.8; s.dispatchEvent(new Event('input')); }")
    expect(page.locator("#count")).to_have_text("4 of 8 shown")
    page.keyboard.press("Digit1")
    expect(page.locator("#count")).to_have_text("0 of 8 shown")
    page.locator("#legend button", has_text="person").click()
    expect(page.locator("mark:not(.hidden)")).to_have_count(4)
    assert violations(page) == []


@everywhere
def test_labels_have_the_same_colours_on_the_page_and_in_the_html_export(
    open_page: OpenPage, tmp_path: Path, size: str, scheme: str
) -> None:
    document = letter()
    write([document], tmp_path / "out.html")
    with running_server(tmp_path, [document]) as running:
        running.session.set_defaults({"person": "", "location": ""}, nested=False)  # in the order of the text
        page = open_page(running.address, size, color_scheme=scheme)
        shown = page.evaluate(COLOURS)
    exported = open_page((tmp_path / "out.html").as_uri(), size, color_scheme=scheme, waits=False).evaluate(COLOURS)
    assert exported == {label: shown[label] for label in exported}
    assert len(set(exported.values())) == len(exported) == 2


@everywhere
def test_the_worst_error_of_an_evaluation_opens_in_review(
    open_page: OpenPage, tmp_path: Path, size: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = TEXT.index("Bergen")
    gold = [Document("letter", TEXT, (mention_at(TEXT, 0, 3, "person"), mention_at(TEXT, start, start + 6, "person")))]
    with running_server(tmp_path, [letter("other"), letter()]) as running:
        monkeypatch.setattr(html, "REVIEW_PORT", int(running.address.rstrip("/").rpartition(":")[2]))
        tally = PageTally()
        report = build_report(gold, [letter()], on_pair=tally.add)
        path = tmp_path / "report.html"
        path.write_text(html.render_html(report, tally), encoding="utf-8")
        page = open_page(path.as_uri(), size, color_scheme=scheme, waits=False, also=running.address)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []
        assert page.locator("h2").first.inner_text() == "Worst errors"
        worst = page.locator("li a").first
        expect(page.locator("li").first).to_contain_text("Bob Lee")
        worst.click()
        expect(page.locator("#document-name")).to_have_text("letter")
        expect(page.locator("mark.current")).to_have_text("Bob Lee")
        assert current(page) == "Bob Lee"
