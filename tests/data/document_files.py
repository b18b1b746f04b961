"""Small documents as people have them, built here byte by byte."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage

TEXT = "Ada Lovelace met Charles Babbage & Co in Malmö."

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_OPEN = "urn:oasis:names:tc:opendocument:xmlns"


def docx(body: str = "", **parts: str) -> bytes:
    """A Word document with this body; its default is a paragraph with the usual text, in three runs."""
    default = (
        "<w:p><w:r><w:t>Ada Love</w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>lace</w:t></w:r>"
        '<w:r><w:t xml:space="preserve"> met Charles Babbage &amp; Co in Malmö.</w:t></w:r></w:p>'
    )
    content_types = (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{_WORD_TYPE}"/></Types>'
    )
    relationships = (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r" Type="{_OFFICE}/officeDocument" '
        'Target="word/document.xml"/></Relationships>'
    )
    document = f'<w:document xmlns:w="{_WORD}"><w:body>{body or default}</w:body></w:document>'
    return zipped(
        {
            "[Content_Types].xml": content_types,
            "_rels/.rels": relationships,
            "word/document.xml": document,
            **parts,
        }
    )


def odt(body: str = "") -> bytes:
    """An OpenDocument text with this body; its default is a paragraph with the usual text."""
    default = "<text:p>Ada <text:span>Love</text:span>lace met\n  Charles Babbage &amp; Co in Malmö.</text:p>"
    content = (
        f'<office:document-content xmlns:office="{_OPEN}:office:1.0" xmlns:text="{_OPEN}:text:1.0" '
        f'xmlns:table="{_OPEN}:table:1.0" xmlns:draw="{_OPEN}:drawing:1.0">'
        f"<office:body><office:text>{body or default}</office:text></office:body></office:document-content>"
    )
    return zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content}, zipfile.ZIP_STORED)


def zipped(parts: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stream.getvalue()


def pdf(*pages: str | None) -> bytes:
    """A PDF with a page of text for each argument: its lines, of which `# ...` is large. `None` is a scanned page."""
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    picture = "<</Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8/Length 1>>"
    objects.append(f"{picture}stream\n0\nendstream")
    kids: list[str] = []
    for page in pages:
        content = "q 600 0 0 800 0 0 cm /I Do Q" if page is None else _page_content(page)
        kids.append(f"{len(objects) + 2} 0 R")
        objects.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents {len(objects)} 0 R"
            "/Resources<</Font<</F 3 0 R>>/XObject<</I 4 0 R>>>>>>"
        )
    objects[1] = f"<</Type/Pages/Kids[{' '.join(kids)}]/Count {len(kids)}>>"
    return _pdf_of_objects([content.encode("cp1252", "replace") for content in objects])


def pdf_of_stream(stream: bytes, filters: str) -> bytes:
    """A PDF whose one page has this encoded content."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R>>",
        b"<</Length %d/Filter[%s]>>stream\n%s\nendstream" % (len(stream), filters.encode(), stream),
    )
    return _pdf_of_objects(objects)


def _pdf_of_objects(objects: Sequence[bytes]) -> bytes:
    written, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(written))
        written += b"%d 0 obj%sendobj\n" % (number, content)
    entries = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, entries)
    trailer = b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(written))
    return written + table + trailer


def _page_content(text: str) -> str:
    parts, height = ["BT"], 760
    for line in text.split("\n"):
        size = 24 if line.startswith("# ") else 12
        escaped = line.removeprefix("# ").replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        parts.append(f"/F {size} Tf 1 0 0 1 50 {height} Tm ({escaped}) Tj")
        height -= 14
    return "\n".join([*parts, "ET"])


def eml(text: str = TEXT, **alternatives: str) -> bytes:
    """A mail with encoded words, a plain text, and perhaps others as `html="..."`; and an attachment."""
    message = EmailMessage()
    message["From"] = "Zoë Ödberg <zoe@example.org>"
    message["Subject"] = "Réunion à Malmö"
    if text:
        message.set_content(text, charset="iso-8859-1", cte="quoted-printable")
    for subtype, content in alternatives.items():
        if text:
            message.add_alternative(content, subtype=subtype)
        else:
            message.set_content(content, subtype=subtype)
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="offer.pdf")
    return message.as_bytes()


def web_page(body: str = "", encoding: str = "iso-8859-1") -> bytes:
    """An HTML page in an encoding that it declares."""
    default = "<p>Ada <b>Love</b>lace met Charles&nbsp;Babbage &amp; Co in Malm\u00f6.</p>"
    head = f"<head><meta charset='{encoding}'><title>Title</title><script>var hidden = 1</script></head>"
    return f"<!doctype html><html>{head}<body>{body or default}</body></html>".encode(encoding)
