"""A model with scripted answers, for tests, examples and documentation.

It reads a prompt as the embedded models do, finds the sentence that the question is about, and answers from a lexicon.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence

from entsemble.prompting.separator import SUBSTITUTE
from entsemble.types import Choice, Decoding, Reply, Usage

_QUESTION = re.compile(r" =(?: (?P<label>[^?;=\n]+)\?)?\Z")


class ScriptedModel:
    """Answers from a lexicon of entities.

    The text after the last `Text: ` in the prompt is the sentence. Tokens are words, and if a prompt continues the
    previous one, that one's tokens count as cached.

    Args:
        name: as for any model.
        lexicon: surface -> readable label. Extraction lists the surfaces that are in the sentence. A choice of type
            gives `confidence` to the surface's label, or to `none` if the lexicon lacks it; verification answers yes
            if the label is that of the lexicon.
        confidence: the probability of the answer; the rest is divided evenly among the other options.
        replies: sentence -> reply to extraction instead of the lexicon's: for malformed replies.

    Raises:
        ValueError: `confidence` is not between 0 and 1.
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
        script = json.dumps([self._lexicon, confidence, self._replies], sort_keys=True)
        self.fingerprint = "scripted:" + hashlib.sha256(script.encode()).hexdigest()[:16]
        self._lexicon = {surface.replace("|", SUBSTITUTE): label for surface, label in lexicon.items()}
        self._previous_prompt = ""

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """See `LanguageModel.generate`. Scripted replies are one line and need no grammar."""
        return [self._reply_to(prompt, decoding.max_tokens) for prompt in prompts]

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """See `LanguageModel.choose`."""
        return [self._choose_option(prompt, options) for prompt in prompts]

    def close(self) -> None:
        """Nothing to free."""

    def _reply_to(self, prompt: str, max_tokens: int) -> Reply:
        sentence = prompt.rpartition("Text: ")[2].partition("\n")[0]
        surfaces = [surface for surface in self._lexicon if re.search(rf"(?<!\w){re.escape(surface)}(?!\w)", sentence)]
        listing = " | ".join(sorted(surfaces, key=sentence.index)) or "none"
        words = self._replies.get(sentence, listing).split(" ")
        usage = self._usage(prompt, len(words))
        return Reply(" " + " ".join(words[:max_tokens]), len(words) <= max_tokens, usage)

    def _choose_option(self, prompt: str, options: Sequence[str]) -> Choice:
        answer_index = self._answer_index(prompt, options)
        other_probability = (1 - self._confidence) / max(1, len(options) - 1)
        probabilities = [
            self._confidence if index == answer_index else other_probability for index in range(len(options))
        ]
        if answer_index is None:
            probabilities = [1 / len(options)] * len(options)
        return Choice(tuple(map(math.log, probabilities)), self._usage(prompt, 1))

    def _answer_index(self, prompt: str, options: Sequence[str]) -> int | None:
        """The option that answers the prompt's question; `None` if there is no question, or no such option."""
        question = _QUESTION.search(prompt)
        if question is None:
            return None
        before_question = prompt[: question.start()]
        surfaces = [surface for surface in self._lexicon if before_question.endswith((f": {surface}", f"; {surface}"))]
        correct_label = self._lexicon[max(surfaces, key=len)] if surfaces else "none"
        answer = correct_label
        if question["label"] is not None:
            answer = "yes" if question["label"] == correct_label else "no"
        bare_options = [option.strip(" ;\n") for option in options]
        return bare_options.index(answer) if answer in bare_options else None

    def _usage(self, prompt: str, generated_tokens: int) -> Usage:
        is_continued = bool(self._previous_prompt) and prompt.startswith(self._previous_prompt)
        cached_tokens = len(self._previous_prompt.split()) if is_continued else 0
        self._previous_prompt = prompt
        return Usage(len(prompt.split()), cached_tokens, generated_tokens, 0.0, 1)
