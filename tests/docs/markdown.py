"""What the tests of the documentation read out of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")

_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n+)?^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block, and the comment just before it."""

    language: str
    mark: str
    body: str


@dataclass(frozen=True)
class Step:
    """A command line of a console block, and the lines that it should print."""

    command: str
    expected: tuple[str, ...]


def name_of(page: Path) -> str:
    """How a page is called in test names."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [Block(m["language"], m["mark"] or "", m["body"]) for m in _FENCE.finditer(text)]


def steps(block: Block) -> list[Step]:
    """The commands of a console block in order."""
    found: list[tuple[str, list[str]]] = []
    for line in block.body.replace("\\\n", "").splitlines():  # a line that goes on
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif line.strip():
            found[-1][1].append(line)
    return [Step(command, tuple(expected)) for command, expected in found]


def appears(expected: str, output: str) -> bool:
    """Whether `expected` is in one line of `output`; `...` stands for anything, blanks count as one."""
    pattern = ".*?".join(r"\s+".join(map(re.escape, part.split())) for part in expected.split("..."))
    return any(re.search(pattern, line) for line in output.splitlines())


def links(page: Path) -> Iterator[str]:
    """Targets of a page's links, those in fenced blocks left out."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for match in _LINK.finditer(text):
        yield match["target"]


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page make."""
    titles = (m["title"] for m in _HEADING.finditer(_FENCE.sub("", page.read_text(encoding="utf-8"))))
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}
