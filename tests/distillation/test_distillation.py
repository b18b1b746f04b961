"""A student of scripted models: it learns what they are sure of, and is as fast as one hopes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.distillation.student import outermost_mentions, select_confident
from entsemble.types import Document, Mention

spacy = pytest.importorskip("spacy", reason="needs the extra 'spacy'")
pytestmark = pytest.mark.usefixtures("scripted", "plain_members")

NAMES = ("Ann", "Bob Lee")
TOWNS = ("Oslo", "Bergen")


def line(i: int) -> str:
    return f"{NAMES[i % 2]} went to {TOWNS[i // 2 % 2]} {'again ' * (i // 4)}that week."


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    def mention(text: str, surface: str, label: str) -> dict[str, Any]:
        start = text.index(surface)
        return {"start": start, "end": start + len(surface), "label": label}

    path = tmp_path / "pool.jsonl"
    with path.open("w") as file:
        for i in range(20):
            text = "Yesterday " + line(i)
            mentions = [mention(text, NAMES[i % 2], "person"), mention(text, TOWNS[i // 2 % 2], "location")]
            file.write(json.dumps({"text": text, "mentions": mentions}) + "\n")
    return path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": line(i)}) for i in range(40)))
    return path


def test_a_student_learns_from_its_teacher(
    command: Callable[..., Any], pool: Path, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    result = command("distil", texts, "--pool", pool, "-o", out, "--json", "--quiet", "--epochs", 12)
    assert result.code == 0, result.err
    told = json.loads(result.out)
    assert (told["sentences"], told["sure"], told["held_back"], told["pool"]) == (40, 40, 4, 16)
    assert told["teacher_f1"] == 1
    assert told["student_f1"] > 0.8
    assert told["student_rate"] > 1
    nlp = spacy.load(out)
    assert {(e.text, e.label_) for e in nlp("Bob Lee went to Oslo that week.").ents} >= {("Oslo", "location")}
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".model")], "nothing is left beside it"
    again = command("distil", texts, "--pool", pool, "-o", out, "--quiet")
    assert (again.code, "exists already" in again.messages) == (65, True)


def test_a_run_that_was_killed_goes_on(
    command: Callable[..., Any], pool: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from entsemble.distillation import teacher as distil

    def dies(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    asked = ("distil", texts, "--pool", pool, "-o", tmp_path / "model", "--quiet", "--json", "--epochs", 1)
    with monkeypatch.context() as patched:
        patched.setattr(distil, "train_student", dies)
        assert command(*asked).code != 0
    told = json.loads(command(*asked).out)
    assert told["teacher_rate"] is None, "the teacher had done all"


def test_what_is_wrong_is_said(command: Callable[..., Any], pool: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert "--pool" in command("distil", texts, "-o", out, "--labels", "person").messages
    few = tmp_path / "few.jsonl"
    few.write_text(pool.read_text().splitlines()[0])
    assert "too few" in command("distil", texts, "-o", out, "--pool", few).messages
    assert not out.exists()


def test_only_what_is_sure_is_learnt() -> None:
    def said(score: float | None, *spans: tuple[int, int]) -> Document:
        text = "abcdefghij"
        return Document("d", text, tuple(Mention(a, b, "x", text[a:b], score) for a, b in spans))

    found = select_confident([said(0.9, (0, 4), (1, 2)), said(0.5, (0, 1)), said(None, (2, 3)), said(0.1)], 0.6)
    assert [d.mentions[0].span.end if d.mentions else None for d in found.documents] == [4, 3, None]
    assert (found.excluded, found.nested) == (1, 1)
    assert [m.start for m in outermost_mentions(said(None, (0, 3), (2, 6), (6, 8)).mentions)] == [2, 6]


def test_sentences_without_mentions_keep_their_share() -> None:
    text = "abcdefghij"
    full = [Document(str(i), text, (Mention(0, 1, "x", "a", 0.9 if i < 3 else 0.1),)) for i in range(9)]
    empty = [Document(f"e{i}", text) for i in range(30)]
    found = select_confident([*empty, *full], 0.6)
    assert [bool(d.mentions) for d in found.documents] == [False] * 10 + [True] * 3
    assert found.excluded == 39 - 13
    assert {d.id for d in select_confident([*empty, *full], 0.6, seed=1).documents} != {d.id for d in found.documents}
    assert len(select_confident(empty, 0.6).documents) == 30
