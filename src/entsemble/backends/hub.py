"""Files and models from the Hugging Face hub, or from a mirror of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from entsemble._lib.optional import require
from entsemble._lib.paths import real_path
from entsemble.backends.catalogue import HubSource
from entsemble.backends.checksums import is_named_after_content
from entsemble.errors import ConfigError, ModelUnavailableError


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

_SOURCE_PATTERN = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<file>[^@:]+))?(?:@(?P<revision>[^@:]+))?")

_MODEL_FILE_ENDINGS = (".safetensors", ".json", ".txt", ".model")
"""Files of a repository that are downloaded: weights that run no code, configuration and tokenizer."""

_CONFIG_FOLDER = "encoder_config/"
"""The only folder of a repository that is downloaded: GLiNER2 keeps the configuration of its encoder there."""


def ignore_progress(_: DownloadProgress) -> None:
    """A callback that reports nothing."""


def parse_hub_source(text: str) -> HubSource:
    """What `hf:OWNER/REPO[:FILE][@revision]` names; without a file, the whole repository, for transformers.

    >>> parse_hub_source("hf:owner/repo-GGUF:model-Q4_K_M.gguf@v1").revision
    'v1'

    Raises:
        ConfigError: it has another form.
    """
    match = _SOURCE_PATTERN.fullmatch(text)
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
    again: bool = False,
) -> Path:
    """The local copy of a file, or of the folder of a whole model; downloaded if it is not in the cache.

    huggingface_hub resumes a broken connection a few times within a call; it keeps nothing of a download that failed.
    Files are checked against the checksum that the hub stated, which reads them only after a change.

    Args:
        source: a file or a whole model.
        cache: entsemble's cache folder; the files are in its folder `hub`, in the hub's layout.
        on_progress: called with the bytes so far.
        hub_endpoint: base URL of a mirror; huggingface_hub's default otherwise.
        hub_token: for gated and private repositories; otherwise huggingface_hub looks for its own.
        name: the model's name in `on_progress` and in errors.
        again: read the file in the cache in any case, and download it again if it has changed.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        ModelUnavailableError: the file cannot be downloaded, or the one in the cache has changed; the message says what
            to do.
    """
    hub = _import_hub()
    if not source.file:
        return _download_model(
            hub, source, cache, on_progress=on_progress, hub_endpoint=hub_endpoint, hub_token=hub_token, again=again
        )
    model_name, hub_cache = name or str(source), cache / "hub"
    arguments = {"revision": source.revision, "cache_dir": hub_cache, "endpoint": hub_endpoint, "token": hub_token}
    try:
        cached = hub.try_to_load_from_cache(source.repo, source.file, revision=source.revision, cache_dir=hub_cache)
        force = (
            again and isinstance(cached, str) and not is_named_after_content(Path(cached), cache, trust_memory=False)
        )
        progress_bar = _progress_bar(hub, model_name, on_progress)
        path = Path(
            hub.hf_hub_download(source.repo, source.file, tqdm_class=progress_bar, force_download=force, **arguments)
        )
    except Exception as error:
        raise _explain_error(hub, error, source, hub_endpoint) from error
    is_new = force or not isinstance(cached, str) or not path.samefile(cached)
    _check(path, model_name, cache, on_progress, is_new=is_new)
    return path


def changed_file_error(path: Path, name: str) -> ModelUnavailableError:
    """The error for a model file that is not what was downloaded."""
    return ModelUnavailableError(
        f"{path} has changed since it was downloaded; get it again with: entsemble models pull --again {name}"
    )


def local_path(source: HubSource, cache: Path) -> Path | None:
    """The local copy of a file, or of the folder of a whole model; `None` if it was not downloaded."""
    if not (cache / "hub").is_dir() or find_spec("huggingface_hub") is None:
        return None
    file = source.file or "config.json"
    cached = _import_hub().try_to_load_from_cache(source.repo, file, revision=source.revision, cache_dir=cache / "hub")
    if not isinstance(cached, str):
        return None
    return Path(cached) if source.file else Path(cached).parent


def _download_model(
    hub: Any,  # noqa: ANN401 - untyped library
    source: HubSource,
    cache: Path,
    *,
    on_progress: DownloadCallback,
    hub_endpoint: str | None,
    hub_token: str | None,
    again: bool,
) -> Path:
    """Every file of a model; if the hub cannot be reached, the local copy."""
    version = {"revision": source.revision, "cache_dir": cache / "hub"}
    try:
        api = hub.HfApi(endpoint=hub_endpoint, token=hub_token)
        files = api.list_repo_files(source.repo, revision=source.revision)
    except Exception as error:
        try:
            folder = Path(hub.snapshot_download(source.repo, local_files_only=True, **version))
            for path in sorted(folder.iterdir()):
                _check(path, str(source), cache, on_progress, is_new=False)
            return folder
        except (hub.errors.LocalEntryNotFoundError, hub.errors.HFValidationError):
            raise _explain_error(hub, error, source, hub_endpoint) from error
    model_files = sorted(
        file
        for file in files
        if file.endswith(_MODEL_FILE_ENDINGS) and ("/" not in file or file.startswith(_CONFIG_FOLDER))
    )
    if not any(file.endswith(".safetensors") for file in model_files):
        raise ModelUnavailableError(f"{source} has no safetensors; name one of its files, as hf:OWNER/REPO:FILE")
    paths = [
        download(
            replace(source, file=file),
            cache,
            on_progress=on_progress,
            hub_endpoint=hub_endpoint,
            hub_token=hub_token,
            name=str(source),
            again=again,
        )
        for file in model_files
    ]
    return paths[0].parent


def _check(path: Path, name: str, cache: Path, on_progress: DownloadCallback, *, is_new: bool) -> None:
    """Compare a file with the checksum that the hub stated: huggingface_hub names the blob after it, unchecked.

    Raises:
        ModelUnavailableError: it differs; a new file is removed.
    """
    size = path.stat().st_size
    if is_named_after_content(path, cache, lambda count: on_progress(DownloadProgress(name, "check", count, size))):
        return
    if not is_new:
        raise changed_file_error(path, name)
    real_path(path).unlink()
    path.unlink(missing_ok=True)
    raise ModelUnavailableError(f"{name} was damaged during the download and is not kept; pull it again")


def _import_hub() -> Any:  # noqa: ANN401 - untyped library
    return require("huggingface_hub", "hub", "downloading from the Hugging Face hub")


def _progress_bar(hub: Any, name: str, on_progress: DownloadCallback) -> type[Any]:  # noqa: ANN401 - untyped library
    """A tqdm class that draws nothing and calls `on_progress`."""
    base: Any = hub.utils.tqdm

    class ProgressBar(base):  # type: ignore[misc]
        def __init__(self, *args: object, initial: int = 0, total: int | None = None, **kwargs: object) -> None:
            self.bytes_done, self.bytes_total = initial, total or 0
            super().__init__(*args, initial=initial, total=total, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self.bytes_done += int(n or 0)
            on_progress(DownloadProgress(name, "download", self.bytes_done, self.bytes_total))
            return None

    return ProgressBar


class _NotAHubError(Exception):
    """A server that does not send the headers of the hub's protocol."""


