"""What every measurement says about itself, where the corpora are, and how members are run where no time is taken."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from entsemble.settings import Settings

ROOT = Path(__file__).resolve().parent.parent


EACH_SENTENCE: Mapping[str, Any] = {"stacking": {"sentences": 0}, "cache": {"replies": False}}
"""Settings where the cost of a sentence is measured: nothing is remembered, and nothing is learnt once for a pool."""


def corpora() -> Path:
    """The folder of the corpora, which ENTSEMBLE_DATA names."""
    data = Path(os.environ.get("ENTSEMBLE_DATA", ROOT.parent / "shared" / "data")).resolve()
    if not data.is_dir():
        sys.exit(f"no corpora at {data}; name their folder with ENTSEMBLE_DATA")
    return data


def _multiplies_bfloat16() -> bool:
    """Whether the processor does; without, transformers in bfloat16 takes some eighty times as long."""
    info = Path("/proc/cpuinfo")
    return info.exists() and not {"avx512_bf16", "amx_bf16"}.isdisjoint(info.read_text().split())


IN_BATCHES = _multiplies_bfloat16()
ENGINE = "transformers, bfloat16" if IN_BATCHES else "llama.cpp"
"""What runs members where no time is taken: the fastest that this machine has."""


def in_batches(settings: Settings) -> Settings:
    """The same members run by `ENGINE`: transformers reads many sentences at once."""
    if not IN_BATCHES:
        return settings
    told = {"engine": "transformers", "precision": "bfloat16"}
    return settings.model_copy(update={"members": tuple(m.model_copy(update=told) for m in settings.members)})


def run_missing(
    folder: Path,
    names: Iterable[str],
    command: str,
    measure: Callable[[str], Mapping[str, object]],
    of: Mapping[str, object] | None = None,
) -> None:
    """Write the result of each name, and where it was made, into the folder, where it is not there already.

    Args:
        folder: of the results.
        names: of what is measured.
        command: that measures one of them, with its name as `{}`.
        measure: what is found of a name.
        of: see `run_once`.
    """
    for name in names:
        run_once(folder / f"{name}.json", command.format(name), partial(measure, name), of)


def run_once(
    file: Path,
    command: str,
    measure: Callable[[], Mapping[str, object]],
    of: Mapping[str, object] | None = None,
    *,
    again: bool = False,
) -> None:
    """Write a result, what made it and where, unless the same is there.

    Args:
        file: of the result.
        command: that measures it; another's result, of fewer sentences say, is measured anew.
        measure: what is found.
        of: what is measured, such as the checksums of experts; another's result is measured anew.
        again: whether the same is measured anew as well.
    """
    if not again and measured(file, command, of):
        return
    made = {"commit": revision(), "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"), "machine": machine()}
    file.parent.mkdir(parents=True, exist_ok=True)
    told = {"command": command, **made, **(of or {}), **measure()}
    file.write_text(json.dumps(told, ensure_ascii=False) + "\n", encoding="utf-8")


def measured(file: Path, command: str, of: Mapping[str, object] | None = None) -> bool:
    """Whether a command's result of the same is there."""
    if not file.exists():
        return False
    told = json.loads(file.read_text(encoding="utf-8"))
    return all(told.get(key) == value for key, value in {"command": command, **(of or {})}.items())


def machine() -> dict[str, object]:
    """Where the figures were made."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def revision() -> str:
    """The commit that last changed what is measured or measures, with a plus where that differs from it now."""
    made_of = ("src", "tools", ":(glob)benchmarks/**/*.py")
    return _git("log", "-1", "--format=%H", "--", *made_of) + ("+" if _git("status", "--porcelain", *made_of) else "")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
