"""The user's rules: thresholds of labels, names that are never mentions, counter-examples, one answer for a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import entsemble
from entsemble.errors import ConfigError, UnknownNameError
from entsemble.ner.same_answer import unify_answers
from entsemble.types import Document, Label, Mention

TEXT = "Ann left Oslo. Ann slept."


def surfaces(document: Document) -> list[str]:
    return [mention.text for mention in document.mentions]


@pytest.mark.usefixtures("scripted", "plain_members")
class TestDecisions:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, ["Ann", "Oslo", "Ann"]),
            ({"thresholds": {"person": 0.95}}, ["Oslo"]),
            ({"thresholds": {"person": 0.5}, "threshold": 0.95}, ["Ann", "Ann"]),
            ({"never": ["Oslo", "Nobody"]}, ["Ann", "Ann"]),
            ({"never": ["oslo"]}, ["Ann", "Oslo", "Ann"]),
        ],
    )
    def test_thresholds_and_names_that_are_never_mentions(self, options: dict[str, Any], expected: list[str]) -> None:
        assert surfaces(entsemble.load(["person", "location"], **options).extract(TEXT)) == expected

    def test_a_counter_example_is_no_mention_of_its_label_alone(self) -> None:
        labels = {"person": "people; not: Oslo", "location": "places; not: Bergen, Ann Lee"}
        assert surfaces(entsemble.load(labels).extract("Ann left Oslo and Bergen.")) == ["Ann", "Oslo"]

    def test_a_threshold_of_an_unknown_label_is_refused(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown label with a threshold 'place'; known: location, person"):
            entsemble.load(["person", "location"], thresholds={"place": 0.5}).extract(TEXT)
        with pytest.raises(ConfigError, match=r"rules\.thresholds\.person: .*less than or equal to 1"):
            entsemble.load(["person"], thresholds={"person": 5})

    def test_a_configuration_names_a_file_of_names_beside_it(self, tmp_path: Path) -> None:
        (tmp_path / "never.txt").write_text("# towns\nOslo\n\n  Bergen \n")
        (tmp_path / "run.toml").write_text('[rules]\nnever = "never.txt"\n[rules.thresholds]\nperson = 0.95\n')
        ensemble = entsemble.load(["person", "location"], config=tmp_path / "run.toml")
        assert ensemble.settings.rules.never == ("Oslo", "Bergen")
        assert surfaces(ensemble.extract(TEXT)) == []
        (tmp_path / "never.txt").unlink()
        with pytest.raises(ConfigError, match=r"cannot read the names in .*never\.txt"):
            entsemble.load(["person"], config=tmp_path / "run.toml")

    def test_options_of_the_command_line(self, command: Callable[..., Any], tmp_path: Path) -> None:
        (tmp_path / "never.txt").write_text("Oslo\n")
        options = ("--labels", "person,location", "--ledger", "--never", tmp_path / "never.txt")
        [document] = command("extract", TEXT, *options).documents
        assert [mention["text"] for mention in document["mentions"]] == ["Ann", "Ann"]
        fates = {entry["text"]: entry["fate"] for entry in document["meta"]["entsemble"]["ledger"]}
        assert fates == {"Ann": "kept", "Oslo": "forbidden by a rule"}
        strict = command("extract", TEXT, *options, "--threshold", "person=0.95").documents[0]
        assert strict["mentions"] == []
        for wrong in ("person", "person=high", "=0.5", "person=2", "1.5"):
            result = command("extract", TEXT, *options, "--threshold", wrong)
            assert (result.code, f"'{wrong}' is not P or LABEL=P" in result.messages) == (64, True)

    def test_a_threshold_for_all_labels_and_another_for_one(self, command: Callable[..., Any]) -> None:
        def texts(*thresholds: str) -> list[str]:
            options = [part for threshold in thresholds for part in ("--threshold", threshold)]
            [document] = command("extract", TEXT, "--labels", "person,location", *options).documents
            return [mention["text"] for mention in document["mentions"]]

        assert texts("1") == []
        assert texts("1", "person=0.1") == ["Ann", "Ann"]
        twice = command("extract", TEXT, "--labels", "person", "--threshold", "0.5", "--threshold", "0.6")
        assert (twice.code, "two thresholds are for all labels" in twice.messages) == (64, True)

    def test_changed_rules_start_a_run_again(self) -> None:
        with entsemble.load(["person"]) as first, entsemble.load(["person"], never=["Ann"]) as second:
            assert first.fingerprints != second.fingerprints


@pytest.mark.parametrize(
    ("definition", "meaning", "counter_examples"),
    [
        ("", "", ()),
        ("museums, not galleries", "museums, not galleries", ()),
        ("museums; not: Town Hall, City Archive.", "museums", ("Town Hall", "City Archive")),
        ("not: Ann", "", ("Ann",)),
        ("people (Not: Ann; Bob)", "people", ("Ann", "Bob")),
        ("people. not:", "people", ()),
        ("knot: a tie", "knot: a tie", ()),
    ],
)
def test_counter_examples_end_a_definition(definition: str, meaning: str, counter_examples: tuple[str, ...]) -> None:
    label = Label("x", "x", definition)
    assert (label.meaning, label.counter_examples) == (meaning, counter_examples)


def mention(text: str, surface: str, label: str, score: float, occurrence: int = 0) -> Mention:
    start = -1
    for _ in range(occurrence + 1):
        start = text.index(surface, start + 1)
    return Mention(start, start + len(surface), label, surface, score)


class TestSameAnswer:
    TEXT = "Ivo Brandt met Brandt. Brandt left\nIvo  Brandt; Brandts stayed. Brandt slept."

    def unified(self, *mentions: Mention) -> list[tuple[int, str, str]]:
        document = unify_answers(Document("x", self.TEXT, mentions))
        assert all(self.TEXT[m.start : m.end] == m.text for m in document.mentions)
        return [(m.start, m.text, m.label) for m in document.mentions]

    def test_the_label_with_the_most_evidence_is_given_everywhere(self) -> None:
        labels = self.unified(
            mention(self.TEXT, "Brandt", "person", 0.6, 1),
            mention(self.TEXT, "Brandt", "person", 0.5, 2),
            mention(self.TEXT, "Brandt", "place", 0.9, 5),
        )
        assert [label for _, text, label in labels if text == "Brandt"] == ["person"] * 3

    def test_missed_occurrences_follow_if_two_thirds_are_mentions(self) -> None:
        text = "Ivo Brandt met Brandt. Brandt left; Brandts stayed.\nBrandt slept. So did Ivo  Brandt."
        whole = [Mention(0, 10, "person", "Ivo Brandt", 0.8), Mention(73, 84, "person", "Ivo  Brandt", 0.8)]
        brandt = [mention(text, "Brandt", "person", score, index) for index, score in ((1, 0.9), (2, 0.7))]
        unified = unify_answers(Document("x", text, (*whole, *brandt))).mentions
        assert [(m.start, m.text) for m in unified if m.text == "Brandt"] == [
            (15, "Brandt"),
            (23, "Brandt"),
            (52, "Brandt"),
        ]
        assert unified[3].score == pytest.approx(0.8)
        one_of_three = unify_answers(Document("x", text, (*whole, brandt[0]))).mentions
        assert [m.start for m in one_of_three if m.text == "Brandt"] == [15]

    def test_a_longer_mention_is_not_cut(self) -> None:
        text = "Oslo Opera House and Oslo."
        house = Mention(0, 16, "building", "Oslo Opera House", 0.9)
        town = Mention(21, 25, "place", "Oslo", 0.9)
        assert unify_answers(Document("x", text, (house, town))).mentions == (house, town)

    @pytest.mark.usefixtures("scripted", "plain_members")
    def test_it_is_an_option(self, command: Callable[..., Any]) -> None:
        ensemble = entsemble.load(["person", "location"], same_answer=True)
        assert surfaces(ensemble.extract(TEXT)) == ["Ann", "Oslo", "Ann"]
        assert command("extract", TEXT, "--labels", "person", "--same-answer").code == 0
