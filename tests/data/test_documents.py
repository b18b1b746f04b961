from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from entsemble.data import archives
from entsemble.data.documents import isolation, shared
from entsemble.data.documents.worker import READERS
from entsemble.data.formats import read, read_stream, write
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError, MissingExtraError
from entsemble.types import Document, mention_at

from .document_files import TEXT, docx, eml, odt, pdf, pdf_of_stream, web_page, zipped

for package in ("mammoth", "pypdfium2", "resiliparse"):
    pytest.importorskip(package)

FILES = {
    "a.pdf": (pdf(TEXT), f"a.pdf#page=1 {TEXT}"),
    "a.docx": (docx(), f"a.docx {TEXT}"),
    "a.odt": (odt(), f"a.odt {TEXT}"),
    "a.html": (web_page(), f"a.html {TEXT}"),
}


def write_file(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def texts_here(folder: Path, name: str, content: bytes) -> list[str]:
    """The texts, read in this process."""
    source = Source.from_file(write_file(folder, name, content))
    return [document.text for document in READERS[name.rpartition(".")[2]](source, ReadOptions())]


def texts(folder: Path, name: str, content: bytes) -> list[str]:
    return [document.text for document in read(write_file(folder, name, content))]


@pytest.mark.parametrize("name", FILES)
def test_documents_are_read_by_their_ending_and_by_their_content(tmp_path: Path, name: str) -> None:
    content, expected = FILES[name]
    [document] = read(write_file(tmp_path, name, content))
    assert f"{document.id} {document.text}" == expected
    assert document.meta["file"] == name
    [from_stream] = read_stream(io.BytesIO(content), "stdin")
    assert from_stream.text == TEXT
    [from_archive] = read(write_file(tmp_path, "a.zip", zipped({f"in/{name}": content})))
    assert from_archive.text == TEXT
    assert from_archive.id.startswith(f"a.zip/in/{name}")
    write_file(tmp_path, "misnamed.txt", content)
    with pytest.raises(DataError, match=r"misnamed.txt: this is (PDF|HTML|a zip archive or an office document), not "):
        list(read(tmp_path / "misnamed.txt"))


# PDF


def test_pages_of_a_pdf_are_documents(tmp_path: Path) -> None:
    first, second = read(write_file(tmp_path, "a.pdf", pdf("Ada.", "Bob\nand Eve.")))
    assert (first.id, first.text, dict(first.meta)) == ("a.pdf#page=1", "Ada.", {"file": "a.pdf", "page": 1})
    assert (second.id, second.text, second.meta["page"]) == ("a.pdf#page=2", "Bob\nand Eve.", 2)


def test_headings_and_paragraphs_of_a_pdf_are_apart(tmp_path: Path) -> None:
    lines = ["# Letters", "", "Ada went", "to New", "York.", "", "Then she", "slept."]
    assert texts(tmp_path, "a.pdf", pdf("\n".join(lines))) == ["Letters\n\nAda went\nto New\nYork.\n\nThen she\nslept."]


def test_words_that_a_line_end_of_a_pdf_divides_are_whole(tmp_path: Path) -> None:
    assert texts(tmp_path, "a.pdf", pdf("The hyphen-\nation of Anglo-\nSaxon texts.")) == [
        "The hyphenation of Anglo-Saxon texts."
    ]


def test_the_line_after_a_divided_word_begins_no_paragraph(tmp_path: Path) -> None:
    lines = [
        "The gallery met in the",
        "well-",
        "known house of Mrs. Henrietta",
        "Stonebridge",
        "in Oslo.",
        "",
        "Then",
        "all left.",
    ]
    [text] = texts(tmp_path, "a.pdf", pdf("\n".join(lines)))
    assert text.split("\n\n") == [
        "The gallery met in the\nwellknown house of Mrs. Henrietta\nStonebridge\nin Oslo.",
        "Then\nall left.",
    ]


def test_scanned_pages_are_named(tmp_path: Path) -> None:
    path = write_file(tmp_path, "a.pdf", pdf("Ada.", None, None, "Bob.", None))
    with pytest.warns(UserWarning, match=r"a.pdf: pages 2-3, 5 are scans and not read; recognise .* ocrmypdf"):
        assert [document.meta["page"] for document in read(path)] == [1, 4]
    with pytest.raises(DataError, match=r"scan.pdf: this PDF is a scan.*; recognise its text first.* ocrmypdf"):
        texts(tmp_path, "scan.pdf", pdf(None))
    with pytest.raises(DataError, match=r"blank.pdf: this PDF has no text"):
        texts(tmp_path, "blank.pdf", pdf(""))


# Word and OpenDocument


def test_tracked_changes_controls_and_breaks_of_a_word_document(tmp_path: Path) -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    body = (
        f"<w:p>{run.format('Ada')}<w:ins>{run.format('lina')}</w:ins><w:del><w:r><w:delText>x</w:delText></w:r></w:del>"
        f"<w:r><w:br/></w:r>{run.format('Byron')}</w:p>"
        f"<w:sdt><w:sdtContent><w:p>{run.format('in Oslo')}</w:p></w:sdtContent></w:sdt>"
        f"<w:tbl><w:tr><w:tc><w:p>{run.format('Bob')}</w:p></w:tc><w:tc><w:p>{run.format('Rome')}</w:p></w:tc></w:tr></w:tbl>"
    )
    assert texts(tmp_path, "a.docx", docx(body)) == ["Adalina\nByron\n\nin Oslo\n\nBob\n\nRome"]
    with pytest.warns(UserWarning, match=r"b.docx: elements that are not read: w:fldSimple"):
        texts(tmp_path, "b.docx", docx(f"<w:p>{run.format('Ada')}<w:fldSimple>{run.format('7')}</w:fldSimple></w:p>"))


def test_notes_lists_and_deleted_text_of_an_opendocument_text(tmp_path: Path) -> None:
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes><text:h>Letters</text:h>"
        "<text:p>Ada<text:s text:c='2'/>left<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>For Oslo.</text:p></text:note-body></text:note> home.<text:line-break/>Alone.</text:p>"
        "<text:list><text:list-item><text:p>Bob</text:p></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>Eve</text:p></table:table-cell></table:table-row></table:table>"
    )
    assert texts(tmp_path, "a.odt", odt(body)) == ["Letters\n\nAda  left home.\nAlone.\n\nFor Oslo.\n\nBob\n\nEve"]


