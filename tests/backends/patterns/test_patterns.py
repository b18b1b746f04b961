"""Files of word lists and regular expressions: what they find, and how faults are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from entsemble.backends.patterns import PatternTagger, tagger
from entsemble.errors import DataError, MissingExtraError

pytest.importorskip("regex")


def write_patterns(folder: Path, text: str) -> Path:
    path = folder / "parts.toml"
    path.write_text(text, encoding="utf-8")
    return path


def find(path: Path, text: str) -> list[tuple[str, str]]:
    [spans] = PatternTagger("parts", path).tag([text])
    return sorted((scored.span.slice(text), scored.top_label) for scored in spans)


class TestMatches:
    def test_words_of_a_list_are_whole_words_with_any_white_space(self, tmp_path: Path) -> None:
        path = write_patterns(tmp_path, 'part = ["glow plug", "AB-1"]')
        assert find(path, "A glow  plug, the glow plugs, AB-1, AB-12, Glow plug.") == [
            ("AB-1", "part"),
            ("glow  plug", "part"),
        ]

    def test_of_phrases_that_begin_alike_the_longest_is_meant(self, tmp_path: Path) -> None:
        path = write_patterns(tmp_path, 'part = ["glow plug", "glow plug relay"]\nlight = ["glow"]')
        assert find(path, "the glow plug relay, a glow") == [("glow", "light"), ("glow plug relay", "part")]

    def test_capitals_are_ignored_if_the_file_says_so(self, tmp_path: Path) -> None:
        path = write_patterns(tmp_path, "[part]\nwords = ['Straße']\npatterns = ['ab-\\d+']\nignore_case = true")
        assert find(path, "STRASSE AB-7") == [("AB-7", "part"), ("STRASSE", "part")]

    def test_a_word_may_have_two_labels(self, tmp_path: Path) -> None:
        path = write_patterns(tmp_path, 'part = ["brass"]\nmaterial = ["brass"]')
        assert find(path, "brass") == [("brass", "material"), ("brass", "part")]

    def test_word_lists_are_files_beside_the_file_of_patterns(self, tmp_path: Path) -> None:
        (tmp_path / "parts.txt").write_text("\ufeff# our parts\nspark plug\r\n\n  XY-9 \n", encoding="utf-8")
        path = write_patterns(tmp_path, '[part]\nfiles = ["parts.txt"]')
        assert find(path, "a spark plug and XY-9, our parts") == [("XY-9", "part"), ("spark plug", "part")]

    def test_matches_of_regular_expressions_are_whole_words_and_not_empty(self, tmp_path: Path) -> None:
        path = write_patterns(tmp_path, "[part]\npatterns = ['[A-Z]{2}-\\d{3}', 'x*']")
        assert find(path, "AB-123 and AB-1234 and ZAB-123, xx") == [("AB-123", "part"), ("xx", "part")]

    def test_a_group_says_which_part_of_a_match_is_the_mention(self, tmp_path: Path) -> None:
        path = write_patterns(tmp_path, "[part]\npatterns = ['no\\. (?P<mention>\\w+)']")
        assert find(path, "part no. A7 of 12") == [("A7", "part")]

    def test_words_of_scripts_without_spaces_are_found(self, tmp_path: Path) -> None:
        assert find(write_patterns(tmp_path, 'city = ["東京"]'), "彼は東京に住む") == [("東京", "city")]

    def test_the_fingerprint_changes_with_a_word_list(self, tmp_path: Path) -> None:
        path, words = write_patterns(tmp_path, '[part]\nfiles = ["parts.txt"]'), tmp_path / "parts.txt"
        words.write_text("plug")
        first = PatternTagger("parts", path).fingerprint
        words.write_text("relay")
        assert PatternTagger("parts", path).fingerprint != first


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "line", "problem"),
        [
            ('part = ["a"', 1, "not valid TOML"),
            ('part = ["a"]\n\n= 3', 3, "not valid TOML: Invalid statement"),
            ("", None, "no label"),
            ("\npart = 3", 2, "part must be a list of words, or a table"),
            ('[part]\nwords = ["a"]\n[part.word]\n', 3, "part has an unknown key 'word'; known: words, files"),
            ("[part]\nwords = 'a'", 2, "words of part must be a list of texts"),
            ("[part]\n\npatterns = ['a', 3]", 3, "patterns of part must be a list of texts"),
            ("[part]\nwords = ['a', ' ']", 1, "part has an empty word"),
            ("[part]\nwords = ['a']\nignore_case = 1", 3, "ignore_case of part must be true or false"),
            ("x = ['y']\n[part]\nwords = []", 2, "part has neither words nor patterns"),
            ("[part]\npatterns = [\n  'a+',\n  '(b',\n]", 4, "'(b' is not a regular expression: missing )"),
            ('[part]\npatterns = [\n  "a+",\n  "\\\\d(",\n]', 4, "is not a regular expression"),
            (
                "[part]\nfiles = ['absent.txt']",
                None,
                "absent.txt: cannot read a word list of .*parts.toml: No such file",
            ),
        ],
    )
    def test_a_fault_is_reported_with_its_line(self, tmp_path: Path, text: str, line: int | None, problem: str) -> None:
        path = write_patterns(tmp_path, text)
        place = f"parts.toml:{line}: " if line else ""
        with pytest.raises(DataError) as raised:
            PatternTagger("parts", path)
        assert place in str(raised.value)
        assert raised.match(problem.replace("(", r"\(").replace(")", r"\)"))

    def test_files_that_are_missing_or_not_utf_8_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"absent.toml: cannot read a file of patterns: No such file"):
            PatternTagger("parts", tmp_path / "absent.toml")
        (tmp_path / "parts.txt").write_bytes(b"a\n\xff\n")
        with pytest.raises(DataError, match=r"parts.txt:2: not UTF-8"):
            PatternTagger("parts", write_patterns(tmp_path, "[part]\nfiles = ['parts.txt']"))

    def test_a_pattern_that_takes_too_long_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tagger, "_TIME_LIMIT", 0.05)
        slow = PatternTagger("parts", write_patterns(tmp_path, "\n[part]\npatterns = ['(a|aa)+$']"))
        with pytest.raises(
            DataError, match=r"parts.toml:3: the pattern '\(a\|aa\)\+\$' takes more than 0.05 s on a text"
        ):
            slow.tag([f"{'a' * 60}b"])

    def test_only_regular_expressions_need_their_library(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "regex", None)
        assert find(write_patterns(tmp_path, 'part = ["plug"]'), "a plug") == [("plug", "part")]
        with pytest.raises(MissingExtraError, match=r"pip install 'entsemble\[patterns\]'"):
            PatternTagger("parts", write_patterns(tmp_path, "[part]\npatterns = ['a']"))
