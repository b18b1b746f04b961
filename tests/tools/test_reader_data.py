import json
import random
from pathlib import Path

import pytest
from tools.reader.corpora import Document, Mention, Source, load_sources, read_columns, read_source
from tools.reader.leakage import ScoredTexts
from tools.reader.mixture import Mixture, load_mixture
from tools.reader.prompts import SPAN_WIDTH, Chances, PromptWriter, aligned, stems_of
from tools.reader.wording import Wording, plural, respelled

SENTENCES = {
    "travel": ["Take the bus from Lyon to Nice", "A seat to Rome please", "From Oslo by night", "Nothing to add here"],
    "chemistry": [
        "Add ethanol to the flask",
        "Stir acetone at 40 degrees",
        "Dry over argon overnight",
        "Water was used",
    ],
}
MARKED = {
    "Lyon": "departure city",
    "Nice": "arrival city",
    "Rome": "arrival city",
    "Oslo": "departure city",
    "ethanol": "solvent",
    "acetone": "solvent",
    "argon": "inert gas",
}
SETS = {"travel": ["departure city", "arrival city", "airline"], "chemistry": ["solvent", "inert gas", "catalyst"]}


def source(name: str, **changes: object) -> Source:
    fields = {"path": name, "reader": "diverse", "group": name, "domain": "", "language": "en", "licence": ""}
    return Source(name, **{**fields, "attribution": "", **changes})  # type: ignore[arg-type]


@pytest.fixture
def corpora(tmp_path: Path) -> list[Source]:
    for name, sentences in SENTENCES.items():
        folder = tmp_path / name
        folder.mkdir()
        rows = []
        for text in sentences:
            marked_places = [(text.find(word), word, label) for word, label in MARKED.items() if word in text]
            mentions = [{"start": at, "end": at + len(word), "label": label} for at, word, label in marked_places]
            rows.append({"text": text, "mentions": mentions, "split": "train", "subset": "all"})
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        labels = [*SETS[name], "outside the subset"]
        (folder / "labels.json").write_text(json.dumps(dict.fromkeys(labels, "")), encoding="utf-8")
        (folder / "labelsets.json").write_text(json.dumps({"all": SETS[name]}), encoding="utf-8")
    return [source(name) for name in SENTENCES]


@pytest.fixture
def mixture(corpora: list[Source], tmp_path: Path) -> Mixture:
    return load_mixture(tmp_path, ScoredTexts(), corpora)


def test_a_sentence_that_is_scored_is_dropped_in_whole_and_in_part() -> None:
    scored = ScoredTexts()
    scored.add(["one two three four five six seven eight nine ten eleven", "Short but known, this one"])
    assert scored.leaks("short BUT known this one!")
    assert scored.leaks("before: two three four five six seven eight nine ten eleven, and after")
    assert not scored.leaks("two three four five six seven eight nine ten")
    assert not scored.leaks("known this one")


def test_the_mixture_counts_what_it_drops(corpora: list[Source], tmp_path: Path) -> None:
    scored = ScoredTexts()
    scored.add(["Take the bus from Lyon to Nice."])
    mixture = load_mixture(tmp_path, scored, corpora)
    assert mixture.corpora["travel"].dropped == 1
    assert all("Lyon" not in document.text for document in mixture.corpora["travel"].documents)


def test_held_out_sources_are_not_in_the_mixture(corpora: list[Source], tmp_path: Path) -> None:
    sources = [corpora[0], source("chemistry", held_out=True)]
    assert set(load_mixture(tmp_path, ScoredTexts(), sources).corpora) == {"travel"}


def test_the_table_holds_no_benchmark_and_five_held_out_domains() -> None:
    sources = load_sources()
    assert not [item.path for item in sources if "crossner" in item.path or "mit-" in item.path or "conll" in item.path]
    held_out = {item.name for item in sources if item.held_out}
    assert held_out == {"maintie", "wiesp_astro", "tasteset", "wlp", "mars_target"}
    assert all(item.licence and item.attribution for item in sources)


