"""Settings into an ensemble, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from entsemble.assembly import Assembly, ProgressCallbacks
from entsemble.assembly.model_pool import ModelPool
from entsemble.errors import ConfigError, DataError, EntsembleError, ModelUnavailableError, UnknownNameError
from entsemble.ner.documents import Extracted
from entsemble.settings import environment, load
from entsemble.types import Document

TWO_MEMBERS = [{"model": "smollm2-135m"}, {"model": "gemma-3-270m"}]


def make_assembly(tmp_path: Path, progress: ProgressCallbacks | None = None, **overrides: Any) -> Assembly:
    settings = load(overrides={"members": TWO_MEMBERS, **overrides})
    folders = {"ENTSEMBLE_CACHE": str(tmp_path / "cache"), "ENTSEMBLE_EXPERTS": str(tmp_path / "experts")}
    return Assembly(settings, environment(folders), progress)


@pytest.mark.usefixtures("scripted")
class TestExtractor:
    def test_an_ensemble_with_a_pool_finds_mentions(self, tmp_path: Path, pool_file: Path) -> None:
        steps: list[tuple[str, int, int]] = []
        progress = ProgressCallbacks(on_step=lambda *step: steps.append(step))
        with make_assembly(tmp_path, progress, pool={"path": pool_file, "shots": 2}) as assembly:
            [result] = assembly.extractor().extract([Document("d", "Ann left Oslo. Then it rained.")])
        assert isinstance(result, Extracted)
        assert [(m.text, m.label) for m in result.document.mentions] == [("Ann", "person"), ("Oslo", "location")]
        assert set(result.member_mentions) == {"smollm2-135m", "gemma-3-270m"}
        assert [len(ids) for ids in result.demonstration_ids] == [2, 2]
        step, done, total = steps[-1]
        assert step == "encoding the pool"
        assert done == total > 0

    def test_members_pre_extract_the_pool_s_spans_once(self, tmp_path: Path, pool_file: Path) -> None:
        pool = {"path": pool_file, "similarity": "span", "spans": "members"}
        steps: list[str] = []
        progress = ProgressCallbacks(on_step=lambda what, done, total: steps.append(what))
        for _ in range(2):
            with make_assembly(tmp_path, progress, pool=pool) as assembly:
                assembly.extractor()
        assert sum(step.startswith("pre-extracting") for step in steps) == 10

    def test_labels_of_the_settings_keep_their_order(self, tmp_path: Path, pool_file: Path) -> None:
        labels = {"ship": "vessels", "person": "", "location": ""}
        with make_assembly(tmp_path, pool={"path": pool_file}, labels=labels) as assembly:
            assert assembly.extractor().pipeline.labels.names == ("ship", "person", "location")

    def test_without_labels_in_the_settings_the_pool_s_are_found(self, tmp_path: Path, pool_file: Path) -> None:
        with make_assembly(tmp_path, pool={"path": pool_file}) as assembly:
            assert assembly.extractor().pipeline.labels.names == ("location", "person")

    @pytest.mark.parametrize(("configured", "expected"), [(None, True), (False, False)])
    def test_labels_are_nested_if_the_pool_s_mentions_are_unless_configured(
        self, tmp_path: Path, configured: bool | None, expected: bool
    ) -> None:
        mentions = [{"start": 0, "end": 12, "label": "A"}, {"start": 8, "end": 12, "label": "B"}]
        path = tmp_path / "pool.jsonl"
        path.write_text(json.dumps({"text": "Bank of Oslo", "mentions": mentions}) + "\n")
        with make_assembly(tmp_path, pool={"path": path}, nested=configured) as assembly:
            assert assembly.extractor().pipeline.labels.nested is expected

    def test_two_members_may_share_a_model_under_two_names(self, tmp_path: Path) -> None:
        members = [{"model": "smollm2-135m", "name": "a"}, {"model": "smollm2-135m", "name": "b", "weight": 2}]
        with make_assembly(tmp_path, labels={"person": ""}, members=members) as assembly:
            assert [(m.name, m.weight) for m in assembly.extractor().pipeline.members] == [("a", 1.0), ("b", 2.0)]

    @pytest.mark.parametrize(
        ("overrides", "expected"), [({}, 5), ({"members": TWO_MEMBERS[:1]}, 3), ({"workers": 7}, 7)]
    )
    def test_two_sentences_a_member_and_one_more_are_in_flight(
        self, tmp_path: Path, overrides: dict[str, Any], expected: int
    ) -> None:
        with make_assembly(tmp_path, **{"labels": {"person": ""}, **overrides}) as assembly:
            assert assembly.extractor().mapper.workers == expected


class TestBadInput:
    @pytest.mark.usefixtures("scripted")
    @pytest.mark.parametrize("labels", [{"person": ""}, {"person": "", "place": ""}])
    def test_labels_of_the_pool_must_be_requested(self, tmp_path: Path, pool_file: Path, labels: Any) -> None:
        with (
            make_assembly(tmp_path, pool={"path": pool_file}, labels=labels) as assembly,
            pytest.raises(DataError, match=r"pool\.jsonl: .*location \(\d+ mentions\); request them"),
        ):
            assembly.extractor()

    @pytest.mark.parametrize("text", ["", "\n \n", json.dumps({"text": "Nobody here."}) + "\n"])
    def test_a_pool_without_a_mention_is_refused(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "pool.jsonl"
        path.write_text(text)
        with make_assembly(tmp_path, pool={"path": path}) as assembly, pytest.raises(DataError, match=r"pool\.jsonl"):
            assembly.extractor()

    def test_a_missing_pool_is_named(self, tmp_path: Path) -> None:
        with (
            make_assembly(tmp_path, pool={"path": tmp_path / "absent.conll"}) as assembly,
            pytest.raises(DataError, match=r"absent\.conll.*no such file"),
        ):
            assembly.extractor()

    def test_without_a_pool_labels_are_needed(self, tmp_path: Path) -> None:
        with make_assembly(tmp_path) as assembly, pytest.raises(ConfigError, match=r"--labels.*--pool"):
            assembly.extractor()

    def test_no_label_may_be_called_none(self, tmp_path: Path) -> None:
        with make_assembly(tmp_path, labels={"none": ""}) as assembly, pytest.raises(ConfigError, match="no entity"):
            assembly.extractor()

    @pytest.mark.usefixtures("scripted")
    @pytest.mark.parametrize(
        ("overrides", "problem"),
        [
            ({"members": []}, "no members"),
            ({"members": [{"model": "gemma-3-270m"}] * 2}, "two members are called 'gemma-3-270m'"),
            ({"members": [{"model": f"{x}.gguf", "name": "a"} for x in "xy"]}, "are called 'a'"),
            ({"members": [{"model": "x.gguf", "name": "pool"}]}, "cannot be called 'pool', .*the pool's names"),
            (
                {"members": [{"model": "x.gguf", "name": "label-reader"}], "voices": [{"model": "label-reader"}]},
                "cannot be called 'label-reader', .*a voice",
            ),
            ({"verification": {"member": "judge"}}, "'judge' is not a member; members: smollm2-135m, gemma-3-270m"),
            ({"classification": {"vote": "loud"}}, "'loud'; known: majority"),
            ({"members": [{"model": "smollm2-135m", "template": "ner-0"}]}, "'ner-0'; known: ner-1"),
        ],
    )
    def test_members_and_rules_are_checked(self, tmp_path: Path, overrides: dict[str, Any], problem: str) -> None:
        with (
            make_assembly(tmp_path, labels={"person": ""}, **overrides) as assembly,
            pytest.raises(ConfigError, match=problem),
        ):
            assembly.extractor()

    @pytest.mark.parametrize("wrong", [{"verification": {"member": "judge"}}, {"classification": {"vote": "loud"}}])
    def test_rules_are_checked_before_the_pool_is_read(self, tmp_path: Path, wrong: dict[str, Any]) -> None:
        with (
            make_assembly(tmp_path, pool={"path": tmp_path / "absent.jsonl"}, **wrong) as assembly,
            pytest.raises(ConfigError),
        ):
            assembly.extractor()

    @pytest.mark.parametrize(
        ("member", "error", "problem"),
        [
            (
                {"model": "smollm3"},
                UnknownNameError,
                r"'smollm3'; known: .*(smollm2.*openai:MODEL|openai:MODEL.*smollm2)",
            ),
            ({"model": "absent.gguf"}, EntsembleError, r"no model file at .*absent\.gguf"),
            ({"model": "openai:big"}, ConfigError, r"openai:big: .*base_url"),
            ({"model": "openai:"}, ConfigError, r"openai: .*model"),
        ],
    )
    def test_a_missing_model_is_named(
        self, tmp_path: Path, member: dict[str, Any], error: type[Exception], problem: str
    ) -> None:
        with (
            make_assembly(tmp_path, labels={"person": ""}, members=[member]) as assembly,
            pytest.raises(error, match=problem),
        ):
            assembly.extractor()

    def test_a_file_that_is_not_a_model_is_named(self, tmp_path: Path) -> None:
        pytest.importorskip("xllamacpp")
        path = tmp_path / "mine.gguf"
        path.write_text("nothing of the kind")
        with (
            make_assembly(tmp_path, labels={"person": ""}, members=[{"model": str(path)}]) as assembly,
            pytest.raises(ModelUnavailableError, match=r"mine\.gguf is not a GGUF file"),
        ):
            assembly.extractor()

    def test_a_language_model_cannot_be_the_encoder(self, tmp_path: Path) -> None:
        with (
            make_assembly(tmp_path, encoder={"model": "smollm2-135m"}) as assembly,
            pytest.raises(ConfigError, match="minilm-l6"),
        ):
            assembly.encoder()


def test_an_encoder_that_changes_in_its_folder_has_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=str))
    (tmp_path / "1_Pooling").mkdir()
    settings = load(overrides={"encoder": {"model": str(tmp_path)}})
    fingerprints = set()
    for file in ("model.safetensors", "1_Pooling/config.json", "1_Pooling/config.json"):
        for content in ("old", "new"):
            (tmp_path / file).write_text(content)
            models = ModelPool(settings, environment(), ProgressCallbacks())
            fingerprints.add(models.encoder().fingerprint)
            models.close()
    assert len(fingerprints) == 4, "one for each content, whatever came before"
