from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from entsemble.assembly import Assembly, ProgressCallbacks, select_members, with_absolute_paths, without_mentions
from entsemble.assembly.model_pool import ModelPool
from entsemble.data.formats import write
from entsemble.errors import ConfigError, DataError, EntsembleError, ModelUnavailableError, UnknownNameError
from entsemble.ner.documents import Extracted
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.scoring.model import StackingModel
from entsemble.settings import environment, load
from entsemble.types import Document, mention_at

TWO = [{"model": "smollm2-135m"}, {"model": "gemma-3-270m"}]


def assembly(tmp_path: Path, progress: ProgressCallbacks | None = None, **asked: Any) -> Assembly:
    settings = load(overrides={"members": TWO, **asked})
    folders = {"ENTSEMBLE_CACHE": str(tmp_path / "cache"), "ENTSEMBLE_EXPERTS": str(tmp_path / "experts")}
    return Assembly(settings, environment(folders), progress)


@pytest.mark.usefixtures("scripted")
def test_an_extractor_from_a_pool(tmp_path: Path, pool_file: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    progress = ProgressCallbacks(on_step=lambda *told: steps.append(told))
    with assembly(tmp_path, progress, pool={"path": pool_file, "shots": 2}) as made:
        extractor = made.extractor()
        [result] = extractor.extract([Document("d", "Ann left Oslo. Then it rained.")])
    assert isinstance(result, Extracted)
    assert [(m.text, m.label) for m in result.document.mentions] == [("Ann", "person"), ("Oslo", "location")]
    assert set(result.member_mentions) == {"smollm2-135m", "gemma-3-270m"}
    assert [len(shown) for shown in result.demonstration_ids] == [2, 2]
    assert steps[-1][0] == "encoding the pool"
    assert steps[-1][1] == steps[-1][2] > 0


@pytest.mark.usefixtures("scripted")
def test_the_pool_s_spans_by_the_members_are_found_once(tmp_path: Path, pool_file: Path) -> None:
    pool = {"path": pool_file, "similarity": "span", "spans": "members"}
    steps: list[str] = []
    progress = ProgressCallbacks(on_step=lambda what, done, total: steps.append(what))
    for _ in range(2):
        with assembly(tmp_path, progress, pool=pool) as made:
            made.extractor()
    assert sum(step.startswith("pre-extracting") for step in steps) == 10


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("labels", [{"person": ""}, {"person": "", "place": ""}])
def test_the_pool_holds_a_label_that_was_not_asked_for(tmp_path: Path, pool_file: Path, labels: Any) -> None:
    with (
        assembly(tmp_path, pool={"path": pool_file}, labels=labels) as made,
        pytest.raises(DataError, match=r"pool\.jsonl: .*location \(\d+ mentions\); ask for them"),
    ):
        made.extractor()


@pytest.mark.usefixtures("scripted")
def test_labels_beyond_the_pool_s_are_asked_for_in_their_order(tmp_path: Path, pool_file: Path) -> None:
    labels = {"ship": "vessels", "person": "", "location": ""}
    with assembly(tmp_path, pool={"path": pool_file}, labels=labels) as made:
        assert made.extractor().pipeline.labels.names == ("ship", "person", "location")
    with assembly(tmp_path, pool={"path": pool_file}) as made:
        assert made.extractor().pipeline.labels.names == ("location", "person")


@pytest.mark.parametrize("text", ["", "\n \n", json.dumps({"text": "Nobody here."}) + "\n"])
def test_a_pool_without_a_mention(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_text(text)
    with assembly(tmp_path, pool={"path": path}) as made, pytest.raises(DataError, match=r"pool\.jsonl"):
        made.extractor()


def test_a_pool_that_is_not_there(tmp_path: Path) -> None:
    with (
        assembly(tmp_path, pool={"path": tmp_path / "absent.conll"}) as made,
        pytest.raises(DataError, match=r"absent\.conll.*no such file"),
    ):
        made.extractor()


def test_no_labels_and_no_pool(tmp_path: Path) -> None:
    with assembly(tmp_path) as made, pytest.raises(ConfigError, match=r"--labels.*--pool"):
        made.extractor()


def test_a_label_called_none(tmp_path: Path) -> None:
    with assembly(tmp_path, labels={"none": ""}) as made, pytest.raises(ConfigError, match="no entity"):
        made.extractor()


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"members": []}, "no members"),
        ({"members": [{"model": "gemma-3-270m"}, {"model": "gemma-3-270m"}]}, "two members are called 'gemma-3-270m'"),
        ({"members": [{"model": "x.gguf", "name": "a"}, {"model": "y.gguf", "name": "a"}]}, "are called 'a'"),
        ({"verification": {"member": "judge"}}, r"'judge' is no member; members: smollm2-135m, gemma-3-270m"),
        ({"classification": {"vote": "loud"}}, r"'loud'; known: majority"),
        ({"members": [{"model": "smollm2-135m", "template": "ner-0"}]}, r"'ner-0'; known: ner-1"),
    ],
)
def test_members_and_rules_that_cannot_be_right(tmp_path: Path, asked: dict[str, Any], told: str) -> None:
    with assembly(tmp_path, labels={"person": ""}, **asked) as made, pytest.raises(ConfigError, match=told):
        made.extractor()


