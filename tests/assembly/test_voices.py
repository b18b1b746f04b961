"""Voices in an ensemble: with and without members, with a pool, and how wrong ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import entsemble
from entsemble.assembly import Assembly, ProgressCallbacks
from entsemble.assembly.members import with_absolute_paths
from entsemble.assembly.stacking import member_training_size, training_size
from entsemble.data.formats import write
from entsemble.errors import ConfigError
from entsemble.ner.documents import Extracted
from entsemble.settings import environment, load
from entsemble.types import Document
from tests.backends.test_spacy_tagger import save_ruler
from tests.backends.tiny_bert import save_classifier
from tests.factories import sentence

DEMO_POOL = Path(entsemble.__file__).parent / "samples" / "demo-pool.jsonl"
TEXT = "Ann sold a glow plug in Oslo. It rained."


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    return save_ruler(tmp_path / "small")


@pytest.fixture
def patterns(tmp_path: Path) -> Path:
    path = tmp_path / "parts.toml"
    path.write_text('part = ["glow plug"]')
    return path


def extract(tmp_path: Path, progress: ProgressCallbacks | None = None, **overrides: Any) -> list[tuple[str, str, str]]:
    folders = {"ENTSEMBLE_CACHE": str(tmp_path / "cache"), "ENTSEMBLE_EXPERTS": str(tmp_path / "experts")}
    with Assembly(load(overrides=overrides), environment(folders), progress) as assembly:
        [result] = assembly.extractor().extract([Document("d", TEXT)])
    assert isinstance(result, Extracted), result
    return [(m.text, m.label, " ".join(m.votes)) for m in result.document.mentions]


def test_voices_answer_without_members_and_each_for_its_labels(tmp_path: Path, pipeline: Path, patterns: Path) -> None:
    warnings: list[str] = []
    found = extract(
        tmp_path,
        ProgressCallbacks(on_warning=warnings.append),
        labels={"person": "", "location": "", "part": ""},
        voices=[{"model": f"spacy:{pipeline}"}],
        patterns=str(patterns),
    )
    assert found == [("Ann", "person", "small"), ("glow plug", "part", "parts"), ("Oslo", "location", "small")]
    assert warnings == ["the voice small finds no part: none of its labels has such a name; see its `labels`"]


def test_labels_are_mapped_as_the_settings_say(tmp_path: Path, pipeline: Path) -> None:
    voice = {"model": f"spacy:{pipeline}", "name": "news", "labels": {"GPE": "city", "PERSON": ""}}
    assert extract(tmp_path, labels={"city": "", "person": ""}, voices=[voice]) == [("Oslo", "city", "news")]


def test_a_token_classifier_is_loaded_from_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder = save_classifier(tmp_path / "tiny", {"ann": "B-PER", "oslo": "B-GPE"})
    found = extract(tmp_path, labels={"person": "", "place": ""}, voices=[{"model": f"tokens:{folder}"}])
    assert found == [("Ann", "person", "tiny"), ("Oslo", "place", "tiny")]


@pytest.mark.usefixtures("scripted")
def test_voices_vote_beside_members_and_with_a_pool(tmp_path: Path, pool_file: Path, patterns: Path) -> None:
    members = [{"model": "smollm2-135m"}, {"model": "gemma-3-270m"}]
    labels = {"person": "", "location": "", "part": ""}
    found = extract(tmp_path, members=members, labels=labels, patterns=str(patterns), classification={"vote": "soft"})
    assert ("glow plug", "part", "smollm2-135m gemma-3-270m parts") in found
    assert ("Ann", "person", "smollm2-135m gemma-3-270m") in found
    with_pool = extract(
        tmp_path, members=members, labels=labels, patterns=str(patterns), pool={"path": pool_file, "shots": 2}
    )
    assert {"Ann", "Oslo"} <= {text for text, _, _ in with_pool}


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("vote", ["soft", "majority", "union", "weighted"])
def test_voices_and_a_pool_answer_without_members(
    tmp_path: Path, pool_file: Path, pipeline: Path, vote: str | None
) -> None:
    found = extract(
        tmp_path,
        members=[],
        voices=[{"model": f"spacy:{pipeline}", "labels": {"GPE": ""}}],
        pool={"path": pool_file},
        classification={"vote": vote},
        stacking={"capitalised": True},
    )
    assert "Ann" in {text for text, _, _ in found}


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"voices": [{"model": "flair:ner"}]}, "unknown voice 'flair:ner'; known: gliner:FOLDER"),
        ({"voices": [{"model": "tokens:absent"}]}, "there is no folder absent; name one, or OWNER/REPO on the hub"),
        ({"voices": [{"model": "label-reader"}] * 2}, "two voices are called 'label-reader'"),
        (
            {"voices": [{"model": "label-reader", "name": "pool"}]},
            "a voice cannot be called 'pool', .* the pool's names",
        ),
        ({"voices": [{"model": "label-reader", "name": ""}]}, "voices.0.name: "),
        ({"voices": [{"model": "label-reader", "weight": 0}]}, "voices.0.weight: "),
        ({"members": [], "voices": [], "classification": {"vote": "soft"}}, r"no members: .* \[\[voices\]\]"),
    ],
)
def test_wrong_voices_are_refused(tmp_path: Path, overrides: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        extract(tmp_path, labels={"person": ""}, **overrides)


def test_paths_of_voices_are_relative_to_the_configuration(
    tmp_path: Path, pipeline: Path, patterns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        'patterns = "parts.toml"\n[labels]\nperson = ""\npart = ""\n'
        '[[voices]]\nmodel = "spacy:./small"\n[[voices]]\nmodel = "patterns:parts.toml"\nname = "again"\n'
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with entsemble.load(config=config) as ensemble:
        document = ensemble.extract(TEXT)
    assert [(m.text, sorted(m.votes)) for m in document.mentions] == [
        ("Ann", ["small"]),
        ("glow plug", ["again", "parts"]),
    ]


def test_voices_mean_the_same_in_another_folder(
    tmp_path: Path, pipeline: Path, patterns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(overrides={"patterns": "parts.toml"}, voices=["spacy:small", "spacy:en_core_web_sm"])
    absolute = with_absolute_paths(settings)
    assert [voice.model for voice in absolute.all_voices][2:] == [
        f"spacy:{pipeline}",
        "spacy:en_core_web_sm",
        f"patterns:{patterns}",
    ]


def test_named_voices_are_added_and_decide_which_preset_is_the_default(tmp_path: Path) -> None:
    assert [voice.model for voice in load(voices=["spacy:small"]).voices] == [
        "label-reader",
        "tagger",
        "spacy:small",
    ]
    assert load(overrides={"pool": {"path": "pool.jsonl"}}, voices=["label-reader"]).members == ()
    config = tmp_path / "config.toml"
    config.write_text('[[voices]]\nmodel = "spacy:small"\nweight = 2\n')
    settings = load(config, voices=["spacy:small", "label-reader"])
    assert (settings.members, settings.classification.threshold) == ((), None)
    assert [(voice.model, voice.weight) for voice in settings.voices] == [("spacy:small", 2), ("label-reader", None)]


def test_a_pool_and_more_labels_than_the_reader_reads_together(tmp_path: Path) -> None:
    labels = {"person": "", "location": "", "organisation": "", **{f"thing {number}": "" for number in range(97)}}
    found = extract(
        tmp_path,
        labels=labels,
        voices=[{"model": "label-reader"}],
        pool={"path": str(DEMO_POOL)},
        stacking={"sentences": 0},
    )
    assert found == [("Ann", "person", "label-reader"), ("Oslo", "location", "label-reader")]


def test_labels_in_another_script_get_advice(tmp_path: Path) -> None:
    warnings: list[str] = []
    extract(
        tmp_path,
        ProgressCallbacks(on_warning=warnings.append),
        labels={"人": "", "场所": "place"},
        voices=[{"model": "label-reader"}],
    )
    assert [warning.partition(";")[0].rpartition(": ")[2] for warning in warnings] == ["人"]


@pytest.mark.usefixtures("scripted")
def test_members_answer_only_what_learning_voices_leave_open(tmp_path: Path) -> None:
    """The pool has its sentences in the same form, so that nothing is left open; with full effort, all is asked."""
    pool = tmp_path / "pool.jsonl"
    people = [f"{first} {last}" for first in ("Ann", "Bo", "Eva", "Kim", "Lea") for last in ("Berg", "Dahl", "Lund")]
    written = [
        sentence(f"{person} left Oslo{when}.", (person, "person"), ("Oslo", "location"))
        for person in people
        for when in ("", " today")
    ]
    write(written, pool)
    calls = {}
    for effort in (0.0, 0.5, 1.0):
        settings = load(
            overrides={
                "members": [{"model": "smollm2-135m"}],
                "voices": [{"model": "tagger"}],
                "pool": {"path": pool},
                "effort": effort,
            }
        )
        with Assembly(settings, environment({"ENTSEMBLE_CACHE": str(tmp_path / "cache")})) as assembly:
            [result] = assembly.extractor().extract([Document("d", "Ann Dahl left Oslo again.")])
        assert isinstance(result, Extracted), result
        assert [mention.text for mention in result.document.mentions] == ["Ann Dahl", "Oslo"]
        calls[effort] = sum(usage.calls for _, _, usage in result.costs)
    assert calls[0.0] == calls[0.5] == 0 < calls[1.0]


def test_members_are_asked_about_fewer_sentences_of_the_pool_than_voices() -> None:
    members, tagger = [{"model": "smollm2-135m"}], [{"model": "tagger"}]
    documents = [sentence(f"Ann left Oslo {number} times.", ("Ann", "person")) for number in range(1000)]
    sizes = {}
    for name, overrides in {
        "members": {"members": members},
        "voices": {"voices": tagger},
        "both": {"members": members, "voices": tagger},
        "patterns": {"members": members, "voices": [{"model": "patterns:x.toml"}]},
    }.items():
        settings = load(overrides=overrides)
        sizes[name] = training_size(settings, documents), member_training_size(settings, documents)
    assert sizes["both"] == (400, 80)
    assert sizes["members"] == sizes["patterns"] == (80, 80)
    assert sizes["voices"][0] == 400
