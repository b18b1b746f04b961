"""What a run did and cost, as one line for people and one object for programs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from entsemble.cli.wording import counted
from entsemble.ner.documents import Extracted, Failed
from entsemble.types import Usage, total


@dataclass(slots=True)
class Summary:
    """Adds up as documents come out; sentences, tokens and seconds are this run's alone."""

    documents: int = 0
    earlier: int = 0
    sentences: int = 0
    mentions: int = 0
    unsure: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    absent: dict[str, int] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    started: float = field(default_factory=time.perf_counter)

    def add(self, result: Extracted | Failed) -> None:
        """Count one document."""
        self.documents += 1
        if isinstance(result, Failed):
            self.failures.append((result.document.id, str(result.error)))
            return
        self.mentions += len(result.document.mentions)
        if result.earlier:
            self.earlier += 1
            return
        for member in result.absent:
            self.absent[member] = self.absent.get(member, 0) + 1
        self.sentences += result.sentences
        self.usage += total(cost for _, _, cost in result.costs)

    @property
    def seconds(self) -> float:
        """Since the first document was asked for, by the wall clock."""
        return time.perf_counter() - self.started

    def cost(self, parameters: int | None = None) -> dict[str, Any]:
        """The `cost` object of the report schema."""
        return {
            "documents": self.documents,
            "sentences": self.sentences,
            "seconds": round(self.seconds, 3),
            "prompt_tokens_submitted": self.usage.prompt_tokens,
            "prompt_tokens_evaluated": self.usage.evaluated_tokens,
            "generated_tokens": self.usage.generated_tokens,
            "parameters": parameters,
            "model_calls": self.usage.calls,
            "answered_by_cache": self.usage.known,
        }

    def to_json(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        failed = [{"id": name, "error": error} for name, error in self.failures]
        found = {"earlier": self.earlier, "mentions": self.mentions, "unsure": self.unsure}
        return {**self.cost(), **found, "failed": failed, "absent": self.absent}

    def rates(self) -> str:
        """How fast it goes, for the bar."""
        seconds = max(self.seconds, 1e-9)
        evaluated, reused = self.usage.evaluated_tokens / seconds, self.usage.cached_tokens / seconds
        told = f"{self.sentences / seconds:.2f} sentences/s, tokens/s {evaluated:.0f} evaluated {reused:.0f} reused"
        return told + (f", {len(self.failures)} failed" if self.failures else "")

    def line(self) -> str:
        """One line for people."""
        rate = self.seconds / self.sentences if self.sentences else 0.0
        earlier = f" ({self.earlier} by an earlier run)" if self.earlier else ""
        return (
            f"{counted(self.documents, 'document')}{earlier}, {counted(self.sentences, 'sentence')}, "
            f"{counted(self.mentions, 'mention')} "
            f"in {self.seconds:.1f} s ({rate:.2f} s a sentence); "
            f"prompt tokens evaluated {self.usage.evaluated_tokens:,} of {self.usage.prompt_tokens:,} submitted, "
            f"generated {self.usage.generated_tokens:,}"
            + (f"; the reply cache answered {self.usage.known / self.usage.calls:.0%}" if self.usage.known else "")
            + (f"; {self.unsure} of the mentions scored less than --min-score" if self.unsure else "")
            + "".join(f"; {name} was down for {counted(n, 'document')}" for name, n in self.absent.items())
        )