@pytest.mark.parametrize(
    ("member", "error", "told"),
    [
        (
            {"model": "smollm3"},
            UnknownNameError,
            r"'smollm3'; known: .*smollm2-135m.*openai:MODEL|openai:MODEL.*smollm2",
        ),
        ({"model": "absent.gguf"}, EntsembleError, r"no model file at .*absent\.gguf"),
        ({"model": "openai:big"}, ConfigError, r"openai:big: .*base_url"),
        ({"model": "openai:"}, ConfigError, "openai: needs the model's name"),
    ],
)
def test_models_that_are_not_there(tmp_path: Path, member: dict[str, Any], error: type[Exception], told: str) -> None:
    with assembly(tmp_path, labels={"person": ""}, members=[member]) as made, pytest.raises(error, match=told):
        made.extractor()


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    path = tmp_path / "mine.gguf"
    path.write_text("nothing of the kind")
    asked = assembly(tmp_path, labels={"person": ""}, members=[{"model": str(path)}])
    with asked as made, pytest.raises(ModelUnavailableError, match=r"mine\.gguf is not a GGUF file"):
        made.extractor()


@pytest.mark.usefixtures("scripted")
def test_two_members_of_one_model_by_two_names(tmp_path: Path) -> None:
    members = [{"model": "smollm2-135m", "name": "a"}, {"model": "smollm2-135m", "name": "b", "weight": 2}]
    with assembly(tmp_path, labels={"person": ""}, members=members) as made:
        assert [(m.name, m.weight) for m in made.extractor().pipeline.members] == [("a", 1.0), ("b", 2.0)]


def test_the_encoder_must_be_one(tmp_path: Path, pool_file: Path) -> None:
    with assembly(tmp_path, encoder={"model": "smollm2-135m"}) as made, pytest.raises(ConfigError, match="minilm-l6"):
        made.encoder()


def test_an_encoder_that_is_trained_again_in_its_folder_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=str))
    (tmp_path / "1_Pooling").mkdir()
    seen = set()
    for file in ("model.safetensors", "1_Pooling/config.json", "1_Pooling/config.json"):
        for content in ("old", "new"):
            (tmp_path / file).write_text(content)
            models = ModelPool(
                load(overrides={"encoder": {"model": str(tmp_path)}}), environment(), ProgressCallbacks()
            )
            seen.add(models.encoder().fingerprint)
            models.close()
    assert len(seen) == 4, "each content once, whatever came before"


@pytest.mark.usefixtures("scripted")
def test_nested_is_told_by_the_pool_unless_asked(tmp_path: Path) -> None:
    text = "Bank of Oslo"
    record = {"text": text, "mentions": [{"start": 0, "end": 12, "label": "A"}, {"start": 8, "end": 12, "label": "B"}]}
    path = tmp_path / "pool.jsonl"
    path.write_text(json.dumps(record) + "\n")
    for nested, expected in ((None, True), (False, False)):
        with assembly(tmp_path, pool={"path": path}, nested=nested) as made:
            assert made.extractor().pipeline.labels.nested is expected


