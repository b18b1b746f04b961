"""What people type first: each command does what was meant, or says at once what to type."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from entsemble.assembly.model_pool import ModelPool
from entsemble.cli import root
from entsemble.cli.inputs import find_inputs
from entsemble.cli.progress import format_duration, show_progress
from entsemble.errors import EntsembleWarning

Command = Callable[..., Any]
LABELS = ("--labels", "person,location")
TEXT = "Ann left Oslo."
NAMES = [("Ann", "person"), ("Oslo", "location")]


def names(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(mention["text"], mention["label"]) for mention in document["mentions"]]


def subcommands(group: click.Group) -> dict[str, click.Command]:
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def command_paths(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name, subcommand in subcommands(command).items():
            yield from command_paths(subcommand, *path, name)


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and its arguments."""
    current: click.Command = root
    while isinstance(current, click.Group) and words:
        current, words = subcommands(current)[words[0]], words[1:]
    return current, words


class TestHelp:
    @pytest.mark.parametrize("path", [*command_paths(root)], ids=" ".join)
    def test_every_command_has_examples_that_are_accepted_and_fit(
        self, path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        documented, _ = find_command([*path])
        heading, *examples = (documented.epilog or "").splitlines()[1:]
        assert heading == "Examples:"
        assert examples
        for example in examples:
            assert len(example) < 80
            line = example.replace('eval "$(', "").replace(')"', "").rpartition(" | ")[2]
            program, *words = shlex.split(line)
            assert program == "entsemble"
            for file in (Path(word) for word in words if Path(word).suffix):
                file.parent.mkdir(exist_ok=True)
                file.touch()
            command, arguments = find_command(words)
            command.make_context("entsemble", arguments, parent=click.Context(root, **root.context_settings))

    @pytest.mark.parametrize("width", [60, 80, 200])
    def test_the_list_of_commands_says_of_each_what_its_own_help_says(self, width: int) -> None:
        context = click.Context(root, terminal_width=width, max_content_width=width)
        listed, expected = context.make_formatter(), context.make_formatter()
        root.format_commands(context, listed)
        click.Group(commands=subcommands(root)).format_commands(context, expected)
        assert listed.getvalue() == expected.getvalue()

    def test_the_help_imports_no_command(self) -> None:
        check = (
            "import sys; from entsemble.cli import root; root(['--help'], standalone_mode=False); print(*sys.modules)"
        )
        completed = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
        imported = set(completed.stdout.split())
        assert "entsemble.cli" in imported
        assert not imported & {"numpy", "pydantic", "rich", "entsemble.cli.extract", "entsemble.settings"}

    def test_many_options_are_in_groups_and_none_is_lost(self, command: Command) -> None:
        shown = command("extract", "--help").out
        extract = subcommands(root)["extract"]
        assert "What to find:" in shown
        assert all(option in shown for parameter in extract.params for option in parameter.opts if option[0] == "-")
        assert "What to find:" not in command("demo", "--help").out


@pytest.mark.usefixtures("scripted", "plain_members")
class TestInputs:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "my letters").mkdir()
        (tmp_path / "my letters" / "first letter.txt").write_text(TEXT)
        return tmp_path

    def test_a_text_in_quotes_is_a_document(self, command: Command) -> None:
        [document] = command("extract", TEXT, *LABELS).documents
        assert (document["id"], names(document)) == ("text", NAMES)
        both = command("extract", TEXT, "Bob Lee stayed.\nIn Bergen.", *LABELS).documents
        assert [document["id"] for document in both] == ["text 1", "text 2"]
        long_text = "Ann left Oslo and " * 300
        assert command("extract", long_text, *LABELS).documents[0]["text"] == long_text

    def test_a_pipe_needs_no_dash(self, command: Command) -> None:
        [document] = command("extract", *LABELS, stdin=TEXT.encode()).documents
        assert (document["id"], names(document)) == ("stdin", NAMES)

    def test_names_with_blanks_are_files(self, command: Command) -> None:
        for path in ("my letters", "my letters/first letter.txt"):
            assert names(command("extract", path, *LABELS).documents[0]) == NAMES

    @pytest.mark.parametrize(
        ("words", "advice"),
        [
            ([TEXT], 'no labels: say what to find, as in --labels "person,organisation,location"'),
            (["absent.txt", *LABELS], "absent.txt: there is no such file or folder; check the path"),
            (["my letters/second letter", *LABELS], "second letter: there is no such file or folder; check the path"),
            (["second letter.txt", *LABELS], "second letter.txt: there is no such file or folder; check the path"),
            (["my letters", "place", "--labels", "person"], 'for several labels, write --labels "person,place"'),
            (["Ann", "left", "--labels", "labels.toml"], 'put it in quotes: entsemble extract "Ann left ..."'),
            ([TEXT, "my letters", *LABELS], "'Ann left Oslo.' is no file; give either texts or files"),
            (
                ["my letters", "--labels", "my letters/first letter.txt"],
                "is a file; labels with definitions are in a TOML",
            ),
        ],
    )
    def test_what_to_type_is_said_before_any_model_is_loaded(
        self, command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str], advice: str
    ) -> None:
        monkeypatch.setattr(ModelPool, "language_model", None)
        monkeypatch.setattr(ModelPool, "encoder", None)
        result = command("extract", *words)
        assert result.code in (64, 65)
        assert advice in result.messages
        assert result.out == ""

    def test_nobody_waits_for_a_text_to_be_typed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Terminal(io.TextIOWrapper):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO()))
        with pytest.raises(click.UsageError, match="pipe a text in, or put it in quotes"):
            find_inputs((), None)

    def test_advice_does_not_wait_for_large_libraries(self, tmp_path: Path) -> None:
        program = (
            "import sys; from entsemble import cli; sys.argv = ['entsemble', 'extract', *sys.argv[1:]]\n"
            "try: cli.main()\n"
            "finally: print(*{'numpy', 'onnxruntime', 'scipy', 'spacy', 'torch', 'transformers', 'xllamacpp'} "
            "& sys.modules.keys())"
        )
        finished = subprocess.run(
            [sys.executable, "-c", program, TEXT],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=tmp_path,
        )
        assert "no labels: say what to find" in finished.stderr
        assert set(finished.stdout.split()) <= {"numpy"}

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            ("person location", {"person", "location"}),
            ("PER LOC", {"PER", "LOC"}),
            ("person; location", {"person", "location"}),
            ("person,location,cell line", {"person", "location", "cell line"}),
        ],
    )
    def test_labels_between_blanks_are_several_if_all_are_usual(
        self, command: Command, labels: str, expected: set[str]
    ) -> None:
        result = command("extract", TEXT, "--labels", labels, "--ledger")
        assert result.code == 0, result.err
        assert "is one label" not in result.messages
        assert {entry["label"] for entry in result.documents[0]["meta"]["entsemble"]["ledger"]} <= expected | {"none"}
        assert len(result.documents[0]["mentions"]) == 2

    def test_one_label_of_several_words_is_said_to_be_one(self, command: Command) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always", EntsembleWarning)
            result = command("extract", TEXT, "--labels", "cell line")
        assert result.code == 0
        assert '"cell line" is one label; if you mean several, write "cell,line"' in result.messages


