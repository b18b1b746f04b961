from __future__ import annotations

import io
import json
import math
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
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
from entsemble.experts.merging.merge import MergeSettings, merge_adapters
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

SLOW = ("models", "slow", "soak")
END = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--minutes",
        type=float,
        default=math.inf,
        help="begin no test so many minutes after the first; those left out are told of as skipped",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is quick and needs no model goes first: a fault is seen early, and no machine is too slow for it."""
    items.sort(key=lambda item: any(item.get_closest_marker(mark) for mark in SLOW))
    config.stash[END] = time.monotonic() + 60 * config.getoption("--minutes")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.monotonic() > item.config.stash[END]:
        pytest.skip("NOT RUN: the time for tests is over (--minutes)")


@dataclass
class TrigramEncoder:
    """Texts that share letters are alike; remembers what it was asked."""

    fingerprint: str = "trigrams-1"
    weights_fingerprint: str = "trigrams"
    asked: list[str] = field(default_factory=list)

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        rows = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            padded = f"  {text.lower()} "
            for i in range(len(padded) - 2):
                row[zlib.crc32(padded[i : i + 3].encode()) % 64] += 1
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
    """A member around a model; a mapping makes a scripted model of surface -> readable label."""

    def made(name: str, model: LanguageModel | Mapping[str, str], *, weight: float = 1.0, **scripted: Any) -> Member:
        answering = ScriptedModel(name, model, **scripted) if isinstance(model, Mapping) else model
        return Member(name, answering, load_template("ner-1"), load_template("zero-shot-1"), weight)

    return made


@pytest.fixture(scope="session")
def model_file() -> Callable[[str], Path]:
    """The file of an embedded model, pulled where it is not there yet."""
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
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
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
    """Every model that a command loads is a scripted one that knows a few names, and nothing is kept for good."""

    names = {"Oslo": "location", "Bergen": "location", "Ann": "person", "Bob Lee": "person"}

    def model(_: ModelPool, asked: MemberSettings) -> LanguageModel:
        return ScriptedModel(asked.name or asked.model, names)

    def sums(
        _: ModelPool, asked: MemberSettings, experts: Sequence[Expert], wanted: Mapping[str, Mapping[str, float]]
    ) -> dict[str, LanguageModel]:
        labels = {e.card.name: e.card.labels for e in experts}
        known = {of: {n: x for n, x in names.items() if any(x in labels[e] for e in wanted[of])} for of in wanted}
        return {of: ScriptedModel(of, known[of]) for of in wanted}

    def encoder(_: ModelPool) -> Encoder:
        return TrigramEncoder()

    monkeypatch.setattr(ModelPool, "language_model", model)
    monkeypatch.setattr(ModelPool, "weighted_sums", sums)
    monkeypatch.setattr(ModelPool, "encoder", encoder)
    monkeypatch.setenv("ENTSEMBLE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def plain_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two plain members answer, with a pool or without, for tests of what has nothing to do with experts."""
    monkeypatch.setattr(settings, "WITHOUT_POOL", settings.DEFAULT_PRESET)


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


MODULES = {"model.layers.0.self_attn.q_proj": (8, 6), "model.layers.1.mlp.down_proj": (6, 10)}


def _tiny(seed: int, rank: int = 2) -> Adapter:
    random = np.random.default_rng(seed)
    made = {
        module: LowRankFactors(
            random.normal(size=(rank, shape[1])).astype(np.float32),
            random.normal(size=(shape[0], rank)).astype(np.float32),
        )
        for module, shape in MODULES.items()
    }
    return Adapter(made, base="tiny")


def _told(name: str) -> Card:
    return Card(name=name, base="tiny", base_sha256="0" * 64, template="ner-1", labels=("person",))


@pytest.fixture
def tiny_adapter() -> Callable[..., Adapter]:
    """Makes adapters, each seed another."""
    return _tiny


