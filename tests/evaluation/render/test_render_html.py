"""The report as an HTML page: complete, and safe to open."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import write
from entsemble.evaluation.documents import DocumentPair
from entsemble.evaluation.render.html import render_html
from entsemble.evaluation.render.tally import PageTally, find_errors
from entsemble.evaluation.report import build_report
from entsemble.evaluation.stages import count_stages
from entsemble.types import Document, Mention, mention_at
from tests.factories import mention

TEXT = "Ann <script>alert(1)</script> saw Oslo & Bergen."


def at(surface: str, label: str, score: float | None = None) -> Mention:
    return mention(TEXT, surface, label, score=score)


GOLD = Document("d<1>", TEXT, (at("Ann", "person"), at("Oslo", "town"), at("Bergen", "town")))
PREDICTED = Document("d<1>", TEXT, (at("Ann", "person", 0.9), at("Oslo", "per<son", 0.8), at("saw", "town", 0.95)))


def rendered_page() -> str:
    labels = {predicted.span: predicted.label for predicted in PREDICTED.mentions}
    stages = count_stages(GOLD.mentions, [predicted.span for predicted in PREDICTED.mentions], labels, {})
    tally = PageTally()
    report = build_report(
        [GOLD], [PREDICTED], stages=stages, members={"one": [PREDICTED]}, cost={"seconds": 1.5}, on_pair=tally.add
    )
    return render_html(report, tally, "A <title>")


def page_of(gold: Iterable[Document], predicted: Iterable[Document]) -> str:
    tally = PageTally()
    return render_html(build_report(gold, predicted, on_pair=tally.add), tally)


def test_the_page_has_all_figures_and_the_worst_errors_first() -> None:
    text = re.sub(r"<style>.*?</style>", "", rendered_page(), flags=re.DOTALL)
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))
    assert "F1 0.333" in words
    assert "1 of 3" in words
    for heading in (
        "Labels",
        "Confusion between labels",
        "Calibration",
        "Stages",
        "Members alone",
        "Worst errors",
        "Cost",
    ):
        assert f"<h2>{heading}</h2>" in text
    errors = re.findall(r"<li>(.*?)</li>", text)
    assert [re.findall(r"<(?:ins|del)>(.*?)</", error)[0] for error in errors] == ["saw", "Oslo", "Bergen"]
    assert "gold: Oslo: town" in errors[1]
    assert "missed" in errors[2]
    assert text.count("<svg") == 2


def test_texts_are_escaped_and_nothing_is_loaded() -> None:
    text = rendered_page()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "per&lt;son" in text
    assert "default-src 'none'" in text
    text = re.sub(r'<a href="http://127\.0\.0\.1:8766/#name=[^"<>]+&amp;start=\d+">', "", text)
    assert not re.search(r"(?:src|href|url)\s*[=(]", text.replace("default-src", ""))


def test_sections_without_data_are_omitted() -> None:
    for gold, predicted in (([GOLD], [GOLD]), ([GOLD], []), ([Document("x", "")], [Document("x", "")])):
        text = page_of(gold, predicted)
        assert "Calibration" not in text
        assert "Stages" not in text


def documents(count: int) -> Iterator[Document]:
    """Each mention has a score of its own, and in each third document another label."""
    for number in range(count):
        label = "town" if number % 3 == 0 else "person"
        yield Document(f"d{number:05}", TEXT, (at("Ann", label, number / count),))


def test_the_page_of_many_documents_is_short() -> None:
    gold = (replace(document, mentions=GOLD.mentions[:1]) for document in documents(3_000))
    text = page_of(gold, documents(3_000))
    assert len(text) < 40_000
    errors = re.findall(r"<li>(.*?)</li>", text)
    assert [re.findall(r"d\d{5}(?=</a>)", error) for error in errors[:2]] == [["d02997"], ["d02994"]]
    assert len(errors) == 50
    assert "950 more are not shown" in text


def test_an_error_names_the_gold_mentions_that_it_overlaps() -> None:
    text = "abcdefghij" * 10
    outer = mention_at(text, 0, 100, "x")
    inner = [mention_at(text, start, start + 2, "y") for start in range(50, 70, 2)]
    [error] = [e for e in find_errors(pair(text, (outer, *inner), (mention_at(text, 0, 51, "z"),))) if not e.is_missed]
    assert error.explanation == f"gold: {text}: x; ab: y"
    [error] = [e for e in find_errors(pair(text, inner, (outer,))) if not e.is_missed]
    assert error.explanation == "gold: ab: y; cd: y; ef: y; gh: y; ij: y; ..."
    [error] = [e for e in find_errors(pair(text, inner, (mention_at(text, 0, 50, "z"),))) if not e.is_missed]
    assert error.explanation == "gold: no mention"


def pair(text: str, gold: Sequence[Mention], predicted: Sequence[Mention]) -> DocumentPair:
    return DocumentPair(Document("d", text, tuple(gold)), Document("d", text, tuple(predicted)))


@pytest.mark.parametrize("name", ["score", "evaluate"])
def test_commands_write_the_page(
    name: str, command: Callable[..., Any], tmp_path: Path, scripted: None, plain_members: None
) -> None:
    write([GOLD], tmp_path / "gold.jsonl")
    write([PREDICTED], tmp_path / "predicted.jsonl")
    arguments = [tmp_path / "predicted.jsonl"] if name == "score" else ["--labels", "person,town", "--no-cache"]
    result = command(name, tmp_path / "gold.jsonl", *arguments, "--html", tmp_path / "report.html")
    assert result.code == 0
    assert "Worst errors" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert command(name, tmp_path / "gold.jsonl", *arguments, "--html", tmp_path / "no" / "report.html").code == 65
