"""Files from the Hugging Face hub, or from a mirror that speaks its protocol."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from entsemble._lib.digest import sha256
from entsemble.backends.catalogue import HubSource
from entsemble.errors import ConfigError, MissingExtraError, ModelUnavailableError


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far the download of a model has come.

    Attributes:
        model_name: name of the model.
        stage: `download`, `check` or `convert`.
        bytes_done: bytes processed in this stage.
        bytes_total: bytes of the whole stage; 0 if unknown.
    """

    model_name: str
    stage: str
    bytes_done: int
    bytes_total: int


DownloadCallback = Callable[[DownloadProgress], None]

_FORM = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<file>[^@:]+))?(?:@(?P<revision>[^@:]+))?")

_OF_A_MODEL = (".safetensors", ".json", ".txt", ".model")
"""What a whole repository is downloaded of: weights that run no code, configuration and tokenizer."""


def ignore_progress(_: DownloadProgress) -> None:
    """A callback that reports nothing."""


def parse_hub_source(text: str) -> HubSource:
    """What `hf:OWNER/REPO[:FILE][@revision]` means; without a file it is the whole repository, for transformers.

    >>> parse_hub_source("hf:owner/repo-GGUF:model-Q4_K_M.gguf@v1").revision
    'v1'
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ConfigError(f"cannot read {text!r}; a file on the hub is written hf:OWNER/REPO:FILE[@revision]")
    return HubSource(match["repo"], match["file"] or "", match["revision"] or "main")


def download(
    source: HubSource,
    cache: Path,
    *,
    on_progress: DownloadCallback = ignore_progress,
    hub_endpoint: str | None = None,
    hub_token: str | None = None,
    name: str | None = None,
) -> Path:
    """The local copy of a file on the hub, or of the folder of a whole model, downloaded where it is not there yet.

    huggingface_hub takes a broken connection up again where it broke, a few times within a call; it keeps nothing of
    a download that failed. What arrives is checked against the SHA-256 that the hub states.

    Args:
        source: which file.
        cache: entsemble's cache folder; the files lie under its `hub/`, in the hub's own layout.
        on_progress: called with the bytes so far, many times a second at most.
        hub_endpoint: base URL of a mirror; huggingface_hub's default otherwise.
        hub_token: for gated and private repositories; huggingface_hub looks for its own otherwise.
        name: what to call the model in `on_progress`.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        ModelUnavailableError: the file cannot be had; says what to do.
    """
    hub = _import()
    if not source.file:
        return _folder(hub, source, cache, on_progress=on_progress, hub_endpoint=hub_endpoint, hub_token=hub_token)
    arguments = {"revision": source.revision, "cache_dir": cache / "hub", "endpoint": hub_endpoint, "token": hub_token}
    try:
        known = hub.try_to_load_from_cache(source.repo, source.file, revision=source.revision, cache_dir=cache / "hub")
        bar = _bar(hub, name or str(source), on_progress)
        path = Path(hub.hf_hub_download(source.repo, source.file, tqdm_class=bar, **arguments))
    except Exception as error:
        raise _explained(hub, error, source, hub_endpoint) from error
    if not isinstance(known, str):
        _check(
            path,
            source,
            lambda done: on_progress(DownloadProgress(name or str(source), "check", done, path.stat().st_size)),
        )
    return path


def local_path(source: HubSource, cache: Path) -> Path | None:
    """Where a file, or the folder of a whole model, lies if it was downloaded and can be loaded here, else `None`."""
    if not (cache / "hub").is_dir() or find_spec("huggingface_hub") is None:
        return None
    file = source.file or "config.json"
    known = _import().try_to_load_from_cache(source.repo, file, revision=source.revision, cache_dir=cache / "hub")
    if not isinstance(known, str):
        return None
    return Path(known) if source.file else Path(known).parent


def _folder(
    hub: ModuleType,
    source: HubSource,
    cache: Path,
    *,
    on_progress: DownloadCallback,
    hub_endpoint: str | None,
    hub_token: str | None,
) -> Path:
    """Every file of a model, each as `download` gets it; without the hub, what is here."""
    place = {"revision": source.revision, "cache_dir": cache / "hub"}
    try:
        listed = hub.HfApi(endpoint=hub_endpoint, token=hub_token).list_repo_files(
            source.repo, revision=source.revision
        )
    except Exception as error:
        try:
            return Path(hub.snapshot_download(source.repo, local_files_only=True, **place))
        except (hub.errors.LocalEntryNotFoundError, hub.errors.HFValidationError):
            raise _explained(hub, error, source, hub_endpoint) from error
    wanted = sorted(name for name in listed if "/" not in name and name.endswith(_OF_A_MODEL))
    if not any(name.endswith(".safetensors") for name in wanted):
        raise ModelUnavailableError(f"{source} holds no safetensors; name a file of it, as hf:OWNER/REPO:FILE")
    paths = [
        download(
            replace(source, file=name), cache, on_progress=on_progress, hub_endpoint=hub_endpoint, hub_token=hub_token
        )
        for name in wanted
    ]
    return paths[0].parent


def _check(path: Path, source: HubSource, done: Callable[[int], None]) -> None:
    """Compare a new file with the SHA-256 that the hub stated: huggingface_hub names the blob by it, unchecked."""
    blob = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name) and sha256(blob, done) != blob.name:
        blob.unlink()
        path.unlink(missing_ok=True)
        raise ModelUnavailableError(f"{source} was damaged on its way, and is not kept; pull it again")


def _import() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface-hub", "hub", "downloading from the Hugging Face hub") from error
    module: ModuleType = huggingface_hub
    return module


def _bar(hub: ModuleType, name: str, on_progress: DownloadCallback) -> type[Any]:
    """A tqdm that draws nothing and tells `progress` instead."""
    base: Any = hub.utils.tqdm

    class Bar(base):  # type: ignore[misc]
        def __init__(self, *args: object, initial: int = 0, total: int | None = None, **kwargs: object) -> None:
            self.told, self.whole = initial, total or 0
            super().__init__(*args, initial=initial, total=total, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self.told += int(n or 0)
            on_progress(DownloadProgress(name, "download", self.told, self.whole))
            return None

    return Bar


def _explained(hub: ModuleType, error: Exception, source: HubSource, hub_endpoint: str | None) -> Exception:
    """The same error, saying what to do; those that are nothing of the hub's are returned as they are."""
    errors, where = hub.errors, hub_endpoint or "https://huggingface.co"
    if isinstance(error.__cause__, errors.FileMetadataError):
        error = _NotAHubError()
    page = f"{where}/{source.repo}"
    advice: tuple[tuple[type[Exception], str], ...] = (
        (errors.GatedRepoError, f"it is gated: accept its terms at {page} and give a token"),
        (errors.RepositoryNotFoundError, f"no such repository, or a private one: check the name at {page}"),
        (errors.RevisionNotFoundError, f"it has no revision {source.revision!r}; leave it out for the newest"),
        (errors.RemoteEntryNotFoundError, f"it has no file {source.file!r}; its files are listed at {page}/tree/main"),
        (errors.OfflineModeIsEnabled, "huggingface_hub is told to stay offline (HF_HUB_OFFLINE)"),
        (_NotAHubError, f"{where} does not answer as a hub does: check the address of the mirror"),
        (errors.LocalEntryNotFoundError, f"{where} cannot be reached and there is no copy here: check the network"),
        (errors.HFValidationError, f"the hub does not take this name: {error}"),
        (errors.HfHubHTTPError, f"{where} answered: {_line(error)}; try again later"),
        (OSError, f"the download failed: {_line(error)}; try again"),
    )
    for kind, text in advice:
        if isinstance(error, kind):
            return ModelUnavailableError(f"cannot get {source}: {text}")
    if type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3", "hf_xet")):
        return ModelUnavailableError(f"cannot get {source} from {where}: {_line(error)}; check the network")
    return error


class _NotAHubError(Exception):
    """A server that lacks the headers of the hub's protocol."""


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