# HTML and mail


def test_what_a_browser_hides_is_not_read(tmp_path: Path) -> None:
    body = (
        "<p style='display:none'>no</p><p hidden>no</p><template>no</template><img alt='no'><!-- no -->"
        "<table><tr><td>Ada<br>Oslo</td><td>Bob</td></tr></table><ul><li>Eve</ul>"
    )
    [text] = texts(tmp_path, "a.html", web_page(body))
    assert text.split() == ["Ada", "Oslo", "Bob", "•", "Eve"]


def test_a_page_that_entsemble_wrote_is_not_a_text(tmp_path: Path) -> None:
    write([Document("1", "Ada", (mention_at("Ada", 0, 3, "P"),))], tmp_path / "a.html")
    with pytest.raises(DataError, match="entsemble wrote this page; give the texts"):
        list(read(tmp_path / "a.html"))


def test_mail_has_its_headers_and_one_of_its_alternatives(tmp_path: Path) -> None:
    headers = "From: Zoë Ödberg <zoe@example.org>\nSubject: Réunion à Malmö"
    for number, content in enumerate(
        (eml(), eml(html="<p>other</p>"), eml("", html=f"<p>{TEXT.replace('&', '&amp;')}"))
    ):
        with pytest.warns(UserWarning, match=r"attachments are not read: offer.pdf"):
            [document] = read(write_file(tmp_path, f"{number}.eml", content))
        assert document.text == f"{headers}\n\n{TEXT}"
        assert document.meta == {"file": f"{number}.eml", "attachments": ["offer.pdf"]}


def test_characters_of_a_wrong_encoding_are_announced(tmp_path: Path) -> None:
    content = b"From: a@example.org\nContent-Type: text/plain; charset=utf-8\n\nZo\xeb\n"
    with pytest.warns(UserWarning, match=r"a.eml: 1 character is not decodable and read as"):
        assert texts(tmp_path, "a.eml", content) == ["From: a@example.org\n\nZo\ufffd"]


# errors


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", pdf(TEXT)[:300], "not a PDF, or it is damaged"),
        ("a.pdf", b"Ada", "not a PDF, or it is damaged"),
        ("a.docx", docx()[:500], "not a Word document .*damaged.*is the file complete"),
        ("a.docx", odt(), "not a Word document .*no part 'word/document.xml'"),
        ("a.docx", b"\xd0\xcf\x11\xe0", "an old or encrypted office file"),
        ("a.docx", docx("<w:p>"), "this Word document cannot be read: "),
        (
            "a.docx",
            docx("<w:sdt><w:sdtContent>" * 2000 + "</w:sdtContent></w:sdt>" * 2000),
            "cannot be read: .*recursion",
        ),
        ("a.docx", docx("<w:p/>"), "there is no text in it"),
        ("a.odt", odt("<text:p>"), "this OpenDocument text cannot be read: "),
        ("a.odt", odt("<text:list>" * 5000 + "</text:list>" * 5000), "cannot be read: .*recursion"),
        ("a.eml", b"Ada met Bob.", "not an e-mail"),
        ("a.eml", b"From: a@b\nContent-Type: text/plain; charset=x-unknown\n\nAda", "cannot be read: unknown encoding"),
        ("a.html", b"<html><script>load()</script>", "there is no text in it"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "a picture cannot be read; recognise its text first"),
        ("a", b"\x89PNG\r\n\x1a\n\0", "this is a picture, not a text file; recognise its text first"),
        ("a.xlsx", b"PK\x03\x04", "a spreadsheet cannot be read; save the sheet as .csv"),
        ("a.txt", "Zoë".encode("latin-1"), "not UTF-8: .*: iconv -f WINDOWS-1252 -t UTF-8 "),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)/{re.escape(name)}[:1]*: .*{message}"):
        texts(tmp_path, name, content)


