"""The public API: what `import entsemble` gives."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import entsemble
from entsemble import (
    Document,
    Ensemble,
    Failed,
    Label,
    Mention,
    ModelError,
    ProgressCallbacks,
    UnknownNameError,
    errors,
)
from entsemble.assembly.model_pool import ModelPool
from entsemble.backends.scripted import ScriptedModel
from entsemble.errors import ConfigError, DataError
from entsemble.execution.journal import Journal
from entsemble.ner.documents import Extracted
from entsemble.settings import MemberSettings

LABELS = ["person", "location"]
TEXT = "Ann flew to Oslo."
ANNOTATED = ("Emma Brandt lives in Leeds.", [(0, 11, "person"), (21, 26, "location")])


def surfaces(document: Document) -> list[tuple[str, str]]:
    return [(mention.text, mention.label) for mention in document.mentions]


def has_selected(ner: Ensemble) -> bool:
    return ner.selection is not None


def test_importing_entsemble_imports_nothing_else() -> None:
    code = "import sys, entsemble; print(sorted(m for m in sys.modules if m.startswith(('entsemble.', 'numpy'))))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"


def test_every_public_name_is_there_and_listed() -> None:
    assert sorted(entsemble.__all__) == entsemble.__all__
    assert {name for name in entsemble.__all__ if getattr(entsemble, name, None) is None} == set()
    assert set(entsemble.__all__) <= set(dir(entsemble))
    every_error = {name for name in vars(errors) if name.endswith("Error")}
    assert every_error <= set(entsemble.__all__)
    with pytest.raises(AttributeError, match="no attribute 'extrakt'"):
        _ = entsemble.extrakt


@pytest.mark.usefixtures("scripted", "plain_members")
class TestExtraction:
    def test_ten_lines_from_nothing_to_mentions(self, pool_file: Path) -> None:
        ner = entsemble.load(labels=LABELS, examples=str(pool_file))
        document = ner.extract(TEXT)
        assert surfaces(document) == [("Ann", "person"), ("Oslo", "location")]
        for mention in document.mentions:
            assert document.text[mention.start : mention.end] == mention.text
            assert mention.score is not None
            assert mention.score > 0.5
            assert set(mention.votes.values()) >= {mention.label}

    def test_many_texts_come_in_order_with_their_ids(self, pool_file: Path) -> None:
        texts: list[str | Document] = [TEXT, Document("letter-7", "Bob Lee stayed in Bergen."), "Nobody else did."]
        with entsemble.load(LABELS, pool_file) as ner:
            documents = list(ner.extract_many(texts))
        assert [document.id for document in documents] == ["1", "letter-7", "3"]
        assert surfaces(documents[1]) == [("Bob Lee", "person"), ("Bergen", "location")]
        assert documents[2].mentions == ()

    def test_mentions_of_the_input_are_ignored(self, pool_file: Path) -> None:
        annotated = Document("1", TEXT, (Mention(4, 8, "person", "flew"),))
        assert surfaces(entsemble.load(LABELS, pool_file).extract(annotated)) == surfaces(
            entsemble.load(LABELS, pool_file).extract(TEXT)
        )

    @pytest.mark.parametrize(
        "labels",
        [
            "person, location",
            {"person": "names of people", "location": ""},
            [Label("person", "person", "names of people"), "location"],
            Path("labels.toml"),
            "labels.toml",
            None,
        ],
    )
    def test_labels_are_a_list_a_text_a_mapping_a_file_or_those_of_the_examples(
        self, labels: Any, pool_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "labels.toml").write_text('person = "names of people"\nlocation = ""\n')
        monkeypatch.chdir(tmp_path)
        ner = entsemble.load(labels, pool_file)
        assert sorted(ner.labels.names) == sorted(LABELS)
        assert surfaces(ner.extract(TEXT)) == [("Ann", "person"), ("Oslo", "location")]

    def test_examples_are_files_documents_or_annotations(self, pool_file: Path) -> None:
        documents = list(entsemble.read(pool_file))
        pairs = [(d.text, [(m.start, m.end, m.label) for m in d.mentions]) for d in documents]
        answers = [
            entsemble.load(LABELS, examples).extract(TEXT).mentions
            for examples in (pool_file, [pool_file], documents, iter(pairs))
        ]
        assert answers[1:] == answers[:1] * 3
        with_more = entsemble.load(LABELS, [pool_file, ANNOTATED])
        assert len(with_more.build_pool().documents) == len(documents) + 1

    def test_a_failure_raises_the_original_error(self, pool_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(self: ScriptedModel, *_: Any, **__: Any) -> Any:
            raise ModelError("the engine is gone")

        monkeypatch.setattr(ScriptedModel, "generate", fail)
        ner = entsemble.load(LABELS, pool_file, learn=0)
        with pytest.raises(ModelError, match="the engine is gone"):
            ner.extract(TEXT)
        gold = Document("1", TEXT, (Mention(0, 3, "person", "Ann"),))
        with pytest.raises(ModelError, match="the engine is gone"):
            list(ner.extract_many([gold]))
        [failed] = ner.extract_many([gold], on_error="yield")
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, ModelError)
        assert failed.document == replace(gold, mentions=()), "the caller's mentions must not pass for an answer"

    def test_on_error_is_raise_or_yield(self, pool_file: Path) -> None:
        with pytest.raises(ConfigError, match=r'"raise" or "yield", not .ignore'):
            entsemble.load(LABELS, pool_file).extract_many([TEXT], on_error="ignore")  # type: ignore[call-overload]

    def test_a_closed_ensemble_loads_its_models_again(self, pool_file: Path) -> None:
        ner = entsemble.load(LABELS, pool_file)
        before = ner.extract(TEXT)
        ner.close()
        assert ner.extract(TEXT) == before

    def test_models_are_loaded_once(self, pool_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        loaded: list[str] = []
        load_model = ModelPool.language_model

        def counted(models: ModelPool, member: MemberSettings) -> Any:
            loaded.append(member.model)
            return load_model(models, member)

        monkeypatch.setattr(ModelPool, "language_model", counted)
        ner = entsemble.load(LABELS, pool_file)
        assert loaded == []
        ner.extract(TEXT)
        ner.extract(TEXT)
        list(ner.extract_many([TEXT]))
        assert loaded == ["smollm2-135m", "gemma-3-270m"]

    def test_a_run_tells_everything_and_stops_alone(self, pool_file: Path) -> None:
        ner = entsemble.load(LABELS, pool_file)
        sentences: list[int] = []
        run = ner.run([Document("a", TEXT)], on_sentence=lambda: sentences.append(1))
        [result] = run
        assert isinstance(result, Extracted)
        assert result.sentence_count == len(sentences) == 1
        assert set(result.member_mentions) == {"smollm2-135m", "gemma-3-270m"}
        stopped = ner.run([Document("a", TEXT)])
        stopped.stop()
        assert list(stopped) == []
        assert len(list(ner.run([Document("a", TEXT)]))) == 1

    def test_a_journal_keeps_what_is_done(self, pool_file: Path, tmp_path: Path) -> None:
        ner = entsemble.load(LABELS, pool_file)
        journal = Journal(tmp_path / "out.jsonl")
        journal.begin(ner.fingerprints)
        [first] = ner.run([Document("a", TEXT)], journal=journal)
        [second] = ner.run([Document("a", TEXT)], journal=journal)
        journal.close()
        assert isinstance(first, Extracted)
        assert isinstance(second, Extracted)
        assert not first.from_journal
        assert second.from_journal
        assert first.document == second.document

    def test_progress_is_reported(self, pool_file: Path) -> None:
        steps: list[str] = []
        progress = ProgressCallbacks(on_step=lambda what, done, total: steps.append(what))
        entsemble.load(LABELS, pool_file, progress=progress).extract(TEXT)
        assert "encoding the pool" in steps

    def test_demonstrations_are_the_nearest_examples(self, pool_file: Path) -> None:
        retrieval = entsemble.load(LABELS, pool_file, shots=2).demonstrations("Carla flew from Madrid to Bergen.")
        assert retrieval.hits[0].document.text == "Carla flew from Madrid to Rome."
        with pytest.raises(ConfigError, match="no examples"):
            entsemble.load(LABELS).demonstrations(TEXT)


@pytest.mark.usefixtures("scripted")
class TestExperts:
    """With the preset `experts`, experts are selected by the texts."""

    def test_the_first_text_selects_the_experts_and_later_ones_keep_them(self) -> None:
        ner = entsemble.load(LABELS, preset="experts")
        assert not has_selected(ner)
        assert surfaces(ner.extract(TEXT)) == [("Ann", "person"), ("Oslo", "location")]
        selection = ner.selection
        assert selection is not None
        ner.extract("Bob Lee stayed in Bergen.")
        assert ner.selection is selection

    def test_texts_without_words_select_nothing(self) -> None:
        ner = entsemble.load(LABELS, preset="experts")
        assert ner.extract(" ").mentions == ()
        assert not has_selected(ner)
        assert ner.extract(TEXT).mentions != ()
        assert has_selected(ner)

    def test_experts_can_be_selected_beforehand_and_again(self) -> None:
        ner = entsemble.load(LABELS, preset="experts")
        first = ner.select_experts([TEXT])
        assert first is not None
        assert first.target_sentences == 1
        second = ner.select_experts([TEXT, "Bob Lee stayed in Bergen. Nobody else did."])
        assert second is not None
        assert second.target_sentences == 3
        assert ner.selection is second

    def test_many_texts_select_together_and_none_is_lost(self) -> None:
        ner = entsemble.load(LABELS, preset="experts")
        texts = (text for text in (TEXT, "Bob Lee stayed in Bergen.", "Nobody else did."))
        assert len(list(ner.extract_many(texts))) == 3
        assert ner.selection is not None
        assert ner.selection.target_sentences == 3


@pytest.mark.usefixtures("scripted", "plain_members")
class TestSettings:
    def test_an_unknown_option_lists_the_known_ones(self) -> None:
        with pytest.raises(UnknownNameError, match=r"unknown option 'shot'; known: cache, .*shots, similarity"):
            entsemble.load(LABELS, shot=3)  # type: ignore[call-arg]

    def test_options_take_precedence_over_the_configuration(self, tmp_path: Path, pool_file: Path) -> None:
        path = tmp_path / "run.toml"
        path.write_text('seed = 3\n[pool]\npath = "pool.jsonl"\nshots = 2\nsimilarity = "random"\n')
        for config in (path, str(path)):
            settings = entsemble.load(LABELS, config=config, shots=5, learn=0, cache=False).settings
            assert (settings.seed, settings.pool.shots, settings.pool.similarity) == (3, 5, "random")
            assert (settings.pool.path, settings.stacking.sentences, settings.cache.replies) == (pool_file, 0, False)
        again = entsemble.load(config=settings, seed=4).settings
        assert again == settings.model_copy(update={"seed": 4})
        assert entsemble.load(config={"pool": {"shots": 2}}, shots=None).settings.pool.shots == 2

    def test_examples_replace_the_pool_of_the_configuration(self, tmp_path: Path) -> None:
        config = tmp_path / "run.toml"
        config.write_text('[pool]\npath = "absent.jsonl"\n')
        ner = entsemble.load(LABELS, [ANNOTATED], config=config)
        assert ner.settings.pool.path is None
        assert surfaces(ner.extract(TEXT)) == [("Ann", "person"), ("Oslo", "location")]

    def test_models_replace_the_members(self, pool_file: Path) -> None:
        assert [m.model for m in entsemble.load(LABELS, pool_file, models="a.gguf").settings.members] == ["a.gguf"]
        two = entsemble.load(LABELS, pool_file, models=["a.gguf", "b.gguf"], preset="fast").settings
        assert [m.model for m in two.members] == ["a.gguf", "b.gguf"]

    def test_a_preset_does_not_go_with_whole_settings(self) -> None:
        with pytest.raises(ConfigError, match="either a preset or whole Settings"):
            entsemble.load(config=entsemble.load(LABELS).settings, preset="fast")

    @pytest.mark.parametrize(
        ("examples", "problem"),
        [
            ([("Ann flew.", [(0, 12, "person")])], r"example 1: .*not at \[0, 12\).*write \(text, "),
            ([("Ann flew.", [(3, 3, "person")])], r"example 1: a span needs 0 <= start < end"),
            ([("Ann flew.",)], r"example 1: .*write \(text, "),
            ([Document("1", "Ann flew.")], "hold no mention"),
            ([], "hold no mention"),
        ],
    )
    def test_examples_that_cannot_be_used_are_refused(self, examples: Any, problem: str) -> None:
        with pytest.raises(DataError, match=problem):
            entsemble.load(LABELS, examples)

    def test_labels_must_name_one(self) -> None:
        with pytest.raises(ConfigError, match="no label"):
            entsemble.load(" , ")


def test_evaluate_pairs_documents_by_id_or_else_by_position(tmp_path: Path) -> None:
    ann, oslo = Mention(0, 3, "person", "Ann"), Mention(12, 16, "location", "Oslo")
    gold = [Document("a", TEXT, (ann, oslo)), Document("b", "Nobody.")]
    report = entsemble.evaluate(gold, [Document("b", "Nobody."), Document("a", TEXT, (ann,))])
    assert report.counts.exact.micro.recall == 0.5
    assert report.counts.exact.micro.precision == 1.0
    numbered = [Document("1", TEXT, (ann,)), Document("2", "Nobody.")]
    assert entsemble.evaluate(gold, numbered).to_json()["micro"] == report.to_json()["micro"]
    entsemble.write(gold, tmp_path / "gold.jsonl")
    assert entsemble.evaluate(tmp_path / "gold.jsonl", numbered).to_json() == report.to_json()


def test_jupyter_shows_a_document_highlighted_and_escaped() -> None:
    text = "<script>Ann</script> & Oslo"
    mentions = (
        Mention(8, 11, '"><b>', "Ann", 0.93, {"<m>": "person"}),
        Mention(23, 27, "location", "Oslo"),
    )
    html = Document("1", text, mentions)._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "<m>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<mark") == html.count("</mark>") == 2
    assert "0.93" in html
    assert Document("1", "a & b")._repr_html_().count("a &amp; b") == 1


@pytest.mark.models
def test_real_models_find_names_with_and_without_examples() -> None:
    examples = list(entsemble.read(Path(__file__).parents[1] / "docs" / "tutorial-data" / "pool.jsonl"))
    text = examples[0].text
    with entsemble.load(examples=examples, learn=0) as ner:
        [document] = ner.extract_many([text])
    assert isinstance(ner, Ensemble)
    assert document.mentions
    assert all(mention.score for mention in document.mentions)
    with entsemble.load(["person", "place"]) as ner:
        assert ("Oslo", "place") in surfaces(ner.extract("Ann Miller flew from Oslo to Bergen."))
