from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.errors import ConfigError, DataError
from entsemble.experts import peft_folder
from entsemble.experts.examples import TextPiece
from entsemble.experts.peft_folder import Adapter
from entsemble.experts.training import (
    STATE_FILE,
    TrainingProgress,
    TrainingResult,
    TrainingSettings,
    _tokens,
    attach_lora,
    extract_adapter,
    train,
)

pytest.importorskip("torch", reason="needs the extra 'experts'")
pytest.importorskip("peft", reason="needs the extra 'experts'")

Train = Callable[..., TrainingResult]
Base = Callable[[], Any]
HOW = TrainingSettings(rank=2, alpha=4, epochs=3, learning_rate=3e-2, batch=4, save_seconds=0)


def tokenize(text: str) -> tuple[list[int], list[int]]:
    return list(text.encode("ascii")), list(range(len(text)))


def examples(epoch: int) -> Sequence[Sequence[TextPiece]]:
    draw = random.Random(epoch)
    letters = [draw.choice("abcdef") * draw.randint(1, 4) for _ in range(18)]
    return [(TextPiece(f"{x} is ", is_target=False), TextPiece(f"{x[0]};", is_target=True)) for x in letters]


@pytest.fixture
def trained(tiny_llama: Callable[[], Any]) -> Train:
    def run(folder: Path, how: TrainingSettings = HOW, start: Adapter | None = None, **more: Any) -> TrainingResult:
        return train(attach_lora(tiny_llama(), how, start), tokenize, examples, how, folder, base="tiny", **more)

    return run


def test_it_learns_and_keeps_a_peft_adapter(tmp_path: Path, trained: Train) -> None:
    losses: list[float] = []

    def told(progress: TrainingProgress) -> None:
        losses.append(progress.loss)
        assert progress.steps == 15
        assert progress.seconds_left >= 0

    found = trained(tmp_path / "t", told=told)
    assert len(losses) == 15
    assert found.loss < losses[0]
    kept = peft_folder.load_adapter(found.folder)
    assert len(kept.factors) == 2 * 7
    assert "model.layers.0.self_attn.q_proj" in kept.factors
    assert sorted(p.name for p in found.folder.iterdir()) == [peft_folder.CONFIG_FILE, peft_folder.WEIGHTS_FILE]


@pytest.mark.parametrize("at", [1, 4, 5, 6, 12])
def test_a_training_that_was_killed_ends_with_the_same_bytes(tmp_path: Path, at: int, trained: Train) -> None:
    whole = trained(tmp_path / "whole")

    def dies(progress: TrainingProgress) -> None:
        if progress.step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "again", told=dies)
    steps: list[int] = []
    found = trained(tmp_path / "again", told=lambda p: steps.append(p.step))
    assert steps[0] == at  # the step that was done when it died had not been saved yet
    assert (found.folder / peft_folder.WEIGHTS_FILE).read_bytes() == (
        whole.folder / peft_folder.WEIGHTS_FILE
    ).read_bytes()
    assert not list(tmp_path.rglob("*.new"))


def test_the_best_epoch_is_kept(tmp_path: Path, trained: Train) -> None:
    scores = [0.5, 0.9, 0.7]
    kept: list[bytes] = []

    def evaluate(tuned: Any) -> float:
        kept.append(
            tuned.get_base_model().model.layers[0].mlp.up_proj.lora_B["default"].weight.detach().numpy().tobytes()
        )
        return scores[len(kept) - 1]

    found = trained(tmp_path / "t", evaluate=evaluate)
    assert (found.score, found.epoch) == (0.9, 1)
    factors = peft_folder.load_adapter(found.folder).factors["model.layers.0.mlp.up_proj"]
    learnt = np.frombuffer(kept[1], np.float32).reshape(factors.lora_b.shape)
    assert factors.lora_b == pytest.approx(2 * learnt, rel=1e-3, abs=1e-6), "alpha / rank = 2, in half precision"


def test_other_settings_are_refused(tmp_path: Path, trained: Train) -> None:
    trained(tmp_path / "t", TrainingSettings(rank=2, epochs=1, batch=4))
    with pytest.raises(ConfigError, match="another learning_rate"):
        trained(tmp_path / "t", TrainingSettings(rank=2, epochs=1, batch=4, learning_rate=0.1))


