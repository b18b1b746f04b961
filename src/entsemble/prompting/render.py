"""Rendering of prompts; each stage's prompt continues that of the stage before.

header, demonstrations, sentence, "Entities:"     extraction
... the union, "Types:", types so far             classification, one span at a time
... "Check:", a span and a type                   verification

Texts and surfaces appear as `prompt_text` writes them.
"""

from __future__ import annotations

from collections.abc import Sequence

from entsemble.prompting.demonstration import Demonstration
from entsemble.prompting.separator import prompt_text
from entsemble.prompting.template import Template
from entsemble.types import LabelSet


def render_header(template: Template, labels: LabelSet) -> str:
    """The task and the labels, with their definitions if they have any."""
    items = [
        (template.defined_label if label.definition else template.label).format(
            label=label.readable, definition=label.definition
        )
        for label in labels
    ]
    return template.header.format(labels=template.label_separator.join(items))


def render_extraction_prompt(
    template: Template, labels: LabelSet, demonstrations: Sequence[Demonstration], text: str, *, checks: bool = False
) -> str:
    """The prompt of stage 2, with which all later prompts begin.

    Args:
        template: the pieces.
        labels: to find.
        demonstrations: the most similar last.
        text: the sentence.
        checks: whether the demonstrations include checks, which only a verifier needs.
    """
    parts = [render_header(template, labels)]
    for demonstration in demonstrations:
        parts += [_render_demonstration(template, demonstration, checks=checks), template.between_demonstrations]
    parts += [template.text.format(text=prompt_text(template, text)), template.entities]
    return "".join(parts)


def render_list(template: Template, surfaces: Sequence[str]) -> str:
    """The answer to extraction."""
    items = [template.surface.format(surface=prompt_text(template, surface)) for surface in surfaces]
    return template.surface_separator.join(items) or template.nothing


def render_typing_question(template: Template, surface: str) -> str:
    """The question for the type of `surface`."""
    return template.typing.format(surface=prompt_text(template, surface))


def render_type_answer(template: Template, label: str) -> str:
    """The answer to a typing question."""
    return template.type.format(label=label)


def render_check_question(template: Template, surface: str, label: str) -> str:
    """The question whether `surface` is a `label`."""
    return template.check.format(surface=prompt_text(template, surface), label=label)


def _render_demonstration(template: Template, demonstration: Demonstration, *, checks: bool) -> str:
    parts = [
        template.text.format(text=prompt_text(template, demonstration.text)),
        template.entities,
        render_list(template, demonstration.surfaces),
    ]
    if demonstration.typed_surfaces:
        parts.append(template.types)
    for surface, label in demonstration.typed_surfaces:
        parts += [render_typing_question(template, surface), render_type_answer(template, label)]
    if checks and demonstration.checks:
        parts.append(template.checks)
        for surface, label, is_right in demonstration.checks:
            parts += [render_check_question(template, surface, label), template.yes if is_right else template.no]
    return "".join(parts)
