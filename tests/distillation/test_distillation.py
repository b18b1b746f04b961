"""Distillation with scripted teachers."""

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


def text_number(number: int) -> str:
    repetition = "again " * (number // 4)
    return f"{NAMES[number % 2]} went to {TOWNS[number // 2 % 2]} {repetition}that week."


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    def mention(text: str, surface: str, label: str) -> dict[str, Any]:
        start = text.index(surface)
        return {"start": start, "end": start + len(surface), "label": label}

    path = tmp_path / "pool.jsonl"
    with path.open("w") as file:
        for i in range(20):
            text = "Yesterday " + text_number(i)
            mentions = [mention(text, NAMES[i % 2], "person"), mention(text, TOWNS[i // 2 % 2], "location")]
            file.write(json.dumps({"text": text, "mentions": mentions}) + "\n")
    return path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": text_number(i)}) for i in range(40)))
    return path


def test_a_student_is_trained_on_its_teachers_annotations(
    command: Callable[..., Any], pool: Path, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    result = command("distil", texts, "--pool", pool, "-o", out, "--json", "--quiet", "--epochs", 12)
    assert result.code == 0, result.err
    summary = json.loads(result.out)
    assert (summary["sentences"], summary["sure"], summary["held_back"], summary["pool"]) == (40, 40, 4, 16)
    assert summary["teacher_f1"] == 1
    assert summary["student_f1"] > 0.8
    assert summary["student_rate"] > 1
    nlp = spacy.load(out)
    assert {(e.text, e.label_) for e in nlp("Bob Lee went to Oslo that week.").ents} >= {("Oslo", "location")}
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".model")], "no temporary files are left"
    again = command("distil", texts, "--pool", pool, "-o", out, "--quiet")
    assert (again.code, "exists already" in again.messages) == (65, True)


def test_a_killed_distillation_is_resumed(
    command: Callable[..., Any], pool: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from entsemble.distillation import teacher

    def die(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    arguments = ("distil", texts, "--pool", pool, "-o", tmp_path / "model", "--quiet", "--json", "--epochs", 1)
    with monkeypatch.context() as patch:
        patch.setattr(teacher, "train_student", die)
        assert command(*arguments).code != 0
    summary = json.loads(command(*arguments).out)
    assert summary["teacher_rate"] is None, "the first run had annotated everything"


def test_a_missing_or_small_pool_is_refused(
    command: Callable[..., Any], pool: Path, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    assert "--pool" in command("distil", texts, "-o", out, "--labels", "person").messages
    few = tmp_path / "few.jsonl"
    few.write_text(pool.read_text().splitlines()[0])
    assert "too few" in command("distil", texts, "-o", out, "--pool", few).messages
    assert not out.exists()


def test_only_sentences_with_confident_mentions_are_selected() -> None:
    def annotated(score: float | None, *spans: tuple[int, int]) -> Document:
        text = "abcdefghij"
        return Document("d", text, tuple(Mention(a, b, "x", text[a:b], score) for a, b in spans))

    selected = select_confident(
        [annotated(0.9, (0, 4), (1, 2)), annotated(0.5, (0, 1)), annotated(None, (2, 3)), annotated(0.1)], 0.6
    )
    assert [d.mentions[0].span.end if d.mentions else None for d in selected.documents] == [4, 3, None]
    assert (selected.excluded, selected.nested) == (1, 1)
    assert [m.start for m in outermost_mentions(annotated(None, (0, 3), (2, 6), (6, 8)).mentions)] == [2, 6]


def test_sentences_without_mentions_keep_their_proportion() -> None:
    text = "abcdefghij"
    with_mentions = [Document(str(i), text, (Mention(0, 1, "x", "a", 0.9 if i < 3 else 0.1),)) for i in range(9)]
    empty = [Document(f"e{i}", text) for i in range(30)]
    selected = select_confident([*empty, *with_mentions], 0.6)
    assert [bool(d.mentions) for d in selected.documents] == [False] * 10 + [True] * 3
    assert selected.excluded == 39 - 13
    assert {d.id for d in select_confident([*empty, *with_mentions], 0.6, seed=1).documents} != {
        d.id for d in selected.documents
    }
    assert len(select_confident(empty, 0.6).documents) == 30
