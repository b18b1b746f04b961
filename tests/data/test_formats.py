from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from entsemble.data.formats import read, read_stream, write, write_stream
from entsemble.errors import ConfigError, DataError, EntsembleWarning, UnknownNameError
from entsemble.types import Document, Mention, Span, mention_at

LABELS = st.one_of(st.sampled_from(["PER", "a b", "50%", "x-y_z.w"]), st.text(min_size=1).filter(lambda s: s.strip()))


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(st.text(min_size=1, max_size=40))
    starts = draw(st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(1, 8), LABELS), max_size=4))
    mentions = tuple(mention_at(text, s, min(len(text), s + n), label) for s, n, label in starts)
    return Document(draw(st.text(min_size=1, max_size=12)), text, mentions)


def sorted_by_id(unsorted: list[Document]) -> list[Document]:
    return sorted(unsorted, key=lambda document: document.id)


@given(st.lists(documents(), max_size=4, unique_by=lambda d: d.id))
@settings(max_examples=60)
def test_any_document_survives_a_round_trip(originals: list[Document]) -> None:
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what brat itself refuses
        for name in ("x.jsonl", "x.json"):
            write(originals, Path(folder) / name)
            assert list(read(Path(folder) / name)) == originals
        if originals:
            write(originals, Path(folder) / "brat", "brat")
            assert sorted_by_id(list(read(Path(folder) / "brat", "brat"))) == sorted_by_id(originals)


@given(documents())
@settings(max_examples=60)
def test_no_mention_is_lost_in_conll(original: Document) -> None:
    writable = {
        Mention(m.start, m.end, m.label, m.text)
        for m in original.mentions
        if m.text.strip() == m.text and not set(m.label) & set("\t\r\n") and m.label.strip() == m.label
    }
    document = Document(original.id, original.text, tuple(writable))
    with TemporaryDirectory() as folder:
        if not document.text.strip() or set(document.text.split()) == {"#"}:  # nothing but blanks, or comments
            return
        path = Path(folder) / "x.conll"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of changed whitespace
            write([document], path)
        tokens = [line.partition("\t")[0] for line in path.read_text(encoding="utf-8").split("\n")[2:] if line]
        assume(not all(len(token) == 2 and token[1].isdecimal() for token in tokens))  # reads as numbered characters
        back = list(read(path, "conll"))

    assert sorted(("".join(m.text.split()), m.label) for d in back for m in d.mentions) == sorted(
        ("".join(m.text.split()), m.label) for m in writable
    )


def test_all_fields_of_a_document_survive_jsonl(tmp_path: Path) -> None:
    text = "Ada sang"
    mention = Mention(0, 3, "PER", "Ada", 0.25, {"m": "PER", "n": "none"})
    document = Document("é", text, (mention,), (Span(0, 3), Span(4, 8)), {"k": [1, None]})
    write([document], tmp_path / "a.jsonl")
    assert list(read(tmp_path / "a.jsonl")) == [document]


def test_nested_and_crossing_mentions_survive_conll(tmp_path: Path) -> None:
    text = "Bank of Kent & Sussex opened. Ada left."
    spans = [(0, 12, "ORG"), (8, 12, "LOC"), (8, 21, "LOC"), (8, 12, "X Y"), (30, 33, "PER")]
    document = Document("a", text, tuple(mention_at(text, *s) for s in spans))
    write([document], tmp_path / "a.conll")
    assert list(read(tmp_path / "a.conll")) == [document]


def test_documents_of_several_sentences_are_the_same_when_read_back(tmp_path: Path) -> None:
    texts = ["Ada's mother-in-law left at 3.15 p.m. for Kent. Bob (aged 40) stayed!", "", "Nothing here. Or here?"]
    documents = [Document(f"a (b)\t%{number}", text) for number, text in enumerate(texts)]
    documents[0] = Document("x/y", texts[0], (mention_at(texts[0], 0, 3, "PER"), mention_at(texts[0], 42, 46, "LOC")))
    tokens = (Span(0, 3), Span(4, 8))
    write([*documents, Document("t", "Ada left", (), tokens)], tmp_path / "a.conll")
    *back, tokenised = read(tmp_path / "a.conll")
    assert back == documents
    assert (tokenised.text, tokenised.tokens) == ("Ada left", tokens)


