"""What a server accepts, and what it says about the rest."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read
from entsemble.errors import ConfigError, EntsembleError

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from fastapi.testclient import TestClient

from entsemble.server.limits import Limits, TooLargeError, parse_limits
from entsemble.server.pool_file import PoolFile
from entsemble.server.service import ExtractionService
from entsemble.types import Document, mention_at

Serve = Callable[..., TestClient]


def annotated(text: str, *mentions: tuple[int, int, str]) -> dict[str, Any]:
    return {"text": text, "mentions": [{"start": start, "end": end, "label": label} for start, end, label in mentions]}


NESTED = annotated("abcdefgh", *((0, end, "person") for end in range(1, 9)))


@pytest.mark.parametrize(
    ("limits", "labels", "text", "reason"),
    [
        ({"labels": 2}, {"a": "", "b": "", "c": ""}, "Ann", "at most 2 labels can be used together, got 3"),
        ({"label_characters": 3}, {"abcd": ""}, "Ann", "a label has at most 3 characters; 'abcd'... has 4"),
        (
            {"definition_characters": 3},
            {"a": "long"},
            "Ann",
            "a definition has at most 3 characters; that of 'a' has 4",
        ),
        ({"characters_per_document": 2}, {"a": ""}, "Ann", "a text has at most 2 characters, got 3"),
    ],
)
def test_an_extraction_is_limited(
    serve: Serve, limits: dict[str, int], labels: dict[str, str], text: str, reason: str
) -> None:
    response = serve(**limits).post("/v1/extract", json={"documents": [{"text": text}], "labels": labels})
    assert (response.status_code, response.json()) == (413, {"error": reason})


@pytest.mark.parametrize("path", ["/v1/pool", "/v1/export?format=html"])
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"mentions_per_document": 7}, "a text has at most 7 mentions, got 8"),
        ({"overlapping_mentions": 3}, "at most 3 mentions may cover one character; 8 cover that at 0"),
        ({"characters_per_document": 7}, "a text has at most 7 characters, got 8"),
        ({"label_characters": 5}, "a label has at most 5 characters; 'person'... has 6"),
        ({"documents_per_request": 1}, "at most 1 documents per request, got 2"),
    ],
)
def test_annotated_texts_are_limited(serve: Serve, path: str, limits: dict[str, int], reason: str) -> None:
    response = serve(**limits).post(path, json={"documents": [NESTED, annotated("x")]})
    assert (response.status_code, response.json()) == (413, {"error": reason})


def test_ten_thousand_labels_are_refused_at_once(serve: Serve) -> None:
    client = serve()
    started = time.monotonic()
    labels = {f"label{number}": "" for number in range(10_000)}
    response = client.post("/v1/extract", json={"documents": [{"text": "Ann"}], "labels": labels})
    assert response.status_code == 413
    assert time.monotonic() - started < 5


def test_overlapping_mentions_are_refused_before_their_texts_are_copied(serve: Serve) -> None:
    text = "a" * 20_000
    body = {"documents": [annotated(text, *((start, 20_000, "person") for start in range(9_000)))]}
    started = time.monotonic()
    for path in ("/v1/pool", "/v1/export?format=conll"):
        response = serve().post(path, json=body)
        assert response.status_code == 413
        assert "at most 20 mentions may cover one character" in response.json()["error"]
    assert time.monotonic() - started < 10


def test_the_pool_stores_a_mention_once_and_without_its_text(
    serve: Serve, extraction_service: ExtractionService
) -> None:
    text = "x" * 5000 + "Carla"
    mentions = [(start, 5005, "person") for start in range(20)] * 3
    assert serve().post("/v1/pool", json={"documents": [annotated(text, *mentions)]}).status_code == 201
    path = extraction_service.pool.path
    [line] = path.read_text().splitlines()
    assert len(json.loads(line)["mentions"]) == 20
    assert len(line) < 7000
    [stored] = read(path)
    assert [mention.text for mention in stored.mentions] == [text[start:] for start in range(20)]


def pool_document(number: int, label: str = "person", length: int = 1) -> Document:
    text = f"Ann {number} " + "a" * length
    return Document(str(number), text, (mention_at(text, 0, 3, label),))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(pool_documents=2), "a pool has at most 2 documents"),
        (Limits(pool_bytes=1200), "a pool has at most 1200 bytes"),
        (Limits(labels=1), "a pool has at most 1 labels"),
    ],
)
def test_a_pool_does_not_grow_beyond_a_limit_but_may_shrink(
    extraction_service: ExtractionService, limits: Limits, reason: str
) -> None:
    pool: PoolFile = extraction_service.pool
    pool.add([pool_document(number, f"label{number}", 500) for number in range(2)], Limits())
    before = pool.path.read_bytes(), pool.snapshot()
    with pytest.raises(TooLargeError, match=reason):
        pool.add([pool_document(2, "label2", 500)], limits)
    assert (pool.path.read_bytes(), pool.snapshot()) == before
    first = pool.snapshot()[1][0]
    assert pool.correct(first.id, pool_document(0, "label0"), limits).text == "Ann 0 a"
    pool.delete(first.id)
    assert len(pool.snapshot()[1]) == 1


def test_the_pools_labels_are_limited_like_those_of_a_request(serve: Serve, extraction_service: Any) -> None:
    extraction_service.pool.add([pool_document(number, f"label{number}") for number in range(3)])
    response = serve(labels=2).post("/v1/extract", json={"documents": [{"text": "Ann"}]})
    assert (response.status_code, response.json()["error"]) == (413, "at most 2 labels can be used together, got 3")


def test_limits_are_set_by_name() -> None:
    limits = parse_limits(["labels=5", "timeout_seconds=0.5", "queued_requests=0"])
    assert (limits.labels, limits.timeout_seconds, limits.queued_requests) == (5, 0.5, 0)
    assert limits.body_bytes == Limits().body_bytes
    with pytest.raises(EntsembleError, match="unknown limit 'label'; known: body_bytes, "):
        parse_limits(["label=5"])
    for wrong in ("labels=0", "labels", "labels=1.5", "timeout_seconds=nan", "timeout_seconds=inf", "labels=many"):
        with pytest.raises(ConfigError, match=f"--limit {wrong}: .* must be a positive"):
            parse_limits([wrong])


def test_the_guide_lists_every_limit_with_its_default() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in guide.splitlines() if line.startswith("| `")]
    listed: dict[str, str] = {}
    for names_cell, defaults_cell in rows:
        names = re.findall(r"`(\w+)`", names_cell)
        defaults = re.findall(r"\d[\d,]*\d|\d", defaults_cell)
        if "POST" not in names_cell and "GET" not in names_cell:
            listed |= dict(zip(names, defaults, strict=False))
    assert listed == {field.name: f"{field.default:,}" for field in fields(Limits)}