def _explain_error(hub: Any, error: Exception, source: HubSource, hub_endpoint: str | None) -> Exception:  # noqa: ANN401
    """An error of the hub with advice on what to do; any other error as it is."""
    errors, endpoint = hub.errors, hub_endpoint or "https://huggingface.co"
    if type(error) is ValueError and isinstance(error.__cause__, Exception):
        error = error.__cause__  # why a forced download failed
    if isinstance(error.__cause__, errors.FileMetadataError):
        error = _NotAHubError()
    page = f"{endpoint}/{source.repo}"
    advice: tuple[tuple[type[Exception], str], ...] = (
        (errors.GatedRepoError, f"it is gated: accept its terms at {page} and provide a token"),
        (errors.RepositoryNotFoundError, f"no such repository, or a private one: check the name at {page}"),
        (errors.RevisionNotFoundError, f"it has no revision {source.revision!r}; leave it out for the latest"),
        (errors.RemoteEntryNotFoundError, f"it has no file {source.file!r}; its files are listed at {page}/tree/main"),
        (errors.OfflineModeIsEnabled, "huggingface_hub is set to offline mode (HF_HUB_OFFLINE)"),
        (_NotAHubError, f"{endpoint} does not answer as a hub does: check the address of the mirror"),
        (errors.LocalEntryNotFoundError, f"{endpoint} cannot be reached and there is no local copy: check the network"),
        (errors.HFValidationError, f"the hub does not accept this name: {error}"),
        (errors.HfHubHTTPError, f"{endpoint} answered: {_first_line(error)}; try again later"),
        (OSError, f"the download failed: {_first_line(error)}; try again"),
    )
    for error_class, suggestion in advice:
        if isinstance(error, error_class):
            return ModelUnavailableError(f"cannot download {source}: {suggestion}")
    if type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3", "hf_xet")):
        problem = f"cannot download {source} from {endpoint}"
        return ModelUnavailableError(f"{problem}: {_first_line(error)}; check the network")
    return error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
