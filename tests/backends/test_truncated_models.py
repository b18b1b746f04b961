"""Files of models that are truncated in place after they were loaded: answers are the same, and no signal ends us."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from entsemble.backends.encoders import LlamaCppEncoder
from entsemble.backends.label_reader import model as label_reader
from entsemble.backends.llamacpp.engine import LlamaCppOptions
from entsemble.backends.llamacpp.model import LlamaCppModel
from entsemble.backends.token_classifier import TokenClassifier
from tests.backends.tiny_bert import save_classifier
from tests.backends.transformers.tiny import load_tiny, score_options
from tests.factories import label_set

TEXT = "Ann left Oslo."
Answer = Callable[[], object]
MAPS = Path("/proc/self/maps")

pytestmark = pytest.mark.skipif(not MAPS.exists(), reason="needs Linux's /proc")


def transformers_model(path: Path, precision: str) -> Answer:
    model = load_tiny(path, precision=precision)
    return lambda: [round(score, 3) for score in score_options(model)]  # the second time, a prefix is in its cache


def token_classifier(path: Path) -> Answer:
    tagger = TokenClassifier("tiny", path, "0")
    return lambda: tagger.tag([TEXT])


def reader(path: Path) -> Answer:
    scorer = label_reader.LabelReader("reader", path)
    return lambda: scorer.score_spans([TEXT], label_set("person", "place"), 0.01)


def language_model(path: Path) -> Answer:
    model = LlamaCppModel("model", path, fingerprint="f", options=LlamaCppOptions(context=256, slots=1))
    return lambda: model.choose([TEXT], [" a;", " b;"])[0].log_probabilities


def encoder(path: Path) -> Answer:
    model = LlamaCppEncoder(path, fingerprint="f")
    return lambda: model.encode([TEXT]).tolist()


def check(load: Callable[[Path], Answer], path: Path) -> None:
    """The answers of what `load` makes of `path` before and after each file in it is truncated."""
    answer = load(path)
    expected = answer()
    assert str(path) not in MAPS.read_text(encoding="utf-8", errors="replace")
    for file in path.iterdir() if path.is_dir() else [path]:
        os.truncate(file, 0)
    assert answer() == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_models_of_transformers(tiny_folder: Path, tmp_path: Path, precision: str) -> None:
    check(lambda path: transformers_model(path, precision), shutil.copytree(tiny_folder, tmp_path / "model"))


def test_token_classifiers(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    check(token_classifier, save_classifier(tmp_path, {"ann": "B-PER", "oslo": "B-LOC"}))


def test_the_label_reader(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    folder = Path(label_reader.__file__).parent / "label-reader"
    check(reader, shutil.copytree(folder, tmp_path / "reader"))


@pytest.mark.models
@pytest.mark.parametrize(("load", "name"), [(language_model, "smollm2-135m"), (encoder, "minilm-l6")])
def test_models_of_llamacpp(
    model_file: Callable[[str], Path], tmp_path: Path, load: Callable[[Path], Answer], name: str
) -> None:
    check(load, Path(shutil.copy(model_file(name), tmp_path / "model.gguf")))
