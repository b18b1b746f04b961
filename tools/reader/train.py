"""Train the label reader: `python -m tools.reader.train --encoder DIR --out DIR`.

Without `--steps` it goes on until it is stopped; SIGTERM and Ctrl-C save first. The same command goes on from there.
`--decay N` takes the state as it is, lowers the learning rate to nothing over N steps and writes the weights to
`OUT/released.safetensors`; the state stays as it was, so that training can go on afterwards. `--minutes M` does the
same by the clock: the last third of M minutes is the decay.
"""

from __future__ import annotations

import argparse
import json
import math
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
from safetensors.torch import load_file, save_file
from torch import nn

from tools.corpora import corpora_folder
from tools.reader.corpora import Document
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

    def epoch_documents(self, epoch_number: int) -> list[Document]:
        """The sentences of an epoch."""
        if epoch_number != self._epoch:
            self._epoch, self._documents = epoch_number, self.mixture.epoch(self.options.seed, epoch_number)
        return self._documents

    def batches(self, position: tuple[int, int]) -> Iterator[tuple[tuple[int, int], list[tuple[Example, Row]]]]:
        """Batches from a position (epoch, batch) on, each with the position after it."""
        epoch_number, batch_number = position
        while True:
            per_epoch = max(1, len(self.epoch_documents(epoch_number)) // self.options.batch_size)
            if batch_number >= per_epoch:
                epoch_number, batch_number = epoch_number + 1, 0
                continue
            self._load_chunk(epoch_number, batch_number // CHUNK)
            yield (epoch_number, batch_number + 1), self._batches[batch_number % CHUNK]
            batch_number += 1

    def _load_chunk(self, epoch_number: int, chunk_number: int) -> None:
        if self._chunk == (epoch_number, chunk_number):
            return
        random_generator = random.Random(f"{self.options.seed}-{epoch_number}-{chunk_number}")
        batch_size, documents = self.options.batch_size, self.epoch_documents(epoch_number)
        document_count = len(documents) // batch_size * batch_size or len(documents)
        chunk_documents = documents[
            chunk_number * CHUNK * batch_size : min(document_count, (chunk_number + 1) * CHUNK * batch_size)
        ]
        written = [self.writer.write(document, random_generator) for document in chunk_documents]
        usable = [example for example in written if example.words and example.labels]  # else a mean over nothing
        examples = usable + usable[: len(written) - len(usable)]
        encoded_rows = [
            (current_example, self.encoder.row(current_example.words, current_example.labels))
            for current_example in examples
        ]
        encoded_rows.sort(key=lambda encoded_pair: len(encoded_pair[1].pieces))
        self._batches = [
            encoded_rows[start_index : start_index + batch_size]
            for start_index in range(0, len(encoded_rows), batch_size)
        ]
        random_generator.shuffle(self._batches)
        self._chunk = (epoch_number, chunk_number)


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
        last_save, decaying = time.monotonic(), False
        for position, input_batch in self.feed.batches(self.position):
            progress = self.schedule.progress(self.step, time.monotonic())
            if self.stopping or self.step == last_step or (progress is not None and progress >= 1):
                break
            if progress is not None and not decaying:
                decaying = True
                self.save()
            self._take_step(input_batch)
            self.step, self.position = self.step + 1, position
            if self.step % self.options.log_every == 0:
                self._log()
            if not decaying:
                if self.options.snapshot_every and self.step % self.options.snapshot_every == 0:
                    write_weights(self.model, self.options.out / f"snapshot-{self.step:06d}.safetensors")
                if time.monotonic() - last_save > 60 * self.options.save_minutes:
                    self.save()
                    last_save = time.monotonic()

    def _take_step(self, encoded_pairs: Sequence[tuple[Example, Row]]) -> None:
        set_rate(self.optimiser, self.schedule.share(self.step, time.monotonic()))
        worker_count = min(self.options.workers, len(encoded_pairs))
        worker_parts = [encoded_pairs[start_index::worker_count] for start_index in range(worker_count)]
        worker_results = (
            list(self._pool.map(self._gradients, worker_parts))
            if worker_count > 1
            else [self._gradients(encoded_pairs)]
        )
        parameters = list(self.model.parameters())
        for parameter, *gradients in zip(parameters, *(gradients for gradients, _, _ in worker_results), strict=True):
            parameter.grad = gradients[0]
            for other_gradient in gradients[1:]:
                parameter.grad.add_(other_gradient)
            parameter.grad.div_(worker_count)
        gradient_norm = float(nn.utils.clip_grad_norm_(parameters, 1.0))
        if not math.isfinite(gradient_norm):
            raise FloatingPointError(f"the gradient of step {self.step} is not finite")
        self.optimiser.step()
        mean_loss, typing_accuracy = (
            sum(worker_values) / worker_count
            for worker_values in (
                [loss for _, loss, _ in worker_results],
                [accuracy for _, _, accuracy in worker_results],
            )
        )
        for value_name, average_value in (("loss", mean_loss), ("typing", typing_accuracy), ("norm", gradient_norm)):
            self._averages[value_name] = 0.98 * self._averages.get(value_name, average_value) + 0.02 * average_value

    def _gradients(self, encoded_pairs: Sequence[tuple[Example, Row]]) -> tuple[tuple[torch.Tensor, ...], float, float]:
        """The gradients of every parameter, the loss, and the share of right spans that are typed right."""
        input_batch = self.feed.encoder.batch([encoded_row for _, encoded_row in encoded_pairs])
        right_answers = targets_of([current_example for current_example, _ in encoded_pairs], input_batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.bfloat16):
            span_scores, _ = self.model(*input_batch.inputs())
        mean_loss, typing_accuracy = reader_loss(span_scores.float(), right_answers, input_batch)
        return torch.autograd.grad(mean_loss, list(self.model.parameters())), mean_loss.item(), typing_accuracy

    def _log(self) -> None:
        elapsed_seconds, self._clock = time.monotonic() - self._clock, time.monotonic()
        log_record: dict[str, Any] = {
            "step": self.step,
            "sentences": self.step * self.options.batch_size,
            "epoch": self.position[0],
            **{value_name: round(average_value, 4) for value_name, average_value in self._averages.items()},
            "rate": round(self.schedule.share(self.step, time.monotonic()), 4),
            "rows_per_second": round(self.options.log_every * self.options.batch_size / elapsed_seconds, 2),
        }
        with (self.options.out / "log.jsonl").open("a", encoding="utf-8") as output_file:
            output_file.write(json.dumps(log_record) + "\n")

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
        partial_file = self.options.out / "state.pt.partial"
        torch.save(self.state(), partial_file)
        partial_file.replace(self.options.out / "state.pt")

    def restore(self) -> bool:
        """Take up the saved state, if there is one."""
        state_file = self.options.out / "state.pt"
        if not state_file.exists():
            return False
        state = torch.load(state_file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["torch_random"])
        self._averages, self.step, self.position = state["averages"], state["step"], (*state["position"],)
        return True


def write_weights(reader_model: LabelReader, weights_file: Path) -> None:
    """Half-precision weights, written aside and put in place."""
    half_precision = {
        weight_name: weight_value.detach().to(torch.float16).contiguous()
        for weight_name, weight_value in reader_model.state_dict().items()
    }
    partial_file = weights_file.with_suffix(".partial")
    save_file(half_precision, partial_file)
    partial_file.replace(weights_file)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    argument_parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    argument_parser.add_argument(
        "--encoder", type=Path, required=True, help="config.json, tokenizer.json, model.safetensors"
    )
    argument_parser.add_argument("--out", type=Path, required=True, help="state, log and weights")
    argument_parser.add_argument("--steps", type=int, help="stop at this step")
    argument_parser.add_argument(
        "--decay", type=int, default=0, metavar="N", help="end with N steps of decay and release"
    )
    argument_parser.add_argument(
        "--minutes", type=float, default=0, metavar="M", help="train and release within M minutes"
    )
    argument_parser.add_argument("--start", type=Path, help="released weights to continue from, with a new optimiser")
    argument_parser.add_argument("--seed", type=int, default=7)
    argument_parser.add_argument("--batch-size", type=int, default=16)
    argument_parser.add_argument(
        "--workers", type=int, default=1, help="threads that share each batch; 2 use two cores best"
    )
    argument_parser.add_argument("--snapshot-every", type=int, default=600, metavar="STEPS", help="weights to keep")
    argument_parser.add_argument("--float32", action="store_true", help="no bfloat16, for processors without it")
    return argument_parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Set up, take up the saved state, train."""
    parsed_arguments = _arguments(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(parsed_arguments.seed)
    parsed_arguments.out.mkdir(parents=True, exist_ok=True)
    options = Options(
        parsed_arguments.out,
        parsed_arguments.seed,
        parsed_arguments.batch_size,
        snapshot_every=parsed_arguments.snapshot_every,
        bfloat16=not parsed_arguments.float32,
        workers=parsed_arguments.workers,
    )
    data_root = corpora_folder()
    mixture = load_mixture(data_root)
    batch_feed = Feed(
        mixture,
        PromptWriter(mixture, load_wording(data_root)),
        Encoder(parsed_arguments.encoder / "tokenizer.json"),
        options,
    )
    encoder = load_encoder(parsed_arguments.encoder)
    encoder.set_attn_implementation("eager")  # in bfloat16 on a CPU 1.4 times the rows a second of flash attention
    trainer = Trainer(LabelReader(encoder), batch_feed, options)
    if parsed_arguments.start:
        weights = load_file(parsed_arguments.start)
        trainer.model.load_state_dict({name: value.float() for name, value in weights.items()})
    was_resumed = trainer.restore()
    mixture_summary = mixture.summary(batch_feed.epoch_documents(trainer.position[0]))
    (parsed_arguments.out / "mixture.json").write_text(json.dumps(mixture_summary, indent=1), encoding="utf-8")
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: setattr(trainer, "stopping", True))
    if parsed_arguments.decay:
        if not was_resumed:
            raise SystemExit(f"nothing to decay: {parsed_arguments.out / 'state.pt'} does not exist")
        trainer.schedule = Schedule(decay_start=trainer.step, decay_length=parsed_arguments.decay)
    elif parsed_arguments.minutes:
        third_in_seconds = 20 * parsed_arguments.minutes  # seconds
        trainer.schedule = Schedule(
            decay_start=time.monotonic() + 2 * third_in_seconds, decay_length=third_in_seconds, timed=True
        )
    (parsed_arguments.out / "process").write_text(str(os.getpid()), encoding="utf-8")
    trainer.run(parsed_arguments.steps)
    if (trainer.schedule.progress(trainer.step, time.monotonic()) or 0) >= 1:
        write_weights(trainer.model, parsed_arguments.out / "released.safetensors")
    elif not parsed_arguments.decay:
        trainer.save()


if __name__ == "__main__":
    main()
