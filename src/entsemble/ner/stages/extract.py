"""Stage 2, span extraction: every member lists spans (EL4NER, step 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entsemble._lib.text import one_line
from entsemble.ner.ledger import Fate, LedgerEntry
from entsemble.ner.member import MemberPrompt
from entsemble.prompting.align import find_occurrences
from entsemble.prompting.grammar import build_listing_grammar
from entsemble.prompting.parse import UnreadableReply, parse_surfaces
from entsemble.prompting.separator import prompt_text
from entsemble.types import Decoding, Usage
from entsemble.voting.candidates import Candidate, text_order


@dataclass(frozen=True, slots=True)
class Extraction:
    """The spans that the members listed for one sentence.

    Attributes:
        candidates: the union, in text order, longer first.
        unusable: replies, and items of them, that are not candidates.
        usage: (member name, usage) of each call.
    """

    candidates: tuple[Candidate, ...]
    unusable: tuple[LedgerEntry, ...]
    usage: tuple[tuple[str, Usage], ...]


def extract(text: str, prompts: Sequence[MemberPrompt]) -> Extraction:
    """Ask each member to list the spans of `text`; keep the union (EL4NER, arXiv 2505.23038, step 2).

    An engine with grammars can list only spans of the text; invented spans of other engines end in the ledger.

    Args:
        text: the sentence.
        prompts: up to the extraction question, one per member.
    """
    line = one_line(text)
    proposers: dict[str, list[str]] = {}
    unusable: list[LedgerEntry] = []
    usage: list[tuple[str, Usage]] = []
    for member, template, prompt in prompts:
        decoding = Decoding(
            max_tokens=max_reply_tokens(text),
            stop=template.stop,
            grammar=build_listing_grammar(template, text),
            list_separator=template.surface_separator.strip(),
        )
        with member.attribute_errors() as model:
            [reply] = model.generate([prompt], decoding)
        usage.append((member.name, reply.usage))
        parsed = parse_surfaces(reply, template)
        if isinstance(parsed, UnreadableReply):
            unusable.append(LedgerEntry(reply.text, Fate.UNREADABLE, (member.name,), detail=parsed.reason))
            continue
        if parsed.truncated_item:
            unusable.append(LedgerEntry(parsed.truncated_item, Fate.CUT_OFF, (member.name,)))
        shown_line = prompt_text(template, text)
        for surface in parsed.surfaces:
            spans = find_occurrences(shown_line, surface)
            if not spans:
                unusable.append(LedgerEntry(surface, Fate.NOT_IN_TEXT, (member.name,)))
            # The text may spell a surface in several ways, such as upper and lower case: each is a candidate.
            for spelling in dict.fromkeys(one_line(span.slice(text)) for span in spans):
                if member.name not in proposers.setdefault(spelling, []):
                    proposers[spelling].append(member.name)
    first_spans = {surface: find_occurrences(line, surface)[0] for surface in proposers}
    surfaces = sorted(proposers, key=lambda surface: text_order(first_spans[surface]))
    candidates = tuple(Candidate(surface, tuple(proposers[surface])) for surface in surfaces)
    return Extraction(candidates, tuple(unusable), tuple(usage))


def max_reply_tokens(text: str) -> int:
    """Token limit for a list of the spans of `text`: about the length of the text, plus separators."""
    return 16 + len(text.encode()) // 3