@pytest.mark.usefixtures("scripted", "plain_members")
class TestOutput:
    @pytest.fixture
    def terminal(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        assert capsys, "standard output is replaced first"
        monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setenv("COLUMNS", "100")

    @pytest.mark.usefixtures("terminal")
    def test_a_terminal_shows_the_text_and_a_table_of_votes(self, command: Command) -> None:
        result = command("extract", "Ann left\nOslo.", "Nobody [b]fled[/b].", *LABELS)
        assert result.code == 0, result.err
        shown = result.out.splitlines()
        assert shown[1:5] == ["text 1", "", "Ann left", "Oslo."]
        assert any({"Ann", "0-3", "person"} <= set(line.replace("│", " ").split()) for line in shown)
        assert any("smollm2-135m" in line for line in shown)
        assert "Nobody [b]fled[/b]." in shown
        assert "2 documents, 2 sentences, 2 mentions in" in result.messages
        assert result.messages.endswith("to get a file, add -o mentions.jsonl")

    def test_the_summary_says_where_the_result_is_and_with_v_what_it_cost(
        self, command: Command, tmp_path: Path
    ) -> None:
        result = command("extract", TEXT, *LABELS, "-o", tmp_path / "out.jsonl")
        assert result.messages.endswith(f"s; written to {tmp_path / 'out.jsonl'}")
        assert "tokens" not in result.err
        assert "generated" in command("extract", TEXT, *LABELS, "-v").messages

    def test_progress_is_in_words_that_fit_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("FORCE_COLOR", "1")
        with show_progress(quiet=False) as display:
            display.step("documents", 1_203, 40_000, "1.1 sentences/s, 2 failed")
            [task] = display._progress.tasks
            task.start_time = -754.0 + task.get_time()
            [*_, words] = [column.render(task) for column in display._progress.columns if not isinstance(column, str)]
        assert str(words) == "documents: 1,203 of 40,000, 12 min 34 s, 1.1 sentences/s, 2 failed"
        assert len(str(words)) < 78

    @pytest.mark.parametrize(
        ("seconds", "words"), [(0.4, "0 s"), (59.7, "1 min 0 s"), (3_599.6, "1 h 0 min"), (86_400, "24 h 0 min")]
    )
    def test_durations_have_two_units(self, seconds: float, words: str) -> None:
        assert format_duration(seconds) == words
