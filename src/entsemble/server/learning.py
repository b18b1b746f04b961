"""Learning from the pool in the background, in a process of its own, so that neither a request nor a key waits for it.

What voices and the scorer learn is stored in the cache by what it was learned from. The server then finds it there, as
does the next start. `python -m entsemble.server.learning` is that process. It ends when its standard input does, so
that it never outlives the server, however that ends.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any, cast

from entsemble._lib.cancellation import CancelCheck, WorkCancelledError
from entsemble.assembly import ProgressCallbacks
from entsemble.data.jsonl import from_json, to_json
from entsemble.ensemble import Ensemble
from entsemble.errors import EntsembleError, ModelError
from entsemble.scoring.model import StackingModel
from entsemble.server.built_ensemble import learned_weights
from entsemble.settings import Environment, Settings
from entsemble.types import Document

_LOG = logging.getLogger("entsemble.server")

_POLL_SECONDS = 0.2
_CLOSE_SECONDS = 2.0
_NICENESS = 10
"""Requests and the page come first."""


class PoolLearner:
    """Learns soon after it was asked to, in a thread, and once more if it was asked again in the meantime.

    Between two runs it rests as long as the last one took, so that a pool that changes all the time does not keep a
    machine busy.

    Args:
        is_needed: whether the pool teaches what has not been learned.
        learn: learns from the pool as it is then.
    """

    def __init__(self, is_needed: Callable[[], bool], learn: Callable[[], None]) -> None:
        self._is_needed, self._learn = is_needed, learn
        self._lock = threading.Lock()
        self._is_wanted = self._is_running = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_learning(self) -> bool:
        """Whether something is being learned, or will be soon."""
        return self._is_running

    def schedule(self) -> None:
        """Learn soon."""
        with self._lock:
            self._is_wanted = True
            if self._is_running or self._stopping.is_set():
                return
            self._is_running = True
            self._thread = threading.Thread(target=self._run, name="entsemble-learning", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Learn nothing more."""
        self._stopping.set()

    def close(self) -> None:
        """Wait a moment until what is being learned has been cancelled, so that no process is left behind."""
        self.stop()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        rest = 0.0
        while True:
            with self._lock:
                if not self._is_wanted or self._stopping.is_set():
                    self._is_running = False
                    return
                self._is_wanted = False
            try:
                if not self._is_needed() or self._stopping.wait(rest):
                    continue
                started = time.monotonic()
                try:
                    self._learn()
                finally:
                    rest = time.monotonic() - started
            except WorkCancelledError:
                continue  # the server is stopping
            except EntsembleError as error:
                _LOG.error("nothing is learned from the pool: %s", error)
            except Exception:
                _LOG.exception("nothing is learned from the pool")


def learn_in_process(
    settings: Settings, environment: Environment, documents: Sequence[Document], is_cancelled: CancelCheck
) -> StackingModel | None:
    """Train what an ensemble learns from a pool, and store it in the cache.

    Args:
        settings: of the ensemble.
        environment: where models and the cache are.
        documents: the pool.
        is_cancelled: whether nobody wants it any more.

    Returns:
        The weights of the votes; `None` if the pre-trained ones are used.

    Raises:
        ModelError: the process failed.
        WorkCancelledError: nobody wants it any more.
    """
    task = {
        "settings": settings.model_dump(mode="json"),
        "environment": environment.model_dump(mode="json"),
        "documents": [to_json(document) for document in documents],
    }
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C is for the server, which then stops this process
    ) as process:
        lifeline = cast("IO[str]", process.stdin)
        process.stdin = None  # `communicate` would close it
        threading.Thread(target=_send, args=(json.dumps(task), lifeline), daemon=True).start()
        try:
            output, errors = _wait(process, is_cancelled)
        finally:
            process.kill()
            with suppress(BrokenPipeError):  # it ended before it had read the task
                lifeline.close()
    if process.returncode != 0:
        raise ModelError((errors.strip().splitlines() or [f"the process ended with {process.returncode}"])[-1])
    weights = json.loads(output.splitlines()[-1])
    return None if weights is None else StackingModel.from_json(weights)


def _wait(process: subprocess.Popen[str], is_cancelled: CancelCheck) -> tuple[str, str]:
    """Standard output and standard error of a process when it has ended.

    Raises:
        WorkCancelledError: nobody wants it any more.
    """
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=_POLL_SECONDS)
        if is_cancelled():
            raise WorkCancelledError


def _send(task: str, stream: IO[str]) -> None:
    with suppress(BrokenPipeError):  # the process has ended, and its exit status says why
        stream.write(task + "\n")
        stream.flush()


def _end_with_server() -> None:
    """End this process when the server closes its end of the pipe, or is killed."""
    while os.read(sys.stdin.fileno(), 1):  # not through `sys.stdin`, whose lock would be in the way at the normal end
        pass
    os._exit(1)


def main() -> None:
    """Learn what the line on standard input says, and print the weights as the last line of standard output."""
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    task: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_server, daemon=True).start()
    documents = [from_json(line, "") for line in task["documents"]]
    settings, environment = Settings.model_validate(task["settings"]), Environment.model_validate(task["environment"])
    warnings: list[str] = []
    progress = ProgressCallbacks(on_warning=warnings.append)
    with Ensemble(settings, environment=environment, examples=documents, progress=progress) as ensemble:
        weights = learned_weights(ensemble)
        if weights is None and settings.members:  # the weights are all that was to be learned
            raise ModelError("; ".join(warnings))
    sys.stdout.write("\n" + json.dumps(weights and weights.to_json()) + "\n")


if __name__ == "__main__":
    main()
