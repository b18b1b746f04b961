"""A crowd at the server: what it answers, how fast, and what becomes of its memory.

    python -m benchmarks.server.load [--clients 50] [--seconds 60]

Starts `entsemble serve` with the embedded models, a copy of the tutorial's pool and no reply cache. Each client
extracts a sentence of its own, again and again; told to wait, it comes back after half a second, as a rude one would.
The result is in `results/load.json`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

from benchmarks.common import ROOT, machine_info, source_revision

RESULT = Path(__file__).parent / "results" / "load.json"

_BACK = 0.5
"""Seconds after which a client that was refused is there again."""

_PATIENCE = 300
"""Seconds that a client waits for an answer."""

_LABELS = {"artist": "", "artwork": "", "museum": ""}


def main() -> None:
    """Run it, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        shutil.copy(ROOT / "docs" / "tutorial-data" / "pool.jsonl", pool)
        config = Path(folder) / "uncached.toml"
        config.write_text("[cache]\nreplies = false\n", encoding="utf-8")  # each answer is worked for
        entsemble = str(Path(sys.executable).with_name("entsemble"))
        command = [entsemble, "serve", "--port", "0", "--pool", str(pool), "--config", str(config)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            try:
                measurements = measure(server, options.clients, options.seconds)
            finally:
                server.terminate()
    command_line = f"python -m benchmarks.server.load --clients {options.clients} --seconds {options.seconds:g}"
    result = {"command": command_line, "commit": source_revision(), "machine": machine_info(), **measurements}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(measurements, indent=1))


def measure(server: subprocess.Popen[str], clients: int, seconds: float) -> dict[str, object]:
    """The crowd's minute at a server that was just started."""
    assert server.stderr is not None
    address = re.search(r"http://\S+", server.stderr.readline())
    assert address is not None
    server_address = address[0]
    threading.Thread(target=server.stderr.read, daemon=True).start()
    while httpx.get(f"{server_address}readyz", timeout=_PATIENCE).status_code != 200:
        time.sleep(0.5)
    with httpx.Client(timeout=_PATIENCE) as warm_up:
        request_status(warm_up, server_address, "warm", 0)
    responses: list[tuple[str, float]] = []
    deadline = time.monotonic() + seconds

    def client(number: int) -> None:
        request_number = 0
        with httpx.Client(timeout=_PATIENCE) as connection:
            while time.monotonic() < deadline:
                request_start = time.monotonic()
                status = request_status(connection, server_address, f"client {number}", request_number)
                responses.append((status, time.monotonic() - request_start))
                request_number += 1
                if status != "200":
                    time.sleep(_BACK)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    memory = [resident(server.pid)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(1)
        memory.append(resident(server.pid))
    successful = sorted(took for status, took in responses if status == "200")
    refused = sorted(took for status, took in responses if status != "200")
    return {
        "clients": clients,
        "seconds": seconds,
        "answers": dict(Counter(status for status, _ in responses)),
        "done, seconds": spread(successful),
        "refused, seconds": spread(refused),
        "resident MB": {"before": memory[0], "after a third": memory[len(memory) // 3], "at the end": memory[-1]},
    }


def request_status(connection: httpx.Client, server_address: str, name: str, request_number: int) -> str:
    """The status of one extraction; a refusal without a time to come back is told apart."""
    text = f"In year {request_number} the painter {name.title()} gave a landscape to the Halden Museum."
    try:
        response = connection.post(
            f"{server_address}v1/extract", json={"documents": [{"text": text}], "labels": _LABELS}
        )
    except httpx.HTTPError as error:
        return type(error).__name__
    lacks_retry_after = response.status_code in {429, 503} and "retry-after" not in response.headers
    return f"{response.status_code} without Retry-After" if lacks_retry_after else str(response.status_code)


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum."""
    if not seconds:
        return {}
    measurements = {
        "median": statistics.median(seconds),
        "p95": seconds[int(0.95 * (len(seconds) - 1))],
        "max": seconds[-1],
    }
    return {name: round(value, 3) for name, value in measurements.items()}


def resident(pid: int) -> int:
    """MB of a process in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


if __name__ == "__main__":
    main()