def test_done_is_done(tmp_path: Path, trained: Train) -> None:
    first = trained(tmp_path / "t")
    told: list[TrainingProgress] = []
    assert trained(tmp_path / "t", told=told.append) == first
    assert told == []


def test_a_seed_gives_the_same_bytes_and_another_others(tmp_path: Path, trained: Train) -> None:
    def weights(folder: str, seed: int) -> bytes:
        found = trained(tmp_path / folder, TrainingSettings(rank=2, epochs=1, batch=4, seed=seed))
        return (found.folder / peft_folder.WEIGHTS_FILE).read_bytes()

    assert weights("a", 1) == weights("b", 1)
    assert weights("c", 2) != weights("a", 1)


def test_a_token_is_learnt_where_it_begins() -> None:
    """The whole is tokenised at once, a token in front included, as the engine does."""

    def pairs(text: str) -> tuple[list[int], list[int]]:
        return [1, *(ord(c) for c in text[::2])], [0, *range(0, len(text), 2)]

    pieces = [TextPiece("abc", is_target=False), TextPiece("def", is_target=True), TextPiece("gh", is_target=False)]
    ids, targets = _tokens(pieces, pairs)
    assert ids == [1, *map(ord, "aceg")]
    assert targets == [-100, -100, -100, ord("e"), -100]


def test_an_adapter_is_of_full_precision_where_its_base_is_not(tmp_path: Path, tiny_llama: Base) -> None:
    import torch

    how, losses = replace(HOW, precision="bfloat16"), []
    tuned = attach_lora(tiny_llama().to(torch.bfloat16), how)
    found = train(tuned, tokenize, examples, how, tmp_path / "t", base="tiny", told=lambda p: losses.append(p.loss))
    kinds = {p.requires_grad: p.dtype for p in tuned.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    assert found.loss < losses[0]
    with pytest.raises(ConfigError, match="another precision"):
        train(tuned, tokenize, examples, HOW, tmp_path / "t", base="tiny")


def test_a_full_disk_is_said(tmp_path: Path, trained: Train) -> None:
    resource = pytest.importorskip("resource", reason="limits are those of Unix")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(DataError, match="a training cannot be kept here"):
            trained(tmp_path / "t", told=lambda _: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1])))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert trained(tmp_path / "t").loss > 0


def test_two_trainings_do_not_share_a_folder(tmp_path: Path, trained: Train) -> None:
    def second(_: TrainingProgress) -> None:
        with pytest.raises(ConfigError, match="another process is training"):
            trained(tmp_path / "t")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "t", told=second)


def test_a_damaged_checkpoint_is_said(tmp_path: Path, trained: Train) -> None:
    trained(tmp_path / "t", TrainingSettings(rank=2, epochs=1, batch=4))
    state = tmp_path / "t" / STATE_FILE
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(DataError, match="delete the folder"):
        trained(tmp_path / "t", TrainingSettings(rank=2, epochs=1, batch=4))


@pytest.mark.parametrize("rank", [2, 3])
def test_it_begins_with_what_another_learnt(rank: int, tmp_path: Path, trained: Train, tiny_llama: Base) -> None:
    start = peft_folder.load_adapter(trained(tmp_path / "first").folder)
    how = replace(HOW, rank=rank, alpha=5, epochs=1)
    begun = extract_adapter(attach_lora(tiny_llama(), how, start), "tiny").factors
    for module, f in start.factors.items():
        assert begun[module].lora_b @ begun[module].lora_a == pytest.approx(f.lora_b @ f.lora_a, abs=1e-6)
    losses: list[float] = []
    for begin in (start, None):
        told: list[TrainingProgress] = []
        trained(tmp_path / str(begin is None), how, begin, told=told.append)
        losses.append(told[0].loss)
    assert losses[0] < losses[1], "before it learnt anything of its own"


def test_a_start_that_does_not_fit(tmp_path: Path, trained: Train, tiny_llama: Base) -> None:
    start = peft_folder.load_adapter(trained(tmp_path / "first").folder)
    with pytest.raises(ConfigError, match="rank of at least 2"):
        attach_lora(tiny_llama(), replace(HOW, rank=1), start)
    part = Adapter(dict(list(start.factors.items())[1:]))
    with pytest.raises(ConfigError, match="on 14 modules cannot start from an expert of rank 2 on 13"):
        attach_lora(tiny_llama(), HOW, part)
