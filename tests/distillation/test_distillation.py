"""Distillation with scripted teachers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import entsemble
from entsemble.backends.student import Student
from entsemble.backends.tagger import train_tagger
from entsemble.distillation.student import write_folder
from entsemble.settings import load
from entsemble.types import Document, Label, LabelSet, Mention

pytest.importorskip("pycrfsuite", reason="needs the extra 'embedded'")
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
    result = command("distil", texts, "--pool", pool, "-o", out, "--json", "--quiet")
    assert result.code == 0, result.err
    summary = json.loads(result.out)
    assert (summary["sentences"], summary["failed"], summary["held_back"], summary["pool"]) == (40, 0, 4, 16)
    assert summary["teacher_f1"] == 1
    assert summary["student_f1"] > 0.8
    assert summary["student_rate"] > 1
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".model")], "no temporary files are left"
    again = command("distil", texts, "--pool", pool, "-o", out, "--quiet")
    assert (again.code, "exists already" in again.messages) == (65, True)


def test_a_student_answers_alone_wherever_a_configuration_is_taken(
    command: Callable[..., Any], pool: Path, texts: Path, tmp_path: Path
) -> None:
    command("distil", texts, "--pool", pool, "-o", tmp_path / "model", "--quiet")
    moved = (tmp_path / "model").rename(tmp_path / "moved here")
    pool.unlink()
    text, expected = "Yesterday Bob Lee went to Oslo that week.", {("Bob Lee", "person"), ("Oslo", "location")}
    extracted = command("extract", "--config", moved / "entsemble.toml", "--quiet", stdin=text.encode())
    assert {(m["text"], m["label"]) for m in json.loads(extracted.out)["mentions"]} == expected
    with entsemble.load(config=moved / "entsemble.toml") as student:
        document = student.extract(text)
        assert {(mention.text, mention.label) for mention in document.mentions} == expected
        assert {voter for mention in document.mentions for voter in mention.votes} == {"student"}
        assert not student.pipeline.members, "no teacher is loaded"


def test_spacy_runs_a_student(command: Callable[..., Any], pool: Path, texts: Path, tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy", reason="needs the extra 'spacy'")
    command("distil", texts, "--pool", pool, "-o", tmp_path / "model", "--quiet")
    nlp = spacy.blank("en")
    nlp.add_pipe("entsemble", config={"config": str(tmp_path / "model" / "entsemble.toml")})
    entities = nlp("Yesterday Bob Lee went to Oslo that week.").ents
    assert {(entity.text, entity.label_) for entity in entities} == {("Bob Lee", "person"), ("Oslo", "location")}


def test_a_label_reader_can_be_the_student(
    command: Callable[..., Any], pool: Path, texts: Path, tmp_path: Path
) -> None:
    for package in ("onnxruntime", "scipy", "tokenizers"):
        pytest.importorskip(package)
    out = tmp_path / "model"
    result = command("distil", texts, "--pool", pool, "-o", out, "--student", "reader", "--json", "--quiet")
    assert json.loads(result.out)["student_f1"] > 0.8
    text = "Yesterday Emma Brandt went to Turin that week."  # names that neither the pool nor the texts have
    extracted = command("extract", "--config", out / "entsemble.toml", "--quiet", stdin=text.encode())
    mentions = {(m["text"], m["label"]) for m in json.loads(extracted.out)["mentions"]}
    assert mentions == {("Emma Brandt", "person"), ("Turin", "location")}


def test_only_a_student_is_replaced(command: Callable[..., Any], pool: Path, texts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    refused = command("distil", texts, "--pool", pool, "-o", folder, "--replace", "--quiet")
    assert (refused.code, "is not a student" in refused.messages) == (65, True)


def test_labels_and_definitions_with_any_characters_are_written_as_toml(tmp_path: Path) -> None:
    names = ('say "when"', "Umlaut \u00e4", "tab\tand\x7f", "a.b")
    tagger = train_tagger([Document("d", "Ann went", (Mention(0, 3, "a.b", "Ann"),))], names)
    labels = LabelSet(tuple(Label(name, name, f"definition of {name}") for name in names))
    folder = tmp_path / "student"
    write_folder(Student("student", labels, tagger), folder)
    settings = load(folder / "entsemble.toml")
    assert settings.labels == {name: f"definition of {name}" for name in names}
    assert settings.voices[0].model == f"student:{folder}"


def test_a_killed_distillation_is_resumed(
    command: Callable[..., Any], pool: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from entsemble.distillation import teacher

    def die(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    arguments = ("distil", texts, "--pool", pool, "-o", tmp_path / "model", "--quiet", "--json")
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
