"""llama.cpp engines in this process, through xllamacpp: how they are configured, started, and kept private.

xllamacpp runs llama.cpp's HTTP server, since only its routes tokenise. A TCP port would let every user of the machine,
and every web page that is open on it, send prompts and measure what the cache holds. So the server listens on a Unix
socket in a folder that only this user may enter, and answers only requests with a random key.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from entsemble._lib.optional import require
from entsemble.errors import ModelUnavailableError

_FOLDER_PREFIX, _SOCKET = "entsemble-engine-", "engine.sock"

_SPIN_COUNT = "1000"
"""How often a thread of llama.cpp looks whether the others are done before it sleeps: as often as GNU's OpenMP does
when it knows that cores are shared, instead of 300,000. On two idle cores both are as fast (0.2 s for a prompt, a list
and a type); on busy ones, two threads take 1 s instead of 4 to 75."""
_SPIN_VARIABLE, _WAIT_VARIABLES = "GOMP_SPINCOUNT", {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}

_MAX_PARENT_PATH = 60
"""Characters of the folder that holds an engine's folder: a socket's path may have about 100 in all."""


@dataclass(frozen=True, slots=True)
class LlamaCppOptions:
    """How llama.cpp runs a model.

    Attributes:
        context: tokens that a prompt and its reply may fill.
        slots: KV caches, each for one sentence.
        parallel: requests that the engine evaluates at once. More than one is faster on a GPU, but answers may then
            differ in the second digit from run to run, since batches do.
        threads: CPU threads.
        gpu_layers: layers put on a GPU, if the installed engine supports one.
        adapters: fingerprint of a sum of adapters -> the sum as one GGUF LoRA file, loaded beside the model; without
            effect until `with_adapters` applies it. One file, because llama.cpp would add up several in the order in
            which they are in memory, and with quantised activations another order gives another answer.
    """

    context: int = 4096
    slots: int = 2
    parallel: int = 1
    threads: int = 2
    gpu_layers: int = 0
    adapters: Mapping[str, Path] = field(default_factory=dict)


def engine_version() -> str:
    """The version of xllamacpp; with another one, answers may differ in the second digit."""
    try:
        return metadata.version("xllamacpp")
    except metadata.PackageNotFoundError:
        return "unknown"


class Engine:
    """A running engine that only this process can reach.

    Args:
        path: the `.gguf` file.
        configure: sets the engine's parameters.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        ModelUnavailableError: there is no such file, or llama.cpp cannot load it.
    """

    def __init__(self, path: Path, configure: Callable[[Any], None]) -> None:
        import httpx  # an eighth of the time that the command line takes to start

        key = secrets.token_urlsafe(32)
        folder = _socket_folder()

        def configure_privately(parameters: Any) -> None:  # noqa: ANN401 - untyped library
            configure(parameters)
            parameters.api_keys = [key]
            parameters.cors_origins = ""
            parameters.endpoint_slots = parameters.endpoint_props = parameters.endpoint_metrics = False
            if folder is not None:
                parameters.hostnames = [str(folder / _SOCKET)]

        try:
            self._server = load_engine(path, configure_privately)
        except BaseException:
            _remove_folder(folder)
            raise
        self._remove_folder = weakref.finalize(self, _remove_folder, folder)
        # without TLS, so that no certificates need be loaded
        transport = httpx.HTTPTransport(verify=False, uds=None if folder is None else str(folder / _SOCKET))
        address = self._server.listening_address if folder is None else "http://engine"
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(transport=transport, base_url=address, headers=headers, timeout=60, trust_env=False)

    def complete(
        self, request: Mapping[str, Any], receive: Callable[[dict[str, Any]], bool] | None = None
    ) -> dict[str, Any]:
        """The engine's answer to a completion request.

        Args:
            request: as for `/v1/completions`.
            receive: called with each chunk of a streamed answer; true ends it.
        """
        arguments = [dict(request)] if receive is None else [dict(request), receive]
        answer: dict[str, Any] | None = self._server.handle_completions(*arguments)
        return answer or {}

    def embed(self, texts: Sequence[str]) -> dict[str, Any]:
        """The engine's answer to an embedding request."""
        answer: dict[str, Any] = self._server.handle_embeddings({"input": list(texts)})
        return answer

    def tokenize(self, text: str, *, add_begin_token: bool = False) -> list[int]:
        """Token ids of a text, in which nothing is a control token: `<|im_end|>` is a few ordinary tokens.

        Args:
            text: any text.
            add_begin_token: whether the model's begin token precedes it, as in a prompt.
        """
        body = {"content": text, "add_special": add_begin_token, "parse_special": False}
        return [int(token) for token in self._http.post("/tokenize", json=body).raise_for_status().json()["tokens"]]

    def close(self) -> None:
        """Stop the engine and free its memory."""
        self._http.close()
        self._server = None
        self._remove_folder()


