"""What a server accepts, in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from entsemble.errors import ConfigError, UnknownNameError

LISTEN_BACKLOG = 64
"""Connections that the system accepts before the server does."""

_RESERVED_FILES = 64
"""Open files that are no connections: models, the pool, the interpreter's own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server accepts.

    Attributes:
        body_bytes: size of a request.
        documents_per_request: documents in a request.
        characters_per_document: length of a text.
        mentions_per_document: mentions of a text, in the pool or an export.
        overlapping_mentions: mentions that cover the same character.
        labels: in a request, or in the pool.
        label_characters: length of a label's name.
        definition_characters: length of a label's definition.
        pool_documents: texts in the pool.
        pool_bytes: size of the pool's file.
        concurrent_requests: extractions that run at once, and exports.
        queued_requests: extractions that may wait, and exports.
        timeout_seconds: for an extraction, including the time that it waits.
        connections: at once; a new one takes the place of the one that has been idle for longest.
        client_seconds: for a client to send a request, to send another one, or to take 16 kB of an answer.
    """

    body_bytes: int = 2_000_000
    documents_per_request: int = 256
    characters_per_document: int = 1_000_000
    mentions_per_document: int = 10_000
    overlapping_mentions: int = 20
    labels: int = 200
    label_characters: int = 200
    definition_characters: int = 2_000
    pool_documents: int = 20_000
    pool_bytes: int = 100_000_000
    concurrent_requests: int = 2
    queued_requests: int = 16
    timeout_seconds: float = 3600
    connections: int = 256
    client_seconds: float = 30

    def check_document_count(self, count: int) -> None:
        """Check the number of documents in a request.

        Raises:
            TooLargeError: too many.
        """
        if count > self.documents_per_request:
            raise TooLargeError(f"at most {self.documents_per_request} documents per request, got {count}")

    def check_labels(self, labels: Mapping[str, str]) -> None:
        """Check the labels of a request; name -> definition.

        Raises:
            TooLargeError: too many, or one is too long.
        """
        if len(labels) > self.labels:
            raise TooLargeError(f"at most {self.labels} labels can be used together, got {len(labels)}")
        for name, definition in labels.items():
            if len(name) > self.label_characters:
                raise TooLargeError(
                    f"a label has at most {self.label_characters} characters; {name[:20]!r}... has {len(name)}"
                )
            if len(definition) > self.definition_characters:
                raise TooLargeError(
                    f"a definition has at most {self.definition_characters} characters; that of {name!r} has "
                    f"{len(definition)}"
                )

    def check_document(self, text: str, mentions: Iterable[tuple[int, int, str]] = ()) -> None:
        """Check a text and its distinct mentions: start, end, and label of each.

        Raises:
            TooLargeError: the text is too long, it has too many mentions, or too many at one place.
        """
        if len(text) > self.characters_per_document:
            raise TooLargeError(f"a text has at most {self.characters_per_document} characters, got {len(text)}")
        mentions = list(mentions)
        if len(mentions) > self.mentions_per_document:
            raise TooLargeError(f"a text has at most {self.mentions_per_document} mentions, got {len(mentions)}")
        for _, _, label in mentions:
            if len(label) > self.label_characters:
                raise TooLargeError(
                    f"a label has at most {self.label_characters} characters; {label[:20]!r}... has {len(label)}"
                )
        depth_changes: Counter[int] = Counter()
        for start, end, _ in mentions:
            depth_changes[start] += 1
            depth_changes[end] -= 1
        depth = 0
        for offset in sorted(depth_changes):
            depth += depth_changes[offset]
            if depth > self.overlapping_mentions:
                raise TooLargeError(
                    f"at most {self.overlapping_mentions} mentions may cover one character; {depth} cover that at "
                    f"{offset}"
                )

    def open_connections(self) -> int:
        """The number of connections that the limit of open files of this process allows."""
        try:
            import resource
        except ImportError:  # on Windows there is no such limit
            return self.connections
        max_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if max_files == resource.RLIM_INFINITY:
            return self.connections
        return max(1, min(self.connections, max_files - LISTEN_BACKLOG - _RESERVED_FILES))


class TooLargeError(Exception):
    """Something exceeds a limit of the server."""


def parse_limits(assignments: Iterable[str]) -> Limits:
    """The default limits, changed by assignments such as `labels=50`.

    Raises:
        ConfigError: no such limit, or not a positive number; `queued_requests` may be 0.
    """
    types = {field.name: int if field.type == "int" else float for field in fields(Limits)}
    changes: dict[str, float] = {}
    for assignment in assignments:
        name, _, number_text = assignment.partition("=")
        if name not in types:
            raise UnknownNameError("limit", name, types)
        try:
            number = types[name](number_text)
        except ValueError:
            number = -1
        if not 0 < number < float("inf") and not (name == "queued_requests" and number == 0):
            kind = "whole number" if types[name] is int else "number"
            raise ConfigError(f"--limit {assignment}: {name} must be a positive {kind}, as in {name}=10")
        changes[name] = number
    return Limits(**changes)  # type: ignore[arg-type]
