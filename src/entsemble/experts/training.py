"""Train an expert: LoRA on a base, with checkpoints, so that a training that is killed goes on where it was.

Everything that chance decides is drawn from the seed and the number of the epoch, never from what ran before, so a
training that was interrupted ends with the same weights as one that was not.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import accumulate
from math import ceil
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from entsemble._lib.atomic import sync
from entsemble.errors import ConfigError, DataError, MissingExtraError
from entsemble.experts import peft_folder
from entsemble.experts.examples import TextPiece
from entsemble.experts.merging.low_rank import LowRankFactors
from entsemble.experts.peft_folder import Adapter
from entsemble.types import Precision

STATE_FILE = "state.safetensors"

_SORTED_TOGETHER = 16
"""Batches whose sentences are sorted by length together: less padding, and still another order each epoch."""

_MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW remembers of each parameter, in PyTorch's words."""

_MORE_ON_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
"""Settings of models that do more to their logits than the output layer."""

_IGNORED = -100
"""A target that the loss passes over, in PyTorch's words."""


Tokenizer = Callable[[str], tuple[list[int], list[int]]]
"""Text -> token ids as the engine has them, and where in the text each begins."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How an expert is trained.

    Attributes:
        rank, alpha: of the LoRA, on all linear layers.
        epochs: times that each sentence is seen, asked differently each time.
        learning_rate: at its highest, after the warm-up; it falls to 0 in a line.
        batch: sentences a step.
        warmup: share of the steps.
        precision: in which the base computes; the adapter and its gradients are of full precision always.
        seed: of everything.
        save_seconds: between two checkpoints.
    """

    rank: int = 8
    alpha: int = 16
    epochs: int = 1
    learning_rate: float = 3e-3
    batch: int = 4
    warmup: float = 0.05
    precision: Precision = "float32"
    seed: int = 0
    save_seconds: float = 60


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """How far a training is.

    Attributes:
        step, steps: done and in all.
        loss: mean over the last steps.
        seconds_left: guessed from the steps of this process.
    """

    step: int
    steps: int
    loss: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training gave.

    Attributes:
        folder: the PEFT adapter.
        loss: mean over the last steps.
        score: of the kept checkpoint, where one was measured.
        epoch: after which it was taken.
    """

    folder: Path
    loss: float
    score: float | None
    epoch: int


def attach_lora(model: Any, how: TrainingSettings, start: Adapter | None = None) -> Any:  # noqa: ANN401 - untyped libraries
    """A model with an adapter to be trained.

    Args:
        model: a causal language model of transformers, loaded in the precision that `how` names; it is changed.
        how: settings.
        start: the change to begin with, instead of none, of the same modules and no higher rank.

    Raises:
        ConfigError: `start` does not fit.
        MissingExtraError: torch or PEFT is not installed.
    """
    try:
        import torch
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtraError(error.name or "peft", "experts", "training an expert") from error
    torch.manual_seed(how.seed)
    lora = LoraConfig(
        r=how.rank, lora_alpha=how.alpha, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    tuned = get_peft_model(model, lora)
    if start is not None:
        _begin_with(tuned, start)
    return tuned


def train(
    tuned: Any,  # noqa: ANN401 - a PEFT model
    tokenize: Tokenizer,
    examples: Callable[[int], Sequence[Sequence[TextPiece]]],
    how: TrainingSettings,
    folder: Path,
    *,
    base: str,
    evaluate: Callable[[Any], float] | None = None,
    told: Callable[[TrainingProgress], None] = lambda _: None,
) -> TrainingResult:
    """Train, or go on with a training of the same settings that was stopped.

    Args:
        tuned: of `tunable`; it is changed.
        tokenize: see `Tokenize`.
        examples: epoch -> all sentences as pieces, in any order; asked again for the same epoch, the same.
        how: settings.
        folder: kept between runs: checkpoints, and the adapter in `best`.
        base: what the adapter's configuration calls its base.
        evaluate: scores the model as it is, after each epoch; the best is kept. Without it, the last.
        told: about each step.

    Raises:
        ConfigError: `folder` holds a training with other settings, or another process is training there.
        DataError: what `folder` holds cannot be read, or no more can be written there.
    """
    with _alone(folder):
        return _run(_State(tuned, how, folder, base), tokenize, examples, evaluate, told)


def _run(
    state: _State,
    tokenize: Tokenizer,
    examples: Callable[[int], Sequence[Sequence[TextPiece]]],
    evaluate: Callable[[Any], float] | None,
    told: Callable[[TrainingProgress], None],
) -> TrainingResult:
    how, tuned = state.how, state.model
    tuned.eval()  # a base that drops at random would do so by a chance that no seed of ours decides
    steps_an_epoch = ceil(len(examples(0)) / how.batch)
    steps = steps_an_epoch * how.epochs
    began, first = time.monotonic(), state.step
    for epoch in range(state.step // steps_an_epoch, how.epochs):
        rows = [_tokens(pieces, tokenize) for pieces in examples(epoch)]
        done = state.step - epoch * steps_an_epoch
        for batch in list(_batches(rows, how, epoch))[done:]:
            state.losses.append(_learn(tuned, state.optimiser, batch, _rate(state.step, steps, how)))
            state.step += 1
            left = (time.monotonic() - began) / (state.step - first) * (steps - state.step)
            told(TrainingProgress(state.step, steps, state.loss, left))
            if state.step < steps_an_epoch * (epoch + 1):
                state.save_now_and_then()
        score = evaluate(tuned) if evaluate and how.epochs > 1 else None  # one alone is the best
        state.epoch_done(epoch, score)
    return TrainingResult(state.folder / "best", state.loss, state.score, state.epoch)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One training in a folder at a time; what the disk refuses is said."""
    from safetensors import SafetensorError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise ConfigError(f"another process is training in {folder}; wait for it") from error
    except (OSError, SafetensorError) as error:  # a full disk is the one or the other, depending on who writes
        raise DataError(f"a training cannot be kept here ({error})", folder) from error


