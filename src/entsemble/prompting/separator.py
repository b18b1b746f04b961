"""Texts in prompts: a separator within a text does not separate the items of a list."""

from __future__ import annotations

from entsemble._lib.text import one_line
from entsemble.prompting.template import Template

SUBSTITUTE = "\N{BROKEN BAR}"
"""Stands for the separator within a text. Models know it from code pages and tables, and texts hardly ever hold it."""


def prompt_text(template: Template, text: str) -> str:
    """`text` as a prompt shows it: on one line, with a substitute for the separator of lists. Offsets stay the same.

    Models copy the substitute, so that a name that holds the separator is one item of their lists. What they list is
    looked up in this text, never in the original.
    """
    separator = template.surface_separator.strip()
    return one_line(text).replace(separator, SUBSTITUTE * len(separator))
