"""Downloads from the Hugging Face hub, of which a stand-in speaks the protocol."""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

from entsemble.backends import hub
from entsemble.backends.catalogue import HubSource, ModelCard
from entsemble.backends.download import is_changed, local_path, pull
from entsemble.backends.hub import DownloadProgress, download, parse_hub_source
from entsemble.errors import ModelUnavailableError

CONTENT = bytes(range(256)) * 90_000  # 23 MB: the hub library reads 10 MB at a time
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


MODEL = ("config.json", "model.safetensors")
LISTED = [*MODEL, "modeling.py", "pytorch_model.bin", "deep/model.safetensors"]


@dataclass
class HubServer:
    """A server that speaks the hub's protocol: metadata by HEAD on `resolve`, bytes from a CDN it redirects to."""

    url: str = ""
    sent: bytes = CONTENT
    cuts: list[int] = field(default_factory=list)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    @property
    def gets(self) -> list[tuple[str, str, str | None]]:
        return [request for request in self.requests if request[0] == "GET" and "/cdn/" in request[1]]


def rejection(path: str, has_token: bool) -> tuple[int, str] | None:
    """Status and code if the hub rejects a request."""
    if path.startswith("/owner/gated/"):
        return (403 if has_token else 401), "GatedRepo"
    if not path.startswith(("/owner/repo/", "/api/models/owner/repo/")):
        return 401, "RepoNotFound"
    if "/main/" not in path and f"/{COMMIT}/" not in path:
        return 404, "RevisionNotFound"
    return None if path.endswith(("/model.gguf", *(f"/{name}" for name in MODEL))) else (404, "EntryNotFound")


class Handler(BaseHTTPRequestHandler):
    hub_server: HubServer

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.hub_server.requests.append((self.command, self.path, self.headers.get("Range")))
        status_and_code = rejection(self.path, "Authorization" in self.headers)
        if self.path.startswith("/cdn/"):
            self.cdn()
        elif self.path.startswith("/api/models/owner/repo/tree/"):
            entries = [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in LISTED]
            body = json.dumps(entries).encode()
            self.head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
            self.wfile.write(body)
        elif "/plain/" in self.path:
            self.head(200)
        elif status_and_code is not None:
            self.head(status_and_code[0], {"X-Error-Code": status_and_code[1], "X-Error-Message": "no"})
        else:
            place = (
                f"{self.hub_server.url.replace('127.0.0.1', 'localhost')}/cdn/{DIGEST}"  # another host, as the real one
            )
            stated = {"X-Linked-Etag": f'"{DIGEST}"', "X-Linked-Size": str(len(CONTENT))}
            self.head(302, {"Location": place, "X-Repo-Commit": COMMIT, **stated})

    def head(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()

    def cdn(self) -> None:
        sent, range_header = self.hub_server.sent, self.headers.get("Range")
        start = int(range_header.removeprefix("bytes=").split("-")[0]) if range_header else 0
        ranges = {"Content-Range": f"bytes {start}-{len(sent) - 1}/{len(sent)}"} if start else {}
        self.head(206 if start else 200, {"Content-Length": str(len(sent) - start), **ranges})
        if self.command == "GET":
            self.wfile.write(sent[start : self.hub_server.cuts.pop() if self.hub_server.cuts else None])
            self.close_connection = True


@pytest.fixture
def hub_server() -> Iterator[HubServer]:
    hub_server = HubServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (Handler,), {"hub_server": hub_server})) as server:
        hub_server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield hub_server
        server.shutdown()
        thread.join()


SOURCE = parse_hub_source("hf:owner/repo:model.gguf")


def test_a_download_reports_progress_and_is_cached(hub_server: HubServer, tmp_path: Path) -> None:
    reports: list[DownloadProgress] = []
    path = download(SOURCE, tmp_path, hub_endpoint=hub_server.url, on_progress=reports.append, name="m")
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path / "hub")
    downloads = [report for report in reports if report.stage == "download"]
    assert downloads[-1] == DownloadProgress("m", "download", len(CONTENT), len(CONTENT))
    assert reports[-1] == DownloadProgress("m", "check", len(CONTENT), len(CONTENT))
    assert download(SOURCE, tmp_path, hub_endpoint=hub_server.url) == path
    assert len(hub_server.gets) == 1


