"""What is signed off is in the pool, as it is now; what is taken back is not."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from entsemble.review import actions
from entsemble.review.session import Session
from entsemble.types import Document
from tests.factories import document
from tests.review.conftest import annotated

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from entsemble.server.pool_file import PoolFile


def pool_contents(pool: PoolFile) -> dict[str, list[str]]:
    return {document.text: [mention.text for mention in document.mentions] for document in pool.snapshot()[1]}


@pytest.fixture
def pool(tmp_path: Path) -> PoolFile:
    return PoolFile(tmp_path / "pool.jsonl")


def test_only_signed_sentences_are_written_and_they_follow_edits(session: Session, pool: PoolFile) -> None:
    session.add([annotated()], is_extracted=True)
    assert session.write_pool(pool) == 0
    session.edit(partial(actions.sign, document=1, sentence=0))
    session.write_pool(pool)
    assert pool_contents(pool) == {"Ann flew to Oslo.": ["Ann", "Oslo"]}
    session.edit(partial(actions.reject, span_id=1))
    session.edit(partial(actions.mark_empty, document=1, sentence=2))
    session.write_pool(pool)
    assert pool_contents(pool) == {"Ann flew to Oslo.": ["Oslo"], "The rest is silence.": []}
    assert session.write_pool(pool) == 0, "nothing is written twice"
    for _ in range(3):
        session.undo()
    session.write_pool(pool)
    assert pool_contents(pool) == {}


def test_what_the_pool_held_before_comes_back_when_a_signature_is_taken_back(session: Session, pool: PoolFile) -> None:
    pool.add([document("Ann flew to Oslo.", ("Oslo", "city"))])
    session.add([annotated()], is_extracted=True)
    session.edit(partial(actions.sign, document=1, sentence=0))
    session.write_pool(pool)
    assert pool_contents(pool) == {"Ann flew to Oslo.": ["Ann", "Oslo"]}
    session.undo()
    session.write_pool(pool)
    assert pool_contents(pool) == {"Ann flew to Oslo.": ["Oslo"]}


def test_a_sentence_of_two_documents_stays_while_one_is_signed_off(session: Session, pool: PoolFile) -> None:
    session.add([Document("a", "Ann slept."), Document("b", "Ann slept.")], is_extracted=True)
    session.edit(partial(actions.finish, documents=[1, 2]))
    session.write_pool(pool)
    assert pool_contents(pool) == {"Ann slept.": []}
    session.edit(partial(actions.delete, documents=[1]))
    session.write_pool(pool)
    assert pool_contents(pool) == {"Ann slept.": []}
    session.edit(partial(actions.delete, documents=[2]))
    session.write_pool(pool)
    assert pool_contents(pool) == {}


def test_a_mention_over_a_boundary_joins_sentences_which_must_both_be_signed_off(
    session: Session, pool: PoolFile
) -> None:
    text = "Ann met Who. He slept."
    session.add([Document("a", text)], is_extracted=True)
    start = text.index("Who")
    session.edit(partial(actions.add, document=1, start=start, end=start + 7, label="person"))
    session.edit(partial(actions.sign, document=1, sentence=0))
    session.write_pool(pool)
    assert pool_contents(pool) == {}
    session.edit(partial(actions.sign, document=1, sentence=1))
    session.write_pool(pool)
    assert pool_contents(pool) == {text: ["Who. He"]}
