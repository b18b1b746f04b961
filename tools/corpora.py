"""Where the corpora are that releases are trained on and benchmarks measure."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the project."""


def corpora_folder() -> Path:
    """The folder of the corpora, which the environment variable ENTSEMBLE_DATA names."""
    folder = Path(os.environ.get("ENTSEMBLE_DATA", ROOT.parent / "shared" / "data")).resolve()
    if not folder.is_dir():
        sys.exit(f"no corpora at {folder}; name their folder with ENTSEMBLE_DATA")
    return folder
