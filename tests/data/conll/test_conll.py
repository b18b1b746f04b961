from __future__ import annotations

from pathlib import Path

import pytest

from entsemble.data.formats import read
from entsemble.data.options import ConllFormat, ReadOptions
from entsemble.errors import DataError
from entsemble.types import Document


def read_conll(tmp_path: Path, content: str | bytes, options: ReadOptions | None = None) -> list[Document]:
    path = tmp_path / "sentences.conll"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read(path, options=options))


def mentions_by_sentence(documents: list[Document]) -> list[list[tuple[str, str]]]:
    return [[(mention.text, mention.label) for mention in document.mentions] for document in documents]


EXPECTED = [[("Ada Byron", "PER"), ("Kent", "LOC")], []]


@pytest.mark.parametrize(
    "content",
    [
        "Ada\tB-PER\nByron\tI-PER\nleft\tO\nKent\tB-LOC\n\nShe\tO\nran\tO\n",
        "B-PER\tAda\nI-PER\tByron\nO\tleft\nB-LOC\tKent\n\nO\tShe\nO\tran",
        "\r\n\r\nAda\tB-PER\r\nByron\tI-PER\r\nleft\tO\r\nKent\tB-LOC\r\n\t\r\nShe\tO\r\nran\tO\r\n",
        "\ufeffAda B-PER\nByron I-PER\nleft O\nKent B-LOC\n\n\n\nShe O\nran O",
        "Ada NNP B-NP I-PER\nByron NNP I-NP I-PER\nleft V B-VP O\nKent NNP B-NP I-LOC\n\nShe P B-NP O\nran V B-VP O\n",
        "Ada\tB-PER\nByron\tE-PER\nleft\tO\nKent\tS-LOC\n\nShe\tO\nran\tO\n",
        "# id = 1\n1\tAda\tB-PER\tO#O\tx\n2\tByron\tI-PER\tO#O\tx\n3\tleft\tO\tO#O\tx\n4\tKent\tB-LOC\tO#O\tx\n\n"
        "# id = 2\n1\tShe\tO\tO#O\tx\n2\tran\tO\tO#O\tx\n",
        "Ada\tO\tB-PER\nByron\tO\tI-PER\nleft\tO\tO\nKent\tB-LOC\tB-LOC\n\nShe\tO\tO\nran\tO\tO\n",
        "Ada _ _ B-PER\nByron _ _ I-PER\nleft _ _ O\nKent _ _ B-LOC\n\nShe _ _ O\nran _ _ O\n",
    ],
    ids=["tab", "tag-first", "crlf", "bom", "chunks", "iobes", "danish", "levels", "underscores"],
)
def test_dialects_of_conll_read_the_same(tmp_path: Path, content: str) -> None:
    documents = read_conll(tmp_path, content)
    assert mentions_by_sentence(documents) == EXPECTED
    assert [d.text for d in documents] == ["Ada Byron left Kent", "She ran"]


def test_ids_name_the_line_of_the_first_token(tmp_path: Path) -> None:
    assert [d.id for d in read_conll(tmp_path, "\na\tO\n\n\nb\tO\n")] == ["sentences.conll:2", "sentences.conll:5"]


def test_nested_levels_are_read_together(tmp_path: Path) -> None:
    documents = read_conll(tmp_path, "Bank\tB-ORG\tO\nof\tI-ORG\tO\nKent\tI-ORG\tB-LOC\n")
    assert mentions_by_sentence(documents) == [[("Bank of Kent", "ORG"), ("Kent", "LOC")]]


def test_document_markers_number_documents(tmp_path: Path) -> None:
    before = "-DOCSTART- -X- O\n\na N O\n\nb N O\n\n-DOCSTART- -X- O\n\nc N B-X\n"
    assert [d.meta["document"] for d in read_conll(tmp_path, before)] == [1, 1, 2]
    after = "a O\n\nb O\n\n-DOCSTART- O\n\nc I-X\n\n-DOCSTART- O\n"
    assert [d.meta["document"] for d in read_conll(tmp_path, after)] == [1, 1, 2]


def test_a_number_sign_with_a_tag_is_a_token(tmp_path: Path) -> None:
    assert [d.text for d in read_conll(tmp_path, "#\tO\nfun\tO\n\n# c\na\tO\n")] == ["# fun", "a"]
    assert [d.text for d in read_conll(tmp_path, "# O\nfun O\n")] == ["# fun"]


def test_indices_of_numbered_characters_are_removed(tmp_path: Path) -> None:
    documents = read_conll(tmp_path, "安0\tB-PER.NAM\n娜1\tI-PER.NAM\n用0\tO\nO0\tO\nK1\tO\n20\tO\n")
    assert documents[0].text == "安娜用OK 2"
    assert mentions_by_sentence(documents) == [[("安娜", "PER.NAM")]]


def test_blank_tokens_are_not_in_the_text(tmp_path: Path) -> None:
    documents = read_conll(tmp_path, "Ada\tB-PER\n \tI-PER\nByron\tI-PER\n\tO\n\n\tO\n")
    assert mentions_by_sentence(documents) == [[("Ada Byron", "PER")], []]
    assert [d.text for d in documents] == ["Ada Byron", ""]


def test_a_mention_of_blank_tokens_only_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sentences.conll:2: the PER .* blank tokens"):
        read_conll(tmp_path, "a\tO\n\tB-PER\nb\tO\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tO\nb\tO\nc  O\nd\tO\n", r":3: this line has 1 column instead of 2 separated by a TAB"),
        ("a O\nb O\nc O extra\nd O\n", r":3: this line has 3 columns instead of 2"),
        ("a\tO\nb\tB_PER\nc\tO\nd\tO\n", r":2: 'B_PER' is not a valid tag"),
        ("", "empty"),
        ("\n\n", "empty"),
        ("just words here\nand more words\n", "no column holds tags"),
        ("-DOCSTART- O\n\n", "no column|no sentence"),
        (b"a\tO\nb\xff\tO\n", r":2: not UTF-8: byte 2 of the line is 0xff"),
        ("a\tO\n".encode("utf-16"), ":1: this is UTF-16"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_conll(tmp_path, content)


def test_columns_can_be_named(tmp_path: Path) -> None:
    content = "a B-X O\nb I-X O\n"
    options = ReadOptions(conll=ConllFormat(token=0, tags=(1,)))
    assert mentions_by_sentence(read_conll(tmp_path, content, options)) == [[("a b", "X")]]
    assert mentions_by_sentence(read_conll(tmp_path, content, ReadOptions(conll=ConllFormat(tags=())))) == [[]]
    with pytest.raises(DataError, match=r":1: this line has 3 columns instead of at least 8"):
        read_conll(tmp_path, content, ReadOptions(conll=ConllFormat(tags=(7,))))


def test_tokens_can_be_joined_with_single_spaces(tmp_path: Path) -> None:
    documents = read_conll(tmp_path, "Hi\tO\n,\tO\nAda\tB-PER\n!\tO\n", ReadOptions(spacing="spaced"))
    assert documents[0].text == "Hi , Ada !"
    assert documents[0].mentions[0].start == 5


def test_zero_width_characters_stay_in_tokens(tmp_path: Path) -> None:
    assert read_conll(tmp_path, "A\u200bda\tB-PER\n\u200e\tO\n")[0].mentions[0].text == "A\u200bda"


def test_a_file_is_read_lazily(tmp_path: Path) -> None:
    path = tmp_path / "long.conll"
    path.write_text("a\tO\n\n" * 3000 + "broken\n")
    documents = read(path)
    assert next(documents).text == "a"
    with pytest.raises(DataError, match=":6001:"):
        list(documents)
