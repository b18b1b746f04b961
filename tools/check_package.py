"""Build and check the wheel and the sdist, and use the wheel as a user would, in an empty environment.

    python -m tools.check_package [--python python3.12]

Builds with `build`, checks the metadata with `twine`, reports what the wheel holds, installs it with the extra
`embedded` into a fresh virtual environment, and runs the command line and the Python API from an empty folder. Fails
with the command that failed. Needs a package index, but no model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

MAX_WHEEL_BYTES = 80 << 20
"""The bundled experts and the label reader are most of it; an accidental file should be noticed."""

POOL = '{"text": "Ann flew to Oslo.", "mentions": [[0, 3, "person"], [12, 16, "place"]]}\n'

SCRIPT = """
import sys, time
started = time.perf_counter()
import entsemble
seconds = time.perf_counter() - started
heavy = {"torch", "transformers", "numpy", "xllamacpp", "click"} & set(sys.modules)
assert not heavy, f"import entsemble loads {heavy}"
[document] = entsemble.read("pool.jsonl")
assert [mention.text for mention in document.mentions] == ["Ann", "Oslo"]
print(f"import entsemble {entsemble.__version__}: {seconds:.3f} s")
"""


def main() -> None:
    """Run all checks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", default=sys.executable, help="interpreter of the fresh environment")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _run(sys.executable, "-m", "build", "--outdir", str(work / "dist"), str(ROOT))
        distributions = sorted((work / "dist").iterdir())
        _run(sys.executable, "-m", "twine", "check", "--strict", *map(str, distributions))
        [wheel] = [path for path in distributions if path.suffix == ".whl"]
        _describe(wheel)
        _run(options.python, "-m", "venv", str(work / "venv"))
        binaries = work / "venv" / "bin"
        constraints = str(ROOT / "constraints.txt")
        _run(str(binaries / "pip"), "install", "--quiet", "--constraint", constraints, f"{wheel}[embedded]")
        home = work / "home"
        home.mkdir()
        (home / "pool.jsonl").write_text(POOL, encoding="utf-8")
        _run(str(binaries / "python"), "-c", SCRIPT, folder=home)
        for arguments in (
            ("--version",),
            ("convert", "pool.jsonl", "pool.conll"),
            ("experts", "list"),
            ("models", "list"),
        ):
            _run(str(binaries / "entsemble"), *arguments, folder=home)


def _describe(wheel: Path) -> None:
    """Print the size of the wheel by part, and fail where it is too large or holds what it should not."""
    with zipfile.ZipFile(wheel) as archive:
        files = {item.filename: item.file_size for item in archive.infolist()}
    adapters = sum(size for name, size in files.items() if name.endswith(".safetensors"))
    total = wheel.stat().st_size
    print(f"{wheel.name}: {total / 1e6:.1f} MB, {len(files)} files, of which adapters {adapters / 1e6:.1f} MB unpacked")
    unexpected = [name for name in files if not name.startswith("entsemble") or name.endswith((".pyc", ".lock"))]
    if unexpected or total > MAX_WHEEL_BYTES:
        sys.exit(f"the wheel is {total} bytes and holds {unexpected[:5]}; see [tool.hatch.build] in pyproject.toml")


def _run(*command: str, folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)[:200]}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    if done.stdout and "-c" in command:
        print(done.stdout.strip())


if __name__ == "__main__":
    main()
