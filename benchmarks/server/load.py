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
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        shutil.copy(ROOT / "docs" / "tutorial-data" / "pool.jsonl", pool)
        config = Path(folder) / "uncached.toml"
        config.write_text("[cache]\nreplies = false\n", encoding="utf-8")  # each answer is worked for
        entsemble = str(Path(sys.executable).with_name("entsemble"))
        command = [entsemble, "serve", "--port", "0", "--pool", str(pool), "--config", str(config)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            try:
                found = measure(server, given.clients, given.seconds)
            finally:
                server.terminate()
    told = f"python -m benchmarks.server.load --clients {given.clients} --seconds {given.seconds:g}"
    result = {"command": told, "commit": source_revision(), "machine": machine_info(), **found}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def measure(server: subprocess.Popen[str], clients: int, seconds: float) -> dict[str, object]:
    """The crowd's minute at a server that was just started."""
    assert server.stderr is not None
    address = re.search(r"http://\S+", server.stderr.readline())
    assert address is not None
    base = address[0]
    threading.Thread(target=server.stderr.read, daemon=True).start()
    while httpx.get(f"{base}readyz", timeout=_PATIENCE).status_code != 200:
        time.sleep(0.5)
    with httpx.Client(timeout=_PATIENCE) as warming:
        asked(warming, base, "warm", 0)
    answers: list[tuple[str, float]] = []
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        count = 0
        with httpx.Client(timeout=_PATIENCE) as connection:
            while time.monotonic() < end:
                began = time.monotonic()
                status = asked(connection, base, f"client {number}", count)
                answers.append((status, time.monotonic() - began))
                count += 1
                if status != "200":
                    time.sleep(_BACK)

    crowd = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    memory = [resident(server.pid)]
    for one in crowd:
        one.start()
    while any(one.is_alive() for one in crowd):
        time.sleep(1)
        memory.append(resident(server.pid))
    done = sorted(took for status, took in answers if status == "200")
    refused = sorted(took for status, took in answers if status != "200")
    return {
        "clients": clients,
        "seconds": seconds,
        "answers": dict(Counter(status for status, _ in answers)),
        "done, seconds": spread(done),
        "refused, seconds": spread(refused),
        "resident MB": {"before": memory[0], "after a third": memory[len(memory) // 3], "at the end": memory[-1]},
    }


def asked(connection: httpx.Client, base: str, name: str, count: int) -> str:
    """The status of one extraction; a refusal without a time to come back is told apart."""
    text = f"In year {count} the painter {name.title()} gave a landscape to the Halden Museum."
    try:
        answer = connection.post(f"{base}v1/extract", json={"documents": [{"text": text}], "labels": _LABELS})
    except httpx.HTTPError as error:
        return type(error).__name__
    lost = answer.status_code in {429, 503} and "retry-after" not in answer.headers
    return f"{answer.status_code} without Retry-After" if lost else str(answer.status_code)


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum."""
    if not seconds:
        return {}
    found = {"median": statistics.median(seconds), "p95": seconds[int(0.95 * (len(seconds) - 1))], "max": seconds[-1]}
    return {name: round(value, 3) for name, value in found.items()}


def resident(pid: int) -> int:
    """MB of a process in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


if __name__ == "__main__":
    main()