def test_models_by_name_replace_the_members() -> None:
    settings = load(preset="paper")
    alone = select_members(settings, ["gemma-3-270m"])
    assert [m.model for m in alone.members] == ["gemma-3-270m"]
    assert alone.verification.member == ""
    assert alone.pool == settings.pool
    with pytest.raises(UnknownNameError, match="'gemma'"):
        select_members(settings, ["gemma"])


def test_a_member_chosen_by_its_name_or_its_model_keeps_its_settings() -> None:
    members = [
        {"model": "smollm2-135m", "weight": 2.0},
        {"model": "gemma-3-270m", "name": "judge", "context": 1024},
        {"model": "openai:big", "base_url": "http://localhost:1/v1"},
    ]
    settings = load(overrides={"members": members, "verification": {"member": "judge"}})
    for asked in (["judge", "smollm2-135m"], ["gemma-3-270m", "smollm2-135m"]):
        made = select_members(settings, asked)
        assert made.members == (settings.members[1], settings.members[0])
        assert made.verification.member == "judge"
    assert select_members(settings, ["openai:big"]).members == settings.members[2:]
    assert select_members(settings, ["x.gguf"]).members[0].weight == 1.0


@pytest.mark.parametrize("asked", [{"verification": {"member": "judge"}}, {"classification": {"vote": "loud"}}])
def test_rules_are_looked_at_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    def late(*_: Any) -> Any:
        raise AssertionError("too late")

    monkeypatch.setattr(ModelPool, "language_model", late)
    monkeypatch.setattr(Assembly, "pool_documents", late)
    with assembly(tmp_path, labels={"person": ""}, **asked) as made, pytest.raises(ConfigError):
        made.extractor()


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(("asked", "expected"), [({}, 5), ({"members": TWO[:1]}, 3), ({"workers": 7}, 7)])
def test_while_members_read_as_many_sentences_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], expected: int
) -> None:
    told: list[int] = []
    monkeypatch.setattr("entsemble.assembly.builder.LocalMapper", told.append)
    with assembly(tmp_path, **{"labels": {"person": ""}, **asked}) as made:
        made.extractor()
    assert told == [expected]


@pytest.mark.usefixtures("scripted")
def test_the_pool_s_characters_reach_the_pipeline(tmp_path: Path, pool_file: Path) -> None:
    with assembly(tmp_path, pool={"path": pool_file, "shots": 3, "max_characters": 40, "max_empty_share": 0.5}) as made:
        extractor = made.extractor()
        assert extractor.pipeline.rules.demonstration_limits == DemonstrationLimits(3, 40, 0.5)
        [result] = extractor.extract([Document("d", "Ann left Oslo.")])
    assert isinstance(result, Extracted)
    assert [len(shown) for shown in result.demonstration_ids] == [1]


@pytest.mark.usefixtures("scripted")
def test_a_sentence_is_not_shown_the_pool_text_that_holds_it(tmp_path: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    joined, other = "Ann Berg. Lee saw Oslo.", "Lee saw Rome."
    write([Document("j", joined, (mention_at(joined, 0, 13, "person"),)), Document("o", other)], pool)
    with assembly(tmp_path, pool={"path": pool, "shots": 2, "max_empty_share": 1.0}) as made:
        [result] = made.extractor().extract([Document("d", "Lee saw Oslo.")])
    assert isinstance(result, Extracted)
    assert result.demonstration_ids == (("o",),)


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(("similarity", "tagger"), [("sentence", "surface-1"), ("span", "the installed one")])
def test_spacy_is_loaded_only_where_spans_are_weighed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, similarity: str, tagger: str
) -> None:
    monkeypatch.setattr("entsemble.assembly.builder.best_tagger", lambda _: SimpleNamespace(name="the installed one"))
    write(naming(3, 1), tmp_path / "pool.jsonl")
    with assembly(tmp_path, pool={"path": tmp_path / "pool.jsonl", "similarity": similarity}) as made:
        index = made.extractor().pipeline.pool
    assert index is not None
    assert index.pos_tagger.name == tagger


