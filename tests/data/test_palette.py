"""One palette for the page, the HTML files and the terminal: colours that differ, and that can be read."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from entsemble.data.formats import write
from entsemble.data.palette import colour_class, hue, style_sheet, terminal_colour
from entsemble.types import Document

LABEL_COUNT = 12
LIGHT, DARK = style_sheet().split("@media (prefers-color-scheme: dark)")
READABLE, VISIBLE = 4.5, 3.0  # contrasts that WCAG 2 asks for, of text and of what is no text


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def colours(rules: str, selector: str) -> dict[str, str]:
    """The variables of a rule: name -> colour."""
    block = re.search(rf"{re.escape(selector)} {{ (--[^}}]*)}}", rules)
    assert block is not None, selector
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block[1]))


def test_labels_have_colours_of_their_own_and_neighbours_are_far_apart() -> None:
    for rules in (LIGHT, DARK):
        labels = [colours(rules, f".{colour_class(index)}") for index in range(LABEL_COUNT)]
        for name in ("label-ground", "label-edge"):
            assert len({label[name] for label in labels}) == LABEL_COUNT
    assert len({terminal_colour(index) for index in range(LABEL_COUNT)}) == LABEL_COUNT
    hues = [hue(index) for index in range(LABEL_COUNT)]
    distances = [min((one - other) % 360, (other - one) % 360) for one, other in pairwise(hues)]
    assert min(distances) >= 45
    assert min(min((a - b) % 360, (b - a) % 360) for a, b in combinations(hues, 2)) >= 20
    assert colour_class(LABEL_COUNT) == colour_class(0)


@pytest.mark.parametrize("rules", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_colour(rules: str) -> None:
    page = colours(rules, ":root")
    for name in ("ink", "faint", "main", "good", "bad"):
        assert contrast(page[name], page["ground"]) >= READABLE, name
        assert contrast(page[name], page["here"]) >= READABLE, name
    assert contrast(page["on-main"], page["main"]) >= READABLE
    for index in range(LABEL_COUNT):
        label = colours(rules, f".{colour_class(index)}")
        assert contrast(page["ink"], label["label-ground"]) >= READABLE, index
        assert contrast(label["label-edge"], page["ground"]) >= VISIBLE, index


def test_black_can_be_read_on_the_terminals_colours() -> None:
    assert min(contrast("#000000", terminal_colour(index)) for index in range(LABEL_COUNT)) >= READABLE


def test_html_files_have_the_palette(tmp_path: Path) -> None:
    write([Document("a", "Nothing.")], tmp_path / "out.html")
    assert style_sheet() in (tmp_path / "out.html").read_text("utf-8")
