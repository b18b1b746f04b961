from __future__ import annotations

import io
import json
import math
import os
import signal
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from entsemble import cli, settings
from entsemble.assembly.model_pool import ModelPool
from entsemble.backends.catalogue import find_card
from entsemble.backends.download import pull
from entsemble.backends.scripted import ScriptedModel
from entsemble.experts import peft_folder
from entsemble.experts.card import Card
from entsemble.experts.merging.low_rank import LowRankFactors
from entsemble.experts.peft_folder import Adapter
from entsemble.experts.store import Expert
from entsemble.ner.member import Member
from entsemble.prompting.labels import label_set
from entsemble.prompting.template import load_template
from entsemble.protocols import Encoder, LanguageModel, Vectors
from entsemble.settings import MemberSettings, environment
from entsemble.types import LabelSet

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

SLOW_MARKERS = ("models", "slow", "soak")
DEADLINE = pytest.StashKey[float]()


def pytest_configure() -> None:
    """Handle signals as in a terminal, also where the tests run in the background, which ignores some."""
    for name in ("SIGINT", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--minutes",
        type=float,
        default=math.inf,
        help="skip the tests that have not started after so many minutes",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the fast tests that need no model first, so that faults show early, even on slow machines."""
    items.sort(key=lambda item: any(item.get_closest_marker(marker) for marker in SLOW_MARKERS))
    config.stash[DEADLINE] = time.monotonic() + 60 * config.getoption("--minutes")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.monotonic() > item.config.stash[DEADLINE]:
        pytest.skip("NOT RUN: the time for tests is over (--minutes)")


@dataclass
class TrigramEncoder:
    """Texts that share letters have similar vectors; records the texts it encoded."""

    fingerprint: str = "trigrams-1"
    weights_fingerprint: str = "trigrams"
    encoded_texts: list[str] = field(default_factory=list)

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.encoded_texts += texts
        rows = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            padded = f"  {text.lower()} "
            for index in range(len(padded) - 2):
                row[zlib.crc32(padded[index : index + 3].encode()) % 64] += 1
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)


@pytest.fixture
def trigrams() -> TrigramEncoder:
    return TrigramEncoder()


@pytest.fixture(scope="session")
def shared_trigrams() -> TrigramEncoder:
    return TrigramEncoder()


@pytest.fixture
def places() -> LabelSet:
    return label_set({"PER": "names of people", "LOC": ""})


@pytest.fixture(scope="session")
def member() -> Callable[..., Member]:
    """Makes a member of a model; a mapping of surface -> readable label stands for a scripted model."""

    def make(name: str, model: LanguageModel | Mapping[str, str], *, weight: float = 1.0, **options: Any) -> Member:
        language_model = ScriptedModel(name, model, **options) if isinstance(model, Mapping) else model
        return Member(name, language_model, load_template("ner-1"), load_template("zero-shot-1"), weight)

    return make


@pytest.fixture(scope="session")
def model_file() -> Callable[[str], Path]:
    """Returns the file of an embedded model, which is downloaded if necessary."""
    pytest.importorskip("xllamacpp")
    return lambda name: pull(find_card(name), environment().cache)


@dataclass(frozen=True)
class CommandResult:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def messages(self) -> str:
        """Standard error on one line, since it is wrapped to the width of the terminal."""
        return " ".join(self.err.split())

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., CommandResult]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `entsemble` with these arguments, in this process."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["entsemble", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)), encoding="utf-8"))
        capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as exit_error:
            code = exit_error.code
        captured = capsys.readouterr()
        assert code is None or isinstance(code, int), f"a message instead of an exit code: {code}"
        return CommandResult(code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All models that a command loads are scripted and know four names; the cache is temporary."""
    names = {"Oslo": "location", "Bergen": "location", "Ann": "person", "Bob Lee": "person"}

    def language_model(_: ModelPool, member_settings: MemberSettings) -> LanguageModel:
        return ScriptedModel(member_settings.name or member_settings.model, names)

    def weighted_sums(
        _: ModelPool,
        member_settings: MemberSettings,
        experts: Sequence[Expert],
        sums: Mapping[str, Mapping[str, float]],
    ) -> dict[str, LanguageModel]:
        """Each sum of experts knows the names whose label one of its experts was trained on."""
        expert_labels = {expert.card.name: expert.card.labels for expert in experts}
        models: dict[str, LanguageModel] = {}
        for sum_name, weights in sums.items():
            trained_labels = {label for expert_name in weights for label in expert_labels[expert_name]}
            trained_names = {name: label for name, label in names.items() if label in trained_labels}
            models[sum_name] = ScriptedModel(sum_name, trained_names)
        return models

    def encoder(_: ModelPool) -> Encoder:
        return TrigramEncoder()

    monkeypatch.setattr(ModelPool, "language_model", language_model)
    monkeypatch.setattr(ModelPool, "weighted_sums", weighted_sums)
    monkeypatch.setattr(ModelPool, "encoder", encoder)
    monkeypatch.setattr(settings, "PRESET_WITH_POOL", settings.PRESET_OF_MEMBERS)
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def plain_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members also without a pool, for tests that have nothing to do with experts."""
    monkeypatch.setattr(settings, "PRESET_WITHOUT_POOL", settings.PRESET_OF_MEMBERS)


@pytest.fixture
def pool_file(tmp_path: Path) -> Path:
    """Ten annotated sentences as JSON Lines."""
    sentences = [
        ("Carla flew from Madrid to Rome.", {"Carla": "person", "Madrid": "location", "Rome": "location"}),
        ("The mayor of Leeds met David Okoro.", {"Leeds": "location", "David Okoro": "person"}),
        ("Snow fell on Turin all night.", {"Turin": "location"}),
        ("Nobody asked Emma Brandt about the lease.", {"Emma Brandt": "person"}),
        ("A ferry links Dover with Calais.", {"Dover": "location", "Calais": "location"}),
        ("Felix and Greta run a bakery in Graz.", {"Felix": "person", "Greta": "person", "Graz": "location"}),
        ("The report was late again.", {}),
        ("Hiro Tanaka teaches in Kyoto.", {"Hiro Tanaka": "person", "Kyoto": "location"}),
        ("Prices in Lagos rose by a tenth.", {"Lagos": "location"}),
        ("Irene thanked Jonas for the map.", {"Irene": "person", "Jonas": "person"}),
    ]
    path = tmp_path / "pool.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for text, names in sentences:
            mentions = [
                {"start": text.index(name), "end": text.index(name) + len(name), "label": label}
                for name, label in names.items()
            ]
            file.write(json.dumps({"text": text, "mentions": mentions}) + "\n")
    return path


MODULE_SHAPES = {"model.layers.0.self_attn.q_proj": (8, 6), "model.layers.1.mlp.down_proj": (6, 10)}


def _random_adapter(seed: int, rank: int = 2) -> Adapter:
    random = np.random.default_rng(seed)
    factors = {
        module: LowRankFactors(
            random.normal(size=(rank, shape[1])).astype(np.float32),
            random.normal(size=(shape[0], rank)).astype(np.float32),
        )
        for module, shape in MODULE_SHAPES.items()
    }
    return Adapter(factors, base="tiny")


def _expert_card(name: str) -> Card:
    return Card(name=name, base="tiny", base_sha256="0" * 64, template="ner-1", labels=("person",))


@pytest.fixture
def tiny_adapter() -> Callable[..., Adapter]:
    """Makes random adapters: `tiny_adapter(seed, rank=2)`."""
    return _random_adapter


@pytest.fixture
def expert_card() -> Callable[[str], Card]:
    """Makes the card of an expert with this name."""
    return _expert_card


@pytest.fixture(scope="session")
def corpus() -> Callable[[str], Path]:
    """Returns the path of a file of the corpora, or of their folder for `.`; skips the test if it does not exist."""
    folder = Path(os.environ.get("ENTSEMBLE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

    def find(path: str) -> Path:
        if not folder.is_dir():
            pytest.skip("no corpora: set ENTSEMBLE_DATA to their folder")
        if not (folder / path).exists():
            pytest.skip(f"the corpora have no {path}")
        return folder / path

    return find


@pytest.fixture
def adapter_folder(tmp_path: Path) -> Callable[[int], Path]:
    """Makes PEFT folders of random adapters."""

    def make(seed: int = 0) -> Path:
        folder = tmp_path / f"adapter-{seed}"
        peft_folder.save_adapter(_random_adapter(seed), folder)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_llama() -> Callable[..., Any]:
    """Makes a Llama of two layers with fixed random weights; arguments change its configuration."""
    transformers = pytest.importorskip("transformers", reason="needs the extra 'experts'")

    def make(**changes: Any) -> Any:
        transformers.set_seed(0)
        config = {
            "vocab_size": 128,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        }
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**config, **changes}))

    return make
