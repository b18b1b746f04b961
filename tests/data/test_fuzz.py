"""Damaged files of every format: documents with exact offsets, or an error of ours, and neither a crash nor a hang."""

from __future__ import annotations

import io
import json
import random
import resource
import signal
import sys
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.format_table import READABLE, WRITABLE
from entsemble.data.formats import read, write
from entsemble.errors import EntsembleError
from entsemble.types import Document, Mention, Span, mention_at

from . import document_files

_FAST_COUNT, _SOAK_COUNT = 2_000, 100_000
_MAX_SECONDS = 10
_MAX_BYTES = 500 << 20
"""Of memory, more than before; readers of documents have a process of their own with a limit of its own."""

TEXT = "Ada Byron 😀 met\r\nBob  in Kent-Sussex.\n科0 e4 -DOCSTART- O"
DOCUMENTS = [
    Document(
        "a/ü",
        TEXT,
        (
            Mention(0, 9, "PER", "Ada Byron", 0.5, {"m": "PER", "n": "none"}),
            mention_at(TEXT, 4, 20, "x-y z"),
            mention_at(TEXT, 25, 36, "LOC"),
        ),
        (Span(0, 3), Span(4, 9), Span(10, 11), Span(12, 15)),
        {"page": 3, "deep": [{"a": None}], "answer": "accept"},
    ),
    Document("b", "Nothing here.", meta={"label": "sport"}),
    Document("c", "Ada", (mention_at("Ada", 0, 3, "PER"),)),
]
TEXT_SEEDS = {
    "csv": [
        'id,text,n\n7,"Hello ""there"".\nYou.",1\n8,x,2\n',
        "text;b\na;b\n",
        "sent_id,word,ner\n1,Ada,B-P\n1,left,O\n2,Bob,B-P\n",
        "tokens,ner_tags\n['Ada' 'left'],['B-P' 'O']\n",
        "text,labels\nAda left,B-P O\n",
    ],
    "tsv": ['id\ttext\n7\t"Hello there.\nYou."\n8\tx "y"\n'],
    "text": [TEXT, "\ufeffHer blood type is O\n"],
    "conll": [
        "-DOCSTART- -X- O O\n\n1 Ada NNP B-PER\n2 left V O\n\n# c\n1 Kent NNP U-LOC\n",
        "口0\tO\n腔1\tB-X.N\n溃2\tI-X.N\n疡3\tO\n加0\tO\n重1\tO\n",
        "O\tAda\rB-X\tBob\r",
        "# text = Ada left\n1-2\tAda\t_\t_\t_\t_\t_\t_\t_\tNER=B-P\n1\tA\t_\t_\t_\t_\t_\t_\t_\tNER=O\n"
        "3\tleft\t_\t_\t_\t_\t_\t_\t_\tname=O|SpaceAfter=No\n",
    ],
    "brat": ["T1\tPER 0 3;4 9\tAda Byron\nT2\tLOC 12 15\tmet\tx\n#1\tAnnotatorNotes T1\tx\nR1\tr Arg1:T1 Arg2:T2\n"],
    "label-studio": [
        json.dumps(
            [
                {
                    "id": 1,
                    "data": {"t": "Ada"},
                    "completions": [{"result": [{"value": {"start": 0, "end": 3, "labels": ["P"], "text": "Ada"}}]}],
                }
            ]
        ),
    ],
    "bioc": [
        '<?xml version="1.0"?><!DOCTYPE collection SYSTEM "BioC.dtd"><collection><document><id>d</id><passage><offset>0'
        '</offset><sentence><offset>0</offset><text>Ada &amp; 😀</text><annotation id="1"><infon key="type">P</infon>'
        '<location offset="0" length="3"/><location offset="6" length="1"/><text>Ada 😀</text></annotation></sentence>'
        '</passage><relation><node refid="1" role=""/></relation></document></collection>'
    ],
    "pubtator": ["7|t|Ada met Bob\n7|a|in Kent.\n7\t0\t3\tAda\tP\tQ1\n7\tX\tQ1\tQ2\n\n8|t|Eve\n8\t0\t3\tEve\tP\n"],
    "webanno-tsv": [
        "#FORMAT=WebAnno TSV 3.3\n#T_SP=x.NamedEntity|identifier|value\n\n#Text=😀 Ada\\_ King\n1-1\t0-2\t😀\t_\t_\n"
        "1-2\t3-7\tAda_\tq[1]|*[2]\tPER[1]|X[2]\t\n1-2.1\t3-5\tAd\t*\tY\n1-3\t8-12\tKing\tq[1]\tPER[1]\n"
    ],
    "xmi": [
        '<xmi:XMI xmlns:xmi="http://www.omg.org/XMI" xmlns:cas="http:///uima/cas.ecore" xmlns:t="http:///ner/type.ecore">'
        '<t:NamedEntity xmi:id="9" sofa="1" begin="3" end="6" value="PER" identifier="Q1"/>'
        '<cas:Sofa xmi:id="1" sofaID="_InitialView" sofaString="😀 Ada left.&#10;Bye."/></xmi:XMI>'
    ],
    "json": [
        '{"%FEATURE_STRUCTURES": [{"%ID": 1, "%TYPE": "uima.cas.Sofa", "sofaString": "Ada"}, '
        '{"%TYPE": "x.NamedEntity", "@sofa": 1, "begin": 0, "end": 3, "value": "P"}]}',
        '{"examples": [{"content": "Ada", "annotations": [{"start": "0", "end": 3.0, "tag": "P"}]}], "b": 1}',
        '{"a": {"text": "Ada", "entities": {"P": [[0, 3], {"indices": [0]}]}}, "b": {"text": "B O", "tags": "B-P O"}}',
        json.dumps([["Ada", {"entities": [[0, 3, "P"]]}], {"text": "Ada", "spans.responses": [[{"start": 0}]]}]),
    ],
}
INSERTIONS = [
    b"NaN", b"-Infinity", b"1e400", b"9" * 5000, b"[" * 985, b'{"a":' * 500, b"\\ud800", b"\0", b"\r", b"\r\n", b"\n\n",
    b"\t", b" ", b'"', b"\\", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", "\u2028".encode(), b"-1", b"null", b"true", b"[]",
    b"{}", b"O", b"B-", b"-DOCSTART-", b"e4", b"\xc2\xb20", b"PK\x03\x04", b"<?xml ", b"%00", b"..", b";", b",",
    b"&x;", b"<a>", b"</a>", b"|t|", b"|a|",
]  # fmt: skip
KEYS = [
    "id",
    "text",
    "mentions",
    "spans",
    "entities",
    "label",
    "labels",
    "tokens",
    "meta",
    "score",
    "votes",
    "start",
    "end",
]
KEYS += [
    "data",
    "annotations",
    "predictions",
    "result",
    "value",
    "points",
    "char_interval",
    "length",
    "spans.responses",
    "passages",
    "offset",
    "infons",
    "documents",
]
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    3,
    99,
    1.5,
    2**70,
    float("nan"),
    float("inf"),
    "",
    " ",
    "Ada",
    "\ud800",
    "x" * 300,
]
VALUES += [
    [],
    {},
    [[]],
    [0, 3, "PER"],
    [[0, 3, "PER"]],
    {"start": 0, "end": 3, "label": "PER"},
    {"text": "Ada"},
    ["PER"],
]


