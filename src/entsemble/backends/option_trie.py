"""Exact choice among options of several tokens."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence

Tokenize = Callable[[str], Sequence[int]]
"""Text -> its token ids, nothing added in front."""

Branching = tuple[tuple[int, ...], tuple[int, ...]]
"""Tokens so far, and the tokens that may follow."""

Siblings = Callable[[tuple[int, ...], tuple[int, ...]], Mapping[int, float]]
"""A branching -> log-probability of each that may follow, normalised among them."""

_ANCHOR = "="
"""Options are tokenised behind this, since some vocabularies treat the start of a text in a way of their own."""


class TokenTrie:
    """The options as a tree of tokens, so that what they share is evaluated once.

    With `person;`, `personal effect;` and `place;`, the first branching asks how likely ` person`, ` personal` and
    ` place` are. Where only one token can follow, nothing is asked: it has probability 1 among the options.

    Args:
        options: token ids of each option; at least one, none the beginning of another.

    Attributes:
        depth: tokens that may have to be read behind the prompt.
    """

    def __init__(self, options: Sequence[tuple[int, ...]]) -> None:
        if not options or any(not option for option in options):
            raise ValueError("a choice needs at least one option, and each option at least one token")
        for i, option in enumerate(options):
            if any(other[: len(option)] == option for j, other in enumerate(options) if j != i):
                raise ValueError("no option may be the beginning of another: end each with the same mark")
        self._options = tuple(options)
        self.depth = max(map(len, options)) - 1

    def log_probabilities(self, siblings: Siblings, *, floor: float) -> tuple[float, ...]:
        """Log-probability of each option, in order; they sum to 1 as probabilities.

        Args:
            siblings: asks the model about one branching.
            floor: stands in for a child that the model's answer leaves out.
        """
        walk = self.branchings(floor=floor)
        try:
            asked = next(walk)
            while True:
                asked = walk.send(siblings(*asked))
        except StopIteration as end:
            return tuple(end.value)

    def branchings(self, *, floor: float) -> Generator[Branching, Mapping[int, float], tuple[float, ...]]:
        """What `log_probabilities` asks, one after another, for engines that answer many such walks at once."""
        scores = [0.0] * len(self._options)
        branches: list[tuple[tuple[int, ...], list[int]]] = [((), list(range(len(self._options))))]
        while branches:
            path, members = branches.pop()
            if len(members) == 1:
                continue
            groups: dict[int, list[int]] = {}
            for member in members:
                groups.setdefault(self._options[member][len(path)], []).append(member)
            told = (yield path, tuple(groups)) if len(groups) > 1 else {next(iter(groups)): 0.0}
            for token, group in groups.items():
                for member in group:
                    scores[member] += told.get(token, floor)
                branches.append(((*path, token), group))
        return tuple(scores)


class Tries:
    """The trie of each set of options that was asked for, made once."""

    def __init__(self, tokenize: Tokenize) -> None:
        self._tokenize = tokenize
        self._made: dict[tuple[str, ...], TokenTrie] = {}

    def of(self, options: Sequence[str]) -> TokenTrie:
        """The options as they follow a prompt."""
        key = tuple(options)
        if key not in self._made:
            self._made[key] = TokenTrie([self._tokens(option) for option in key])
        return self._made[key]

    def _tokens(self, option: str) -> tuple[int, ...]:
        anchor, whole = tuple(self._tokenize(_ANCHOR)), tuple(self._tokenize(_ANCHOR + option))
        return whole[len(anchor) :] if whole[: len(anchor)] == anchor else tuple(self._tokenize(option))
