"""The report as a page: everything in it, nothing run from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import write
from entsemble.evaluation.confusion import NO_MENTION, count_confusions
from entsemble.evaluation.render.html import render_html
from entsemble.evaluation.report import build_report
from entsemble.evaluation.stages import count_stages
from entsemble.types import Document, Mention

TEXT = "Ann <script>alert(1)</script> saw Oslo & Bergen."


def at(surface: str, label: str, score: float | None = None) -> Mention:
    start = TEXT.index(surface)
    return Mention(start, start + len(surface), label, surface, score)


GOLD = Document("d<1>", TEXT, (at("Ann", "person"), at("Oslo", "town"), at("Bergen", "town")))
SAID = Document("d<1>", TEXT, (at("Ann", "person", 0.9), at("Oslo", "per<son", 0.8), at("saw", "town", 0.95)))


def made() -> str:
    stages = count_stages(GOLD.mentions, [m.span for m in SAID.mentions], {m.span: m.label for m in SAID.mentions}, {})
    report = build_report([GOLD], [SAID], stages=stages, members={"one": [SAID]}, cost={"seconds": 1.5})
    return render_html(report, [GOLD], [SAID], "A <title>")


def test_it_has_the_figures_and_the_worst_errors_first() -> None:
    text = re.sub(r"<style>.*?</style>", "", made(), flags=re.DOTALL)
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))
    assert "F1 0.333" in words
    assert "1 of 3" in words
    for heading in (
        "Labels",
        "Confusion between labels",
        "Calibration",
        "Stages",
        "Members, each alone",
        "Worst errors",
        "Cost",
    ):
        assert f"<h2>{heading}</h2>" in text
    errors = re.findall(r"<li>(.*?)</li>", text)
    assert [re.findall(r"<(?:ins|del)>(.*?)</", e)[0] for e in errors] == ["saw", "Oslo", "Bergen"]
    assert "gold: Oslo: town" in errors[1]
    assert "missed" in errors[2]
    assert text.count("<svg") == 2


def test_nothing_in_a_text_is_run_or_fetched() -> None:
    text = made()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "per&lt;son" in text
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src|href|url)\s*[=(]", text.replace("default-src", ""))


def test_without_scores_or_stages_or_mentions() -> None:
    for gold, said in (([GOLD], [GOLD]), ([GOLD], []), ([Document("x", "")], [Document("x", "")])):
        text = render_html(build_report(gold, said), gold, said)
        assert "Calibration" not in text
        assert "Stages" not in text


def test_what_was_taken_for_what() -> None:
    taken = count_confusions(GOLD.mentions, SAID.mentions)
    assert taken == {("person", "person"): 1, ("town", "per<son"): 1, ("town", NO_MENTION): 1, (NO_MENTION, "town"): 1}
    two = [at("Oslo", "town"), at("Oslo", "ship")]
    assert count_confusions(two, [at("Oslo", "town"), at("Oslo", "person")]) == {
        ("town", "town"): 1,
        ("ship", "person"): 1,
    }


@pytest.mark.parametrize("name", ["score", "evaluate"])
def test_from_the_command_line(
    name: str, command: Callable[..., Any], tmp_path: Path, scripted: None, plain_members: None
) -> None:
    write([GOLD], tmp_path / "gold.jsonl")
    write([SAID], tmp_path / "said.jsonl")
    given = [tmp_path / "said.jsonl"] if name == "score" else ["--labels", "person,town", "--no-cache"]
    ran = command(name, tmp_path / "gold.jsonl", *given, "--html", tmp_path / "report.html")
    assert ran.code == 0
    assert "Worst errors" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert command(name, tmp_path / "gold.jsonl", *given, "--html", tmp_path / "no" / "report.html").code == 65
