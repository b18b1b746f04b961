"""A session with a few documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entsemble.review.session import Session
from entsemble.types import Document
from tests.factories import document

TEXT = "Ann flew to Oslo. Bob Lee met Ann in Bergen. The rest is silence."


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = Session(tmp_path / "texts.review")
    opened.set_defaults({"person": "", "location": ""}, nested=False)
    yield opened
    opened.close()


def annotated(document_id: str = "a", text: str = TEXT) -> Document:
    return document(text, ("Ann", "person"), ("Oslo", "location"), ("Bob", "person"), id=document_id)


def mentions(session: Session) -> list[list[tuple[str, str]]]:
    return [[(mention.text, mention.label) for mention in document.mentions] for document in session.documents()]