def test_no_damage_breaks_a_reader(tmp_path: Path) -> None:
    _fuzz(tmp_path, _FAST_COUNT, seed=1)


@pytest.mark.soak
def test_no_damage_breaks_a_reader_in_many_tries(tmp_path: Path) -> None:
    _fuzz(tmp_path, _SOAK_COUNT, seed=2)


def _fuzz(folder: Path, input_count: int, seed: int) -> None:
    """Read damaged files of all formats, by the name of the format and by detection."""
    generator = random.Random(seed)
    seeds = list(_seeds(folder))
    read_count, bytes_before = 0, _peak_bytes()
    for number in range(input_count):
        format_name, file_name, content = seeds[number % len(seeds)]
        damaged = _damage(content, generator, [other for _, _, other in seeds])
        path = folder / "input" / file_name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damaged)
        if file_name.endswith(".ann"):
            path.with_suffix(".txt").write_bytes(TEXT.encode())
        given_format = format_name if generator.random() < 0.5 else None
        with _limit_seconds(f"input {number} of seed {seed}, a damaged {file_name}"):
            read_count += _check(path, given_format, number)
        assert _peak_bytes() - bytes_before < _MAX_BYTES, f"input {number} of seed {seed}, a damaged {file_name}"
        for used in path.parent.iterdir():
            used.unlink()
    assert read_count > input_count // 10  # the damage leaves something to read


