"""The checkpoint of a training: the adapter's weights, the optimiser's state and the position, in one checked file."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from entsemble._lib.atomic import replacing
from entsemble._lib.digest import sha256
from entsemble.errors import ConfigError, DataError
from entsemble.experts.lora import extract_adapter
from entsemble.experts.peft_folder import CONFIG_FILE, WEIGHTS_FILE, save_adapter
from entsemble.types import Precision

STATE_FILE = "state.safetensors"
BEST_FOLDER = "best"

_OPTIMISER_STATES = ("exp_avg", "exp_avg_sq")
"""AdamW's state of each parameter, as PyTorch names it."""

_LOSS_WINDOW = 50
"""Steps over which the reported loss is averaged."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How an expert is trained.

    Attributes:
        rank, alpha: of the LoRA adapter, on all linear layers.
        epochs: passes over the sentences, with varied prompts.
        learning_rate: after the warm-up; it then decays linearly to 0.
        batch: sentences per step.
        warmup: share of the steps.
        precision: of the base model's computations; the adapter and its gradients are float32.
        seed: of all randomness.
        save_seconds: minimum time between two checkpoints.
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


class TrainingState:
    """Adapter weights, optimiser and position of a training, stored in one safetensors file."""

    def __init__(self, peft_model: Any, settings: TrainingSettings, folder: Path, base: str) -> None:  # noqa: ANN401 - untyped library
        import torch
        from safetensors import SafetensorError

        self.folder, self._peft_model, self._settings, self._base = folder, peft_model, settings, base
        self._parameters = {
            name: parameter for name, parameter in peft_model.named_parameters() if parameter.requires_grad
        }
        self.optimiser = torch.optim.AdamW(self._parameters.values(), weight_decay=0.0)
        self.step, self.best_epoch = 0, 0
        self.losses: list[float] = []
        self.score: float | None = None
        self._best_files: dict[str, str] = {}
        self._last_save = time.monotonic()
        if (folder / STATE_FILE).exists():
            try:
                self._load()
            except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
                raise DataError(
                    f"cannot be resumed ({error}); delete the folder to start again", folder / STATE_FILE
                ) from error

    @property
    def loss(self) -> float:
        """Mean over the last steps."""
        window = self.losses[-_LOSS_WINDOW:]
        return sum(window) / len(window) if window else 0.0

    def save_if_due(self) -> None:
        """Save a checkpoint if the last one is old enough."""
        if time.monotonic() - self._last_save >= self._settings.save_seconds:
            self._save()

    def finish_epoch(self, epoch: int, score: float | None) -> None:
        """Store the adapter if it is the best so far, and save a checkpoint."""
        if score is None or self.score is None or score > self.score:
            with replacing(self.folder / BEST_FOLDER) as best_folder:
                save_adapter(extract_adapter(self._peft_model, self._base), best_folder, half_precision=True)
                self._best_files = _checksums(best_folder)
            self.score, self.best_epoch = score, epoch
        self._save()

    def best_adapter(self) -> Path:
        """The folder of the best epoch's adapter.

        Raises:
            DataError: it is not as it was stored.
        """
        best_folder = self.folder / BEST_FOLDER
        try:
            is_intact = _checksums(best_folder) == self._best_files
        except OSError:
            is_intact = False
        if not is_intact:
            raise DataError(f"another program has changed this; delete {self.folder} to start again", best_folder)
        return best_folder

    def _save(self) -> None:
        from safetensors.torch import save_file

        tensors = {}
        for name, parameter in self._parameters.items():
            tensors[f"value:{name}"] = parameter.detach().contiguous()
            for part in _OPTIMISER_STATES:
                tensors[f"{part}:{name}"] = self.optimiser.state[parameter][part].contiguous()
        position = {
            "settings": asdict(self._settings),
            "step": self.step,
            "best_epoch": self.best_epoch,
            "score": self.score,
            "losses": self.losses[-_LOSS_WINDOW:],
            "best_files": self._best_files,
        }
        metadata = {"training": json.dumps(position)}
        metadata["checksum"] = self._checksum(metadata["training"], tensors)
        with replacing(self.folder / STATE_FILE) as state_file:
            save_file(tensors, state_file, metadata=metadata)
        self._last_save = time.monotonic()

    def _load(self) -> None:
        import torch
        from safetensors import safe_open

        with safe_open(self.folder / STATE_FILE, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no mapping
        if metadata["checksum"] != self._checksum(metadata["training"], tensors):
            raise ValueError("it is damaged, or of a training in another folder")
        position = json.loads(metadata["training"])
        self._check_settings(position["settings"])
        expected = {
            f"{part}:{name}": parameter.shape
            for name, parameter in self._parameters.items()
            for part in ("value", *_OPTIMISER_STATES)
        }
        if {name: tensor.shape for name, tensor in tensors.items()} != expected:
            raise ValueError("it is of another base model")
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(tensors[f"value:{name}"])
                optimiser_state = self.optimiser.state[parameter]
                optimiser_state["step"] = torch.tensor(float(position["step"]))
                for part in _OPTIMISER_STATES:
                    optimiser_state[part] = tensors[f"{part}:{name}"].to(parameter.device)
        self.step, self.best_epoch = position["step"], position["best_epoch"]
        self.score, self.losses = position["score"], position["losses"]
        self._best_files = position["best_files"]

    def _checksum(self, position: str, tensors: Mapping[str, Any]) -> str:
        """Of a state, for this folder: what a disk damaged is not trained on, nor a state from another folder."""
        import torch

        digest = hashlib.sha256(f"{self.folder.name}\n{position}".encode())
        for name, tensor in sorted(tensors.items()):
            digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _check_settings(self, stored: dict[str, Any]) -> None:
        current = {key: value for key, value in asdict(self._settings).items() if key != "save_seconds"}
        different = sorted(key for key, value in current.items() if stored.get(key) != value)
        if different:
            raise ConfigError(
                f"{self.folder} contains a training with another {', '.join(different)}; "
                f"use the same settings, or another folder"
            )


def _checksums(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE)}