class _State:
    """The optimiser and where the training is, kept on disk as one safetensors file."""

    def __init__(self, model: Any, how: TrainingSettings, folder: Path, base: str) -> None:  # noqa: ANN401 - untyped library
        import torch
        from safetensors import SafetensorError

        self.model, self.how, self.folder, self._base = model, how, folder, base
        self._learnt = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.optimiser = torch.optim.AdamW(self._learnt.values(), weight_decay=0.0)
        self.step, self.epoch = 0, 0
        self.losses: list[float] = []
        self.score: float | None = None
        self._saved = time.monotonic()
        for left_over in folder.glob("*.new"):
            shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
        if (folder / STATE_FILE).exists():
            try:
                self._load()
            except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
                told = f"it cannot be gone on with ({error}); delete the folder to begin afresh"
                raise DataError(told, folder / STATE_FILE) from error

    @property
    def loss(self) -> float:
        """The mean over the last 50 steps."""
        last = self.losses[-50:]
        return sum(last) / len(last) if last else 0.0

    def save_now_and_then(self) -> None:
        """Save, where the last time is long enough ago."""
        if time.monotonic() - self._saved >= self.how.save_seconds:
            self._save()

    def epoch_done(self, epoch: int, score: float | None) -> None:
        """Keep the adapter where it is the best so far."""
        if score is None or self.score is None or score > self.score:
            new = self.folder / "best.new"
            peft_folder.save_adapter(extract_adapter(self.model, self._base), new, half=True)
            shutil.rmtree(self.folder / "best", ignore_errors=True)
            new.rename(self.folder / "best")
            self.score, self.epoch = score, epoch
        self._save()

    def _save(self) -> None:
        """One file, renamed into place: a killed save leaves the one before."""
        from safetensors.torch import save_file

        tensors = {}
        for name, parameter in self._learnt.items():
            tensors[f"value:{name}"] = parameter.detach().contiguous()
            for part in _MOMENTS:
                tensors[f"{part}:{name}"] = self.optimiser.state[parameter][part].contiguous()
        told = {"how": asdict(self.how), "step": self.step, "epoch": self.epoch, "score": self.score}
        told["losses"] = self.losses[-50:]
        new = self.folder / f"{STATE_FILE}.new"
        save_file(tensors, new, metadata={"training": json.dumps(told)})
        sync(new)
        new.replace(self.folder / STATE_FILE)
        self._saved = time.monotonic()

    def _load(self) -> None:
        import torch
        from safetensors import safe_open

        with safe_open(self.folder / STATE_FILE, framework="pt") as file:
            told = json.loads((file.metadata() or {})["training"])
            changed = sorted(k for k, v in asdict(self.how).items() if told["how"].get(k) != v and k != "save_seconds")
            if changed:
                raise ConfigError(
                    f"{self.folder} holds a training with another {', '.join(changed)}; "
                    f"give the same again, or another folder"
                )
            with torch.no_grad():
                for name, parameter in self._learnt.items():
                    parameter.copy_(file.get_tensor(f"value:{name}"))
                    self.optimiser.state[parameter]["step"] = torch.tensor(float(told["step"]))
                    self.optimiser.state[parameter] |= {
                        part: file.get_tensor(f"{part}:{name}").to(parameter.device) for part in _MOMENTS
                    }
        self.step, self.epoch, self.score, self.losses = told["step"], told["epoch"], told["score"], told["losses"]


