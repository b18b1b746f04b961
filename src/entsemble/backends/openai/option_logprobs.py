"""Probabilities of options from the top tokens that a server lists."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

TopTokens = Mapping[str, float]
"""The most probable next tokens, as text, and their log-probabilities."""

_MIN_UNLISTED_PROBABILITY = 1e-9
_MIN_LOG_PROBABILITY = -1e6
_MAX_ROUNDING_ERROR = 1e-2


def score_options(
    options: Sequence[str], list_top_tokens: Callable[[str], TopTokens | None], *, can_continue: bool
) -> tuple[float, ...] | None:
    """Log-probability of each option, normalised over the options.

    The options are walked as a trie of the tokens that the server lists. An option whose next token is not listed gets
    half of the largest probability that it can have: that of the least probable listed token, or what is left for all
    unlisted ones.

    Args:
        options: none a prefix of another.
        list_top_tokens: the most probable tokens after a prefix of an option; `None` if the server lists none.
        can_continue: whether the server can be asked about a non-empty prefix.

    Returns:
        `None` if the server's answers do not determine the probabilities.
    """
    scores = [0.0] * len(options)
    nodes: list[tuple[str, dict[int, str]]] = [("", dict(enumerate(options)))]
    while nodes:
        path, remainders = nodes.pop()
        if path and not can_continue:
            return None
        top_tokens = list_top_tokens(path)
        if top_tokens is None:
            return None
        groups = _group_by_token(remainders, top_tokens)
        if not any(groups.values()):
            if not path:
                return None
            groups = {(index,): "" for index in remainders}
        group_scores = _score_groups(groups, remainders, top_tokens)
        for indices, token in groups.items():
            for index in indices:
                scores[index] += group_scores[indices]
            if len(indices) > 1:
                nodes.append((path + token, {index: remainders[index][len(token) :] for index in indices}))
    return tuple(scores)


def parse_top_tokens(logprobs: object) -> dict[str, float]:
    """The top tokens of the first position, in the format of chats or of completions; empty if there are none.

    Raises:
        ValueError: a number is not a log-probability.
    """
    if not isinstance(logprobs, dict):
        return {}
    pairs: Iterable[tuple[object, object]]
    if isinstance(content := logprobs.get("content"), list) and content:
        pairs = [(entry.get("token"), entry.get("logprob")) for entry in _top_entries(content[0])]
    elif isinstance(positions := logprobs.get("top_logprobs"), list) and positions and isinstance(positions[0], dict):
        pairs = positions[0].items()
    else:
        return {}
    top_tokens: dict[str, float] = {}
    for token, value in pairs:
        if isinstance(token, str) and isinstance(value, (int, float)) and value != -math.inf:
            top_tokens[token] = max(_log_probability(value), top_tokens.get(token, -math.inf))
    return top_tokens


def _log_probability(value: float) -> float:
    """At most 0, which rounding may exceed, and so large that sums of them stay finite."""
    if not value <= _MAX_ROUNDING_ERROR:
        raise ValueError(f"{str(value)[:20]} is above 0" if value > 0 else "not a number")
    return float(min(max(value, _MIN_LOG_PROBABILITY), 0.0))


def _top_entries(position: object) -> list[dict[str, Any]]:
    entries = position.get("top_logprobs") if isinstance(position, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _group_by_token(remainders: Mapping[int, str], top_tokens: TopTokens) -> dict[tuple[int, ...], str]:
    """Groups of options -> the token that they continue with.

    That is the longest listed token that is a prefix of the option's remainder. An option without one is alone: with
    the most probable token that its remainder is a prefix of, or else with "".
    """
    by_token: dict[str, list[int]] = {}
    single: dict[tuple[int, ...], str] = {}
    for index, remainder in remainders.items():
        prefixes = [token for token in top_tokens if token and remainder.startswith(token)]
        extensions = [token for token in top_tokens if remainder and token.startswith(remainder)]
        if prefixes:
            by_token.setdefault(max(prefixes, key=len), []).append(index)
        else:
            single[(index,)] = max(extensions, key=top_tokens.__getitem__, default="")
    return {tuple(indices): token for token, indices in by_token.items()} | single


def _score_groups(
    groups: Mapping[tuple[int, ...], str], remainders: Mapping[int, str], top_tokens: TopTokens
) -> dict[tuple[int, ...], float]:
    """Log-probability of each group, normalised over the groups."""
    unlisted = max(1.0 - sum(math.exp(value) for value in top_tokens.values()), _MIN_UNLISTED_PROBABILITY)
    missing_log_probability = min(*top_tokens.values(), math.log(unlisted)) - math.log(2)
    scores: dict[tuple[int, ...], float] = {}
    for indices, token in groups.items():
        remainder = remainders[indices[0]]
        extensions = [
            value
            for other_token, value in top_tokens.items()
            if len(indices) == 1 and remainder and other_token.startswith(remainder)
        ]
        if extensions:
            scores[indices] = _log_sum(extensions)
        else:
            scores[indices] = top_tokens[token] if token else missing_log_probability
    log_total = _log_sum(scores.values())
    return {indices: value - log_total for indices, value in scores.items()}


def _log_sum(values: Iterable[float]) -> float:
    """The logarithm of the sum of exponentials; of at least one value."""
    listed = list(values)
    maximum = max(listed)
    return float(maximum + math.log(sum(math.exp(value - maximum) for value in listed)))