def test_absent_labels_come_from_the_subset_or_from_afar(mixture: Mixture) -> None:
    writer, generator = PromptWriter(mixture, Wording(), Chances(definitions=0, examples=0, joined=0)), random.Random(1)
    absent = {label for name in SETS for label in SETS[name]}
    for corpus in mixture.corpora.values():
        for document in corpus.documents:
            for _ in range(20):
                far = writer.far_labels(document, 4, generator)
                assert not set(far) & {*document.known_labels}
                assert set(far) <= absent
                assert not {stem for label in far for stem in stems_of(label)} & stems_of(
                    " ".join(document.known_labels)
                )


def test_a_far_label_that_names_something_in_the_sentence_is_not_taken(mixture: Mixture) -> None:
    writer = PromptWriter(mixture, Wording())
    document = Document("travel", "Take argon from Lyon", (), "train", tuple(SETS["travel"]))
    drawn = {label for _ in range(50) for label in writer.far_labels(document, 4, random.Random(_))}
    assert drawn == {"solvent"}


def test_the_spans_of_an_example_are_the_mentions_of_its_labels(mixture: Mixture) -> None:
    writer, generator = PromptWriter(mixture, Wording()), random.Random(2)
    for document in [document for corpus in mixture.corpora.values() for document in corpus.documents] * 10:
        example = writer.write(document, generator)
        assert len({label.lower() for label in example.labels}) == len(example.labels)
        for first, last, label in example.spans:
            assert " ".join(example.words[first : last + 1]) in MARKED
            assert label < len(example.labels)


def test_a_label_with_an_unreadable_mention_is_not_asked_for() -> None:
    text = " ".join("abcdefghijklmnop")
    whole, part = Mention(0, len(text), "whole"), Mention(0, 1, "part")
    words, spans, unreadable = aligned(Document("x", text, (whole, part), "train"))
    assert len(words) > SPAN_WIDTH
    assert (spans, unreadable) == ([(0, 0, "part")], {"whole"})


def test_an_epoch_is_the_same_for_the_same_seed(mixture: Mixture) -> None:
    assert mixture.epoch(1, 0) == mixture.epoch(1, 0)
    assert {document.text for document in mixture.epoch(1, 0)} == {document.text for document in mixture.epoch(1, 1)}


def test_columns_in_four_schemes_and_with_the_tag_first(tmp_path: Path) -> None:
    file = tmp_path / "file.conll"
    file.write_text(
        "-DOCSTART- O\n\nAnn I-PER\nmet O\nBob B-PER\nLee I-PER\n\nB-GENRE\tfunny\nO\tones\n\n"
        "Rome\tS-LOC\tO\nCity\tO\tB-X\n",
        encoding="utf-8",
    )
    read = [(text, [(item.start, item.end, item.label) for item in mentions]) for text, mentions in read_columns(file)]
    assert read == [
        ("Ann met Bob Lee", [(0, 3, "PER"), (8, 15, "PER")]),
        ("funny ones", [(0, 5, "GENRE")]),
        ("Rome City", [(0, 4, "LOC"), (5, 9, "X")]),
    ]


def test_synthetic_personal_data_is_split_by_template(tmp_path: Path) -> None:
    span = {"entity_type": "US_SSN", "start_position": 0, "end_position": 2}
    rows = [{"full_text": "12 is mine", "spans": [span], "template_id": number} for number in (5, 6)]
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    item = source("pii", path="", reader="presidio", files=("rows.json",), labels={"US_SSN": "social security number"})
    read = read_source(item, tmp_path)
    assert [document.split for document in read] == ["dev", "train"]
    assert read[0].mentions == (Mention(0, 2, "social security number"),)


def test_spellings_and_plurals() -> None:
    generator = random.Random(3)
    spellings = {respelled("creative work", generator) for _ in range(300)}
    assert {"creative work", "creative_work", "creative-work", "CREATIVE_WORK", "creative works"} <= spellings
    assert [plural(word) for word in ("city", "day", "branch", "species", "person (any)")] == [
        "cities",
        "days",
        "branches",
        "species",
        "person (any)",
    ]
