"""Detects the format of a file from its name and its first bytes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from entsemble.data import archives, brat, tables, unread
from entsemble.data.conll import layout as conll_layout
from entsemble.data.conll.tags import is_tag
from entsemble.data.mention_shapes import looks_annotated
from entsemble.data.source import HEAD_BYTES, Source, split_carriage_returns
from entsemble.data.uima import webanno_tsv
from entsemble.errors import DataError, warn

FORMAT_BY_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".conll": "conll",
    ".conllu": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".iobes": "conll",
    ".bioc": "bioc",
    ".pubtator": "pubtator",
    ".ann": "brat",
    ".a1": "brat",
    ".a2": "brat",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".odt": "odt",
    ".eml": "eml",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".spacy": "spacy",
}

_DECIDED_BY_SUFFIX = (
    "arrow",
    "bioc",
    "brat",
    "conll",
    "docx",
    "eml",
    "html",
    "jsonl",
    "odt",
    "parquet",
    "pdf",
    "pubtator",
    "spacy",
)
_ELEMENT = re.compile(r"\s*<([A-Za-z_][\w.:-]*)(\s[^<>]*)?>")
_MARKUP = {
    "XML": re.compile(r"\s*<\?xml\s"),
    "RTF": re.compile(r"\{\\rtf"),
    "LaTeX": re.compile(r"\s*\\(documentclass|begin\{document\})"),
    "YAML": re.compile(r"%YAML "),
    "an old WebAnno TSV": re.compile(r"#FORMAT=WebAnno TSV|\s*# ?webanno\.custom"),
}
_MARKUP_ADVICE = {"an old WebAnno TSV": "export it from INCEpTION as WebAnno TSV 3, or as CoNLL 2002"}
_ANNOTATION_IN_TEXT = "annotation within the text"
_DOCUMENT_SIGNATURES = {
    "pdf": re.compile(rb"\s*%PDF-"),
    "docx": re.compile(rb"PK\x03\x04.*?word/", re.DOTALL),
    "odt": re.compile(rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument\.text", re.DOTALL),
    "html": re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html[\s>])", re.IGNORECASE),
}
_PUBTATOR = re.compile(r"\s*(\w+)\|t\|.*\r?\n\1\|a\|")
_XML_PROLOG = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^<>\[]*>", re.DOTALL)
_XML_ROOT = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)[\s/>]")
_FORMAT_OF_ROOT = {
    "collection": ("bioc", re.compile(r"<document[\s>]")),
    "XMI": ("xmi", re.compile(r"http://www\.omg\.org/XMI")),
}
"""The outermost element of XML -> the format, and what else such a file has."""

_JSON_START = re.compile(r'\s*(\[\s*)*(\{\s*("(?:[^"\\]|\\.)*"\s*:|\})|\]|\[\s*\[\s*")')
"""An object with its first key, an empty object or list, or a list in a list. A text may begin with a bracket, too."""

SUFFIXES_OF_XML = (".xml", ".nxml", ".tei", ".xmi")
"""Files that are read if their content is of a known format."""

_KNOWN_BY_CONTENT = ("pubtator", "webanno-tsv", *(format_name for format_name, _ in _FORMAT_OF_ROOT.values()))

_TASK_LISTS = ("annotations", "completions", "predictions")
"""What a task of Label Studio has beside its data."""


def format_of_name(path: Path) -> str | None:
    """The format that a file's suffix stands for; `None` if it stands for none."""
    if archives.is_archive(path):
        return "brat"
    return FORMAT_BY_SUFFIX.get(path.suffix.lower())


def is_data(name: str) -> bool:
    """Whether a file is of a format with annotations, but not of brat's."""
    return format_of_name(Path(name)) not in (None, "brat", "text", "html")


def detect_format(source: Source, name: Path | None = None) -> str:
    """The format of a file or stream. Its content distinguishes CoNLL, tables, JSON and plain text.

    A file whose name does not say the format is CoNLL, a table or JSON only if nothing in its first lines contradicts
    that. In doubt it is plain text, of which nothing can be lost, and a warning says so.

    Args:
        source: the file or stream.
        name: its name, if it is a file in an archive.

    Raises:
        DataError: it is binary, or has markup that no reader understands.
    """
    detected_format, doubted_format = _detect(source, name)
    if doubted_format:
        message = f"{source.place}: read as plain text, although some of it looks like {doubted_format}"
        advice = "convert it first" if doubted_format == _ANNOTATION_IN_TEXT else "name the format"
        warn(f"{message}; if it is that, {advice}")
    return detected_format


def is_annotated(source: Source, name: Path | None = None) -> bool:
    """Whether the content of a file is annotated beyond doubt: CoNLL, BioC and the like, whatever its name."""
    try:
        return _detect(source, name)[0] in ("conll", *_KNOWN_BY_CONTENT)
    except DataError:
        return False


def _detect(source: Source, name: Path | None = None) -> tuple[str, str | None]:
    """The format, and the one that a plain text resembles."""
    path = source.path or name
    suffix_format = _format_of_file(path) if path else None
    if certain_format := _certain_format(source, path, suffix_format):
        return certain_format, None
    lines = _first_lines(source)
    if suffix_format == "csv":
        return "csv", None
    if suffix_format == "json" or (suffix_format != "text" and _looks_like_json(lines)):
        return _json_format(lines), None
    if suffix_format == "text" and _looks_like_json(lines) and _begins_with_object("".join(lines)):
        return "text", "JSON"
    if markup_name := _markup(lines):
        advice = _MARKUP_ADVICE.get(markup_name, unread.MARKUP_ADVICE)
        raise DataError(f"this looks like {markup_name}, which cannot be read; {advice}", source.place)
    return _detect_columns(lines, suffix_format)


