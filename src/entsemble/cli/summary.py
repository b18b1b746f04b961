"""What a run did and what it cost: one line for people, one JSON object for programs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from entsemble._lib.text import message_line, pluralize
from entsemble.cli.progress import error_console
from entsemble.errors import DataError
from entsemble.ner.documents import Extracted, Failed
from entsemble.types import Usage, total_usage


@dataclass(slots=True)
class Summary:
    """Running totals over documents.

    Attributes:
        documents: all documents, including failed and resumed ones.
        resumed_documents: results that an earlier run had left in the journal; they add no sentences and no usage.
        sentences: sentences processed in this run.
        mentions: mentions in all documents.
        unsure_mentions: mentions below `--min-score`.
        failures: (document id or file, message) of each failure.
        absent: member name -> documents processed without it.
        usage: cost of this run's model calls.
        created: value of `time.perf_counter` when the command began.
        started: the same when the models were ready.
    """

    documents: int = 0
    resumed_documents: int = 0
    sentences: int = 0
    mentions: int = 0
    unsure_mentions: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    absent: dict[str, int] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    created: float = field(default_factory=time.perf_counter)
    started: float = field(default_factory=time.perf_counter)

    def add(self, result: Extracted | Failed) -> None:
        """Count one document."""
        self.documents += 1
        if isinstance(result, Failed):
            self.failures.append((result.document.id, str(result.error)))
            return
        self.mentions += len(result.document.mentions)
        if result.from_journal:
            self.resumed_documents += 1
            return
        for member_name in result.absent_members:
            self.absent[member_name] = self.absent.get(member_name, 0) + 1
        self.sentences += result.sentence_count
        self.usage += total_usage(usage for _, _, usage in result.costs)

    def add_unreadable(self, error: DataError) -> None:
        """Count a file that cannot be read, and print why."""
        self.failures.append((str(error.path), str(error)))
        error_console().print(message_line("entsemble", error), style="red", markup=False, soft_wrap=True)

    @property
    def seconds(self) -> float:
        """Wall-clock time since the models were ready."""
        return time.perf_counter() - self.started

    def cost(self, parameters: int | None = None) -> dict[str, Any]:
        """The `cost` object of a report; `parameters` is the number of parameters of all models."""
        return {
            "documents": self.documents,
            "sentences": self.sentences,
            "seconds": round(self.seconds, 3),
            "prompt_tokens_submitted": self.usage.prompt_tokens,
            "prompt_tokens_evaluated": self.usage.evaluated_tokens,
            "generated_tokens": self.usage.generated_tokens,
            "parameters": parameters,
            "model_calls": self.usage.calls,
            "cache_hits": self.usage.cache_hits,
        }

    def to_json(self) -> dict[str, Any]:
        """All totals, for `--json`."""
        return {
            **self.cost(),
            "resumed": self.resumed_documents,
            "mentions": self.mentions,
            "unsure": self.unsure_mentions,
            "failed": [{"id": document_id, "error": message} for document_id, message in self.failures],
            "absent": self.absent,
        }

    def rates(self) -> str:
        """Throughput and failures so far, for the progress display."""
        rate = f"{self.sentences / max(self.seconds, 1e-9):.1f} sentences/s"
        return rate + (f", {len(self.failures)} failed" if self.failures else "")

    def line(self, place: str = "", *, verbose: bool = False) -> str:
        """All totals for people, on one line.

        Args:
            place: where the result is, as in "written to mentions.jsonl".
            verbose: also what it cost, on a second line.
        """
        resumed = f" ({self.resumed_documents} from an earlier run)" if self.resumed_documents else ""
        return (
            f"{pluralize(self.documents, 'document')}{resumed}, {pluralize(self.sentences, 'sentence')}, "
            f"{pluralize(self.mentions, 'mention')} in {time.perf_counter() - self.created:.1f} s"
            + (f"; {self.unsure_mentions} of the mentions scored less than --min-score" if self.unsure_mentions else "")
            + "".join(f"; {name} was down for {pluralize(count, 'document')}" for name, count in self.absent.items())
            + (f"; {place}" if place else "")
            + (f"\n{self._cost_line()}" if verbose else "")
        )

    def _cost_line(self) -> str:
        """What the models did, for people."""
        usage, sentence_seconds = self.usage, self.seconds / self.sentences if self.sentences else 0.0
        return (
            f"{self.started - self.created:.1f} s to prepare, {sentence_seconds:.2f} s a sentence; tokens: "
            f"{usage.evaluated_tokens:,} of {usage.prompt_tokens:,} in prompts evaluated, "
            f"{usage.generated_tokens:,} generated"
            + (f"; the reply cache answered {usage.cache_hits / usage.calls:.0%}" if usage.cache_hits else "")
        )