def test_a_card_with_a_hub_source_is_downloaded_from_the_hub(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = ModelCard("tiny", "llm", 1, len(CONTENT), "MIT", "https://example.org", SOURCE)
    assert local_path(card, tmp_path) is None
    path = pull(card, tmp_path, hub_endpoint=hub_server.url)
    assert path.read_bytes() == CONTENT
    assert local_path(card, tmp_path) == path
    assert local_path(replace(card, source=replace(SOURCE, revision="other")), tmp_path) is None
    monkeypatch.setattr("entsemble.backends.hub.find_spec", lambda _: None)
    assert local_path(card, tmp_path) is None, "no error in an installation without the extra"


def test_a_whole_model_is_downloaded_without_files_that_run_code(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = download(parse_hub_source("hf:owner/repo"), tmp_path, hub_endpoint=hub_server.url)
    assert sorted(p.name for p in folder.iterdir()) == sorted(MODEL)
    assert hub.local_path(parse_hub_source("hf:owner/repo"), tmp_path) == folder
    assert all(p.read_bytes() == CONTENT for p in folder.iterdir())
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert download(parse_hub_source("hf:owner/repo"), tmp_path, hub_endpoint="http://127.0.0.1:9") == folder
    with pytest.raises(ModelUnavailableError, match="no such repository"):
        download(parse_hub_source("hf:owner/missing"), tmp_path, hub_endpoint=hub_server.url)
    with pytest.raises(ModelUnavailableError, match="check the network"):
        download(parse_hub_source("hf:owner/repo"), tmp_path / "other", hub_endpoint="http://127.0.0.1:9")


def test_a_cached_file_needs_no_server(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    path = download(SOURCE, tmp_path, hub_endpoint=hub_server.url)
    assert download(SOURCE, tmp_path, hub_endpoint="http://127.0.0.1:9") == path


def test_a_broken_download_resumes_where_it_broke(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # huggingface_hub waits between its own attempts
    hub_server.cuts = [12_000_000]
    assert download(SOURCE, tmp_path, hub_endpoint=hub_server.url).read_bytes() == CONTENT
    (_, second) = (range_header for _, _, range_header in hub_server.gets)
    assert second is not None
    assert int(second.removeprefix("bytes=").split("-")[0]) > 1_000_000


def test_a_connection_that_always_breaks_is_an_error(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub_server.cuts = [100] * 50
    with pytest.raises(ModelUnavailableError, match=r"hf:owner/repo:model\.gguf"):
        download(SOURCE, tmp_path, hub_endpoint=hub_server.url)
    hub_server.cuts = []
    assert download(SOURCE, tmp_path, hub_endpoint=hub_server.url).read_bytes() == CONTENT


def test_a_damaged_file_is_an_error_and_is_not_kept(hub_server: HubServer, tmp_path: Path) -> None:
    hub_server.sent = b"x" + CONTENT[1:]
    with pytest.raises(ModelUnavailableError, match="damaged"):
        download(SOURCE, tmp_path, hub_endpoint=hub_server.url)
    hub_server.sent = CONTENT
    assert download(SOURCE, tmp_path, hub_endpoint=hub_server.url).read_bytes() == CONTENT


def test_a_changed_file_is_an_error_with_the_command_that_repairs_it(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    card = ModelCard("tiny", "llm", 1, len(CONTENT), "MIT", "https://example.org", SOURCE)
    path = download(SOURCE, tmp_path, hub_endpoint=hub_server.url)
    path.resolve().write_bytes(CONTENT[::-1])
    for endpoint in (hub_server.url, "http://127.0.0.1:9"):
        with pytest.raises(ModelUnavailableError, match=r"has changed.* pull --again hf:owner/repo:model\.gguf"):
            download(SOURCE, tmp_path, hub_endpoint=endpoint)
    assert is_changed(card, tmp_path)
    with pytest.raises(ModelUnavailableError):
        download(SOURCE, tmp_path, hub_endpoint="http://127.0.0.1:9", again=True)
    assert path.read_bytes() == CONTENT[::-1], "kept until there is a better one"
    assert download(SOURCE, tmp_path, hub_endpoint=hub_server.url, again=True).read_bytes() == CONTENT
    assert not is_changed(card, tmp_path)
    downloads = len(hub_server.gets)
    assert download(SOURCE, tmp_path, hub_endpoint=hub_server.url, again=True) == path
    assert len(hub_server.gets) == downloads, "what is right is not downloaded again"


def test_a_truncated_file_is_an_error(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub_server.sent = CONTENT[:1000]
    with pytest.raises(ModelUnavailableError, match="hf:owner/repo"):
        download(SOURCE, tmp_path, hub_endpoint=hub_server.url)


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        (HubSource("owner/missing", "model.gguf"), "no such repository"),
        (HubSource("owner/repo", "other.gguf"), "no file 'other.gguf'"),
        (HubSource("owner/repo", "model.gguf", "v9"), "no revision 'v9'"),
        (HubSource("owner/gated", "model.gguf"), "accept its terms"),
    ],
)
def test_an_error_says_what_to_do(hub_server: HubServer, tmp_path: Path, source: HubSource, advice: str) -> None:
    with pytest.raises(ModelUnavailableError, match=advice):
        download(source, tmp_path, hub_endpoint=hub_server.url)


def test_a_hub_that_cannot_be_reached_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(ModelUnavailableError, match=r"cannot be reached.*check the network"):
        download(SOURCE, tmp_path, hub_endpoint="http://127.0.0.1:9")


def test_a_server_that_is_not_a_hub_is_an_error(hub_server: HubServer, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="check the address of the mirror"):
        download(HubSource("owner/repo", "plain/model.gguf"), tmp_path, hub_endpoint=hub_server.url)


def test_errors_do_not_contain_the_token(hub_server: HubServer, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError) as raised:
        download(HubSource("owner/gated", "model.gguf"), tmp_path, hub_endpoint=hub_server.url, hub_token="hf_secret")
    assert "secret" not in str(raised.value)
