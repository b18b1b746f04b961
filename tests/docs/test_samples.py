"""The samples that ship with the project: exact offsets, and no sentence of the demo in its pool."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .markdown import DOCS, ROOT

SAMPLES = ROOT / "src" / "entsemble" / "samples"
DEMO, DEMO_POOL = SAMPLES / "demo.txt", SAMPLES / "demo-pool.jsonl"
TUTORIAL = DOCS / "tutorial-data"
TUTORIAL_POOL = TUTORIAL / "pool.jsonl"


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("path", "count", "labels"),
    [
        (DEMO_POOL, 48, {"person", "organisation", "location"}),
        (TUTORIAL_POOL, 10, {"artist", "artwork", "museum"}),
    ],
    ids=["demo", "tutorial"],
)
def test_pools_are_exact(path: Path, count: int, labels: set[str]) -> None:
    records = _records(path)
    assert len(records) == len({r["id"] for r in records}) == len({r["text"] for r in records}) == count
    assert {m["label"] for r in records for m in r["mentions"]} == labels
    for record in records:
        end = 0
        for mention in record["mentions"]:
            assert record["text"][mention["start"] : mention["end"]] == mention["text"]
            assert mention["start"] >= end, "mentions of a flat pool are sorted and do not overlap"
            end = mention["end"]


@pytest.mark.parametrize("path", [DEMO_POOL, TUTORIAL_POOL], ids=["demo", "tutorial"])
def test_pools_have_sentences_without_a_mention(path: Path) -> None:
    assert any(not r["mentions"] for r in _records(path))


@pytest.mark.parametrize("path", [DEMO_POOL, TUTORIAL_POOL], ids=["demo", "tutorial"])
def test_a_name_is_annotated_wherever_it_stands(path: Path) -> None:
    records = _records(path)
    names = {m["text"] for r in records for m in r["mentions"]}
    for record in records:
        for name in names:
            for place in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", record["text"]):
                covered = any(m["start"] <= place.start() and place.end() <= m["end"] for m in record["mentions"])
                assert covered, f"{record['id']}: {name!r} at {place.start()} is not annotated"


def test_the_demo_is_not_in_its_pool() -> None:
    text = DEMO.read_text(encoding="utf-8")
    assert 600 <= len(text) <= 1_400
    records = _records(DEMO_POOL)
    assert not [r["id"] for r in records if r["text"] in text]
    assert not {m["text"] for r in records for m in r["mentions"] if re.search(rf"\b{re.escape(m['text'])}\b", text)}


def test_the_tutorial_texts_are_not_in_their_pool() -> None:
    texts = [p.read_text(encoding="utf-8") for p in sorted((TUTORIAL / "texts").glob("*.txt"))]
    assert len(texts) == 4
    assert not [r["id"] for r in _records(TUTORIAL_POOL) for text in texts if r["text"] in text]
