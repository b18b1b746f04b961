"""The mean of several weights of one run: `python -m tools.reader.average OUT.safetensors WEIGHTS...`.

Late checkpoints of a run whose learning rate is still high differ mostly by noise, which a mean takes out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def average_weights(weight_files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Each tensor's mean over the files, in half precision."""
    loaded_weights = [load_file(weight_file) for weight_file in weight_files]
    return {
        weight_name: torch.stack([weights[weight_name].float() for weights in loaded_weights]).mean(0).half()
        for weight_name in loaded_weights[0]
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, average, write."""
    argument_parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    argument_parser.add_argument("averaged", type=Path)
    argument_parser.add_argument("weights", type=Path, nargs="+")
    parsed_arguments = argument_parser.parse_args(arguments)
    save_file(average_weights(parsed_arguments.weights), parsed_arguments.averaged)


if __name__ == "__main__":
    main()
