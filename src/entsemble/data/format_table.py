"""All formats by name: the functions that read and write each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from entsemble.data import (
    brat,
    docbin,
    doccano,
    html,
    jsonl,
    label_studio,
    parquet,
    prodigy,
    tables,
    text_files,
)
from entsemble.data.biomedical import bioc_files, pubtator
from entsemble.data.conll import reader as conll_reader
from entsemble.data.conll import writer as conll_writer
from entsemble.data.documents.isolation import isolated
from entsemble.data.mention_tables import mention_rows, name_rows
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source, read_text
from entsemble.data.table_files import write_csv, write_csv_file, write_tsv, write_xlsx
from entsemble.data.uima import webanno_tsv, xmi
from entsemble.errors import UnknownNameError
from entsemble.types import Document

Reader = Callable[[Source, ReadOptions], Iterator[Document]]
Writer = Callable[[Iterable[Document], TextIO], None]


@dataclass(frozen=True, slots=True)
class Format:
    """The functions that read and write a format; text formats can use streams, others need a path.

    Attributes:
        reader: reads the documents of a text file or stream.
        writer: writes documents to a text stream.
        path_reader: reads the documents of a path; their ids begin with the given name.
        path_writer: writes documents to a path that does not exist yet.
        stores_scores: whether it has a place for the scores of mentions.
    """

    reader: Reader | None = None
    writer: Writer | None = None
    path_reader: Callable[[Path, ReadOptions, str], Iterator[Document]] | None = None
    path_writer: Callable[[Iterable[Document], Path], None] | None = None
    stores_scores: bool = True


FORMATS: dict[str, Format] = {
    "arrow": Format(path_reader=parquet.read_arrow),
    "bioc": Format(bioc_files.read, bioc_files.write_xml),
    "bioc-json": Format(bioc_files.read, bioc_files.write_json_file),
    "brat": Format(path_reader=brat.read, path_writer=brat.write_folder, stores_scores=False),
    "conll": Format(conll_reader.read, conll_writer.write, stores_scores=False),
    "csv": Format(tables.read_csv, partial(write_csv, mention_rows), None, partial(write_csv_file, mention_rows)),
    "doccano": Format(jsonl.read_lines, doccano.write, stores_scores=False),
    "docx": Format(isolated("docx")),
    "eml": Format(isolated("eml")),
    "html": Format(isolated("html"), html.write),
    "json": Format(jsonl.read_array, jsonl.write_array),
    "jsonl": Format(jsonl.read_lines, jsonl.write_lines),
    "label-studio": Format(label_studio.read, label_studio.write),
    "names-csv": Format(None, partial(write_csv, name_rows), None, partial(write_csv_file, name_rows)),
    "names-tsv": Format(None, partial(write_tsv, name_rows)),
    "names-xlsx": Format(path_writer=partial(write_xlsx, name_rows)),
    "odt": Format(isolated("odt")),
    "parquet": Format(path_reader=parquet.read, path_writer=parquet.write),
    "pdf": Format(isolated("pdf")),
    "prodigy": Format(prodigy.read, prodigy.write),
    "pubtator": Format(pubtator.read, pubtator.write, stores_scores=False),
    "spacy": Format(path_reader=docbin.read, path_writer=docbin.write),
    "text": Format(read_text, text_files.write, None, text_files.write_path),
    "tsv": Format(tables.read_tsv, partial(write_tsv, mention_rows)),
    "webanno-tsv": Format(webanno_tsv.read),
    "xlsx": Format(path_writer=partial(write_xlsx, mention_rows)),
    "xmi": Format(xmi.read),
}

READABLE = tuple(name for name, functions in FORMATS.items() if functions.reader or functions.path_reader)
WRITABLE = tuple(name for name, functions in FORMATS.items() if functions.writer or functions.path_writer)


def find_format(format_name: str, valid_names: Sequence[str]) -> Format:
    """The format with this name; UnknownNameError if it is not among the valid ones."""
    if format_name not in valid_names:
        raise UnknownNameError("format", format_name, valid_names)
    return FORMATS[format_name]
