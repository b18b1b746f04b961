"""What the probe finds out about real servers. llama.cpp's own is always here; the others run in the soak.

`transformers serve` needs the package openai beside transformers. vLLM needs an environment of its own, since it pins
other versions: ENTSEMBLE_VLLM names its `vllm` command.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from entsemble.backends.openai.client import RequestPolicy
from entsemble.backends.openai.model import OpenAIModel
from entsemble.backends.openai.probe import Api, ServerOptions
from entsemble.types import Decoding

PROMPT = "Text: one two three;\n" * 5 + "Text: one two"
OPTIONS = [" three;", " two;", " one;"]
START_SECONDS = 900


@contextmanager
def probed(url: str, model: str, api: Api) -> Iterator[tuple[OpenAIModel, str]]:
    """The model, and the line that says what its server does."""
    lines: list[str] = []
    policy = RequestPolicy(timeout=START_SECONDS)
    served = OpenAIModel("m", url, model, options=ServerOptions(api), policy=policy, announce=lines.append)
    try:
        served.probe()
        yield served, lines[0].partition("/v1: ")[2]
    finally:
        served.close()


def check_answers(model: OpenAIModel) -> None:
    [reply] = model.generate([PROMPT], Decoding(8, stop=(";",)))
    assert (reply.text.strip(), reply.finished) == ("three", True)
    assert model.choose([PROMPT], OPTIONS)[0].best_index == 0


@pytest.fixture(scope="module")
def llama_url(model_file: Callable[[str], Path]) -> Iterator[str]:
    xllamacpp = pytest.importorskip("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_file("smollm2-135m"))
    parameters.n_ctx, parameters.n_parallel, parameters.verbosity, parameters.ui = 1024, 1, -1, False
    parameters.warmup = False
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    yield server.listening_address + "/v1"
    del server


@pytest.mark.models
@pytest.mark.parametrize(
    ("api", "line"),
    [
        ("auto", "llama.cpp, raw prompts, log-probabilities of 20 tokens, grammars"),
        ("chat", "llama.cpp, chat template, answers continued, log-probabilities of 20 tokens, grammars"),
    ],
)
def test_llama_cpp(llama_url: str, api: Api, line: str) -> None:
    with probed(llama_url, "any", api) as (model, found):
        assert found == line
        check_answers(model)


@pytest.fixture(scope="module")
def model_folder(model_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of llama.cpp's server in the format of transformers."""
    pytest.importorskip("transformers", reason="needs the extra 'experts'")
    from entsemble.backends.transformers.loader import load_model

    folder = tmp_path_factory.mktemp("model") / "smollm2"
    load_model(model_file("smollm2-135m"), unpacked_folder=folder)
    return folder


@contextmanager
def running(command: list[str], port: int, **environment: str) -> Iterator[str]:
    """The address of a server that a command starts."""
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **environment}
    with subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not is_up(f"http://127.0.0.1:{port}/health"):
                assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
                assert time.monotonic() < deadline
                time.sleep(1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def is_up(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.models
@pytest.mark.soak
def test_transformers_serve(model_folder: Path) -> None:
    command = shutil.which("transformers", path=str(Path(sys.executable).parent))
    if command is None or find_spec("openai") is None:
        pytest.skip("needs `transformers serve`: pip install openai")
    port, model = free_port(), str(model_folder)
    arguments: list[Any] = [command, "serve", model, "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    with running(arguments, port) as url:
        expected = "no log-probabilities: types by 5 answers in free text, no grammars"
        for api, route in (("auto", "raw prompts"), ("chat", "chat template")):
            with probed(url, model, api) as (served, found):  # type: ignore[arg-type]
                assert found == f"{route}, {expected}"
                if api == "auto":
                    check_answers(served)


@pytest.mark.models
@pytest.mark.soak
def test_vllm(model_folder: Path) -> None:
    command = os.environ.get("ENTSEMBLE_VLLM")
    if not command:
        pytest.skip("needs vLLM: ENTSEMBLE_VLLM=/path/to/environment/bin/vllm")
    port = free_port()
    arguments = [command, "serve", str(model_folder), "--served-model-name", "smollm", "--port", str(port)]
    arguments += ["--dtype", "float32", "--max-model-len", "2048", "--enforce-eager", "--max-num-seqs", "4"]
    with (
        running(arguments, port, VLLM_CPU_KVCACHE_SPACE="1", TORCHDYNAMO_DISABLE="1") as url,
        probed(url, "smollm", "auto") as (model, found),
    ):
        assert found.startswith("vLLM, raw prompts, log-probabilities of 20 tokens")
        check_answers(model)
