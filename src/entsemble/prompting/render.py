"""Prompts, each a continuation of the one before it.

header, demonstrations, sentence, "Entities:"     extraction
... the union, "Types:", what was typed           classification, a span at a time
... "Check:", a span and a type                   verification
"""

from __future__ import annotations

from collections.abc import Sequence

from entsemble._lib.text import one_line
from entsemble.prompting.demonstration import Demonstration
from entsemble.prompting.template import Template
from entsemble.types import LabelSet


def render_header(template: Template, labels: LabelSet) -> str:
    """The header: the task and the labels, with their definitions where they have one."""
    shown = [
        (template.defined_label if label.definition else template.label).format(
            label=label.readable, definition=label.definition
        )
        for label in labels
    ]
    return template.header.format(labels=template.label_separator.join(shown))


def render_extraction_prompt(
    template: Template, labels: LabelSet, shown: Sequence[Demonstration], text: str, *, checks: bool = False
) -> str:
    """The prompt of stage 2, and the beginning of all later ones.

    Args:
        template: the pieces.
        labels: asked for.
        shown: demonstrations, the most similar last.
        text: the sentence.
        checks: whether the demonstrations show checks; only who verifies needs to see them.
    """
    parts = [render_header(template, labels)]
    for demonstration in shown:
        parts += [_demonstration(template, demonstration, checks=checks), template.between_demonstrations]
    parts += [template.text.format(text=one_line(text)), template.entities]
    return "".join(parts)


def render_list(template: Template, surfaces: Sequence[str]) -> str:
    """Surfaces as the answer to extraction."""
    return template.surface_separator.join(template.surface.format(surface=s) for s in surfaces) or template.nothing


def render_typing_question(template: Template, surface: str) -> str:
    """What asks for the type of `surface`, after the types given so far."""
    return template.typing.format(surface=surface)


def render_type_answer(template: Template, label: str) -> str:
    """The answer `label` to a typing question."""
    return template.type.format(label=label)


def render_check_question(template: Template, surface: str, label: str) -> str:
    """What asks whether `surface` is a `label`."""
    return template.check.format(surface=surface, label=label)


def _demonstration(template: Template, shown: Demonstration, *, checks: bool) -> str:
    types = "".join(
        render_typing_question(template, s) + render_type_answer(template, label) for s, label in shown.types
    )
    checked = "".join(
        render_check_question(template, surface, label) + (template.yes if right else template.no)
        for surface, label, right in shown.checks
    )
    return "".join(
        [
            template.text.format(text=shown.text),
            template.entities,
            render_list(template, shown.surfaces),
            template.types if types else "",
            types,
            template.checks + checked if checks and checked else "",
        ]
    )