def test_documents_that_conll_changes_are_counted(tmp_path: Path) -> None:
    documents = [Document("a", "Ada  left.\nBob stayed."), Document("b", "Ada left. Bob stayed."), Document("c", " ")]
    with pytest.warns(EntsembleWarning, match="2 of 3 documents are not quite the same when read back, because CoNLL"):
        write(documents, tmp_path / "a.conll")
    assert [d.text for d in read(tmp_path / "a.conll")] == ["Ada left. Bob stayed."] * 2 + [""]
    with pytest.raises(DataError, match="no document has a word"):
        write([Document("a", " ")], tmp_path / "a.conll")


@pytest.mark.parametrize("label", ["a\tb", "a\nb", " a", "a ", "\u2028a", "\x1c", ""])
def test_labels_that_would_change_are_rejected_by_conll(tmp_path: Path, label: str) -> None:
    with pytest.raises(DataError, match="cannot store the label"):
        write([Document("a", "Ada", (mention_at("Ada", 0, 3, label),))], tmp_path / "a.conll")


def test_a_document_marker_that_is_a_token_stays_one(tmp_path: Path) -> None:
    text = "-DOCSTART- and -DOCSTART-"
    tokens = (Span(0, 10), Span(11, 14), Span(15, 25))
    with pytest.warns(EntsembleWarning, match="1 of 1 document is not quite the same"):
        write([Document("a", text, (mention_at(text, 15, 25, "X"),), tokens)], tmp_path / "a.conll")
    (back,) = read(tmp_path / "a.conll")
    assert back.text.replace(" ", "") == text.replace(" ", "")
    (tmp_path / "a.conll").write_text("He\tO\nwrote\tO\n-DOCSTART-\tO\n\n-DOCSTART-\tB-X\n")
    assert [(d.text, len(d.mentions)) for d in read(tmp_path / "a.conll")] == [
        ("He wrote -DOCSTART-", 0),
        ("-DOCSTART-", 1),
    ]


def failing() -> Iterator[Document]:
    yield Document("a", "b")
    raise ValueError("half way")


@pytest.mark.parametrize("name", ["x.jsonl", "x.conll", "x.html", "folder"])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    if target.suffix:
        target.write_text("before")
    with pytest.raises(ValueError, match="half way"):
        write(failing(), target, None if target.suffix else "brat")
    assert [p.read_text() for p in tmp_path.iterdir()] == (["before"] if target.suffix else [])


def test_unknown_and_undetectable_formats_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown format 'xml'; known: arrow, bioc, bioc-json, brat, conll"):
        read(tmp_path / "x", "xml")
    with pytest.raises(UnknownNameError):
        write([], tmp_path / "x.pdf")
    with pytest.raises(ConfigError, match="does not say the format"):
        write([], tmp_path / "x")
    with pytest.raises(DataError, match="no such file"):
        list(read(tmp_path / "x"))


