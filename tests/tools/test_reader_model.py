import random
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

from safetensors.torch import load_file, save_file  # noqa: E402
from tools.reader.average import main as average_main  # noqa: E402
from tools.reader.corpora import Document, Mention, Source  # noqa: E402
from tools.reader.encode import Encoder, targets_of  # noqa: E402
from tools.reader.export import run_network  # noqa: E402
from tools.reader.mixture import Corpus, Mixture, surfaces_of  # noqa: E402
from tools.reader.model import LabelReader, reader_loss, segment_mean  # noqa: E402
from tools.reader.predict import Candidate, Predictor, decode, groups_of, windows_of  # noqa: E402
from tools.reader.prompts import WORD, Example, PromptWriter  # noqa: E402
from tools.reader.schedule import Schedule  # noqa: E402
from tools.reader.scoring import compare, f1_with_interval, total  # noqa: E402
from tools.reader.train import Feed, Options, Trainer  # noqa: E402
from tools.reader.unpack import load_exported  # noqa: E402
from tools.reader.wording import Wording  # noqa: E402
from transformers import BertConfig, BertModel  # noqa: E402

from entsemble.backends.label_reader.encode import EncodedRow, LabelReaderEncoder, show_labels  # noqa: E402
from entsemble.backends.label_reader.model import BUNDLED_READER, NETWORK, TOKENIZER  # noqa: E402
from entsemble.types import Label  # noqa: E402

