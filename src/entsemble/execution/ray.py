"""Many inputs on a Ray cluster, or on one machine's worth of it, through Ray Data: actors that each hold an engine.

Ray starts an actor that was killed again and gives it its batch once more, so nothing is lost and nothing comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from entsemble.errors import MissingExtraError, ModelUnavailableError

Work = Callable[[list[str]], list[str]]
"""Inputs -> outputs, one each, in order."""

INPUTS_PER_EXECUTION = 20_000
"""Inputs that Ray Data is given at once: they are held in its object store, and actors start anew for the next."""


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Where the actors run.

    Attributes:
        actors: how many; `None` takes as many as fit on the CPUs, or GPUs, that the cluster has.
        cpus: of one actor.
        gpus: of one actor.
        batch: inputs that an actor is given at once.
        address: of a running cluster, as in `RAY_ADDRESS`; `None` takes that, or starts Ray on this machine.
    """

    actors: int | None = None
    cpus: float = 2
    gpus: float = 0
    batch: int = 8
    address: str | None = None

    def map(self, build: Callable[[], Work], inputs: Iterable[str]) -> Iterator[str]:
        """One output for each input, in order.

        Args:
            build: called once in each actor, and again where one had to be started anew.
            inputs: taken in as they are needed, many at a time.

        Raises:
            MissingExtraError: Ray is not installed.
            ModelUnavailableError: Ray gave up.
        """
        ray, data = self.connect()
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        source = iter(inputs)
        while part := list(islice(source, INPUTS_PER_EXECUTION)):
            rows = data.from_items([{"input": value} for value in part]).map_batches(
                _Actor,
                fn_constructor_args=(build,),
                batch_size=min(self.batch, max(1, len(part))),
                compute=data.ActorPoolStrategy(size=self._actors(ray)),
                num_cpus=self.cpus,
                num_gpus=self.gpus,
            )
            try:
                for row in rows.iter_rows():
                    yield row["output"]
            except ray.exceptions.RayError as error:
                raise ModelUnavailableError(f"Ray gave up: {error}") from error

    def connect(self) -> tuple[Any, Any]:
        """Ray and its data module, connected to the cluster. Ray then has its own ways with SIGTERM."""
        ray, data = _ray()
        if not ray.is_initialized():
            ray.init(address=self.address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        return ray, data

    def _actors(self, ray: Any) -> int:  # noqa: ANN401 - untyped library
        if self.actors:
            return self.actors
        has = ray.cluster_resources()
        fits = [has.get("CPU", 0) / self.cpus] if self.cpus else []
        fits += [has.get("GPU", 0) / self.gpus] if self.gpus else []
        return max(1, int(min(fits, default=1)))


class _Actor:
    """What Ray Data keeps alive between batches."""

    def __init__(self, build: Callable[[], Work]) -> None:
        self._work = build()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        return {"output": self._work(list(batch["input"]))}


def _ray() -> tuple[Any, Any]:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray[data]", "ray", "running on a cluster") from error
    return ray, ray.data