@pytest.fixture
def expert_card() -> Callable[[str], Card]:
    """Makes cards."""
    return _told


@pytest.fixture(scope="session")
def corpus() -> Callable[[str], Path]:
    """Finds a file of the development corpora, or `.`, their folder; skips the test where there is none."""
    place = Path(os.environ.get("ENTSEMBLE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

    def find(path: str) -> Path:
        if not place.is_dir():
            pytest.skip("no corpora: set ENTSEMBLE_DATA to their folder")
        if not (place / path).exists():
            pytest.skip(f"the corpora hold no {path}")
        return place / path

    return find


@pytest.fixture
def adapter_folder(tmp_path: Path) -> Callable[[int], Path]:
    """Makes PEFT folders, each of another expert."""

    def make(seed: int = 0) -> Path:
        made = tmp_path / f"adapter-{seed}"
        peft_folder.save_adapter(_tiny(seed), made)
        return made

    return make


@pytest.fixture(scope="session")
def tiny_llama() -> Callable[..., Any]:
    """Makes a random Llama of two layers, the same each time, but for what its configuration is told."""
    transformers = pytest.importorskip("transformers", reason="needs the extra 'experts'")

    def make(**told: Any) -> Any:
        transformers.set_seed(0)
        usual = {
            "vocab_size": 128,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        }
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**usual, **told}))

    return make


def _change(seed: int) -> Adapter:
    random = np.random.default_rng(seed)
    return Adapter(
        {
            f"model.layers.{i}.mlp.down_proj": LowRankFactors(
                random.normal(scale=0.5, size=(2, 48)).astype(np.float32),
                random.normal(scale=0.5, size=(32, 2)).astype(np.float32),
            )
            for i in (0, 1)
        }
    )


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Callable[..., Any]) -> Path:
    """A model of transformers, tiny and random, with a tokenizer of single bytes."""
    import tokenizers
    import transformers

    place = tmp_path_factory.mktemp("tiny")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    raw = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate([*letters, "<s>", "</s>"])}, []))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = tokenizers.decoders.ByteLevel()
    transformers.PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>").save_pretrained(place)
    tiny_llama(vocab_size=258, bos_token_id=256, eos_token_id=257).save_pretrained(place)
    return place


@pytest.fixture(scope="session")
def tiny_adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters of that model, as PEFT has them: two, and both as half the one and a quarter of the other."""
    place = tmp_path_factory.mktemp("adapters")
    one, two = _change(1), _change(2)
    both = merge_adapters([one, two], [0.5, 0.25], MergeSettings()).adapter
    for name, made in (("v1.0", one), ("two", two), ("both", both)):
        peft_folder.save_adapter(made, place / name)
    return {name: place / name for name in ("v1.0", "two", "both")}


@pytest.fixture
def extraction_service(tmp_path: Path, scripted: None, plain_members: None) -> Iterator[Any]:
    """The service of a server, with scripted members and an empty pool."""
    pytest.importorskip("fastapi", reason="needs the extra 'serve'")
    from entsemble.server.pool_file import PoolFile
    from entsemble.server.service import ExtractionService

    def settings_for(values: Any) -> settings.Settings:
        return settings.load(overrides={"cache": {"replies": False}, **values})

    pool = PoolFile(tmp_path / "server" / "pool.jsonl")
    yield ExtractionService(settings_for, environment(), pool)
    pool.close()


@pytest.fixture
def serve(extraction_service: Any) -> Iterator[Callable[..., Any]]:
    """Starts a server, and returns a client."""
    from fastapi.testclient import TestClient

    from entsemble.server.app import create_app
    from entsemble.server.security import Limits

    with ExitStack() as stack:

        def start(key: str | None = None, retry_seconds: float = 30, **limits: Any) -> Any:
            app = create_app(extraction_service, Limits(**limits), key, retry_seconds=retry_seconds)
            return stack.enter_context(TestClient(app, base_url="http://localhost:8765"))

        yield start
