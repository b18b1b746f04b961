"""Documents, edits, undo and redo, and what the page is shown of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entsemble.errors import DataError
from entsemble.review import actions
from entsemble.review.draft import Draft
from entsemble.review.edits import RefusedEditError
from entsemble.review.session import Session
from entsemble.types import Document, Mention
from tests.factories import document, mention
from tests.review.conftest import TEXT, annotated, mentions


def spans(session: Session, document_id: int = 1) -> dict[str, dict[str, Any]]:
    view = session.document(document_id)
    assert view is not None
    return {
        view["text"][span["start"] : span["end"]]: span for sentence in view["sentences"] for span in sentence["spans"]
    }


def act(session: Session, function: Callable[..., Any], **values: Any) -> Any:
    return session.edit(partial(function, **values))


def scored_document(text: str, **scores: float) -> Document:
    return document(text, *(mention(text, name, "name", score=score) for name, score in scores.items()), id=text)


def summary(session: Session) -> dict[str, Any]:
    [view] = session.changes(-1)["documents"]
    return dict(view)


def test_documents_are_added_once(session: Session) -> None:
    assert session.add([annotated("a"), annotated("b")], is_extracted=True) == [1, 2]
    assert session.add([annotated("a"), annotated("a", f"{TEXT} Ann.")], is_extracted=True) == [3]
    assert [view["name"] for view in session.changes(-1)["documents"]] == ["a", "b", "a (2)"]


def test_a_new_document_is_in_work_after_the_first_edit_and_new_again_when_that_is_undone(session: Session) -> None:
    session.add([annotated()], is_extracted=True)
    assert (summary(session)["state"], summary(session)["undecided"]) == ("new", 3)
    act(session, actions.accept, span_id=spans(session)["Oslo"]["id"])
    assert (summary(session)["state"], summary(session)["undecided"]) == ("work", 2)
    session.undo()
    assert (summary(session)["state"], summary(session)["undecided"]) == ("new", 3)


def test_a_longer_name_replaces_what_nobody_decided_on_within_its_occurrences(session: Session) -> None:
    text = "Ann Berg left. Ann Berg slept. Ann Berg sang."
    short = (Mention(start, start + 3, "name", "Ann") for start in (15, 31))
    session.add([Document("a", text, (mention(text, "Ann Berg", "name"), *short))], is_extracted=True)
    view = session.document(1)
    assert view is not None
    [whole, _, last] = [span["id"] for sentence in view["sentences"] for span in sentence["spans"]]
    act(session, actions.accept, span_id=last)
    outcome = act(session, actions.label_name, span_id=whole, scope="document").outcome
    assert (outcome.count, outcome.note) == (2, "replaces 1 overlapping mention")
    [corrected] = session.documents()
    assert [one.text for one in corrected.mentions] == ["Ann Berg", "Ann Berg", "Ann"]


def test_a_mention_that_overlaps_replaces_the_other_one_unless_nesting_is_on(session: Session) -> None:
    session.add([annotated()], is_extracted=True)
    start = TEXT.index("Bob Lee")
    edited = act(session, actions.add, document=1, start=start, end=start + 7, label="person")
    assert edited.outcome.note == "replaces 1 overlapping mention"
    assert mentions(session) == [[("Ann", "person"), ("Oslo", "location"), ("Bob Lee", "person")]]
    session.undo()
    act(session, actions.set_nested, nested=True)
    act(session, actions.add, document=1, start=start, end=start + 7, label="person")
    assert ("Bob", "person") in mentions(session)[0]
    assert ("Bob Lee", "person") in mentions(session)[0]


def test_a_rejected_mention_becomes_a_candidate_and_can_be_added_again(session: Session) -> None:
    session.add([annotated()], is_extracted=True)
    oslo = spans(session)["Oslo"]["id"]
    act(session, actions.reject, span_id=oslo)
    assert ("Oslo", "location") not in mentions(session)[0]
    assert spans(session)["Oslo"]["status"] == "rejected"
    act(session, actions.accept, span_id=oslo)
    assert ("Oslo", "location") in mentions(session)[0]


def test_the_ledger_of_extract_gives_candidates_with_scores(session: Session) -> None:
    start = TEXT.index("Bergen")
    entry = {"text": "Bergen", "start": start, "end": start + 6, "label": "location", "fate": "below the threshold"}
    bad = {"text": "?", "start": 5, "end": 10**6, "fate": "kept"}
    meta = {"entsemble": {"ledger": [{**entry, "members": ["a"], "score": 0.31}, bad, "nonsense"]}}
    session.add([Document("a", TEXT, (), (), meta)], is_extracted=True)
    candidate = spans(session)["Bergen"]
    assert (candidate["status"], candidate["score"]) == ("candidate", 0.31)
    assert candidate["facts"] == {"fate": "below the threshold", "members": ["a"]}
    act(session, actions.accept, span_id=candidate["id"])
    assert mentions(session) == [[("Bergen", "location")]]


def test_all_of_a_name_is_labelled_here_or_everywhere_and_undone_at_once(session: Session) -> None:
    other = "Ann and Anna and Ann."
    session.add([annotated("a"), Document("b", other), Document("c", "ann")], is_extracted=True)
    ann = spans(session)["Ann"]["id"]
    before = mentions(session)
    act(session, actions.relabel, span_id=ann, label="pilot")
    assert act(session, actions.label_name, span_id=ann, scope="document").outcome.count == 1
    assert [pair for pair in mentions(session)[0] if pair[0] == "Ann"] == [("Ann", "pilot")] * 2
    assert act(session, actions.label_name, span_id=ann, scope="session").outcome.count == 2
    assert mentions(session)[1:] == [[("Ann", "pilot"), ("Ann", "pilot")], []]
    assert act(session, actions.reject_name, span_id=ann, scope="session").outcome.count == 4
    assert mentions(session)[1:] == [[], []]
    for _ in range(4):
        session.undo()
    assert mentions(session) == before


def test_done_signs_everything_off_and_bulk_edits_are_undone_at_once(session: Session) -> None:
    session.add([annotated("a"), annotated("b")], is_extracted=True)
    act(session, actions.finish, documents=[1, 2])
    assert [(view["state"], view["signed"], view["undecided"]) for view in session.changes(-1)["documents"]] == [
        ("done", 3, 0),
        ("done", 3, 0),
    ]
    act(session, actions.delete, documents=[1, 2])
    assert list(session.documents()) == []
    session.undo()
    assert len(list(session.documents(only_done=True))) == 2
    session.undo()
    assert len(list(session.documents(only_done=True))) == 0


def test_no_names_here_rejects_and_signs(session: Session) -> None:
    session.add([annotated()], is_extracted=True)
    act(session, actions.mark_empty, document=1, sentence=0)
    assert mentions(session) == [[("Bob", "person")]]
    assert summary(session)["signed"] == 1


def test_scores_accept_and_reject_many(session: Session) -> None:
    scored = scored_document("Ann met Bob.", Ann=0.9, Bob=0.2)
    session.add([scored], is_extracted=True)
    assert act(session, actions.filter_scores, documents=[1], minimum=0.5, accepts=True).outcome.count == 1
    assert act(session, actions.filter_scores, documents=[1], minimum=0.5, accepts=False).outcome.count == 1
    assert mentions(session) == [[("Ann", "name")]]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (partial(actions.accept, span_id=99), "gone"),
        (partial(actions.add, document=9, start=0, end=1, label="x"), "no such document"),
        (partial(actions.add, document=1, start=3, end=4, label="x"), "white space"),
        (partial(actions.add, document=1, start=3, end=4000, label="x"), "not a range"),
        (partial(actions.add, document=1, start=0, end=3, label="none"), "cannot be a label"),
        (partial(actions.sign, document=1, sentence=7), "no such sentence"),
        (partial(actions.set_labels, labels={}), "at least one label"),
    ],
)
def test_edits_that_make_no_sense_are_refused_and_change_nothing(
    session: Session, action: Callable[[Draft], actions.Outcome], message: str
) -> None:
    session.add([annotated()], is_extracted=True)
    before = session.changes(-1)
    with pytest.raises(RefusedEditError, match=message):
        session.edit(action)
    assert session.changes(-1) == before


def test_there_may_be_nothing_to_undo(session: Session) -> None:
    with pytest.raises(RefusedEditError, match="nothing to undo"):
        session.undo()
    with pytest.raises(RefusedEditError, match="nothing to redo"):
        session.redo()


def test_two_processes_see_and_undo_each_others_edits(session: Session) -> None:
    session.add([annotated()], is_extracted=True)
    other = Session(session.path)
    version = other.changes(-1)["version"]
    act(session, actions.reject, span_id=spans(session)["Oslo"]["id"])
    changes = other.changes(version, 1)
    assert [sentence["number"] for sentence in changes["sentences"]] == [0], "only what changed"
    assert changes["undo"] == "reject"
    other.undo()
    assert ("Oslo", "location") in mentions(session)[0]
    assert session.changes(-1)["redo"] == "reject"
    session.redo()
    other.close()


def test_a_file_that_is_no_session_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("This is not a database, whatever its name is. " * 20)
    with pytest.raises(DataError, match="not a review session"):
        Session(path)


def test_the_least_certain_sentences_come_first(session: Session) -> None:
    scored = scored_document("Ann met Bob. Bob slept.", Ann=0.9, Bob=0.4)
    session.add([scored, scored_document("Oslo.", Oslo=0.2)], is_extracted=True)
    assert [(row["text"], row["score"]) for row in session.uncertain_sentences(9)] == [
        ("Oslo.", 0.2),
        ("Ann met Bob.", 0.4),
    ]
    act(session, actions.sign, document=2, sentence=0)
    assert [row["text"] for row in session.uncertain_sentences(9)] == ["Ann met Bob."]


def test_documents_are_searched_by_name_and_text(session: Session) -> None:
    session.add([Document("x", "Ann flew to Oslo."), Document("100%", "Bob.")], is_extracted=True)
    assert session.find_documents(["oslo", "ann"]) == [1]
    assert session.find_documents(["0%"]) == [2]
    assert session.find_documents(["zürich"]) == []


EDITS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60), st.integers(1, 20)), max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS)
def test_undoing_everything_restores_the_start_and_redoing_everything_the_end(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int, int]]
) -> None:
    session = Session(tmp_path_factory.mktemp("undo") / "texts.review")
    session.add([annotated("a"), annotated("b")], is_extracted=True)

    def state() -> Any:
        rows = [
            [view[key] for key in ("state", "deleted", "signed", "mentions")]
            for view in session.changes(-1)["documents"]
        ]
        return mentions(session), rows

    start = state()
    count = 0
    for kind, position, length in drawn:
        span = position % 6 + 1
        choices: list[Callable[[Draft], actions.Outcome]] = [
            partial(actions.accept, span_id=span),
            partial(actions.reject, span_id=span),
            partial(actions.relabel, span_id=span, label="x"),
            partial(actions.move, span_id=span, start=position, end=position + length),
            partial(actions.add, document=1, start=position, end=position + length, label="location"),
            partial(actions.sign, document=1, sentence=position % 3, is_signed=bool(length % 2)),
            partial(actions.mark_empty, document=2, sentence=position % 3),
            partial(actions.finish, documents=[position % 2 + 1]),
            partial(actions.label_name, span_id=span, scope="session"),
            partial(actions.delete, documents=[2]),
        ]
        before = session.changes(-1)["version"]
        try:
            session.edit(choices[kind])
        except RefusedEditError:
            continue
        count += session.changes(-1)["version"] > before
    end = state()
    for _ in range(count):
        session.undo()
    assert state() == start
    with pytest.raises(RefusedEditError):
        session.undo()
    for _ in range(count):
        session.redo()
    assert state() == end
    session.close()