@pytest.mark.parametrize(
    ("name", "content", "document_id"),
    [
        ("a.txt", "Hello there.\nYou.", "a.txt"),
        ("a", "Hello there.\nYou.", "a"),
        ("a.txt", "\ufeffHello there.\nYou.", "a.txt"),
        ("a.csv", 'id,text,n\n7,"Hello there.\nYou.",1\n', "7"),
        ("a.csv", 'n;text\n1;"Hello there.\nYou."\n', "a.csv:2"),
        ("a.tsv", 'doc_id\tcontent\n7\t"Hello there.\nYou."\n', "7"),
        ("a.json", '{"text": "Hello there.\\nYou."}', "a.json:1"),
        ("a", '[\n{"text": "Hello there.\\nYou."}]', "a:1"),
        ("a.dat", '{"text": "Hello there.\\nYou."}\n{"text": "x"}\n', "a.dat:1"),
    ],
)
def test_formats_are_detected(tmp_path: Path, name: str, content: str, document_id: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    first = next(read(tmp_path / name))
    assert (first.id, first.text) == (document_id, "Hello there.\nYou.")
    first = next(
        read_stream(io.StringIO(content), name, "tsv" if name == "a.tsv" else "csv" if "csv" in name else None)
    )
    assert first.text == "Hello there.\nYou."


def test_a_tsv_file_with_tags_is_conll(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\tO\nAda\tB-PER\n")
    assert next(read(tmp_path / "a.tsv")).mentions[0].text == "Ada"


def test_ids_of_files_in_folders_contain_their_path(tmp_path: Path) -> None:
    for part in ("b", "a"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "t.txt").write_text(part)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\xff")
    (tmp_path / ".hidden.txt").write_text("x")
    with pytest.warns(UserWarning, match=r"not read: picture.png \(a picture: "):
        assert [(d.id, d.text) for d in read(tmp_path)] == [("a/t.txt", "a"), ("b/t.txt", "b")]
    assert len(list(read([tmp_path / "a" / "t.txt", tmp_path / "b" / "t.txt"]))) == 2
    assert [d.id for d in read([tmp_path / "a", tmp_path / "b"])] == ["a/t.txt", "b/t.txt"]
    for part in ("a", "b"):
        (tmp_path / part / "t.ann").touch()
    assert [d.id for d in read([tmp_path / "a", tmp_path / "b"])] == ["a/t", "b/t"]
    with pytest.raises(DataError, match="a picture cannot be read"):
        list(read(tmp_path / "picture.png"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no file"):
        list(read(tmp_path / "empty"))


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("closed", "open", ".hidden"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "t.txt").write_text(part)
    listed = os.scandir

    def refuse(place: str) -> object:
        if Path(place).name in ("closed", ".hidden"):
            raise PermissionError(13, "Permission denied", str(place))
        return listed(place)

    monkeypatch.setattr(os, "scandir", refuse)
    for name in (None, "text"):
        with pytest.raises(DataError, match=r"closed: cannot be listed: Permission denied; check the permissions"):
            list(read(tmp_path, name))
    errors: list[DataError] = []
    assert [d.text for d in read(tmp_path, on_error=errors.append)] == ["open"]
    assert [e.path for e in errors] == [str(tmp_path / "closed")]
    (tmp_path / "open" / "t.ann").touch()
    with pytest.raises(DataError, match="cannot be listed"):
        list(read(tmp_path))


def test_a_broken_link_is_reported(tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("here")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with (
        pytest.warns(UserWarning, match="not read: gone"),
        pytest.raises(DataError, match=r"gone\.txt: .* no such file"),
    ):
        list(read(tmp_path))
    errors: list[DataError] = []
    with pytest.warns(UserWarning, match="not read: gone"):
        assert [d.text for d in read(tmp_path, on_error=errors.append)] == ["here"]
    assert len(errors) == 1


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    lines = "".join(f'{{"text": "{i}"}}\n' for i in range(20_000))
    with ThreadPoolExecutor() as threads:
        for content in ('{"text": "a"}\n', lines):
            written = threads.submit(pipe.write_text, content)
            assert len(list(read(pipe))) == content.count("\n")
            written.result(5)


def test_links_are_followed_and_pipes_are_written_directly(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, pipe = tmp_path / "link.jsonl", tmp_path / "pipe"
    link.symlink_to(tmp_path / "real" / "t.jsonl")
    write([Document("a", "1")], link)
    assert link.is_symlink()
    assert [d.text for d in read(tmp_path / "real" / "t.jsonl")] == ["1"]
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as threads:
        held = threads.submit(pipe.read_text)
        write([Document("a", "2")], pipe, "jsonl")
        assert '"text": "2"' in held.result(5)
    assert pipe.is_fifo()


def test_file_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("Ada")
    write(read(tmp_path), tmp_path / "out.jsonl")
    assert next(read(tmp_path / "out.jsonl")).id == "caf\\xe9.txt"


def test_an_unpaired_surrogate_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="half of a surrogate pair"):
        write([Document("a", "\ud800")], tmp_path / "x.jsonl")
    assert not [*tmp_path.iterdir()]


def test_a_read_error_names_the_input_not_the_output(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^x{300}: cannot be read: File name too long"):
        write(read("x" * 300), tmp_path / "out.jsonl")
    if Path("/proc/self/mem").exists():
        with pytest.raises(DataError, match=r"^/proc/self/mem: cannot be read"):
            write(read("/proc/self/mem", "text"), tmp_path / "out.jsonl")


def test_html_is_escaped_and_loads_nothing() -> None:
    text = "<b>Ada</b> & Bob Ray"
    spans = [(0, 10, "x<y"), (3, 6, "PER"), (13, 16, "A"), (14, 20, "B")]
    page = io.StringIO()
    write_stream([Document("<id>", text, tuple(mention_at(text, *s) for s in spans))], page, "html")
    html = page.getvalue()
    assert "<b>" not in html
    assert "<id>" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert html.count("<mark") == html.count("</mark>")
    body = html.split("<article>")[1].split("</article>")[0]
    assert body.count("<small>") == 4


def test_brat_has_no_streams() -> None:
    with pytest.raises(ConfigError, match="give its path"):
        read_stream(io.StringIO(""), "x", "brat")
    with pytest.raises(ConfigError, match="give a path"):
        write_stream([], io.StringIO(), "brat")
