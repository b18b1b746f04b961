"""Training of an expert: LoRA with checkpoints, so that a killed training can be resumed.

All randomness depends on the seed and the epoch, never on earlier steps, so an interrupted training ends with the same
weights as an uninterrupted one.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from pathlib import Path
from typing import Any

from entsemble._lib.atomic import recover
from entsemble._lib.locks import locked
from entsemble.errors import ConfigError, DataError, InUseError
from entsemble.experts.checkpoint import TrainingSettings, TrainingState
from entsemble.experts.examples import TextPiece

_LENGTH_GROUP_SIZE = 16
"""Batches whose sentences are sorted by length together: less padding, and still another order each epoch."""

_LOGIT_SETTINGS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
"""Settings of models that transform the output of the output layer."""

_IGNORED_TARGET = -100
"""The target that PyTorch's cross entropy ignores."""

Tokenizer = Callable[[str], tuple[list[int], list[int]]]
"""Text -> token ids, and the offset at which each token begins."""

Sequences = Sequence[tuple[list[int], list[int]]]
"""Token ids and targets of several texts."""


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """The progress of a training.

    Attributes:
        step: finished steps.
        total_steps: all steps.
        loss: mean over the last steps.
        seconds_left: estimated from the steps of this process.
    """

    step: int
    total_steps: int
    loss: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        folder: PEFT adapter folder of the best epoch.
        loss: mean over the last steps.
        score: of the best epoch, if epochs were evaluated.
        best_epoch: index of the epoch, from 0.
    """

    folder: Path
    loss: float
    score: float | None
    best_epoch: int


def train(
    peft_model: Any,  # noqa: ANN401 - untyped library
    tokenize: Tokenizer,
    examples: Callable[[int], Sequence[Sequence[TextPiece]]],
    settings: TrainingSettings,
    folder: Path,
    *,
    base: str,
    evaluate: Callable[[Any], float] | None = None,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None,
) -> TrainingResult:
    """Train an adapter, or resume an interrupted training with the same settings.

    Args:
        peft_model: of `attach_lora`; it is modified.
        tokenize: see `Tokenizer`.
        examples: epoch -> the pieces of each training text; deterministic, in any order.
        settings: of the training.
        folder: for checkpoints, and for the adapter, in its `BEST_FOLDER`; kept between runs.
        base: name of the base model in the adapter's configuration.
        evaluate: scores the model after each epoch, of which the best is kept; by default, the last is kept.
        on_progress: called after each step.

    Raises:
        ConfigError: `folder` contains a training with other settings, or another process is training there.
        DataError: `folder` cannot be read or written, or holds what another program has changed.
    """
    with _exclusive(folder):
        state = TrainingState(peft_model, settings, folder, base)
        peft_model.eval()  # dropout in the base would not depend on our seed
        epoch_steps = ceil(len(examples(0)) / settings.batch)
        total_steps = epoch_steps * settings.epochs
        started, first_step = time.monotonic(), state.step
        for epoch in range(state.step // epoch_steps, settings.epochs):
            sequences = [_tokenize_pieces(pieces, tokenize) for pieces in examples(epoch)]
            finished_steps = state.step - epoch * epoch_steps
            for batch in list(_batches(sequences, settings, epoch))[finished_steps:]:
                learning_rate = _learning_rate(state.step, total_steps, settings)
                state.losses.append(_train_step(peft_model, state.optimiser, batch, learning_rate))
                state.step += 1
                seconds_per_step = (time.monotonic() - started) / (state.step - first_step)
                seconds_left = seconds_per_step * (total_steps - state.step)
                on_progress(TrainingProgress(state.step, total_steps, state.loss, seconds_left))
                if state.step < epoch_steps * (epoch + 1):
                    state.save_if_due()
            score = evaluate(peft_model) if evaluate and settings.epochs > 1 else None  # a single epoch is the best
            state.finish_epoch(epoch, score)
        return TrainingResult(state.best_adapter(), state.loss, state.score, state.best_epoch)


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Exclusive access to a training folder.

    Raises:
        ConfigError: another process is training there.
        DataError: the folder cannot be written.
    """
    from safetensors import SafetensorError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            recover(folder)
            yield
    except InUseError as error:
        raise ConfigError(f"{error.holder} is training in {folder}; wait until it has finished") from error
    except (OSError, SafetensorError) as error:  # a full disk raises either, depending on the writer
        raise DataError(
            f"a training cannot be stored here ({error}); free some space, or delete the folder to start again", folder
        ) from error


