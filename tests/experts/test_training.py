from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.errors import ConfigError, DataError
from entsemble.experts import peft_folder
from entsemble.experts.checkpoint import BEST_FOLDER, STATE_FILE, TrainingSettings
from entsemble.experts.examples import TextPiece
from entsemble.experts.lora import attach_lora, extract_adapter
from entsemble.experts.peft_folder import Adapter
from entsemble.experts.training import (
    TrainingProgress,
    TrainingResult,
    _tokenize_pieces,
    train,
)

pytest.importorskip("torch", reason="needs the extra 'experts'")
pytest.importorskip("peft", reason="needs the extra 'experts'")

RunTraining = Callable[..., TrainingResult]
MakeModel = Callable[[], Any]
SETTINGS = TrainingSettings(rank=2, alpha=4, epochs=3, learning_rate=3e-2, batch=4, save_seconds=0)


def tokenize(text: str) -> tuple[list[int], list[int]]:
    return list(text.encode("ascii")), list(range(len(text)))


def examples(epoch: int) -> Sequence[Sequence[TextPiece]]:
    generator = random.Random(epoch)
    words = [generator.choice("abcdef") * generator.randint(1, 4) for _ in range(18)]
    return [(TextPiece(f"{word} is ", is_target=False), TextPiece(f"{word[0]};", is_target=True)) for word in words]


def attach(model: Any, settings: TrainingSettings, start: Adapter | None = None) -> Any:
    return attach_lora(model, rank=settings.rank, alpha=settings.alpha, seed=settings.seed, start=start)


@pytest.fixture
def run_training(tiny_llama: MakeModel) -> RunTraining:
    """Trains on a tiny model in a folder."""

    def run(
        folder: Path, settings: TrainingSettings = SETTINGS, start: Adapter | None = None, **options: Any
    ) -> TrainingResult:
        peft_model = attach(tiny_llama(), settings, start)
        return train(peft_model, tokenize, examples, settings, folder, base="tiny", **options)

    return run


def test_training_lowers_the_loss_and_stores_a_peft_adapter(tmp_path: Path, run_training: RunTraining) -> None:
    losses: list[float] = []

    def record(progress: TrainingProgress) -> None:
        losses.append(progress.loss)
        assert progress.total_steps == 15
        assert progress.seconds_left >= 0

    result = run_training(tmp_path / "t", on_progress=record)
    assert len(losses) == 15
    assert result.loss < losses[0]
    adapter = peft_folder.load_adapter(result.folder)
    assert len(adapter.factors) == 2 * 7
    assert "model.layers.0.self_attn.q_proj" in adapter.factors
    assert sorted(path.name for path in result.folder.iterdir()) == [peft_folder.CONFIG_FILE, peft_folder.WEIGHTS_FILE]


@pytest.mark.parametrize("kill_step", [1, 4, 5, 6, 12])
def test_a_resumed_training_ends_with_the_same_bytes(tmp_path: Path, kill_step: int, run_training: RunTraining) -> None:
    uninterrupted = run_training(tmp_path / "uninterrupted")

    def kill(progress: TrainingProgress) -> None:
        if progress.step == kill_step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "again", on_progress=kill)
    steps: list[int] = []
    resumed = run_training(tmp_path / "again", on_progress=lambda progress: steps.append(progress.step))
    assert steps[0] == kill_step  # the last step before the kill was not saved
    assert (resumed.folder / peft_folder.WEIGHTS_FILE).read_bytes() == (
        uninterrupted.folder / peft_folder.WEIGHTS_FILE
    ).read_bytes()
    assert not list(tmp_path.rglob("*.replacing"))


def test_the_adapter_of_the_best_epoch_is_stored(tmp_path: Path, run_training: RunTraining) -> None:
    scores = [0.5, 0.9, 0.7]
    snapshots: list[bytes] = []

    def evaluate(peft_model: Any) -> float:
        snapshots.append(
            peft_model.get_base_model().model.layers[0].mlp.up_proj.lora_B["default"].weight.detach().numpy().tobytes()
        )
        return scores[len(snapshots) - 1]

    result = run_training(tmp_path / "t", evaluate=evaluate)
    assert (result.score, result.best_epoch) == (0.9, 1)
    factors = peft_folder.load_adapter(result.folder).factors["model.layers.0.mlp.up_proj"]
    parameter = np.frombuffer(snapshots[1], np.float32).reshape(factors.lora_b.shape)
    assert factors.lora_b == pytest.approx(2 * parameter, rel=1e-3, abs=1e-6), "alpha / rank = 2, in half precision"


