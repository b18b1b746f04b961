"""Models of GLiNER and GLiNER2 that the tests make; each is skipped where its library is not installed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from entsemble.backends.gliner_scorer import GlinerScorer
from entsemble.errors import MissingExtraError, ModelUnavailableError
from entsemble.types import Span
from tests.backends.tiny_bert import save_tokenizer
from tests.factories import label_set

WORDS = dict.fromkeys(("ann", "left", "oslo", ".", "it", "rained", "person", "place"))
LABELS = label_set("person", "place")


def save_encoder(folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=save_tokenizer(folder, WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=256,
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def save_gliner(encoder: Path, folder: Path) -> None:
    gliner = pytest.importorskip("gliner")
    config = gliner.GLiNERConfig(
        model_name=str(encoder), max_width=3, hidden_size=16, num_rnn_layers=0, max_len=40, span_mode="markerV0"
    )
    gliner.GLiNER.from_config(config).save_pretrained(folder)


def save_gliner2(encoder: Path, folder: Path) -> None:
    gliner2 = pytest.importorskip("gliner2")
    pytest.importorskip("torch")
    config = gliner2.ExtractorConfig(model_name=str(encoder), max_len=40)
    gliner2.AutoExtractor.from_config(config).save_pretrained(folder)


@pytest.fixture(params=[save_gliner, save_gliner2], ids=["gliner", "gliner2"])
def scorer(request: pytest.FixtureRequest, tmp_path: Path) -> GlinerScorer:
    pytest.importorskip("torch").manual_seed(0)  # with some weights GLiNER2 counts no mention, and answers nothing
    encoder = save_encoder(tmp_path / "encoder")
    request.param(encoder, tmp_path / "model")
    shutil.rmtree(encoder)  # the model's folder must be enough
    return GlinerScorer("tiny", tmp_path / "model", "0")


@pytest.mark.filterwarnings("ignore")
def test_spans_are_scored_for_every_label(scorer: GlinerScorer) -> None:
    texts = ["Ann left Oslo .", "", "It rained ."]
    first, empty, last = scorer.score_spans(texts, LABELS, 0.0)
    assert empty == []
    assert scorer.parameters > 1000
    assert {Span(0, 3), Span(9, 13)} <= {scored.span for scored in first}
    for spans in (first, last):
        assert all(set(scored.probabilities) == {"person", "place"} and 0 < scored.score < 1 for scored in spans)
    alone = scorer.score_spans([texts[0]], LABELS, 0.0)[0]
    assert {s.span: s.score for s in alone} == pytest.approx({s.span: s.score for s in first}, abs=1e-4)
    assert scorer.score_spans([texts[0]], LABELS, 0.999) == [[]]


@pytest.mark.filterwarnings("ignore")
def test_a_model_whose_file_is_truncated_meanwhile_still_answers(scorer: GlinerScorer, tmp_path: Path) -> None:
    before = scorer.score_spans(["Ann left Oslo ."], LABELS, 0.0)
    for file in (tmp_path / "model").rglob("*.safetensors"):
        os.truncate(file, 0)
    assert scorer.score_spans(["Ann left Oslo ."], LABELS, 0.0) == before


@pytest.mark.filterwarnings("ignore")
def test_a_text_longer_than_the_model_is_read_in_windows(scorer: GlinerScorer) -> None:
    text = "It rained . " * 40 + "Ann"
    [spans] = scorer.score_spans([text], LABELS, 0.0)
    assert any(scored.span.start > 460 for scored in spans)
    assert any(scored.span.end < 12 for scored in spans)


@pytest.mark.filterwarnings("ignore")
def test_spans_end_where_words_do(scorer: GlinerScorer) -> None:
    text = "नमस्ते Ann"
    [spans] = scorer.score_spans([text], LABELS, 0.0)
    assert {scored.span.slice(text) for scored in spans} <= {"नमस्ते", "Ann", text}


def test_folders_that_are_no_models_are_named(tmp_path: Path) -> None:
    pytest.importorskip("gliner")
    (tmp_path / "gliner_config.json").write_text("{}")
    with pytest.raises(ModelUnavailableError, match=f"cannot load the gliner model {tmp_path}"):
        GlinerScorer("tiny", tmp_path, "0")


@pytest.mark.parametrize(("library", "file"), [("gliner", "gliner_config.json"), ("gliner2", "config.json")])
def test_without_the_library_its_extra_is_named(
    tmp_path: Path, library: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / file).write_text("{}")
    with pytest.raises(MissingExtraError, match=rf"the voice tiny needs .* pip install 'entsemble\[{library}\]'"):
        GlinerScorer("tiny", tmp_path, "0")