def start_engine(path: Path, options: LlamaCppOptions) -> Engine:
    """A running engine for a language model; raises what `Engine` raises."""

    def configure(parameters: Any) -> None:  # noqa: ANN401 - untyped library
        parameters.n_ctx, parameters.n_parallel = options.context * options.slots, options.slots
        parameters.kv_unified = False
        parameters.swa_full = True  # otherwise sliding-window models lose the prefix
        parameters.cache_ram_mib = 0  # the engine's own prefix cache would make answers depend on history
        parameters.n_gpu_layers = options.gpu_layers
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = options.threads
        parameters.lora_adapters = [_adapter_info(file) for file in options.adapters.values()]
        parameters.lora_init_without_apply = True

    return Engine(path, configure)


def import_library() -> Any:  # noqa: ANN401 - untyped library
    """xllamacpp, with threads that do not spin for long; a user who set how OpenMP waits keeps that.

    OpenMP reads the variable when the library loads it, so that nothing else is affected.

    Raises:
        MissingExtraError: it is not installed.
    """
    is_ours = not (_WAIT_VARIABLES & os.environ.keys())
    if is_ours:
        os.environ[_SPIN_VARIABLE] = _SPIN_COUNT
    try:
        return require("xllamacpp", "embedded", "a model in this process")
    finally:
        if is_ours:
            os.environ.pop(_SPIN_VARIABLE, None)


def load_engine(path: Path, configure: Callable[[Any], None]) -> Any:  # noqa: ANN401 - untyped library
    """A running llama.cpp server for the model at `path`, its parameters set by `configure`.

    It listens where the parameters say, by default on a TCP port of this machine without a key: see `Engine`.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        ModelUnavailableError: there is no such file, or llama.cpp cannot load it.
    """
    xllamacpp = import_library()
    if not path.is_file():
        raise ModelUnavailableError(f"no model file at {path}")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelUnavailableError(f"{path} is not a GGUF file, the only kind that llama.cpp loads")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.verbosity, parameters.ui, parameters.warmup = -1, False, False
    # read, not mapped: if a mapped file is truncated, SIGBUS ends the process; reading costs no more, since each weight
    # is used
    parameters.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    configure(parameters)
    try:
        return _start(lambda: xllamacpp.Server(parameters))
    except (RuntimeError, ValueError) as error:
        raise ModelUnavailableError(f"llama.cpp cannot load {path}: {error}") from error


_interrupted_starts: list[Future[Any]] = []


def _start(create: Callable[[], Any]) -> Any:  # noqa: ANN401 - untyped library
    """Start an engine on a thread of its own, which Ctrl-C does not interrupt.

    An engine whose start is interrupted is destroyed at once, and its destructor then waits for good, and with it the
    whole process.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="entsemble-engine")
    future = executor.submit(create)
    try:
        return future.result()
    except (KeyboardInterrupt, SystemExit):
        _interrupted_starts.append(future)  # for the same reason
        raise
    finally:
        executor.shutdown(wait=False)


def _socket_folder() -> Path | None:
    """A new folder for a Unix socket that only this user may enter; `None` if the system has no such sockets.

    Folders that killed processes left behind are removed.
    """
    if not hasattr(socket, "AF_UNIX") or os.name == "nt":
        return None
    for parent in dict.fromkeys([tempfile.gettempdir(), "/tmp"]):
        if len(parent) < _MAX_PARENT_PATH and os.access(parent, os.W_OK):
            _remove_abandoned(Path(parent))
            return Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=parent))
    return None


def _remove_abandoned(parent: Path) -> None:
    """Remove this user's folders whose socket nobody listens on."""
    for folder in parent.glob(f"{_FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            if folder.stat().st_uid == os.getuid() and (folder / _SOCKET).is_socket():
                try:
                    probe.connect(str(folder / _SOCKET))
                except ConnectionRefusedError:
                    _remove_folder(folder)


def _remove_folder(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _adapter_info(file: Path) -> Any:  # noqa: ANN401 - untyped library
    import xllamacpp

    if not file.is_file():
        raise ModelUnavailableError(f"no adapter file at {file}")
    adapter_info = xllamacpp.CommonAdapterLoraInfo()
    adapter_info.path, adapter_info.scale = str(file), 1.0
    return adapter_info
