"""Attacks that once succeeded, tried again: what each of them achieves now.

    python -m benchmarks.attacks.run [--only engine] [--again]

Each attack is a function that returns what it saw. The attacks that are whole families of inputs are tests of the
project, and their result is how many passed. Each result is a file in `results/`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.attacks import files, services
from benchmarks.common import ROOT, run_once

RESULTS = Path(__file__).parent / "results"

_QUICK = "not slow and not soak"


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack.

    Attributes:
        description: what it tries, for people.
        measure: tries it, and returns what it achieved.
    """

    description: str
    measure: Callable[[], str]


def main() -> None:
    """Try the attacks without a result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", choices=ATTACKS)
    parser.add_argument("--again", action="store_true", help="try those with a result, too")
    arguments = parser.parse_args()
    for name, attack in ATTACKS.items():
        if arguments.only in {None, name}:
            run_once(RESULTS / f"{name}.json", command_of(name), partial(_outcome, attack), force=arguments.again)
            print(name, (RESULTS / f"{name}.json").read_text(encoding="utf-8").partition('"outcome": ')[2], flush=True)


def command_of(name: str) -> str:
    """The command that tries an attack."""
    return f"python -m benchmarks.attacks.run --only {name}"


def _outcome(attack: Attack) -> Mapping[str, object]:
    return {"outcome": attack.measure()}


def _tests(*paths: str) -> Callable[[], str]:
    """Runs tests, which try many variants of an attack: how many passed."""

    def run() -> str:
        command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-m", _QUICK, *paths]
        completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        counts = re.findall(r"\d+ (?:passed|failed|errors?|skipped)", completed.stdout)
        return f"{', '.join(counts) or completed.stdout[-200:]} (`pytest {' '.join(paths)}`)"

    return run


ATTACKS: Mapping[str, Attack] = {
    "engine": Attack("1. The embedded engine: its ports, and each of its routes without the key", services.engine),
    "plain-texts": Attack("2. Plain texts of one line that resemble another format", files.plain_texts),
    "changed-model": Attack("3. One byte of a model file changed, its size kept", files.changed_model),
    "truncated-model": Attack("3. A model file truncated in place while a run uses it", files.truncated_model),
    "one-output": Attack("4. Two runs with one output", files.one_output),
    "labels": Attack("5. A request with 10,000 labels", services.many_labels),
    "pool": Attack("5. 1.9 MB of overlapping mentions for the server's pool", services.large_pool),
    "large-body": Attack("5. A body of 3 MB, sent while nobody reads it", services.large_body),
    "idle": Attack("5. 300 idle connections at `ulimit -n 256`", services.idle_connections),
    "latency": Attack("5. Requests on a kept connection", services.latency),
    "server": Attack(
        "5. Slow, idle and absent clients; limits; SIGTERM while a model computes",
        _tests("tests/server/test_connections.py", "tests/server/test_limits.py", "tests/server/test_work.py",
               "tests/server/test_stop.py", "tests/server/test_export.py"),
    ),
    "model-servers": Attack(
        "6. Malformed, endless, dripped and compressed answers of model servers",
        _tests("tests/backends/openai/test_faulty_servers.py"),
    ),
    "control-tokens": Attack("7. Control tokens spelled out in a text", services.control_tokens),
    "permissions": Attack("8. What others may read of caches, journals and pools", files.permissions),
    "torn-report": Attack("8. A report on a full disk", files.torn_report),
    "readers": Attack("9. 2,000 damaged files of 13 formats", _tests("tests/data/test_fuzz.py")),
    "archives": Attack(
        "9. Archives that are encrypted, damaged, bombs, or hold links and doubles",
        _tests("tests/data/test_archives.py"),
    ),
    "documents": Attack(
        "9. Web pages, PDF and Word files that hang their reader or fill the memory",
        _tests("tests/data/test_documents.py"),
    ),
    "json": Attack("9. Keys that a JSON object has twice, and other odd JSON", _tests("tests/data/test_json.py")),
    "columns": Attack("9. Numbers as tokens, old line ends, a marker as a token", files.odd_columns),
    "writers": Attack(
        "10. Awkward documents through every format and back", _tests("tests/data/test_awkward_documents.py")
    ),
    "growth": Attack(
        "11. Costs that grow with the square of an input", _tests("tests/test_growth.py", "tests/data/test_growth.py")
    ),
    "signals": Attack("12. Signals at any moment, full disks, readers that leave", _tests("tests/cli/test_signals.py")),
}  # fmt: skip
"""Name -> attack; the number is that of the kind."""


if __name__ == "__main__":
    main()
