"""The shipped network as weights that training can start from: `python -m tools.reader.unpack OUT.safetensors`.

The exporter names a matrix by its place in the graph. Which parameter it is follows from the bias that is added to its
product; it is stored transposed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

from entsemble.backends.label_reader.model import BUNDLED_READER, NETWORK
from tools.reader.model import LabelReader, load_encoder

Arrays = dict[str, npt.NDArray[np.float32]]


def load_exported(reader: LabelReader, network_file: Path) -> None:
    """Give a reader the weights of an ONNX file that `tools.reader.export` wrote.

    Raises:
        ValueError: the file lacks a parameter of the reader.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(network_file)).graph
    arrays = {
        weight.name.removesuffix("_half"): np.asarray(numpy_helper.to_array(weight), dtype=np.float32)
        for weight in graph.initializer
        if numpy_helper.to_array(weight).dtype.kind == "f"
    }
    weights = _matrices(graph, arrays) | arrays
    weights["cosine_weight"] = _cosine_factor(graph, arrays) / np.float32(reader.config.cosine_scale)
    widths = [name for name, array in arrays.items() if array.shape == tuple(reader.width.weight.shape)]
    if len(widths) == 1:
        weights["width.weight"] = arrays[widths[0]]
    missing = sorted(set(dict(reader.named_parameters())) - set(weights))
    if missing:
        raise ValueError(f"{network_file} lacks {', '.join(missing)}")
    state = {name: torch.from_numpy(np.array(weights[name])) for name, _ in reader.named_parameters()}
    reader.load_state_dict(state, strict=False)  # what is no parameter is a constant


def _matrices(graph: Any, arrays: Arrays) -> Arrays:  # noqa: ANN401 - onnx is untyped
    """Parameter -> matrix, of the products to which a bias is added, and of the one that has none."""
    added_to = {name: node for node in graph.node if node.op_type == "Add" for name in node.input}
    matrices: Arrays = {}
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in arrays:
            continue
        for bias in added_to[node.output[0]].input:
            if bias in arrays:
                matrices[f"{bias.removesuffix('.bias')}.weight"] = arrays[node.input[1]].T
    return matrices


def _cosine_factor(graph: Any, arrays: Arrays) -> npt.NDArray[np.float32]:  # noqa: ANN401 - onnx is untyped
    """What the centred cosines, the only difference in the graph that is scaled, are multiplied with."""
    differences = {node.output[0] for node in graph.node if node.op_type == "Sub"}
    for node in graph.node:
        if node.op_type == "Mul" and node.input[0] in arrays and node.input[1] in differences:
            return arrays[node.input[0]]
    raise ValueError("the network does not scale its cosines")


def main(arguments: Sequence[str] | None = None) -> None:
    """Unpack the network that comes with entsemble."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--encoder", type=Path, required=True, help="config.json of all-MiniLM-L6-v2")
    parser.add_argument("--network", type=Path, default=BUNDLED_READER / NETWORK)
    options = parser.parse_args(arguments)
    reader = LabelReader(load_encoder(options.encoder))
    load_exported(reader, options.network)
    save_file({name: value.half().contiguous() for name, value in reader.state_dict().items()}, options.weights)


if __name__ == "__main__":
    main()
