"""Stage 2, span extraction: every member lists the spans, the union is kept (EL4NER, arXiv 2505.23038, step 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entsemble._lib.text import one_line
from entsemble.ner.ledger import Fate, LedgerEntry
from entsemble.ner.member import Member
from entsemble.prompting.align import find_occurrences
from entsemble.prompting.grammar import build_listing_grammar
from entsemble.prompting.parse import UnreadableReply, parse_surfaces
from entsemble.prompting.template import Template
from entsemble.types import Decoding, Usage
from entsemble.voting.candidates import Candidate


@dataclass(frozen=True, slots=True)
class Extraction:
    """What the members found in one sentence.

    Attributes:
        candidates: the union, in text order, longer first.
        unusable: what was listed but could not be used.
        usage: member name -> cost.
    """

    candidates: tuple[Candidate, ...]
    unusable: tuple[LedgerEntry, ...]
    usage: tuple[tuple[str, Usage], ...]


def extract(text: str, prompts: Sequence[tuple[Member, Template, str]]) -> Extraction:
    """Ask each member for the spans of `text`.

    Models whose engine has grammars can only list what stands in the text; what others make up ends in the ledger.

    Args:
        text: the sentence.
        prompts: each member with its template and the prompt that ends in the extraction question.
    """
    proposed: dict[str, list[str]] = {}
    unusable: list[LedgerEntry] = []
    usage: list[tuple[str, Usage]] = []
    for member, template, prompt in prompts:
        decoding = Decoding(
            max_tokens=max_reply_tokens(text),
            stop=tuple(template.stop),
            grammar=build_listing_grammar(template, text),
            list_separator=template.surface_separator.strip(),
        )
        with member.attribute_errors() as model:
            [reply] = model.generate([prompt], decoding)
        usage.append((member.name, reply.usage))
        listed = parse_surfaces(reply, template)
        if isinstance(listed, UnreadableReply):
            unusable.append(LedgerEntry(reply.text, Fate.UNREADABLE, (member.name,), detail=listed.reason))
            continue
        if listed.truncated_item:
            unusable.append(LedgerEntry(listed.truncated_item, Fate.CUT_OFF, (member.name,)))
        for surface in listed.surfaces:
            found = find_occurrences(one_line(text), surface)
            if not found:
                unusable.append(LedgerEntry(surface, Fate.NOT_IN_TEXT, (member.name,)))
                continue
            for as_written in {one_line(span.of(text)): None for span in found}:  # it may stand in another case, too
                if member.name not in proposed.setdefault(as_written, []):
                    proposed[as_written].append(member.name)
    order = {surface: find_occurrences(one_line(text), surface)[0] for surface in proposed}
    ranked = sorted(proposed, key=lambda s: (order[s].start, -order[s].end))
    return Extraction(tuple(Candidate(s, tuple(proposed[s])) for s in ranked), tuple(unusable), tuple(usage))


def max_reply_tokens(text: str) -> int:
    """Tokens that a list of the spans of `text` may take: no more than the text itself, and room for the separators."""
    return 16 + len(text.encode()) // 3
