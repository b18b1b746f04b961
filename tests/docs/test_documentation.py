"""The documentation points to what exists, and says what is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
from pydantic import BaseModel

from entsemble.cli import root
from entsemble.data.format_table import FORMATS
from entsemble.distillation.teacher import DistillationResult
from entsemble.experts.card import Score
from entsemble.ner.ledger import Fate
from entsemble.settings import Settings

from .markdown import DOCS, PAGES, ROOT, anchors, blocks, links, name_of

REFERENCE = DOCS / "reference"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / unquote(target)).resolve() if target else page
        assert file.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(file), f"{link}: no heading makes this anchor"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_json_shown_is_json(page: Path) -> None:
    for block in blocks(page):
        if block.language == "json":
            document = json.loads(block.body)
            for mention in document["mentions"]:
                assert document["text"][mention["start"] : mention["end"]] == mention["text"]


def _keys(model: type[BaseModel]) -> set[str]:
    keys = set(model.model_fields)
    for field in model.model_fields.values():
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                keys |= _keys(inner)
    return keys


def test_every_setting_is_described() -> None:
    text = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    for key in _keys(Settings):
        assert f"`{key}`" in text or f"[{key}]" in text, f"configuration.md says nothing of {key}"


def _commands(group: click.Group, before: str = "") -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = _commands(command, f"{before}{name} ") if isinstance(command, click.Group) else []
        found += inner or [(before + name, command)]
    return found


@pytest.mark.parametrize("command", [pytest.param(found, id=name) for name, found in _commands(root)])
def test_every_command_and_option_has_a_help_text(command: click.Command) -> None:
    assert command.help
    assert [option.name for option in command.params if isinstance(option, click.Option) and not option.help] == []


def test_every_format_is_described() -> None:
    text = (REFERENCE / "formats.md").read_text(encoding="utf-8")
    assert [name for name in FORMATS if f"`{name}`" not in text] == []


def test_every_fate_is_described() -> None:
    text = (REFERENCE / "ledger.md").read_text(encoding="utf-8")
    assert [fate.value for fate in Fate if f"`{fate.value}`" not in text] == []


def test_every_key_of_what_commands_tell_as_json_is_described() -> None:
    told = (REFERENCE / "report.md").read_text(encoding="utf-8")
    answers = {
        "experts evaluate": set(Score.model_fields) - {"data"},
        "distil": {f.name for f in fields(DistillationResult)},
    }
    for command, keys in answers.items():
        _, _, section = told.partition(f"`{command} --json`")
        assert keys <= set(re.findall(r"`(\w+)`", section)), f"{command} --json tells keys that no table has"


@pytest.mark.parametrize(
    "what",
    [
        "baselines",
        "quality",
        "reader",
        "reader_experts",
        "throughput",
        "sam",
        "server",
        "distil",
        "peers",
        "growth",
        "attacks",
        "review",
    ],
)
def test_the_figures_shown_are_the_results(what: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{what}.table", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


_TABLE = re.compile(r"<!-- (?P<name>[\w:-]+):begin -->(?P<rows>.*?)<!-- (?P=name):end -->", re.DOTALL)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_FIGURE = re.compile(r"(?<![\w.])\d\.\d{2,}(?![\w.])")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_figure_in_the_text_stands_in_a_table_that_results_made(page: Path) -> None:
    made = " ".join(m["rows"] for p in PAGES for m in _TABLE.finditer(p.read_text(encoding="utf-8")))
    text = _FENCED.sub("", _TABLE.sub("", page.read_text(encoding="utf-8"))).replace("Python 3.10", "")
    assert set(_FIGURE.findall(text)) - set(_FIGURE.findall(made)) == set()


def test_the_module_map_is_the_tree() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    listed: set[str] = set()
    folder = ""
    for line in text.split("src/entsemble/\n", 1)[1].split("```", 1)[0].splitlines():
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        folder = ("" if name.endswith(".py") else name) if indent == 2 else folder
        listed |= {(folder if indent > 2 else "") + name}
    package = ROOT / "src" / "entsemble"
    there = {p.relative_to(package).as_posix() for p in package.rglob("*.py") if p.name != "__init__.py"}
    assert {name for name in listed if name.endswith(".py")} == there
    assert [name for name in listed if not (package / name).exists()] == []
