"""Connections: how many, how slow, and what a refused client can read."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from entsemble.server.limits import Limits
from entsemble.server.service import ExtractionService
from entsemble.types import Document

Listen = Callable[..., Any]


def get(port: int, path: str = "/healthz") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    return connection.getresponse().status


def connect(port: int, first_bytes: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(first_bytes)
    return client


def read_until_closed(client: socket.socket) -> bytes:
    """What the server sends before it closes the connection."""
    answer = b""
    try:
        while chunk := client.recv(65536):
            answer += chunk
    except ConnectionResetError:
        pass
    return answer


def test_small_answers_are_sent_at_once(listen: Listen) -> None:
    server = listen()
    connection = http.client.HTTPConnection("127.0.0.1", server.used_port, timeout=30)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - started)
    [kept] = server.server_state.connections
    assert kept.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert min(seconds) < 0.03, "the system's delayed acknowledgement takes 40 ms"


def test_idle_connections_do_not_keep_others_out(listen: Listen) -> None:
    server = listen(connections=8)
    idle = [connect(server.used_port, b"GET /healthz HTTP/1.1\r\n") for _ in range(40)]
    assert [get(server.used_port) for _ in range(3)] == [200, 200, 200]
    assert len(server.server_state.connections) <= 8
    assert read_until_closed(idle[0]) == b"", "the one that was idle for longest was closed"
    for client in idle:
        client.close()


def test_connections_are_fewer_than_the_open_files_that_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    assert Limits(connections=1000).open_connections() == 128
    assert Limits(connections=50).open_connections() == 50


def test_half_sent_requests_do_not_keep_others_out(listen: Listen) -> None:
    server = listen(connections=4)
    half_sent = b"POST /v1/pool HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    clients = [connect(server.used_port, half_sent) for _ in range(12)]
    assert get(server.used_port) == 200
    for client in clients:
        client.close()


def test_a_connection_is_refused_if_all_others_are_busy(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    proceed, busy = threading.Event(), threading.Semaphore(0)

    def wait(_: ExtractionService) -> list[Any]:
        busy.release()
        proceed.wait(30)
        return []

    monkeypatch.setattr(ExtractionService, "experts", wait)
    server = listen(connections=2)
    request = b"GET /v1/experts HTTP/1.1\r\nHost: localhost\r\n\r\n"
    clients = [connect(server.used_port, request) for _ in range(2)]
    assert all(busy.acquire(timeout=30) for _ in clients)
    connection = http.client.HTTPConnection("127.0.0.1", server.used_port, timeout=30)
    connection.request("GET", "/healthz")
    response = connection.getresponse()
    proceed.set()
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert "too many connections" in json.loads(response.read())["error"]
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_a_client_that_sends_no_request_is_disconnected(listen: Listen, sent: bytes) -> None:
    client = connect(listen(client_seconds=0.5).used_port, sent)
    started = time.monotonic()
    answer = read_until_closed(client)
    assert answer.startswith(b"HTTP/1.1 200") == sent.endswith(b"\r\n\r\n")
    assert 0.3 < time.monotonic() - started < 10


def test_a_client_that_drips_a_header_is_disconnected(listen: Listen) -> None:
    client = connect(listen(client_seconds=0.5).used_port, b"GET /healthz HTTP/1.1\r\nX-Drip: ")

    def drip() -> None:
        for _ in range(200):
            client.sendall(b"a")
            time.sleep(0.05)

    with pytest.raises(OSError, match=r"reset|pipe"):
        drip()


def test_a_client_that_sends_its_body_too_slowly_is_refused(listen: Listen) -> None:
    head = b"POST /v1/pool HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    answer = read_until_closed(connect(listen(client_seconds=0.5).used_port, head))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"must be sent within 0.5 s" in answer


def test_a_client_that_takes_no_answer_is_disconnected(listen: Listen, extraction_service: ExtractionService) -> None:
    extraction_service.pool.add(Document(str(number), f"{number} " * 1_000_000) for number in range(8))
    server = listen(client_seconds=0.5)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.used_port))
    client.sendall(b"GET /v1/pool HTTP/1.1\r\nHost: localhost\r\n\r\n")
    while not any(connection.cycle for connection in list(server.server_state.connections)):
        time.sleep(0.01)
    end = time.monotonic() + 20
    while server.server_state.connections and time.monotonic() < end:
        time.sleep(0.05)
    assert not server.server_state.connections
    client.close()


@pytest.mark.parametrize("key", [None, "s3cret"])
def test_a_client_can_read_why_its_large_body_is_refused(listen: Listen, key: str | None) -> None:
    server = listen(key, body_bytes=1000)
    for headers in ({}, {"Transfer-Encoding": "chunked"}):
        connection = http.client.HTTPConnection("127.0.0.1", server.used_port, timeout=30)
        body = b" " * 20_000_000
        headers |= {"Content-Type": "application/json"}
        if "Transfer-Encoding" in headers:
            connection.request("POST", "/v1/pool", iter([body]), headers, encode_chunked=True)
        else:
            connection.request("POST", "/v1/pool", body, headers)
        response = connection.getresponse()
        expected = 401 if key and "Transfer-Encoding" in headers else 413
        assert (response.status, response.headers["connection"]) == (expected, "close")
        assert json.loads(response.read())["error"]


def test_a_request_with_two_ends_is_refused_and_what_follows_is_not_read(listen: Listen) -> None:
    """Of a length and chunks, a proxy may trust the other one: the rest would be a request that it has not seen."""
    server = listen()
    head = b"POST /v1/extract HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    client = connect(
        server.used_port, head + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden
    )
    answer = read_until_closed(client)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request")
    assert answer.count(b"HTTP/1.1") == 1