def _certain_format(source: Source, path: Path | None, suffix_format: str | None) -> str | None:
    """The format that the suffix or the first bytes of a file show beyond doubt.

    Raises:
        DataError: the suffix is that of a kind of file that cannot be read.
    """
    if suffix_format in _DECIDED_BY_SUFFIX:
        return suffix_format
    if suffix_format in (None, "text", "tsv") and (annotated_format := _annotated_format(source.head())):
        return annotated_format
    if path and (unread_kind := unread.kind_of_name(path)):
        raise DataError(f"{unread_kind.name} cannot be read; {unread_kind.advice}", source.place)
    return None if suffix_format else _document_format(source.head())


def _detect_columns(lines: list[str], suffix_format: str | None) -> tuple[str, str | None]:
    """CoNLL, a table or a plain text, and what a plain text resembles."""
    if conll_layout.guess_columns(lines) is not None:
        return "conll", None
    has_text_header = bool(lines) and "\t" in lines[0] and tables.has_text_header(lines[0], "tsv")
    has_columns = conll_layout.detect_columns(lines) is not None
    if suffix_format == "tsv":
        has_tag_in_header = bool(lines) and any(map(is_tag, lines[0].split()))
        return ("conll" if has_columns and (has_tag_in_header or not has_text_header) else "tsv"), None
    if suffix_format is None and has_text_header:
        return ("tsv", None) if tables.is_regular(lines) else ("text", "a table")
    if has_columns:
        return "text", "CoNLL"
    return "text", _ANNOTATION_IN_TEXT if looks_annotated("".join(lines)) else None


def _format_of_file(path: Path) -> str | None:
    """The format of the file's suffix; brat for a text with an annotation file next to it."""
    suffix_format = format_of_name(path)
    return "brat" if suffix_format == "text" and brat.has_annotations(path) else suffix_format


def _first_lines(source: Source) -> list[str]:
    head = source.head()
    if unread_kind := unread.kind_of_content(head):
        raise DataError(f"this is {unread_kind.name}, not a text file; {unread_kind.advice}", source.place)
    if document_format := _document_format(head):
        advice = f"name the format {document_format}" + ", or text to keep its markup" * (document_format == "html")
        raise DataError(f"this is {document_format.upper()}, not what its name says; {advice}", source.place)
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("this is not a text file; give a text file", source.place)
    raw_lines = list(split_carriage_returns(io.BytesIO(head)))
    if len(head) >= HEAD_BYTES and len(raw_lines) > 1:
        raw_lines.pop()
    elif len(head) >= HEAD_BYTES:  # one line longer than the head, whose last character may be incomplete
        return [head.decode("utf-8", "ignore")]
    lines = [source.decode(raw_line, line_number) for line_number, raw_line in enumerate(raw_lines, 1)]
    return [line.removeprefix("\ufeff") for line in lines[:1]] + lines[1 : conll_layout.LOOK_AHEAD]


def _document_format(head: bytes) -> str | None:
    """The format of a document as people write it, by its first bytes."""
    return next((name for name, signature in _DOCUMENT_SIGNATURES.items() if signature.match(head)), None)


def _annotated_format(head: bytes) -> str | None:
    """The format of an annotated corpus that its first bytes show beyond doubt."""
    content = head.decode("utf-8", "ignore").removeprefix("\ufeff")
    if _PUBTATOR.match(content) or content.startswith(webanno_tsv.SIGNATURE):
        return "webanno-tsv" if content.startswith("#") else "pubtator"
    position = 0
    while prolog := _XML_PROLOG.match(content, position):
        position = prolog.end()
    root = _XML_ROOT.match(content, position)
    format_name, evidence = _FORMAT_OF_ROOT.get(root[1], (None, None)) if root else (None, None)
    return format_name if evidence and evidence.search(content, position) else None


def _markup(lines: list[str]) -> str | None:
    content = "".join(lines)
    element = _ELEMENT.match(content)
    if element and content.rstrip().endswith(f"</{element[1]}>"):
        return "XML or HTML"
    return next((markup for markup, pattern in _MARKUP.items() if pattern.match(content)), None)


def _looks_like_json(lines: list[str]) -> bool:
    match = _JSON_START.match("".join(lines))
    return match is not None and match[0].lstrip()[:1] in ("{", "[")


def _json_format(lines: list[str]) -> str:
    """`label-studio`, or `jsonl` if each of the first two non-blank lines is an object of its own; otherwise `json`."""
    first_lines = [line.strip() for line in lines if line.strip()][:2]
    objects = [line for line in first_lines if line.startswith("{") and line.endswith("}")]
    if _begins_with_task("".join(lines)):
        return "label-studio"
    return "jsonl" if first_lines and objects == first_lines else "json"


def _begins_with_object(content: str) -> bool:
    """Whether the content begins with a whole JSON object that has a key."""
    try:
        value, _ = json.JSONDecoder().raw_decode(content, content.index("{"))
    except (ValueError, RecursionError):
        return False
    return bool(value)


def _begins_with_task(content: str) -> bool:
    """Whether the first object is a task of Label Studio; not if it is too long to tell."""
    try:
        task, _ = json.JSONDecoder().raw_decode(content, content.index("{"))
    except (ValueError, RecursionError):
        return False
    return isinstance(task.get("data"), dict) and any(isinstance(task.get(key), list) for key in _TASK_LISTS)