def test_resuming_with_other_settings_is_refused(tmp_path: Path, run_training: RunTraining) -> None:
    run_training(tmp_path / "t", TrainingSettings(rank=2, epochs=1, batch=4))
    with pytest.raises(ConfigError, match="another learning_rate"):
        run_training(tmp_path / "t", TrainingSettings(rank=2, epochs=1, batch=4, learning_rate=0.1))


def test_a_finished_training_is_not_repeated(tmp_path: Path, run_training: RunTraining) -> None:
    first = run_training(tmp_path / "t")
    steps: list[TrainingProgress] = []
    assert run_training(tmp_path / "t", on_progress=steps.append) == first
    assert steps == []


def test_the_seed_determines_the_weights(tmp_path: Path, run_training: RunTraining) -> None:
    def weights(folder: str, seed: int) -> bytes:
        result = run_training(tmp_path / folder, TrainingSettings(rank=2, epochs=1, batch=4, seed=seed))
        return (result.folder / peft_folder.WEIGHTS_FILE).read_bytes()

    assert weights("a", 1) == weights("b", 1)
    assert weights("c", 2) != weights("a", 1)


def test_a_token_belongs_to_the_piece_in_which_it_begins() -> None:
    """The text is tokenised as a whole, with a token in front, as the engine does."""

    def tokenize_pairs(text: str) -> tuple[list[int], list[int]]:
        return [1, *(ord(character) for character in text[::2])], [0, *range(0, len(text), 2)]

    pieces = [TextPiece("abc", is_target=False), TextPiece("def", is_target=True), TextPiece("gh", is_target=False)]
    ids, targets = _tokenize_pieces(pieces, tokenize_pairs)
    assert ids == [1, *map(ord, "aceg")]
    assert targets == [-100, -100, -100, ord("e"), -100]


def test_the_adapter_is_float32_even_if_the_base_is_not(tmp_path: Path, tiny_llama: MakeModel) -> None:
    import torch

    settings, losses = replace(SETTINGS, precision="bfloat16"), []
    peft_model = attach(tiny_llama().to(torch.bfloat16), settings)
    result = train(
        peft_model,
        tokenize,
        examples,
        settings,
        tmp_path / "t",
        base="tiny",
        on_progress=lambda progress: losses.append(progress.loss),
    )
    dtypes = {parameter.requires_grad: parameter.dtype for parameter in peft_model.parameters()}
    assert dtypes == {True: torch.float32, False: torch.bfloat16}
    assert result.loss < losses[0]
    with pytest.raises(ConfigError, match="another precision"):
        train(peft_model, tokenize, examples, SETTINGS, tmp_path / "t", base="tiny")


def test_a_full_disk_is_reported(tmp_path: Path, run_training: RunTraining, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python would keep the modules that it cuts off
    resource = pytest.importorskip("resource", reason="limits are those of Unix")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(DataError, match="a training cannot be stored here"):
            run_training(
                tmp_path / "t", on_progress=lambda _: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert run_training(tmp_path / "t").loss > 0


def test_two_trainings_in_one_folder_are_refused(tmp_path: Path, run_training: RunTraining) -> None:
    def start_another(_: TrainingProgress) -> None:
        with pytest.raises(ConfigError, match=r"process \d+ .* is training"):
            run_training(tmp_path / "t")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "t", on_progress=start_another)


def test_a_corrupt_checkpoint_is_reported(tmp_path: Path, run_training: RunTraining) -> None:
    run_training(tmp_path / "t", TrainingSettings(rank=2, epochs=1, batch=4))
    state = tmp_path / "t" / STATE_FILE
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(DataError, match="delete the folder"):
        run_training(tmp_path / "t", TrainingSettings(rank=2, epochs=1, batch=4))


def change_position(state: Path, **changes: object) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    tensors = load_file(state)
    with safe_open(state, "pt") as file:
        metadata = file.metadata()
    position = json.loads(metadata["training"]) | changes
    save_file(tensors, state, metadata={**metadata, "training": json.dumps(position)})


def change_bit(state: Path) -> None:
    content = state.read_bytes()
    state.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])


