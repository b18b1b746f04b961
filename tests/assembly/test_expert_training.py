"""Training an expert on the embedded base, from annotated sentences to an expert that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entsemble.assembly import TrainingData, expert_store
from entsemble.assembly.expert_data import read_corpus
from entsemble.assembly.expert_training import ExpertSpec, train_expert
from entsemble.data.formats import read, write
from entsemble.errors import ConfigError, DataError, UnknownNameError
from entsemble.experts import peft_folder
from entsemble.experts.checkpoint import TrainingSettings
from entsemble.experts.training import TrainingProgress
from entsemble.settings import Environment
from entsemble.types import Document
from tests.factories import document

NAMES = ("Ann", "Bob", "Chen", "Dora", "Emil", "Fay", "Gus", "Hal")
TOWNS = ("Oslo", "Lima", "Bonn", "Graz", "Riga", "Turin")


def write_file(path: Path, documents: Iterable[Document]) -> Path:
    write(documents, path)
    return path


def rainy_days(count: int) -> list[Document]:
    """Sentences without a mention."""
    return [Document(str(number), f"Rain on day {number}.") for number in range(count)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """48 sentences with a person and a town each."""
    sentences = []
    for number in range(48):
        name, town = NAMES[number % len(NAMES)], TOWNS[number % len(TOWNS)]
        text = f"{name} left {town} on day {number}."
        sentences.append(document(text, (name, "person"), (town, "town"), id=str(number)))
    return write_file(tmp_path / "data.jsonl", sentences)


class TestBadInput:
    def test_a_used_name_is_refused(
        self, data: Path, storage: Environment, adapter_folder: Callable[..., Path], expert_card: Callable[[str], Any]
    ) -> None:
        expert_store(storage).add(adapter_folder(), expert_card("one"))
        with pytest.raises(ConfigError, match="already"):
            train_expert(ExpertSpec("one", (TrainingData(data),)), storage)

    def test_an_unknown_start_is_refused(self, data: Path, storage: Environment) -> None:
        with pytest.raises(UnknownNameError, match="none"):
            train_expert(ExpertSpec("one", (TrainingData(data),), start="none"), storage)

    def test_data_without_a_mention_is_refused(self, tmp_path: Path, storage: Environment) -> None:
        path = tmp_path / "plain.txt"
        path.write_text("Nothing is annotated here.")
        with pytest.raises(DataError, match="no annotated mention"):
            train_expert(ExpertSpec("one", (TrainingData(path),)), storage)

    def test_a_label_called_none_is_refused(self, tmp_path: Path, storage: Environment) -> None:
        sentences = [document(f"Ann {number}", ("Ann", "none"), id=str(number)) for number in range(20)]
        path = write_file(tmp_path / "named.jsonl", sentences)
        with pytest.raises(DataError, match=r"named\.jsonl.*'none'"):
            train_expert(ExpertSpec("one", (TrainingData(path),)), storage)

    def test_held_out_sentences_need_a_mention(self, tmp_path: Path, storage: Environment) -> None:
        path = write_file(tmp_path / "sparse.jsonl", [*rainy_days(20), document("Ann", ("Ann", "person"), id="a")])
        with pytest.raises(DataError, match=r"sparse\.jsonl.*too few annotated sentences"):
            train_expert(ExpertSpec("one", (TrainingData(path),)), storage)

    def test_sentences_of_a_dev_file_need_a_mention(self, data: Path, tmp_path: Path, storage: Environment) -> None:
        path = write_file(tmp_path / "dev.jsonl", [*rainy_days(2000), document("Ann", ("Ann", "person"), id="a")])
        with pytest.raises(DataError, match=r"dev\.jsonl: none of 100 sentences drawn from it has a mention"):
            train_expert(ExpertSpec("one", (TrainingData(data),), dev_path=path), storage)

    def test_one_sentence_is_too_few(self, tmp_path: Path, storage: Environment) -> None:
        path = write_file(tmp_path / "one.jsonl", [document("Ann", ("Ann", "person"))])
        with pytest.raises(DataError, match="too few"):
            train_expert(ExpertSpec("one", (TrainingData(path),)), storage)


def test_copies_of_a_sentence_are_all_trained_on_or_all_held_out(data: Path, tmp_path: Path) -> None:
    sentences = list(read(data))
    shouted = [replace(d, id=f"{d.id}+", text=d.text.upper(), mentions=()) for d in sentences]
    path = write_file(tmp_path / "twice.jsonl", [*sentences, *shouted])
    corpus = read_corpus((TrainingData(path),), None, None, seed=0)
    held_out = {d.text.casefold() for d in corpus.held_out}
    assert held_out
    assert held_out.isdisjoint(sentence.document.text.casefold() for sentence in corpus.training)
    assert len(corpus.training) == 2 * len(sentences) - 2 * len(held_out)


@pytest.mark.models
@pytest.mark.soak
def test_an_expert_is_trained_resumed_and_answers(
    data: Path, tmp_path: Path, storage: Environment, model_file: Callable[[str], Path]
) -> None:
    pytest.importorskip("peft", reason="needs the extra 'experts'")
    for name in ("smollm2-135m", "minilm-l6"):
        model_file(name)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "models").symlink_to(model_file("smollm2-135m").parents[1])
    steps: list[TrainingProgress] = []

    def interrupt(progress: TrainingProgress) -> None:
        steps.append(progress)
        if progress.step == 4:
            raise KeyboardInterrupt

    spec = ExpertSpec(
        "towns",
        (TrainingData(data),),
        domain="departures",
        licence="CC0",
        training=TrainingSettings(rank=4, epochs=2, batch=8, save_seconds=0),
    )
    with pytest.raises(KeyboardInterrupt):
        train_expert(spec, storage, on_training=interrupt)
    expert = train_expert(spec, storage, on_training=steps.append)
    assert [progress.step for progress in steps] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    card = expert.card
    assert (card.labels, card.licence, card.base) == (("person", "town"), "CC0", "smollm2-135m")
    assert (card.sources[0].name, card.sources[0].sentences, card.sources[0].mentions) == ("data.jsonl", 48, 96)
    assert card.precision == "float32"
    assert card.vectors is not None
    assert sum(card.vectors.sentences) == 43
    assert card.scores[0].f1 > 0.5, "better than its base"
    assert len(peft_folder.load_adapter(expert.folder).factors) == 210
    assert "towns" in expert_store(storage).names()
    assert not list((tmp_path / "cache" / "training").iterdir())
