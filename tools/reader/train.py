"""Train the label reader: `python -m tools.reader.train --encoder DIR --out DIR [--data DIR]`.

Without `--steps` it goes on until it is stopped; SIGTERM and Ctrl-C save first. The same command goes on from there.
`--decay N` takes the state as it is, lowers the learning rate to nothing over N steps and writes the weights to
`OUT/released.safetensors`; the state stays as it was, so that training can go on afterwards. `--minutes M` does the
same by the clock: the last third of M minutes is the decay.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from tools.reader.corpora import Document, data_folder
from tools.reader.encode import Encoder, Row, targets_of
from tools.reader.mixture import Mixture, load_mixture
from tools.reader.model import LabelReader, load_encoder, reader_loss
from tools.reader.prompts import Example, PromptWriter
from tools.reader.schedule import Schedule, make_optimiser, set_rate
from tools.reader.wording import load_wording

CHUNK = 64  # batches that are sorted by length together


@dataclass(frozen=True)
class Options:
    """What shapes a run."""

    out: Path
    seed: int = 7
    batch_size: int = 16
    log_every: int = 100
    save_minutes: float = 4.0
    snapshot_every: int = 600  # steps between weights that are kept for the learning curve; 0 for none
    bfloat16: bool = True
    workers: int = 1  # threads that each take a part of every batch; with one a run can be repeated bit for bit


@dataclass
class Feed:
    """Batches of examples; batch number n is the same whatever came before."""

    mixture: Mixture
    writer: PromptWriter
    encoder: Encoder
    options: Options
    _epoch: int = -1
    _documents: list[Document] = field(default_factory=list)
    _chunk: tuple[int, int] = (-1, -1)
    _batches: list[list[tuple[Example, Row]]] = field(default_factory=list)

    def epoch_documents(self, number: int) -> list[Document]:
        """The sentences of an epoch."""
        if number != self._epoch:
            self._epoch, self._documents = number, self.mixture.epoch(self.options.seed, number)
        return self._documents

    def batches(self, position: tuple[int, int]) -> Iterator[tuple[tuple[int, int], list[tuple[Example, Row]]]]:
        """Batches from a position (epoch, batch) on, each with the position after it."""
        epoch, number = position
        while True:
            per_epoch = max(1, len(self.epoch_documents(epoch)) // self.options.batch_size)
            if number >= per_epoch:
                epoch, number = epoch + 1, 0
                continue
            self._load_chunk(epoch, number // CHUNK)
            yield (epoch, number + 1), self._batches[number % CHUNK]
            number += 1

    def _load_chunk(self, epoch: int, chunk: int) -> None:
        if self._chunk == (epoch, chunk):
            return
        generator = random.Random(f"{self.options.seed}-{epoch}-{chunk}")
        size, documents = self.options.batch_size, self.epoch_documents(epoch)
        last = len(documents) // size * size or len(documents)
        part = documents[chunk * CHUNK * size : min(last, (chunk + 1) * CHUNK * size)]
        examples = [self.writer.write(document, generator) for document in part]
        rows = [(example, self.encoder.row(example.words, example.labels)) for example in examples]
        rows.sort(key=lambda pair: len(pair[1].pieces))
        self._batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        generator.shuffle(self._batches)
        self._chunk = (epoch, chunk)


@dataclass
class Trainer:
    """The model, its optimiser and how far they are."""

    model: LabelReader
    feed: Feed
    options: Options
    schedule: Schedule = field(default_factory=Schedule)
    step: int = 0
    position: tuple[int, int] = (0, 0)
    stopping: bool = False

    def __post_init__(self) -> None:
        self.optimiser = make_optimiser(self.model)
        self._averages: dict[str, float] = {}
        self._clock = time.monotonic()
        self._pool = ThreadPoolExecutor(self.options.workers)

    def run(self, last_step: int | None = None) -> None:
        """Train up to a step, to the end of the decay, or until `stopping` is set."""
        self.model.train()
        saved, decaying = time.monotonic(), False
        for position, batch in self.feed.batches(self.position):
            progress = self.schedule.progress(self.step, time.monotonic())
            if self.stopping or self.step == last_step or (progress is not None and progress >= 1):
                break
            if progress is not None and not decaying:
                decaying = True
                self.save()
            self._take_step(batch)
            self.step, self.position = self.step + 1, position
            if self.step % self.options.log_every == 0:
                self._log()
            if not decaying:
                if self.options.snapshot_every and self.step % self.options.snapshot_every == 0:
                    write_weights(self.model, self.options.out / f"snapshot-{self.step:06d}.safetensors")
                if time.monotonic() - saved > 60 * self.options.save_minutes:
                    self.save()
                    saved = time.monotonic()

    def _take_step(self, pairs: Sequence[tuple[Example, Row]]) -> None:
        set_rate(self.optimiser, self.schedule.share(self.step, time.monotonic()))
        workers = min(self.options.workers, len(pairs))
        parts = [pairs[start::workers] for start in range(workers)]
        results = list(self._pool.map(self._gradients, parts)) if workers > 1 else [self._gradients(pairs)]
        parameters = list(self.model.parameters())
        for parameter, *gradients in zip(parameters, *(gradients for gradients, _, _ in results), strict=True):
            parameter.grad = gradients[0]
            for other in gradients[1:]:
                parameter.grad.add_(other)
            parameter.grad.div_(workers)
        norm = float(nn.utils.clip_grad_norm_(parameters, 1.0))
        self.optimiser.step()
        loss, right = (sum(values) / workers for values in ([row[1] for row in results], [row[2] for row in results]))
        for name, value in (("loss", loss), ("typing", right), ("norm", norm)):
            self._averages[name] = 0.98 * self._averages.get(name, value) + 0.02 * value

    def _gradients(self, pairs: Sequence[tuple[Example, Row]]) -> tuple[tuple[torch.Tensor, ...], float, float]:
        """The gradients of every parameter, the loss, and the share of right spans that are typed right."""
        batch = self.feed.encoder.batch([row for _, row in pairs])
        targets = targets_of([example for example, _ in pairs], batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.bfloat16):
            scores = self.model(*batch.inputs())
        loss, right = reader_loss(scores.float(), targets, batch)
        return torch.autograd.grad(loss, list(self.model.parameters())), loss.item(), right

    def _log(self) -> None:
        elapsed, self._clock = time.monotonic() - self._clock, time.monotonic()
        row: dict[str, Any] = {
            "step": self.step,
            "sentences": self.step * self.options.batch_size,
            "epoch": self.position[0],
            **{name: round(value, 4) for name, value in self._averages.items()},
            "rate": round(self.schedule.share(self.step, time.monotonic()), 4),
            "rows_per_second": round(self.options.log_every * self.options.batch_size / elapsed, 2),
        }
        with (self.options.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def state(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "torch_random": torch.get_rng_state(),
            "averages": self._averages,
            "step": self.step,
            "position": list(self.position),
        }

    def save(self) -> None:
        """Write the state beside the old one, then put it in its place."""
        partial = self.options.out / "state.pt.partial"
        torch.save(self.state(), partial)
        partial.replace(self.options.out / "state.pt")

    def restore(self) -> bool:
        """Take up the saved state, if there is one."""
        file = self.options.out / "state.pt"
        if not file.exists():
            return False
        state = torch.load(file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["torch_random"])
        self._averages, self.step, self.position = state["averages"], state["step"], (*state["position"],)
        return True


def write_weights(model: LabelReader, file: Path) -> None:
    """Half-precision weights, written aside and put in place."""
    weights = {name: value.detach().to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    partial = file.with_suffix(".partial")
    save_file(weights, partial)
    partial.replace(file)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the corpora; else ENTSEMBLE_DATA, else ../shared/data")
    parser.add_argument("--encoder", type=Path, required=True, help="config.json, tokenizer.json, model.safetensors")
    parser.add_argument("--out", type=Path, required=True, help="state, log and weights")
    parser.add_argument("--steps", type=int, help="stop at this step")
    parser.add_argument("--decay", type=int, default=0, metavar="N", help="end with N steps of decay and release")
    parser.add_argument("--minutes", type=float, default=0, metavar="M", help="train and release within M minutes")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1, help="threads that share each batch; 2 use two cores best")
    parser.add_argument("--float32", action="store_true", help="no bfloat16, for processors without it")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Set up, take up the saved state, train."""
    parsed = _arguments(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(parsed.seed)
    parsed.out.mkdir(parents=True, exist_ok=True)
    options = Options(parsed.out, parsed.seed, parsed.batch_size, bfloat16=not parsed.float32, workers=parsed.workers)
    data = data_folder(parsed.data)
    mixture = load_mixture(data)
    feed = Feed(mixture, PromptWriter(mixture, load_wording(data)), Encoder(parsed.encoder / "tokenizer.json"), options)
    trainer = Trainer(LabelReader(load_encoder(parsed.encoder)), feed, options)
    resumed = trainer.restore()
    summary = mixture.summary(feed.epoch_documents(trainer.position[0]))
    (parsed.out / "mixture.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(trainer, "stopping", True))
    if parsed.decay:
        if not resumed:
            raise SystemExit(f"nothing to decay: {parsed.out / 'state.pt'} does not exist")
        trainer.schedule = Schedule(decay_start=trainer.step, decay_length=parsed.decay)
    elif parsed.minutes:
        third = 20 * parsed.minutes  # seconds
        trainer.schedule = Schedule(decay_start=time.monotonic() + 2 * third, decay_length=third, timed=True)
    (parsed.out / "process").write_text(str(os.getpid()), encoding="utf-8")
    trainer.run(parsed.steps)
    if (trainer.schedule.progress(trainer.step, time.monotonic()) or 0) >= 1:
        write_weights(trainer.model, parsed.out / "released.safetensors")
    elif not parsed.decay:
        trainer.save()


if __name__ == "__main__":
    main()
