"""Many inputs on a Ray cluster, or on this machine, through Ray Data: actors that each hold an ensemble.

Ray restarts an actor that was killed and gives it its batch again, so that no output is missing and none comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from entsemble._lib.optional import require
from entsemble.errors import ModelUnavailableError

Work = Callable[[list[str]], list[str]]
"""A batch of inputs -> one output for each, in order."""

INPUTS_PER_EXECUTION = 20_000
"""Inputs that Ray Data is given at once. They are held in its object store, and actors start anew for the next ones."""


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Where actors run.

    Attributes:
        actors: their number; `None` for as many as fit on the CPUs, or GPUs, of the cluster.
        cpus: of one actor.
        gpus: of one actor.
        batch_size: inputs that an actor is given at once.
        address: of a running cluster, as in `RAY_ADDRESS`; `None` uses that variable, or starts Ray on this machine.
    """

    actors: int | None = None
    cpus: float = 2
    gpus: float = 0
    batch_size: int = 8
    address: str | None = None

    def map(self, build: Callable[[], Work], inputs: Iterable[str]) -> Iterator[str]:
        """One output for each input, in order.

        Args:
            build: called once in each actor, and again in one that was restarted.
            inputs: read as they are needed, many at a time.

        Raises:
            MissingExtraError: Ray is not installed.
            ModelUnavailableError: Ray failed.
        """
        ray, ray_data = self.connect()
        context = ray_data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        remaining = iter(inputs)
        while input_chunk := list(islice(remaining, INPUTS_PER_EXECUTION)):
            outputs = ray_data.from_items([{"input": value} for value in input_chunk]).map_batches(
                _Actor,
                fn_constructor_args=(build,),
                batch_size=min(self.batch_size, max(1, len(input_chunk))),
                compute=ray_data.ActorPoolStrategy(size=self._actor_count(ray)),
                num_cpus=self.cpus,
                num_gpus=self.gpus,
            )
            try:
                for output_row in outputs.iter_rows():
                    yield output_row["output"]
            except ray.exceptions.RayError as error:
                raise ModelUnavailableError(f"Ray failed: {error}") from error

    def connect(self) -> tuple[Any, Any]:
        """Ray and its data module, connected to the cluster. From then on Ray handles SIGTERM.

        Raises:
            MissingExtraError: Ray is not installed.
        """
        ray = require("ray", "ray", "running on a cluster")
        ray_data = require("ray.data", "ray", "running on a cluster")
        if not ray.is_initialized():
            ray.init(address=self.address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        return ray, ray_data

    def _actor_count(self, ray: Any) -> int:  # noqa: ANN401 - untyped library
        if self.actors:
            return self.actors
        resources = ray.cluster_resources()
        fitting = [resources.get("CPU", 0) / self.cpus] if self.cpus else []
        fitting += [resources.get("GPU", 0) / self.gpus] if self.gpus else []
        return max(1, int(min(fitting, default=1)))


class _Actor:
    """What Ray Data keeps alive between batches."""

    def __init__(self, build: Callable[[], Work]) -> None:
        self._work = build()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        return {"output": self._work(list(batch["input"]))}
