"""Train the experts and the unified model: `python -m benchmarks.reader_experts.train --encoder DIR --out DIR`.

Every expert is one file, and one that exists is not trained again.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from tools.corpora import corpora_folder
from tools.reader.encode import Batch, Encoder, targets_of
from tools.reader.mixture import Mixture, load_mixture
from tools.reader.model import LabelReader, load_encoder, reader_loss
from tools.reader.prompts import Example, PromptWriter
from tools.reader.train import Feed, Options
from tools.reader.unpack import load_exported
from tools.reader.wording import load_wording
from torch import nn

from benchmarks.reader_experts.domains import DOMAINS, SEED, SENTENCES, SampledMixture, domain_mixture, union_mixture
from benchmarks.reader_experts.low_rank import RANK, add_differences, factors_of
from entsemble.backends.label_reader.model import BUNDLED_READER, NETWORK

UNIFIED = "unified"
BATCH = 16
RATE = 2e-3
WARM_UP = 5  # steps
SPAN_WIDTH = 6
"""Words of the longest span in training, half of what the reader scores: it is what takes the time."""


def load_shipped(encoder_folder: Path) -> LabelReader:
    """The label reader that comes with entsemble."""
    reader = LabelReader(load_encoder(encoder_folder))
    load_exported(reader, BUNDLED_READER / NETWORK)
    reader.encoder.set_attn_implementation("eager")  # faster in bfloat16 on a CPU
    return reader


def train_differences(
    reader: LabelReader, sampled: SampledMixture, writer: PromptWriter, encoder: Encoder, steps: int
) -> dict[str, float]:
    """Train the reader's differences; returns the mean loss and the typing accuracy of the second half."""
    trained = [parameter for parameter in reader.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / WARM_UP) * (1 - step / steps)
    )
    feed = Feed(sampled, writer, encoder, Options(Path(), SEED, BATCH))
    sums = {"loss": 0.0, "typing": 0.0}
    reader.train()
    for step, (_, pairs) in zip(range(steps), feed.batches((0, 0)), strict=False):
        batch = _narrow(encoder.batch([row for _, row in pairs]))
        with torch.autocast("cpu", torch.bfloat16):
            scores, _ = reader(*batch.inputs())
        loss, typing = reader_loss(scores.float(), targets_of([_short(example) for example, _ in pairs], batch), batch)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        if 2 * step >= steps:
            sums["loss"] += loss.item() / (steps - steps // 2)
            sums["typing"] += typing / (steps - steps // 2)
    return sums


def _narrow(batch: Batch) -> Batch:
    return replace(batch, span_last=batch.span_last[:, :SPAN_WIDTH], span_mask=batch.span_mask[..., :SPAN_WIDTH])


def _short(example: Example) -> Example:
    return replace(example, spans=tuple(span for span in example.spans if span[1] - span[0] < SPAN_WIDTH))


def train_expert(
    name: str, shipped: LabelReader, mixture: Mixture, writer: PromptWriter, encoder: Encoder, file: Path
) -> None:
    """Train one expert, or the unified model with the steps of all experts, and write it."""
    torch.manual_seed(SEED)
    reader = copy.deepcopy(shipped)
    add_differences(reader, RANK)
    unified = name == UNIFIED
    sampled = union_mixture(mixture) if unified else domain_mixture(mixture, name)
    steps = SENTENCES // BATCH * (len(DOMAINS) if unified else 1)
    started, processor = time.monotonic(), time.process_time()
    averages = train_differences(reader, sampled, writer, encoder, steps)
    partial = file.with_suffix(".partial")
    save_file(dict(factors_of(reader)), partial)
    partial.replace(file)
    seconds = {"seconds": time.monotonic() - started, "processor_seconds": time.process_time() - processor}
    record = {"expert": name, "sentences": len(sampled.sentences), "steps": steps, **averages, **seconds}
    print(
        json.dumps({key: round(value, 4) if isinstance(value, float) else value for key, value in record.items()}),
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="config.json, tokenizer.json")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", help="domains, separated by commas")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    data_root = corpora_folder()
    mixture = load_mixture(data_root)
    writer = PromptWriter(mixture, load_wording(data_root))
    shipped, encoder = load_shipped(options.encoder), Encoder(options.encoder / "tokenizer.json")
    for name in options.only.split(",") if options.only else [*DOMAINS, UNIFIED]:
        file = options.out / f"{name}.safetensors"
        if not file.exists():
            train_expert(name, shipped, mixture, writer, encoder, file)


if __name__ == "__main__":
    main()
