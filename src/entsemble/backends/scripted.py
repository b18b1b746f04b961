"""A model whose answers are written down: deterministic, for tests, examples and documentation.

It reads a prompt as the embedded models do, finds the sentence that is asked about, and answers from a script. It has
no weights and guesses nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence

from entsemble.types import Choice, Decoding, Reply, Usage

_QUESTION = re.compile(r" (?P<surface>[^=;|\n]+?) =(?: (?P<label>[^?;=\n]+)\?)?\Z")


class ScriptedModel:
    """Answers by the surfaces it knows.

    Args:
        name: as for any model.
        lexicon: surface -> readable label. In extraction it lists those that stand in the sentence; asked for a
            type, it gives the label `confidence`, and `none` to a surface it does not know; asked to verify, it says
            yes where the label is its own.
        confidence: the probability of what it is sure of; the rest is shared out evenly.
        replies: sentence -> the exact text to answer extraction with, in place of the lexicon: for replies that are
            nonsense.

    The text after the last `Text: ` in the prompt is the sentence; tokens are words, and a prompt that begins with the
    one before is served from the cache as far as they agree.
    """

    parameters: int | None = 0

    def __init__(
        self,
        name: str,
        lexicon: Mapping[str, str],
        *,
        confidence: float = 0.9,
        replies: Mapping[str, str] | None = None,
    ) -> None:
        if not 0 < confidence < 1:
            raise ValueError("confidence is a probability between 0 and 1")
        self.name, self._lexicon, self._confidence, self._replies = name, dict(lexicon), confidence, dict(replies or {})
        told = json.dumps([self._lexicon, confidence, self._replies], sort_keys=True)
        self.fingerprint = "scripted:" + hashlib.sha256(told.encode()).hexdigest()[:16]
        self._last = ""

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """See `LanguageModel.generate`. Scripted replies are one line and need no grammar."""
        return [self._reply(prompt, decoding.max_tokens) for prompt in prompts]

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """See `LanguageModel.choose`."""
        return [self._choice(prompt, options) for prompt in prompts]

    def close(self) -> None:
        """Nothing to give back."""

    def _reply(self, prompt: str, max_tokens: int) -> Reply:
        sentence = _sentence(prompt)
        known = [s for s in self._lexicon if re.search(rf"(?<!\w){re.escape(s)}(?!\w)", sentence)]
        listed = " | ".join(sorted(known, key=sentence.index)) or "none"
        words = self._replies.get(sentence, listed).split(" ")
        return Reply(" " + " ".join(words[:max_tokens]), len(words) <= max_tokens, self._cost(prompt, len(words)))

    def _choice(self, prompt: str, options: Sequence[str]) -> Choice:
        question = _QUESTION.search(prompt)
        if question is None:
            return Choice(tuple(math.log(1 / len(options)) for _ in options), self._cost(prompt, 1))
        surface, label = question["surface"], question["label"]
        own = self._lexicon.get(surface, "none")
        answer = own if label is None else "yes" if label == own else "no"
        right = next((i for i, option in enumerate(options) if option.strip(" ;\n") == answer), None)
        rest = (1 - self._confidence) / max(1, len(options) - 1)
        shares = [self._confidence if i == right else rest for i in range(len(options))]
        if right is None:
            shares = [1 / len(options)] * len(options)
        return Choice(tuple(math.log(share) for share in shares), self._cost(prompt, 1))

    def _cost(self, prompt: str, generated: int) -> Usage:
        cached = len(self._last.split()) if self._last and prompt.startswith(self._last) else 0
        self._last = prompt
        return Usage(len(prompt.split()), cached, generated, 0.0, 1)


def _sentence(prompt: str) -> str:
    return prompt.rpartition("Text: ")[2].partition("\n")[0]
