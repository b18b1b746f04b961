"""PDF: a document for each page with text, through PDFium. Pages that are pictures of text are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from entsemble._lib.optional import require
from entsemble.data.documents.shared import EXTRA, MAX_FILE_BYTES, clean_text, warn_of_replaced
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError, warn
from entsemble.types import Document

_MAX_PAGE_CHARACTERS = 5_000_000
_OCR_ADVICE = "recognise its text first, for example with: ocrmypdf scan.pdf text.pdf"

_FEW_LETTERS = 30
"""A page with fewer letters and a picture over half of it is a scan; scanners add a page number or their name."""

_PARAGRAPH_PITCH = 1.35
"""How much further than usual a line is from the one before it if it begins a paragraph."""

_OTHER_HEIGHT = 1.15
"""How much larger the letters of a heading are."""

_BROKEN_WORD = re.compile("\ufffe\\s*(.?)")
"""A hyphen at the end of a line, as PDFium reports it, and the first character of the next line."""

_BULLET = str.maketrans({"\uf0b7": "•"})
"""The bullet of the font Symbol, which has no code point of its own."""


def read(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """The pages of a PDF that have text, in order; `meta` has the file and the page, counted from 1.

    Raises:
        DataError: it is damaged or encrypted, or no page has text.
        MissingExtraError: pypdfium2 is not installed.
    """
    pdfium = require("pypdfium2", EXTRA, "reading PDF")
    content = source.content(MAX_FILE_BYTES)
    pdf, page_count = _open(pdfium, content, source)
    scanned: list[int] = []
    has_text = False
    try:
        for page_number in range(1, page_count + 1):
            text, is_scan = _read_page(pdfium, pdf, page_number, source)
            if is_scan:
                scanned.append(page_number)
            elif text:
                has_text = True
                warn_of_replaced(text, source)
                meta = {"file": source.name, "page": page_number}
                yield Document(f"{source.name}#page={page_number}", text, meta=meta)
    finally:
        pdf.close()
    if not has_text:
        problem = "this PDF is a scan: its pages are pictures" if scanned else "this PDF has no text"
        raise DataError(f"{problem}; {_OCR_ADVICE}", source.place)
    if scanned:
        pages = f"page {scanned[0]} is a scan" if len(scanned) == 1 else f"pages {_ranges(scanned)} are scans"
        warn(f"{source.place}: {pages} and not read; {_OCR_ADVICE}")


def _open(pdfium: Any, content: bytes, source: Source) -> tuple[Any, int]:  # noqa: ANN401 - untyped library
    try:
        pdf = pdfium.PdfDocument(content)
        return pdf, len(pdf)
    except pdfium.PdfiumError as error:
        if "assword" in str(error):
            raise DataError("this PDF is encrypted; save it without a password", source.place) from error
        raise DataError("this is not a PDF, or it is damaged; is the file complete?", source.place) from error


def _read_page(pdfium: Any, pdf: Any, page_number: int, source: Source) -> tuple[str, bool]:  # noqa: ANN401
    """The text of a page, and whether the page is a scan."""
    try:
        page = pdf[page_number - 1]
        text_page = page.get_textpage()
        character_count = text_page.count_chars()
        if character_count > _MAX_PAGE_CHARACTERS:
            problem = f"page {page_number} has {character_count:,} characters, more than a page should"
            raise DataError(f"{problem}; save the text as .txt", source.place)
        text = text_page.get_text_range() if character_count else ""
        paragraphs = _paragraphs(text, _line_boxes(text_page, text) if len(text) == character_count else [])
        letter_count = sum(character.isalnum() for character in paragraphs)
        return paragraphs, letter_count < _FEW_LETTERS and _has_large_picture(pdfium, page)
    except pdfium.PdfiumError as error:
        problem = f"page {page_number} cannot be read: {error}; is the file complete?"
        raise DataError(problem, source.place) from error


def _has_large_picture(pdfium: Any, page: Any) -> bool:  # noqa: ANN401
    """Whether one picture covers half of the page."""
    for picture in page.get_objects(filter=[pdfium.raw.FPDF_PAGEOBJ_IMAGE]):
        left, bottom, right, top = picture.get_bounds()
        if (right - left) * (top - bottom) >= page.get_width() * page.get_height() / 2:
            return True
    return False


class _LineBox(NamedTuple):
    """Where a line is: the lower edges of its first and last character, and the height of the first.

    The last one is lower if the line has a word that was divided at the end of a line.
    """

    bottom: float
    last_bottom: float
    height: float


def _line_boxes(text_page: Any, text: str) -> list[_LineBox]:  # noqa: ANN401
    """The boxes of all lines; empty if there is a line without any character."""
    boxes: list[_LineBox] = []
    start = 0
    for line in text.split("\r\n"):
        if not line.strip():
            return []
        first = start + len(line) - len(line.lstrip())
        _, bottom, _, top = text_page.get_charbox(first, loose=True)
        _, last_bottom, _, _ = text_page.get_charbox(start + len(line.rstrip()) - 1, loose=True)
        boxes.append(_LineBox(bottom, last_bottom, top - bottom))
        start += len(line) + 2
    return boxes


def _paragraphs(text: str, boxes: Sequence[_LineBox]) -> str:
    """The lines of a page, with a blank line where a paragraph or heading begins, and words whole."""
    lines = text.split("\r\n")
    pitches = [upper.last_bottom - lower.bottom for upper, lower in pairwise(boxes)]
    usual_pitch = median([pitch for pitch in pitches if pitch > 0] or [0])
    joined = lines[0]
    for index, line in enumerate(lines[1:]):
        is_break = bool(boxes) and _begins_paragraph(boxes[index], boxes[index + 1], usual_pitch)
        joined += ("\n\n" if is_break else "\n") + line
    return clean_text(_BROKEN_WORD.sub(_join_word, joined).translate(_BULLET))


def _begins_paragraph(upper: _LineBox, lower: _LineBox, usual_pitch: float) -> bool:
    pitch, heights = upper.last_bottom - lower.bottom, sorted((upper.height, lower.height))
    is_far = pitch > _PARAGRAPH_PITCH * max(usual_pitch, heights[0])
    return is_far or (pitch > 0 and heights[1] > _OTHER_HEIGHT * heights[0])


def _join_word(match: re.Match[str]) -> str:
    """The next line's first character, after a hyphen unless it continues a word in lower case."""
    first = match[1]
    return first if first.islower() else f"-{first}"


def _ranges(numbers: Sequence[int]) -> str:
    """Increasing numbers as text: `2, 5-7`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
