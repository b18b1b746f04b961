"""Shared by all measurements: where the corpora are, how members run, and how results are stored."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from tools.corpora import ROOT, corpora_folder

from entsemble.data.formats import read
from entsemble.settings import Settings
from entsemble.types import Document

__all__ = [
    "CAN_BATCH",
    "ENGINE",
    "ROOT",
    "UNCACHED_SETTINGS",
    "corpora_folder",
    "is_measured",
    "machine_info",
    "parse_corpora",
    "read_sentences",
    "run_missing",
    "run_once",
    "source_revision",
    "with_fastest_engine",
]

UNCACHED_SETTINGS: Mapping[str, Any] = {"stacking": {"sentences": 0}, "cache": {"replies": False}}
"""Settings for measuring the cost of a sentence: no cached replies, and no one-time training on the pool."""

_CPU_INFO = Path("/proc/cpuinfo")


def _has_bfloat16_instructions() -> bool:
    """Whether the processor multiplies bfloat16; otherwise transformers takes some 80 times as long in bfloat16."""
    return _CPU_INFO.exists() and not {"avx512_bf16", "amx_bf16"}.isdisjoint(_CPU_INFO.read_text().split())


CAN_BATCH = _has_bfloat16_instructions()
ENGINE = "transformers, bfloat16" if CAN_BATCH else "llama.cpp"
"""The engine of the members where time is not measured: the fastest on this machine."""


def with_fastest_engine(settings: Settings) -> Settings:
    """The same settings with members that run on `ENGINE`; transformers evaluates many sentences in one batch."""
    if not CAN_BATCH:
        return settings
    engine = {"engine": "transformers", "precision": "bfloat16"}
    members = tuple(member.model_copy(update=engine) for member in settings.members)
    return settings.model_copy(update={"members": members})


def read_sentences(file: str) -> list[Document]:
    """The sentences of a file of the corpora, those without text left out."""
    return [document for document in read(corpora_folder() / file) if document.text.strip()]


def parse_corpora(description: str | None, default: Iterable[str]) -> Sequence[str]:
    """The corpora that the command line names with `--only`, or else the default.

    Args:
        description: the benchmark's docstring, whose first line is the description of the command.
        default: names of corpora.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0] if description else None)
    parser.add_argument("--only", help="names of corpora, separated by commas")
    options = parser.parse_args()
    return options.only.split(",") if options.only else list(default)


def run_missing(
    folder: Path,
    names: Iterable[str],
    command: str,
    measure: Callable[[str], Mapping[str, object]],
    inputs: Mapping[str, object] | None = None,
) -> None:
    """Measure each name without a stored result, and write the result to the folder.

    Args:
        folder: the folder of the results.
        names: what to measure.
        command: measures one name, which replaces `{}` in it.
        measure: returns the result for a name.
        inputs: see `run_once`.
    """
    for name in names:
        run_once(folder / f"{name}.json", command.format(name), partial(measure, name), inputs)


def run_once(
    file: Path,
    command: str,
    measure: Callable[[], Mapping[str, object]],
    inputs: Mapping[str, object] | None = None,
    *,
    force: bool = False,
) -> None:
    """Measure, and write the result with its command, inputs, commit, date and machine, unless it is stored already.

    Args:
        file: the file of the result.
        command: measures it; a stored result of another command (of fewer sentences, say) is replaced.
        measure: returns the result.
        inputs: what is measured, such as checksums of experts; a stored result of other inputs is replaced.
        force: replace a stored result of the same command and inputs, too.
    """
    if not force and is_measured(file, command, inputs):
        return
    origin = {
        "commit": source_revision(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "machine": machine_info(),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    result = {"command": command, **origin, **(inputs or {}), **measure()}
    file.write_text(json.dumps(result, ensure_ascii=False) + "\n", encoding="utf-8")


def is_measured(file: Path, command: str, inputs: Mapping[str, object] | None = None) -> bool:
    """Whether a result of this command and these inputs is stored."""
    if not file.exists():
        return False
    stored = json.loads(file.read_text(encoding="utf-8"))
    return all(stored.get(key) == value for key, value in {"command": command, **(inputs or {})}.items())


def machine_info() -> dict[str, object]:
    """The processor, its cores, the operating system and the version of Python."""
    model_lines = [line for line in _CPU_INFO.read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": model_lines[0].partition(":")[2].strip() if model_lines else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def source_revision() -> str:
    """The commit that last changed the code that is measured or measures; a plus marks uncommitted changes."""
    code = ("src", "tools", ":(glob)benchmarks/**/*.py")
    return _git("log", "-1", "--format=%H", "--", *code) + ("+" if _git("status", "--porcelain", *code) else "")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
