"""Exact choice among options of several tokens."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import NamedTuple

Tokenize = Callable[[str], Sequence[int]]
"""Text -> its token ids, without special tokens."""

_ANCHOR = "="
"""Options are tokenised behind this, since some tokenizers treat the start of a text differently."""


class Branching(NamedTuple):
    """A node of the trie with several children.

    Attributes:
        path: tokens from the root to the node.
        next_tokens: the children.
    """

    path: tuple[int, ...]
    next_tokens: tuple[int, ...]


ScoreBranching = Callable[[Branching], Mapping[int, float]]
"""A branching -> log-probability of each of its next tokens, normalised among them."""


class TokenTrie:
    """Options as a trie of tokens, so that shared prefixes are evaluated once.

    With `person;`, `personal effect;` and `place;`, the first branching asks how probable ` person`, ` personal` and
    ` place` are. A node with a single child is not evaluated: the child has probability 1 among the options.

    Args:
        options: token ids of each option; at least one, and none a prefix of another.

    Attributes:
        depth: tokens that may have to be read behind the prompt.

    Raises:
        ValueError: there are no options, or one is empty or a prefix of another.
    """

    def __init__(self, options: Sequence[tuple[int, ...]]) -> None:
        if not options or any(not option for option in options):
            raise ValueError("a choice needs at least one option, and each option at least one token")
        for index, option in enumerate(options):
            others = (*options[:index], *options[index + 1 :])
            if any(other[: len(option)] == option for other in others):
                raise ValueError("no option may be a prefix of another: end all of them with the same character")
        self._options = tuple(options)
        self.depth = max(map(len, options)) - 1

    def log_probabilities(
        self, score_branching: ScoreBranching, *, missing_log_probability: float
    ) -> tuple[float, ...]:
        """Log-probability of each option, in their order; normalised over the options.

        Args:
            score_branching: evaluates the model at one branching.
            missing_log_probability: of a token that the model's answer does not contain.
        """
        branchings = self.branchings(missing_log_probability=missing_log_probability)
        try:
            branching = next(branchings)
            while True:
                branching = branchings.send(score_branching(branching))
        except StopIteration as stop:
            return tuple(stop.value)

    def branchings(
        self, *, missing_log_probability: float
    ) -> Generator[Branching, Mapping[int, float], tuple[float, ...]]:
        """The branchings that `log_probabilities` evaluates, for engines that evaluate many tries at once.

        Yields each branching, is sent its scores, and returns the log-probabilities of the options.
        """
        scores = [0.0] * len(self._options)
        nodes: list[tuple[tuple[int, ...], list[int]]] = [((), list(range(len(self._options))))]
        while nodes:
            path, indices = nodes.pop()
            if len(indices) == 1:
                continue
            children: dict[int, list[int]] = {}
            for index in indices:
                children.setdefault(self._options[index][len(path)], []).append(index)
            if len(children) > 1:
                log_probabilities = yield Branching(path, tuple(children))
            else:
                log_probabilities = {next(iter(children)): 0.0}
            for token, child_indices in children.items():
                for index in child_indices:
                    scores[index] += log_probabilities.get(token, missing_log_probability)
                nodes.append(((*path, token), child_indices))
        return tuple(scores)


class TokenTrieCache:
    """The trie of each set of options, built once.

    Args:
        tokenize: the model's tokenizer.
    """

    def __init__(self, tokenize: Tokenize) -> None:
        self._tokenize = tokenize
        self._tries: dict[tuple[str, ...], TokenTrie] = {}

    def trie_for(self, options: Sequence[str]) -> TokenTrie:
        """The trie of the options as they follow a prompt; see `TokenTrie` for what it raises."""
        key = tuple(options)
        if key not in self._tries:
            self._tries[key] = TokenTrie([self._tokenize_option(option) for option in key])
        return self._tries[key]

    def _tokenize_option(self, option: str) -> tuple[int, ...]:
        anchor, anchored = tuple(self._tokenize(_ANCHOR)), tuple(self._tokenize(_ANCHOR + option))
        if anchored[: len(anchor)] == anchor:
            return anchored[len(anchor) :]
        return tuple(self._tokenize(option))