@pytest.mark.skipif(shutil.which("iconv") is None, reason="needs iconv")
@pytest.mark.parametrize(
    ("encoding", "text"),
    [("latin-1", "Zoë in Malmö\n"), ("cp1252", "Zoë – 5 €\n"), ("latin-1", "Zoë\x81\n"), ("utf-16", "Zoë in Łódź\n")],
)
def test_the_command_in_the_message_converts_the_text(tmp_path: Path, encoding: str, text: str) -> None:
    (tmp_path / "a letter.txt").write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=r"save (the file|it) as UTF-8: iconv") as caught:
        list(read(tmp_path / "a letter.txt"))
    subprocess.run(str(caught.value).rpartition("UTF-8: ")[2], shell=True, check=True)
    assert [document.text for document in read(tmp_path / "a letter-utf8.txt")] == [text]


def test_bombs_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filler = "A" * (archives.UNSUSPICIOUS_BYTES + 1)
    with pytest.raises(DataError, match=r"a.docx: it unpacks to 16,\d+,\d+ bytes, .*; split it"):
        texts_here(tmp_path, "a.docx", docx(**{"media/a.bin": filler}))
    monkeypatch.setattr(shared, "MAX_MARKUP_BYTES", 1000)
    with pytest.raises(DataError, match=r"b.odt: it unpacks to"):
        texts_here(tmp_path, "b.odt", odt(f"<text:p>{'Ada ' * 300}</text:p>"))
    monkeypatch.setattr("entsemble.data.documents.web_page.MAX_MARKUP_BYTES", 1 << 20)
    with pytest.raises(DataError, match=r"c.html: has more than 1 MB"):
        texts_here(tmp_path, "c.html", web_page("Ada " * 300_000))


@pytest.mark.parametrize("name", FILES)
def test_without_the_extra_the_message_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "a.odt":
        return  # read with the standard library
    for module in ("pypdfium2", "mammoth", "resiliparse.parse.encoding", "resiliparse.extract.html2text"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'entsemble\[documents\]'"):
        texts_here(tmp_path, name, FILES[name][0])


def test_two_files_can_be_read_in_turn(tmp_path: Path) -> None:
    one, two = (read(write_file(tmp_path, f"{name}.docx", docx())) for name in "ab")
    assert [next(one).text, next(two).text] == [TEXT, TEXT]
    assert [*one, *two] == []


def test_the_process_that_reads_is_kept_for_the_next_file(tmp_path: Path) -> None:
    texts(tmp_path, "a.odt", odt())
    [worker] = isolation._free_workers
    with pytest.raises(DataError):
        texts(tmp_path, "a.docx", b"Ada")
    texts(tmp_path, "a.docx", docx())
    assert isolation._free_workers == [worker]
    worker.end()
    assert texts(tmp_path, "a.odt", odt()) == [TEXT]
    assert next(read(write_file(tmp_path, "a.pdf", pdf(TEXT, TEXT)))).text == TEXT  # not read to its end
    assert texts(tmp_path, "a.odt", odt()) == [TEXT]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep all limits")
class TestLimits:
    def test_of_time_hold_for_a_library_that_cannot_be_interrupted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(isolation, "MAX_SECONDS", 1)
        attributes = " ".join(f"a{number}=1" for number in range(300_000))
        with pytest.raises(DataError, match=r"a.html: reading it takes more than 1 s of the processor; split it"):
            texts(tmp_path, "a.html", f"<p {attributes}>Ada".encode())
        assert texts(tmp_path, "b.html", web_page()) == [TEXT]

    @pytest.mark.parametrize("filters", [1, 2])
    def test_of_memory_hold_for_a_pdf_that_unpacks_to_much(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filters: int
    ) -> None:
        monkeypatch.setattr(isolation, "MAX_BYTES", 200 << 20)
        stream = b" " * (300 << 20)
        for _ in range(filters):
            stream = zlib.compress(stream)
        with pytest.raises(DataError, match=r"a.pdf: (this PDF has no text|.*more than 200 MB of memory)"):
            texts(tmp_path, "a.pdf", pdf_of_stream(stream, "/FlateDecode " * filters))

    def test_of_memory_hold_for_markup(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(isolation, "MAX_BYTES", 100 << 20)
        with pytest.raises(DataError, match=r"a.docx: .*(MemoryError|more than 100 MB of memory)"):
            texts(tmp_path, "a.docx", docx("<w:p><w:r><w:t>a</w:t></w:r></w:p>" * 100_000))


def test_what_a_folder_has_besides_is_listed_on_one_line(tmp_path: Path) -> None:
    for name, (content, _) in FILES.items():
        write_file(tmp_path, name, content)
    for name in ("scan.png", "notes.bin", *(f"{number}.jpg" for number in range(9))):
        write_file(tmp_path, name, b"\0")
    expected = (
        r"not read: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 5 more \(a picture: recognise its text first, .*\); "
        r"notes.bin \(if they are data, give them by name\)$"
    )
    with pytest.warns(UserWarning, match=expected):
        assert [document.text for document in read(tmp_path)] == [TEXT] * 4
