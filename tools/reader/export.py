"""The trained network as ONNX, as the package runs it: `python -m tools.reader.export --release DIR --out DIR`.

Weights are stored in half precision and cast to full precision when they are loaded, which halves the file and changes
no result of the released half-precision weights. The exported network is compared with the original on random input.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from tools.reader.encode import Batch, Encoder
from tools.reader.model import LabelReader, load_encoder

MAX_DIFFERENCE = 1e-3
"""Of a logit, or of a number of a span's vector, between the original and the exported network."""

INPUT_SIZES = {
    "input_ids": "BN",
    "attention_mask": "BN",
    "label_first": "BL",
    "label_last": "BL",
    "word_first": "BW",
    "word_last": "BW",
    "span_last": "W_",
    "label_mask": "BL",
}
"""Names of the inputs, in the network's order -> which of their sizes are free, in letters, and which is fixed."""


def load_reader(release: Path) -> LabelReader:
    """The network of a released folder, in full precision."""
    reader = LabelReader(load_encoder(release))
    weights = load_file(release / "reader.safetensors")
    reader.load_state_dict({name: value.float() for name, value in weights.items()})
    reader.eval()
    return reader


def export_network(reader: LabelReader, example: Batch, target: Path) -> None:
    """Write the network with free sizes, its weights in half precision.

    Args:
        reader: the network.
        example: any batch of two rows or more.
        target: the `.onnx` file.

    Raises:
        ValueError: the exported network computes something else.
    """
    import onnx

    sizes = {letter: torch.export.Dim(letter, min=1, max=4096) for letter in "BNLW"}
    shapes = {
        name: {axis: sizes[letter] for axis, letter in enumerate(letters) if letter in sizes}
        for name, letters in INPUT_SIZES.items()
    }
    inputs = tuple(value.long() for value in example.inputs())
    program = torch.onnx.export(
        reader,
        inputs,
        dynamo=True,
        input_names=list(INPUT_SIZES),
        output_names=["logits", "span_vectors"],
        dynamic_shapes=tuple(shapes.values()),
        verbose=False,
    )
    onnx.save(with_half_precision_weights(program.model_proto), str(target))
    for exported, original in zip(run_network(target, example), reader(*inputs), strict=True):
        difference = float(np.abs(exported - original.detach().numpy()).max())
        if difference > MAX_DIFFERENCE:
            raise ValueError(f"the exported network differs by {difference} in a logit or in a span's vector")


def with_half_precision_weights(network: Any) -> Any:  # noqa: ANN401 - onnx is untyped
    """The network with each large float weight stored as float16, followed by a cast to float32."""
    from onnx import TensorProto, helper, numpy_helper

    graph = network.graph
    casts = []
    for index, weight in enumerate(graph.initializer):
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) > 256:
            half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{weight.name}_half")
            casts.append(helper.make_node("Cast", [half.name], [weight.name], to=TensorProto.FLOAT))
            graph.initializer[index].CopyFrom(half)
    for part in (*graph.node, *graph.value_info, *graph.initializer, graph, network):
        part.doc_string = ""
        del part.metadata_props[:]  # the exporter's notes on where each part of the code is
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return network


def run_network(file: Path, batch: Batch) -> Any:  # noqa: ANN401 - onnxruntime is untyped
    """Logits [B, W, K, L] and span vectors [B, W, K, S] of the exported network."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    arrays = {name: value.numpy().astype(np.int64) for name, value in zip(INPUT_SIZES, batch.inputs(), strict=True)}
    return session.run(None, arrays)


def main(arguments: Sequence[str] | None = None) -> None:
    """Export, and copy what belongs to it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, required=True, help="folder that tools.reader.release wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--slope", type=float, default=1.0, help="of Platt scaling, fitted on held-out domains")
    parser.add_argument("--intercept", type=float, default=0.0, help="of Platt scaling")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    reader, encoder = load_reader(options.release), Encoder(options.release / "tokenizer.json")
    rows = [encoder.row(["Ann", "flew", "to", "Oslo", "on", "Monday"], ("person", "place", "date of an event"))]
    rows.append(encoder.row(["It", "rained"], ("weather", "person")))
    export_network(reader, encoder.batch(rows), options.out / "reader.onnx")
    shutil.copyfile(options.release / "tokenizer.json", options.out / "tokenizer.json")
    parameters = sum(weight.numel() for weight in reader.parameters())
    scaling = {"slope": options.slope, "intercept": options.intercept}
    config = {"span_width": reader.config.span_width, "parameters": parameters, **scaling}
    (options.out / "reader.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    print(f"{options.out / 'reader.onnx'}: {(options.out / 'reader.onnx').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