def _peak_bytes() -> int:
    """The most memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def _check(path: Path, format_name: str | None, number: int) -> int:
    """The number of documents, whose mentions are at their offsets."""
    document_count = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for document in read(path, format_name):
                document_count += 1
                for mention in document.mentions:
                    assert document.text[mention.start : mention.end] == mention.text
                    assert mention.label
                    assert mention.score is None or 0 <= mention.score <= 1
                document.text.encode()
    except EntsembleError:
        pass
    except Exception as error:
        kept = path.parent.parent / f"failed-{number}-{path.name}"
        kept.write_bytes(path.read_bytes())
        raise AssertionError(f"{kept} as {format_name}: {error!r}") from error
    return document_count


@contextmanager
def _limit_seconds(description: str) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"{description} takes more than {_MAX_SECONDS} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_MAX_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def _seeds(folder: Path) -> Iterator[tuple[str, str, bytes]]:
    """Formats, file names and contents of good files."""
    suffixes = {name: f".{name}" for name in ("jsonl", "json", "conll", "parquet", "spacy", "pubtator")}
    suffixes["bioc"] = ".xml"
    packages = {"parquet": "pyarrow", "spacy": "spacy"}
    for format_name in READABLE:
        package = packages.get(format_name)
        is_seeded_below = format_name not in WRITABLE or format_name in ("brat", "csv", "html", "text", "tsv")
        if is_seeded_below or (package and find_spec(package) is None):
            continue
        path = folder / f"seed{suffixes.get(format_name, '.json')}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a format does not store
            write(DOCUMENTS, path, format_name)
        yield format_name, path.name, path.read_bytes()
    for format_name, contents in TEXT_SEEDS.items():
        suffix = {"text": ".txt", "brat": ".ann", "label-studio": ".json", "bioc": ".xml"}.get(
            format_name, f".{format_name}"
        )
        for content in contents:
            yield format_name, f"seed{suffix}", content.encode()
            yield format_name, f"seed{suffix if format_name == 'brat' else '.dat'}", content.encode()
    if find_spec("mammoth") and find_spec("pypdfium2") and find_spec("resiliparse"):
        yield "pdf", "seed.pdf", document_files.pdf(TEXT, "Bob.", None)
        yield "docx", "seed.docx", document_files.docx()
        yield "odt", "seed.odt", document_files.odt()
        yield "html", "seed.html", document_files.web_page()
        yield "eml", "seed.eml", document_files.eml(html="<p>Ada")
    pair = {"a.txt": TEXT.encode(), "x/b.TXT": b"x", "a.ann": TEXT_SEEDS["brat"][0].encode(), "__MACOSX/._a.ann": b"\0"}
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        yield "brat", "seed.zip", _zipped(pair, compression)
    for mode in ("w:", "w:gz", "w:xz", "w:bz2"):
        yield "brat", "seed.tar.xz", _tarred(pair, mode)
    yield (
        "doccano",
        "seed.zip",
        _zipped({"admin.jsonl": b'{"text": "Ada", "label": [[0, 3, "P"]]}'}, zipfile.ZIP_STORED),
    )


def _zipped(files: dict[str, bytes], compression: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _tarred(files: dict[str, bytes], mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def _damage(content: bytes, generator: random.Random, others: list[bytes]) -> bytes:
    """The content after some random changes: to values of its JSON, to what is compressed in it, or to its bytes."""
    if generator.random() < 0.5:
        with suppress(ValueError):
            lines = content.decode().splitlines() if content.startswith(b"{") else [content.decode()]
            records = [json.loads(line) for line in lines]
            changed = [_damaged_value(record, generator) for record in records]
            return "\n".join(map(json.dumps, changed)).encode()
        with suppress(zlib.error):
            return zlib.compress(_damaged_bytes(zlib.decompress(content), generator, others))
    return _damaged_bytes(content, generator, others)


def _damaged_value(value: Any, generator: random.Random) -> Any:
    """A JSON value in which about one value in twelve, or one key, is another one."""
    if generator.random() < 1 / 12:
        return generator.choice(VALUES)
    if isinstance(value, list):
        items = [_damaged_value(item, generator) for item in value]
        return items * generator.choice([1] * 20 + [0, 2])
    if isinstance(value, dict):
        keys = {key: generator.choice(KEYS) if generator.random() < 1 / 20 else key for key in value}
        return {keys[key]: _damaged_value(item, generator) for key, item in value.items()}
    return value


def _damaged_bytes(content: bytes, generator: random.Random, others: list[bytes]) -> bytes:
    data = bytearray(content)
    for _ in range(generator.randrange(1, 5)):
        start = generator.randrange(len(data) + 1)
        end = min(len(data), start + generator.randrange(1, 40))
        kind = generator.randrange(7)
        if kind == 0:
            data[start:end] = generator.choice(INSERTIONS)
        elif kind == 1:
            data[start:start] = generator.choice(INSERTIONS)
        elif kind == 2:
            del data[start:end]
        elif kind == 3:
            data[end:end] = data[start:end] * generator.randrange(1, 20)
        elif kind == 4:
            data[start:end] = generator.choice(others)[start:end]
        elif kind == 5:
            del data[start:]
        elif start < len(data):
            data[start] ^= 1 << generator.randrange(8)
    return bytes(data)