def _tokenize_pieces(pieces: Sequence[TextPiece], tokenize: Tokenizer) -> tuple[list[int], list[int]]:
    """Token ids and targets of a text; the targets of tokens outside target pieces are ignored.

    The whole text is tokenised at once, as an engine does; a token belongs to the piece in which it begins.
    """
    ids, starts = tokenize("".join(piece.text for piece in pieces))
    piece_ends = list(accumulate(len(piece.text) for piece in pieces))
    piece_indices = [min(bisect_right(piece_ends, start), len(pieces) - 1) for start in starts]
    targets = [
        token if pieces[index].is_target else _IGNORED_TARGET for token, index in zip(ids, piece_indices, strict=True)
    ]
    return ids, targets


def _batches(sequences: Sequences, settings: TrainingSettings, epoch: int) -> Iterator[Sequences]:
    """Batches of sequences of similar length, in random order."""
    generator = random.Random(f"{settings.seed}:{epoch}")
    order = generator.sample(range(len(sequences)), len(sequences))
    group_size = settings.batch * _LENGTH_GROUP_SIZE
    batches = []
    for group_start in range(0, len(order), group_size):
        by_length = sorted(order[group_start : group_start + group_size], key=lambda index: len(sequences[index][0]))
        batches += [by_length[start : start + settings.batch] for start in range(0, len(by_length), settings.batch)]
    generator.shuffle(batches)
    for batch in batches:
        yield [sequences[index] for index in batch]


def _learning_rate(step: int, total_steps: int, settings: TrainingSettings) -> float:
    """Linear warm-up, then linear decay to 0."""
    warmup_steps = max(1, round(settings.warmup * total_steps))
    decay = (total_steps - step) / max(1, total_steps - warmup_steps)
    return settings.learning_rate * min((step + 1) / warmup_steps, decay, 1.0)


def _train_step(peft_model: Any, optimiser: Any, batch: Sequences, learning_rate: float) -> float:  # noqa: ANN401 - untyped libraries
    """One optimiser step; returns the loss."""
    import torch

    longest = max(len(ids) for ids, _ in batch)
    device = next(peft_model.parameters()).device

    def padded(rows: Iterator[list[int]], padding: int) -> torch.Tensor:
        return torch.tensor([row + [padding] * (longest - len(row)) for row in rows], device=device)

    ids = padded((ids for ids, _ in batch), 0)
    attention_mask = padded(([1] * len(ids) for ids, _ in batch), 0)
    next_tokens = padded((targets for _, targets in batch), _IGNORED_TARGET)[:, 1:]
    is_target = next_tokens != _IGNORED_TARGET
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    logits = _target_logits(peft_model.get_base_model(), ids, attention_mask, is_target)
    loss = torch.nn.functional.cross_entropy(logits.float(), next_tokens[is_target])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(
        [parameter for group in optimiser.param_groups for parameter in group["params"]], 1.0
    )
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return float(loss.detach())


def _target_logits(model: Any, ids: Any, attention_mask: Any, is_target: Any) -> Any:  # noqa: ANN401 - untyped library
    """Logits [targets, vocabulary] at the positions whose next token is a target.

    The output layer is a fifth of a small model's work, so it is computed at these positions only, unless the model
    transforms its output.
    """
    if any(getattr(model.config, name, None) for name in _LOGIT_SETTINGS):
        logits = model(input_ids=ids, attention_mask=attention_mask, use_cache=False).logits
        return logits[:, :-1][is_target]
    outputs = model.base_model(input_ids=ids, attention_mask=attention_mask, use_cache=False)
    return model.get_output_embeddings()(outputs.last_hidden_state[:, :-1][is_target])