def make_folder(state: Path) -> None:
    state.unlink()
    state.mkdir()


@pytest.mark.parametrize(
    "change",
    [
        change_bit,
        make_folder,
        partial(change_position, step="7"),
        partial(change_position, step=float("nan")),
        partial(change_position, step=10**9),
        partial(change_position, score="x"),
        partial(change_position, losses=3),
        partial(change_position, settings=3),
    ],
)
def test_a_changed_checkpoint_is_not_trained_on(
    tmp_path: Path, run_training: RunTraining, change: Callable[[Path], None]
) -> None:
    settings = replace(SETTINGS, epochs=1)
    run_training(tmp_path / "t", settings)
    change(tmp_path / "t" / STATE_FILE)
    with pytest.raises(DataError, match=r"state\.safetensors: cannot be resumed .*delete the folder to start again"):
        run_training(tmp_path / "t", settings)


def test_the_checkpoint_of_another_training_or_base_is_not_resumed(
    tmp_path: Path, run_training: RunTraining, tiny_llama: MakeModel
) -> None:
    settings = replace(SETTINGS, epochs=1)
    run_training(tmp_path / "one", settings)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    with pytest.raises(DataError, match=r"of a training in another folder"):
        run_training(tmp_path / "two", settings)
    smaller = tiny_llama()
    del smaller.model.layers[1]
    with pytest.raises(DataError, match="of another base model"):
        train(attach(smaller, settings), tokenize, examples, settings, tmp_path / "one", base="tiny")


def remove(best: Path) -> None:
    shutil.rmtree(best)


def make_file(best: Path) -> None:
    shutil.rmtree(best)
    best.write_text("x")


def swap(best: Path) -> None:
    (best / peft_folder.WEIGHTS_FILE).write_bytes(b"other weights")


@pytest.mark.parametrize("change", [remove, make_file, swap])
@pytest.mark.parametrize("is_running", [False, True])
def test_a_best_adapter_that_was_changed_is_not_kept(
    tmp_path: Path, run_training: RunTraining, change: Callable[[Path], None], is_running: bool
) -> None:
    def change_late(progress: TrainingProgress) -> None:
        if progress.step == 12:
            change(tmp_path / "t" / BEST_FOLDER)

    scores = iter([0.9, 0.1, 0.1])
    changed = pytest.raises(DataError, match=r"best: another program has changed this; delete .* to start again")
    if is_running:
        with changed:
            run_training(tmp_path / "t", evaluate=lambda _: next(scores), on_progress=change_late)
    else:
        run_training(tmp_path / "t", evaluate=lambda _: next(scores))
        change(tmp_path / "t" / BEST_FOLDER)
        with changed:
            run_training(tmp_path / "t")


@pytest.mark.parametrize("rank", [2, 3])
def test_training_starts_from_another_adapter(
    rank: int, tmp_path: Path, run_training: RunTraining, tiny_llama: MakeModel
) -> None:
    start = peft_folder.load_adapter(run_training(tmp_path / "first").folder)
    settings = replace(SETTINGS, rank=rank, alpha=5, epochs=1)
    initial = extract_adapter(attach(tiny_llama(), settings, start), "tiny").factors
    for module, factors in start.factors.items():
        assert initial[module].dense() == pytest.approx(factors.dense(), abs=1e-6)
    losses: list[float] = []
    for initial_adapter in (start, None):
        steps: list[TrainingProgress] = []
        run_training(tmp_path / str(initial_adapter is None), settings, initial_adapter, on_progress=steps.append)
        losses.append(steps[0].loss)
    assert losses[0] < losses[1], "the first step has a lower loss"


def test_an_adapter_of_higher_rank_or_other_modules_is_refused_as_start(
    tmp_path: Path, run_training: RunTraining, tiny_llama: MakeModel
) -> None:
    start = peft_folder.load_adapter(run_training(tmp_path / "first").folder)
    with pytest.raises(ConfigError, match="rank of at least 2"):
        attach(tiny_llama(), replace(SETTINGS, rank=1), start)
    part = Adapter(dict(list(start.factors.items())[1:]))
    with pytest.raises(ConfigError, match="on 14 modules cannot start from an expert of rank 2 on 13"):
        attach(tiny_llama(), SETTINGS, part)
