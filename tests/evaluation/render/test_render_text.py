from __future__ import annotations

from entsemble.evaluation.counts import Counts, LabelCounts
from entsemble.evaluation.render.text import LABEL_HEADER, label_rows, summary_rows
from entsemble.evaluation.report import build_report
from entsemble.evaluation.stages import ClassificationCounts, StageCounts, VerificationCounts
from entsemble.types import Document, Mention

TEXT = "Ann Lee"
GOLD = [Document("a", TEXT, (Mention(0, 7, "PER", TEXT), Mention(0, 3, "PER", "Ann"))), Document("b", TEXT)]


def test_the_micro_average_follows_the_labels() -> None:
    rows = label_rows(LabelCounts({"PER": Counts(2, 1, 0), "LOC": Counts(0, 0, 2)}))
    assert rows == [
        ["LOC", "0.000", "0.000", "0.000", "2"],
        ["PER", "0.667", "1.000", "0.800", "2"],
        ["micro", "0.667", "0.500", "0.571", "4"],
    ]
    assert all(len(row) == len(LABEL_HEADER) for row in rows)


def test_each_measured_figure_has_a_row() -> None:
    predicted = [Document("a", TEXT, (Mention(0, 7, "PER", TEXT, 0.9),))]
    stages = StageCounts(Counts(1, 0, 1), ClassificationCounts(1, 1), VerificationCounts(1, 0, 0, 3))
    rows = dict(summary_rows(build_report(GOLD, predicted, members={"tiny": predicted}, stages=stages)))
    assert rows["inside another mention, precision / recall"] == "0.000 / 0.000"
    assert rows["outermost, precision / recall"] == "1.000 / 1.000"
    assert rows["errors: missed"] == "1"
    assert rows["member tiny, F1"] == "0.667"
    assert rows["extraction, precision / recall"] == "1.000 / 0.500"
    assert rows["verification, gained / lost"] == "3 / 0"
    assert rows["calibration error"] == "0.100"
    assert rows["documents without predictions"] == "b"


def test_unmeasured_figures_have_no_row() -> None:
    flat = [Document("a", TEXT, (Mention(0, 7, "PER", TEXT),))]
    rows = dict(summary_rows(build_report(flat, flat)))
    assert len(rows) == 3 + 5
    assert rows["micro F1, 95 % interval"] == "1.000 to 1.000"


def test_only_the_first_missing_documents_are_listed() -> None:
    gold = [Document(str(index), TEXT) for index in range(8)]
    assert dict(summary_rows(build_report(gold, [])))["documents without predictions"] == "0, 1, 2, 3, 4 and 3 more"