VOCABULARY = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghij", "city", "person", "##s", "to", "met"]


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({word: number for number, word in enumerate(VOCABULARY)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return Encoder(tmp_path / "tokenizer.json")


def small_reader() -> LabelReader:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return LabelReader(BertModel(BertConfig(vocab_size=len(VOCABULARY), **sizes), add_pooling_layer=False))


def small_trainer(folder: Path, encoder: Encoder) -> Trainer:
    generator = random.Random(5)
    documents = []
    for _ in range(40):
        words = generator.choices("abcdefghij", k=generator.randint(3, 8))
        mention = Mention(0, 1, "person" if words[0] < "f" else "city")
        documents.append(Document("x", " ".join(words), (mention,), "train", ("person", "city")))
    item = Source("x", "x", "diverse", "x", "", "en", "", "")
    mixture = Mixture({"x": Corpus(item, documents, surfaces=surfaces_of(documents))})
    options = Options(folder, batch_size=8, snapshot_every=0, bfloat16=False)
    return Trainer(small_reader(), Feed(mixture, PromptWriter(mixture, Wording()), encoder, options), options)


def test_training_that_was_interrupted_ends_with_the_same_weights(tmp_path: Path, encoder: Encoder) -> None:
    whole = small_trainer(tmp_path / "whole", encoder)
    torch.manual_seed(1)
    whole.run(9)
    folder = tmp_path / "parts"
    folder.mkdir()
    first = small_trainer(folder, encoder)
    torch.manual_seed(1)
    first.run(4)
    first.save()
    torch.manual_seed(99)
    second = small_trainer(folder, encoder)
    assert second.restore()
    second.run(9)
    for one, other in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_two_workers_learn_as_one_does(tmp_path: Path, encoder: Encoder) -> None:
    trainers = [small_trainer(tmp_path, encoder) for _ in range(2)]
    trainers[1] = Trainer(trainers[1].model, trainers[1].feed, replace(trainers[1].options, workers=2))
    for trainer in trainers:
        for module in trainer.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        trainer.model.encoder.config._attn_implementation = "eager"
        trainer.run(3)
    one, two = (torch.cat([parameter.flatten() for parameter in trainer.model.parameters()]) for trainer in trainers)
    assert torch.allclose(one, two, atol=1e-3)


def test_labels_do_not_depend_on_padding(encoder: Encoder) -> None:
    reader = small_reader().eval()
    short, longer = (("a", "b"), ("city", "person")), (("a", "b", "c", "d", "e"), ("person", "city", "to"))
    rows = [encoder.row(*short), encoder.row(*longer)]
    alone, together = encoder.batch(rows[:1]), encoder.batch(rows)
    with torch.inference_mode():
        (one, _), (two, _) = reader(*alone.inputs()), reader(*together.inputs())
    assert torch.allclose(one[0, 0, 0, :2], two[0, 0, 0, :2], atol=1e-5)
    assert torch.allclose(one[0, 1, 0, :2], two[0, 1, 0, :2], atol=1e-5)


def test_the_mean_of_a_segment() -> None:
    states = torch.arange(8.0).reshape(1, 4, 2)
    mean = segment_mean(states, torch.tensor([[1, 0]]), torch.tensor([[2, 0]]))
    assert torch.equal(mean[0], torch.stack([states[0, 1:3].mean(0), states[0, 0]]))


def test_the_place_of_a_label_is_its_name(encoder: Encoder) -> None:
    plain, defined, with_examples = (
        encoder.row(("a",), (label, "person")) for label in ("a city", "a city: e f g", "a city, such as b or c")
    )
    assert plain.labels[0] == defined.labels[0] == with_examples.labels[0] == (1, 3)
    assert plain.labels[1] == (4, 5)
    assert defined.labels[1] == (8, 9)


def test_the_package_lays_a_row_out_as_training_does() -> None:
    labels = [Label("musicalartist", "musical artist"), Label("song", "song", "a piece of music: sung; not: Opera")]
    words = ["Ann", "sang", "Yesterday", "."]
    shipped = LabelReaderEncoder(BUNDLED_READER / TOKENIZER).encode_row(words, show_labels(labels))
    trained = Encoder(BUNDLED_READER / TOKENIZER).row(words, ("musical artist", "song: a piece of music: sung"))
    assert shipped == EncodedRow(trained.pieces, trained.labels, trained.words)


def test_the_loss_counts_what_exists_only(encoder: Encoder) -> None:
    examples = [Example(("a", "b"), ("city", "person"), ((0, 1, 1),)), Example(("a",), ("city",), ())]
    batch = encoder.batch([encoder.row(example.words, example.labels) for example in examples])
    targets = targets_of(examples, batch)
    assert targets.spans.tolist() == [[0, 0, 1, 1]]
    scores = torch.where(targets.scores.bool(), 20.0, -20.0)
    wrong_where_nothing_is = scores.masked_fill(
        ~(batch.span_mask.unsqueeze(-1) & batch.label_mask[:, None, None]), 20.0
    )
    loss, right = reader_loss(wrong_where_nothing_is, targets, batch)
    assert loss.item() < 1e-6
    assert right == 1.0


def test_a_row_without_labels_is_no_reason_for_nan(encoder: Encoder) -> None:
    batch = encoder.batch([encoder.row(("a", "b"), ()), encoder.row(("a",), ("city",))])
    assert all(output.isfinite().all() for output in small_reader()(*batch.inputs()))


def test_long_texts_and_many_labels_are_read_in_parts(encoder: Encoder) -> None:
    text = " ".join("abcdefghij"[number % 10] for number in range(180))
    labels = [f"city {number}" for number in range(45)]
    candidates = Predictor(small_reader(), encoder).candidates([text, ""], labels, 0.0)
    assert {item.label for item in candidates[0]} == set(range(45))
    assert max(item.end for item in candidates[0]) == len(text)
    assert candidates[1] == []
    assert sorted(number for group in groups_of(45, 20) for number in group) == list(range(45))
    assert {place for window in windows_of(text) for place in window} == {match.span() for match in WORD.finditer(text)}


def test_weights_are_averaged(tmp_path: Path) -> None:
    files = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for value, file in enumerate(files):
        save_file({"layer": torch.full((2,), float(value))}, file)
    average_main([str(tmp_path / "mean.safetensors"), *map(str, files)])
    assert load_file(tmp_path / "mean.safetensors")["layer"].tolist() == [0.5, 0.5]


def test_decoding_flat_and_nested() -> None:
    outer, inner, crossing = Candidate(0, 9, 0, 0.9), Candidate(0, 4, 1, 0.8), Candidate(5, 12, 0, 0.7)
    assert decode([outer, inner, crossing], 0.5) == [outer]
    assert decode([outer, inner, crossing], 0.5, nested=True) == [inner, outer]
    assert decode([outer, replace(outer, label=1, score=0.8)], 0.5, nested=True) == [outer]


def test_the_schedule_rises_stays_and_falls() -> None:
    schedule = Schedule(warm_up=10, decay_start=50, decay_length=10)
    shares = [schedule.share(step) for step in range(61)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[9:51] == [1.0] * 42
    assert shares[50:] == sorted(shares[50:], reverse=True)
    assert shares[60] == pytest.approx(0.01)
    timed = Schedule(warm_up=10, decay_start=100.0, decay_length=50.0, timed=True)
    assert [timed.progress(1000, second) for second in (99.0, 100.0, 125.0)] == [None, 0.0, 0.5]


def test_a_decay_leaves_the_state_for_later(tmp_path: Path, encoder: Encoder) -> None:
    trainer = small_trainer(tmp_path, encoder)
    trainer.run(3)
    trainer.schedule = Schedule(decay_start=3, decay_length=4)
    trainer.run()
    assert trainer.step == 7
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 3


def test_scores_and_interval() -> None:
    counts = [compare([(0, 1, "x")], [(0, 1, "y")]), compare([(0, 1, "x")], [(0, 1, "x"), (2, 3, "x")])]
    assert total(counts).typed.f1 == pytest.approx(2 / 5)
    assert total(counts).spans.f1 == pytest.approx(4 / 5)
    value, low, high = f1_with_interval([sentence.spans for sentence in counts])
    assert low <= value <= high


def test_the_network_is_one_graph_for_all_sizes(encoder: Encoder) -> None:
    reader = small_reader().eval()
    rows, pieces, labels, words = (torch.export.Dim(name, min=1, max=512) for name in "BNLW")
    shapes = [{0: rows, 1: size} for size in (pieces, pieces, labels, labels, words, words)]
    seen = encoder.batch([encoder.row("abcde", ("city", "person", "to")), encoder.row("abc", ("city",))])
    other = encoder.batch([encoder.row("abcdefghij", ("city", "person"))] * 3)
    graph = torch.export.export(reader, seen.inputs(), dynamic_shapes=(*shapes, {0: words}, {0: rows, 1: labels}))
    for exported, original in zip(graph.module()(*other.inputs()), reader(*other.inputs()), strict=True):
        assert torch.allclose(exported, original)


@pytest.mark.slow
def test_the_shipped_network_is_unpacked_to_one_that_computes_the_same() -> None:
    for module in ("onnx", "onnxruntime"):
        pytest.importorskip(module)
    sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    reader = LabelReader(BertModel(BertConfig(vocab_size=30522, **sizes), add_pooling_layer=False)).eval()
    load_exported(reader, BUNDLED_READER / NETWORK)
    encoder = Encoder(BUNDLED_READER / TOKENIZER)
    rows = [encoder.row(["Ann", "flew", "to", "Oslo", "on", "Monday"], ("person", "place", "date of an event"))]
    batch = encoder.batch([*rows, encoder.row(["It", "rained"], ("weather", "person"))])
    with torch.no_grad():
        scores = reader(*batch.inputs())
    for ours, shipped in zip(scores, run_network(BUNDLED_READER / NETWORK, batch), strict=True):
        assert ours.numpy() == pytest.approx(shipped, abs=1e-3)