def _begin_with(model: Any, start: Adapter) -> None:  # noqa: ANN401 - untyped libraries
    """Write a change into a PEFT model's one adapter; ranks that it does not need stay as they are, without effect."""
    import torch

    (config,) = model.peft_config.values()
    scale = config.lora_alpha / config.r
    learnt = {_module(name): p for name, p in model.named_parameters() if ".lora_A." in name}
    if learnt.keys() != start.factors.keys() or max(f.rank for f in start.factors.values()) > config.r:
        rank = max((f.rank for f in start.factors.values()), default=0)
        raise ConfigError(
            f"a training of rank {config.r} on {len(learnt)} modules cannot start from an expert of rank {rank} on "
            f"{len(start.factors)}; give a rank of at least {rank}, and an expert that changes all linear layers"
        )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_A." in name:
                a = start.factors[_module(name)].lora_a
                parameter[: len(a)] = torch.from_numpy(a)
            elif ".lora_B." in name:
                b = start.factors[_module(name)].lora_b
                parameter[:, : b.shape[1]] = torch.from_numpy(b / scale)


def _module(parameter: str) -> str:
    """The module of the base that a factor of PEFT's belongs to."""
    return parameter.removeprefix("base_model.model.").partition(".lora_")[0]


def extract_adapter(model: Any, base: str) -> Adapter:  # noqa: ANN401 - untyped library
    """What a PEFT model with one adapter changes, on the CPU."""
    from peft import get_peft_model_state_dict

    (config,) = model.peft_config.values()
    scale = config.lora_alpha / config.r
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    factors = {}
    for name, a in tensors.items():
        if ".lora_A." in name:
            b = tensors[name.replace(".lora_A.", ".lora_B.")]
            factors[_module(name)] = LowRankFactors(
                lora_a=a.detach().float().cpu().numpy(), lora_b=b.detach().float().cpu().numpy() * scale
            )
    return Adapter(factors, base=base)


def _tokens(pieces: Sequence[TextPiece], tokenize: Tokenizer) -> tuple[list[int], list[int]]:
    """Token ids, and the same as targets, where those that are not learnt are passed over.

    The whole is tokenised at once, as an engine does; a token belongs to the piece in which it begins.
    """
    ids, starts = tokenize("".join(piece.text for piece in pieces))
    ends = list(accumulate(len(piece.text) for piece in pieces))
    of_piece = [min(bisect_right(ends, start), len(pieces) - 1) for start in starts]
    return ids, [i if pieces[p].is_target else _IGNORED for i, p in zip(ids, of_piece, strict=True)]


def _batches(
    rows: Sequence[tuple[list[int], list[int]]], how: TrainingSettings, epoch: int
) -> Iterator[list[tuple[list[int], list[int]]]]:
    draw = random.Random(f"{how.seed}:{epoch}")
    order = draw.sample(range(len(rows)), len(rows))
    together = how.batch * _SORTED_TOGETHER
    found = []
    for start in range(0, len(order), together):
        alike = sorted(order[start : start + together], key=lambda i: len(rows[i][0]))
        found += [alike[i : i + how.batch] for i in range(0, len(alike), how.batch)]
    draw.shuffle(found)
    for batch in found:
        yield [rows[i] for i in batch]


def _rate(step: int, steps: int, how: TrainingSettings) -> float:
    rising = max(1, round(how.warmup * steps))
    return how.learning_rate * min((step + 1) / rising, (steps - step) / max(1, steps - rising), 1.0)


def _learn(model: Any, optimiser: Any, batch: Sequence[tuple[list[int], list[int]]], rate: float) -> float:  # noqa: ANN401
    import torch

    longest = max(len(ids) for ids, _ in batch)
    device = next(model.parameters()).device
    ids = torch.tensor([i + [0] * (longest - len(i)) for i, _ in batch], device=device)
    seen = torch.tensor([[1] * len(i) + [0] * (longest - len(i)) for i, _ in batch], device=device)
    targets = torch.tensor([t + [_IGNORED] * (longest - len(t)) for _, t in batch], device=device)
    for group in optimiser.param_groups:
        group["lr"] = rate
    next_ones = targets[:, 1:]
    learnt = next_ones != _IGNORED
    logits = _logits(model.get_base_model(), ids, seen, learnt)
    loss = torch.nn.functional.cross_entropy(logits.float(), next_ones[learnt])
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return float(loss.detach())


def _logits(model: Any, ids: Any, seen: Any, learnt: Any) -> Any:  # noqa: ANN401 - untyped library
    """Of the places whose next token is learnt, [places, vocabulary].

    The output layer is a fifth of a small model's work, so it is asked for those places alone, except where a model
    does more to its logits than that layer.
    """
    told = model.config
    if any(getattr(told, name, None) for name in _MORE_ON_LOGITS):
        return model(input_ids=ids, attention_mask=seen, use_cache=False).logits[:, :-1][learnt]
    states = model.base_model(input_ids=ids, attention_mask=seen, use_cache=False).last_hidden_state[:, :-1]
    return model.get_output_embeddings()(states[learnt])
