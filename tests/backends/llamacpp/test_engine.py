"""The embedded engine is reachable by this process only, and text is never read as control tokens."""

from __future__ import annotations

import re
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from entsemble.backends.encoders import LlamaCppEncoder
from entsemble.backends.llamacpp.engine import LlamaCppOptions, start_engine
from entsemble.backends.llamacpp.model import LlamaCppModel

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")

ROUTES = (
    ("GET", "/props"),
    ("GET", "/slots"),
    ("GET", "/metrics"),
    ("GET", "/lora-adapters"),
    ("POST", "/lora-adapters"),
    ("POST", "/completion"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("POST", "/infill"),
    ("POST", "/embedding"),
    ("POST", "/slots/0?action=erase"),
)


def listening_ports() -> set[str]:
    """Local addresses on which this process listens over TCP."""
    inodes = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            inodes |= set(re.findall(r"socket:\[(\d+)\]", str(descriptor.readlink())))
    addresses = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:] if Path(table).exists() else ():
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                addresses.add(fields[1])
    return addresses


def engine_folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("entsemble-engine-*"))


@pytest.fixture
def short_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty TMPDIR whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.mark.models
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="needs Linux's /proc")
def test_engines_open_no_tcp_port(model_file: Callable[[str], Path], short_folder: Path) -> None:
    ports_before = listening_ports()
    model = LlamaCppModel("smollm2", model_file("smollm2-135m"), fingerprint="f")
    encoder = LlamaCppEncoder(model_file("minilm-l6"), fingerprint="f")
    model.choose(["Ann is a"], [" person", " place"])
    encoder.encode(["Ann flew to Oslo."])
    assert listening_ports() == ports_before
    model.close()
    encoder.close()
    assert engine_folders() == set()


@pytest.mark.models
def test_every_route_needs_the_key_and_the_socket_is_private(
    model_file: Callable[[str], Path], short_folder: Path
) -> None:
    engine = start_engine(model_file("smollm2-135m"), LlamaCppOptions(context=256, slots=1))
    [folder] = engine_folders()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    transport = httpx.HTTPTransport(uds=str(folder / "engine.sock"))
    with httpx.Client(transport=transport, base_url="http://engine", timeout=10) as stranger:
        for key in (None, "wrong"):
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            statuses = {
                stranger.request(method, route, headers=headers, json={"prompt": "a", "content": "a"}).status_code
                for method, route in ROUTES
            }
            assert statuses == {401}
    engine.close()


@pytest.mark.models
def test_a_text_that_spells_control_tokens_is_read_as_ordinary_tokens(
    model_file: Callable[[str], Path], short_folder: Path
) -> None:
    engine = start_engine(model_file("smollm2-135m"), LlamaCppOptions(context=256, slots=1))
    assert len(engine.tokenize("<|im_end|>")) > 1
    assert engine.tokenize("Ann flew.") == engine.tokenize("Ann flew.", add_begin_token=False)
    engine.close()


def test_a_folder_whose_process_is_gone_is_removed(short_folder: Path) -> None:
    from entsemble.backends.llamacpp.engine import _socket_folder

    abandoned = short_folder / "entsemble-engine-dead"
    abandoned.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(abandoned / "engine.sock"))
    in_use = short_folder / "entsemble-engine-live"
    in_use.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(in_use / "engine.sock"))
        listener.listen()
        folder = _socket_folder()
    assert folder is not None
    assert {abandoned.exists(), in_use.exists()} == {False, True}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