@pytest.mark.parametrize(("length", "expected"), [(10, 240), (200, 600)])
def test_the_characters_follow_the_pool(tmp_path: Path, length: int, expected: int) -> None:
    documents = [Document("a", "x" * (length - 5)), Document("b", "x" * (length + 5))]
    with assembly(tmp_path, pool={"shots": 3}) as made:
        assert made.demonstration_limits(documents) == DemonstrationLimits(3, expected, 0.25)


def test_actors_are_given_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = load(overrides={"pool": {"path": "pool.jsonl"}, "members": [{"model": "own.gguf"}, {"model": "openai:x"}]})
    told = with_absolute_paths(told)
    assert told.pool.path == tmp_path.resolve() / "pool.jsonl"
    assert [m.model for m in told.members] == [str(tmp_path.resolve() / "own.gguf"), "openai:x"]
    (tmp_path / "mine").mkdir()
    for model, absolute in (("mine", str(tmp_path.resolve() / "mine")), ("minilm-l6", "minilm-l6")):
        assert with_absolute_paths(load(overrides={"encoder": {"model": model}})).encoder.model == absolute


def test_a_reader_without_the_answers() -> None:
    assert without_mentions(Document("d", "Ann", (mention_at("Ann", 0, 3, "X"),), meta={"a": 1})).mentions == ()


@pytest.mark.usefixtures("scripted")
def test_a_pool_teaches_once(tmp_path: Path) -> None:
    texts = [f"{name} left {town}{end}" for name in ("Ann", "Bob") for town in ("Oslo", "Rome") for end in ".!?,:;-"]
    documents = [Document(t, t, (mention_at(t, 0, 3, "person"), mention_at(t, 9, 13, "location"))) for t in texts]
    write(documents, tmp_path / "pool.jsonl")
    steps: list[str] = []
    progress = ProgressCallbacks(on_step=lambda what, done, total: steps.append(what))
    asked: dict[str, Any] = {"pool": {"path": tmp_path / "pool.jsonl", "shots": 2}, "stacking": {"sentences": 24}}

    def made(**more: Any) -> Any:
        with assembly(tmp_path, progress, **{**asked, **more}) as told:
            steps.clear()
            return told.extractor()

    first = made()
    assert steps.count("answering the pool to learn from it") == 24
    again = made()
    assert "answering the pool to learn from it" not in steps
    assert again.configuration == first.configuration
    assert "what was learnt" in first.configuration
    [result] = first.extract([Document("d", "Eve left Bern.")])
    assert all(m.score is not None and 0 < m.score < 1 for m in result.document.mentions)
    assert first.pipeline.scorer is not None
    assert first.pipeline.scorer.model.training_sentences == 24
    made(stacking={"sentences": 29})
    assert steps.count("answering the pool to learn from it") == 28, "all that the pool has"
    untaught = made(stacking={"sentences": 0})
    assert untaught.pipeline.scorer.model.training_sentences == 0, "what other corpora taught"
    assert untaught.configuration["what was learnt"] != first.configuration["what was learnt"]
    assert "naive_bayes" in {p.name for p in untaught.pipeline.proposers}, "learned scores, not votes"
    silent = made(stacking={"sentences": 0, "naive_bayes": False})
    assert [p.name for p in silent.pipeline.proposers] == ["pool", "capitalised"]
    assert silent.configuration["words propose"] != untaught.configuration["words propose"]
    counted = made(classification={"vote": "soft"})
    assert counted.pipeline.scorer is None
    assert [p.name for p in counted.pipeline.proposers] == ["pool"]
    assert "what was learnt" not in counted.configuration


@pytest.mark.parametrize(
    ("asked", "classification", "size", "expected"),
    [
        (None, {}, 19, False),
        (None, {}, 20, True),
        (None, {"vote": "majority"}, 200, False),
        (None, {"vote": "soft"}, 200, False),
        (None, {"threshold": 0.4}, 200, True),
        (20, {"vote": "majority"}, 200, False),
        (20, {"threshold": 0.4}, 200, True),
        (80, {}, 30, True),
        (80, {}, 0, False),
        (0, {}, 200, False),
    ],
)
def test_a_large_pool_teaches_unless_votes_are_to_be_counted(
    tmp_path: Path, asked: int | None, classification: dict[str, Any], size: int, expected: bool
) -> None:
    with assembly(tmp_path, classification=classification, stacking={"sentences": asked}) as made:
        ann = mention_at("Ann Ann", 0, 3, "person"), mention_at("Ann Ann", 4, 7, "person")
        assert made.trains_on_pool([Document(str(i), "Ann Ann", ann) for i in range(size)]) is expected


def test_a_pool_of_few_mentions_teaches_nothing_unless_asked(tmp_path: Path) -> None:
    ann = (mention_at("Ann", 0, 3, "person"),)
    few = [Document(str(i), "Ann", ann if i < 39 else ()) for i in range(200)]
    with assembly(tmp_path) as made:
        assert not made.trains_on_pool(few)
        assert made.trains_on_pool([*few, Document("more", "Ann", ann)])
    with assembly(tmp_path, stacking={"sentences": 40}) as asked:
        assert asked.trains_on_pool(few)


@pytest.fixture
def teaching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The sentences of a pool that would teach, in their order."""
    drawn: list[list[str]] = []

    def learnt(asked: Any, _: Any, prior: StackingModel, *__: Any, **___: Any) -> StackingModel:
        drawn.append([q.document.text for q in asked()])
        return prior

    monkeypatch.setattr("entsemble.assembly.builder.learnt", learnt)

    def of(pool: list[Document], scored: Sequence[Document] = (), **stacking: Any) -> list[str]:
        write(pool, tmp_path / "pool.jsonl")
        settings = load(overrides={"members": TWO, "pool": {"path": tmp_path / "pool.jsonl"}, "stacking": stacking})
        place = environment(
            {"ENTSEMBLE_CACHE": str(tmp_path / "cache"), "ENTSEMBLE_EXPERTS": str(tmp_path / "experts")}
        )
        with Assembly(settings, place, held_out=scored) as made:
            made.extractor()
        return drawn.pop() if drawn else []

    return of


def naming(count: int, every: int) -> list[Document]:
    """Sentences of which every so manieth has a mention."""
    texts = [f"Ann left Oslo {i} times." for i in range(count)]
    return [Document(t, t, () if i % every else (mention_at(t, 0, 3, "person"),)) for i, t in enumerate(texts)]


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(
    ("size", "asked", "expected"),
    [(60, None, 40), (200, None, 40), (300, None, 60), (900, None, 80), (200, 30, 30), (200, 500, 200)],
)
def test_a_fifth_of_a_pool_teaches_within_limits_unless_others_are_asked_for(
    teaching: Any, size: int, asked: int | None, expected: int
) -> None:
    assert len(teaching(naming(size, 1), sentences=asked)) == expected


@pytest.mark.usefixtures("scripted")
def test_what_teaches_hardly_depends_on_what_is_scored(teaching: Any) -> None:
    pool = naming(300, 1)
    first = teaching(pool)
    assert teaching(pool) == first
    kept = [text for text in teaching(pool, scored=pool[:30]) if text in first]
    assert len(kept) == sum(text not in {d.text for d in pool[:30]} for text in first)


@pytest.mark.usefixtures("scripted")
def test_nothing_is_learnt_from_what_is_scored(teaching: Any) -> None:
    pool = naming(20, 1)
    assert teaching(pool, scored=pool[1:], sentences=1) == [pool[0].text]
    assert teaching(pool, scored=pool, sentences=1) == [], "nobody is asked"


@pytest.mark.usefixtures("scripted")
def test_sentences_that_are_scored_make_no_pool_small(teaching: Any) -> None:
    every = naming(110, 1)
    assert [len(teaching(every, scored=scored)) for scored in (every[:20], every[:80])] == [40, 30]
