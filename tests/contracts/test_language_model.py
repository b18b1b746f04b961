"""What every `LanguageModel` promises."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from entsemble.backends.llamacpp.engine import LlamaCppOptions
from entsemble.backends.llamacpp.model import LlamaCppModel
from entsemble.backends.openai.model import OpenAIModel
from entsemble.backends.scripted import ScriptedModel
from entsemble.errors import BadReplyError, PromptTooLongError
from entsemble.prompting.grammar import build_listing_grammar
from entsemble.prompting.template import load_template
from entsemble.protocols import LanguageModel
from entsemble.types import Decoding

CONTEXT = 512
HEADER = "Named entity recognition. Entity types: person, place.\n\n" + "".join(
    f"Text: {name} left {town} on a rainy day.\nEntities: {name} | {town}\n"
    f"Types: {name} = person; {town} = place;\nCheck: {name} = person? yes; {town} = person? no;\n\n"
    for name, town in (("Ann", "Oslo"), ("Bob Lee", "Lima"), ("Chen", "Bonn"))
)
TYPES = [" person;", " place;", " personal effect;", " none;"]


def question(name: str, town: str) -> str:
    """A sentence's first prompt."""
    return f"{HEADER}Text: {name} came from {town} by train.\nEntities:"


def typing(name: str, town: str) -> str:
    """A later prompt of the same sentence."""
    return f"{question(name, town)} {name} | {town}\nTypes: {name} ="


def llama(path: Path, name: str, slots: int = 2) -> LlamaCppModel:
    return LlamaCppModel(
        name, path, fingerprint=name, parameters=1, options=LlamaCppOptions(context=CONTEXT, slots=slots, threads=1)
    )


def served(path: Path) -> Iterator[LanguageModel]:
    """llama.cpp's own server, asked over HTTP."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.n_ctx, settings.n_parallel, settings.verbosity, settings.ui = CONTEXT, 1, -1, False
    settings.warmup = False
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(settings)
    model = OpenAIModel("served", server.listening_address + "/v1", "any")
    yield model
    model.close()
    del server


EMBEDDED = [pytest.param(name, marks=pytest.mark.models) for name in ("smollm2-135m", "gemma-3-270m")]


MORE = [
    pytest.param("openai", marks=pytest.mark.models),
    pytest.param("transformers", marks=[pytest.mark.models, pytest.mark.soak]),  # a tiny one has tests of its own
]


@pytest.fixture(scope="module", params=["scripted", *EMBEDDED, *MORE])
def model(request: pytest.FixtureRequest) -> Iterator[LanguageModel]:
    if request.param == "scripted":
        yield ScriptedModel("scripted", {"Dora": "person", "Graz": "place", "Emil": "person", "Riga": "place"})
        return
    path: Callable[[str], Path] = request.getfixturevalue("model_file")
    if request.param == "openai":
        yield from served(path("smollm2-135m"))
        return
    if request.param == "transformers":
        pytest.importorskip("peft", reason="needs the extra 'experts'")
        from entsemble.backends.transformers import TransformersModel, TransformersOptions

        options = TransformersOptions(context=CONTEXT)
        yield TransformersModel("transformers", path("smollm2-135m"), fingerprint="f", options=options)
        return
    made = llama(path(request.param), request.param)
    yield made
    made.close()


@pytest.fixture(scope="module", params=EMBEDDED)
def embedded(request: pytest.FixtureRequest, model_file: Callable[[str], Path]) -> Iterator[LlamaCppModel]:
    made = llama(model_file(request.param), request.param, slots=4)
    yield made
    made.close()


def test_it_says_who_it_is(model: LanguageModel) -> None:
    assert isinstance(model, LanguageModel)
    assert model.name
    assert model.fingerprint
    assert model.name in ("served", "scripted") or model.parameters


def test_it_stops_where_it_is_told(model: LanguageModel) -> None:
    [reply] = model.generate([question("Dora", "Graz")], Decoding(40, stop=("\n",)))
    assert reply.finished
    assert "\n" not in reply.text
    assert "Dora" in reply.text


def test_a_list_of_what_stands_in_the_text_may_have_several_items(model: LanguageModel) -> None:
    grammar = build_listing_grammar(load_template("ner-1"), "Dora came from Graz by train.")
    [reply] = model.generate(
        [question("Dora", "Graz")], Decoding(40, stop=("\n",), grammar=grammar, list_separator="|")
    )
    assert reply.finished
    assert {item.strip() for item in reply.text.split("|")} >= {"Dora", "Graz"}


def test_it_writes_no_more_than_asked(model: LanguageModel) -> None:
    [reply] = model.generate([question("Dora", "Graz")], Decoding(2))
    assert not reply.finished
    assert 0 < len(reply.text) < 25


def test_a_list_ends_where_it_begins_to_repeat_itself(embedded: LlamaCppModel) -> None:
    """Small models do so up to the limit; what comes after is answered as if they had not."""
    loop = 'root ::= (" Dora |")+'
    [reply] = embedded.generate([question("Dora", "Graz")], Decoding(40, grammar=loop, list_separator="|"))
    [whole] = embedded.generate([question("Dora", "Graz")], Decoding(40, grammar=loop))
    assert (reply.text, reply.finished) == (" Dora | Dora ", True)
    assert whole.text.startswith(reply.text)
    assert (whole.finished, whole.usage.generated_tokens) == (False, 40)
    assert reply.usage.generated_tokens < 12
    assert reply.usage.prompt_tokens == whole.usage.prompt_tokens
    [next_] = embedded.generate([question("Emil", "Riga")], Decoding(12, stop=("\n",), list_separator="|"))
    [alone] = embedded.generate([question("Emil", "Riga")], Decoding(12, stop=("\n",)))
    assert next_.text == alone.text


def test_a_batch_is_answered_in_its_order(model: LanguageModel) -> None:
    prompts = [question("Dora", "Graz"), question("Emil", "Riga"), question("Dora", "Riga")]
    replies = [r.text for r in model.generate(prompts, Decoding(12, stop=("\n",)))]
    for name, reply in zip(("Dora", "Emil", "Dora"), replies, strict=True):
        assert name in reply
        assert ("Emil" in reply) == (name == "Emil")
    names = [(name, town) for name in ("Dora", "Emil") for town in ("Graz", "Riga")]
    together = model.choose([typing(*n) for n in names], TYPES)
    assert [c.best_index for c in together] == [model.choose([typing(*n)], TYPES)[0].best_index for n in names]
    assert model.generate([], Decoding(3)) == []
    assert model.choose([], TYPES) == []


@pytest.mark.parametrize(
    "options",
    [TYPES, [" yes;", " no;"], [" person name part;", " person name;", " person;"], [" 北京;", " 😀;", " none;"]],
)
def test_a_choice_is_a_distribution(model: LanguageModel, options: Sequence[str]) -> None:
    [choice] = model.choose([typing("Dora", "Graz")], options)
    assert choice.exact or isinstance(model, OpenAIModel)  # a server shows its twenty likeliest tokens only
    assert len(choice.log_probabilities) == len(options)
    assert sum(map(math.exp, choice.log_probabilities)) == pytest.approx(1, abs=1e-4)
    [turned] = model.choose([typing("Dora", "Graz")], options[::-1])
    assert [math.exp(x) for x in turned.log_probabilities[::-1]] == pytest.approx(
        [math.exp(x) for x in choice.log_probabilities], abs=0.02
    )


def test_it_knows_a_person_when_it_is_shown_three(model: LanguageModel) -> None:
    [choice] = model.choose([typing("Dora", "Graz")], TYPES)
    assert TYPES[choice.best_index] == " person;"
    assert math.exp(choice.log_probabilities[0]) > 0.5


def test_what_it_costs(model: LanguageModel) -> None:
    prompt = question("Dora", "Riga")
    [reply] = model.generate([prompt], Decoding(3))
    [longer] = model.generate([prompt + " Dora" * 20], Decoding(3))
    usage = reply.usage
    assert len(prompt.split()) <= usage.prompt_tokens < len(prompt)
    assert longer.usage.prompt_tokens >= usage.prompt_tokens + 20
    assert 0 <= usage.cached_tokens <= usage.prompt_tokens
    assert usage.calls == 1
    assert usage.seconds >= 0
    [choice] = model.choose([prompt], TYPES)
    assert choice.usage.calls >= 1
    assert choice.usage.prompt_tokens >= usage.prompt_tokens


# the rest needs an engine


@pytest.mark.models
def test_a_prompt_that_does_not_fit(embedded: LlamaCppModel) -> None:
    with pytest.raises(PromptTooLongError, match=rf"{embedded.name}.*{CONTEXT}.*fewer shots"):
        embedded.generate(["word " * 2 * CONTEXT], Decoding(3))
    with pytest.raises(PromptTooLongError):
        embedded.choose(["word " * 2 * CONTEXT], TYPES)
    assert embedded.choose([typing("Dora", "Graz")], TYPES)[0].best_index == 0


@pytest.mark.models
def test_a_prompt_whose_reply_does_not_fit(embedded: LlamaCppModel) -> None:
    with pytest.raises(PromptTooLongError):
        embedded.generate(["word " * (CONTEXT - 40)], Decoding(100))


@pytest.mark.models
def test_what_a_prompt_shares_with_the_one_before_is_not_evaluated_again(embedded: LlamaCppModel) -> None:
    [first] = embedded.generate([question("Dora", "Turin")], Decoding(8, stop=("\n",)))
    [second] = embedded.choose([typing("Dora", "Turin")], [" yes;", " no;"])
    assert first.usage.cached_tokens == 0
    assert second.usage.cached_tokens >= first.usage.prompt_tokens - 4
    assert second.usage.evaluated_tokens < 30


@pytest.mark.models
def test_a_grammar_is_obeyed(embedded: LlamaCppModel) -> None:
    constraint = 'root ::= " 1" " 2"? "\\n"'
    [reply] = embedded.generate([question("Dora", "Graz")], Decoding(8, stop=("\n",), grammar=constraint))
    assert reply.text in (" 1", " 1 2")
    assert reply.finished
    with pytest.raises(BadReplyError, match=embedded.name):
        embedded.generate(["Text"], Decoding(3, grammar="root ::= ((("))


# the same answers, whatever was asked before


def sentence(model: LanguageModel, name: str, town: str) -> list[tuple[float, ...]]:
    """The prompts of one sentence in the pipeline's order; the log-probabilities of its choices."""
    model.generate([question(name, town)], Decoding(8, stop=("\n",)))
    so_far, told = typing(name, town), []
    for surface in (town, name):
        [choice] = model.choose([so_far], TYPES)
        told.append(choice.log_probabilities)
        so_far += f"{TYPES[choice.best_index]} {surface} ="
    told += [c.log_probabilities for c in model.choose([f"{so_far}\nCheck: {name} = person?"], [" yes;", " no;"])]
    return told


SENTENCES = [("Dora", "Graz"), ("Emil", "Graz"), ("Dora", "Riga"), ("Emil", "Riga")]
Answers = dict[tuple[str, str], list[tuple[float, ...]]]


@pytest.fixture(scope="module", params=EMBEDDED)
def alone(request: pytest.FixtureRequest, model_file: Callable[[str], Path]) -> tuple[Callable[[], Any], Answers]:
    """What makes a fresh engine, and what one told of the sentences, one after another."""

    def fresh() -> LlamaCppModel:
        return llama(model_file(request.param), request.param, slots=4)

    made = fresh()
    told = {s: sentence(made, *s) for s in SENTENCES}
    made.close()
    assert len({str(answers) for answers in told.values()}) == len(SENTENCES)
    return fresh, told


@pytest.mark.models
def test_what_a_sentence_is_answered_does_not_depend_on_its_neighbours(alone: tuple[Any, Answers]) -> None:
    made = alone[0]()
    made.generate(["Something else entirely", question("Dora", "Nice"), "A named entity"], Decoding(2))
    made.choose([typing("Dora", "Gra")], TYPES)
    assert {s: sentence(made, *s) for s in SENTENCES[::-1]} == alone[1]
    made.close()


@pytest.mark.models
def test_two_threads_are_answered_as_one(alone: tuple[Any, Answers]) -> None:
    def asked(part: Sequence[tuple[str, str]]) -> None:
        for s in part:
            together[s] = sentence(made, *s)

    made, together = alone[0](), Answers()
    threads = [threading.Thread(target=asked, args=(SENTENCES[i::2],)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.close()
    assert together == alone[1]


@pytest.mark.models
def test_the_same_sentence_again_is_answered_the_same(embedded: LlamaCppModel) -> None:
    first = sentence(embedded, "Mona", "Cork")
    assert sentence(embedded, "Mona", "Cork") == first


@pytest.mark.models
@pytest.mark.xfail(strict=True, reason="whatever begins with a prompt asked before goes on from it, in other pieces")
def test_a_prompt_that_goes_on_from_an_unrelated_one(embedded: LlamaCppModel) -> None:
    first = sentence(embedded, "Nora", "Cork")
    embedded.generate([question("Otto", place) for place in ("Ulm", "Jena", "Kiel", "Bern")], Decoding(1))
    embedded.generate([HEADER], Decoding(1))
    assert sentence(embedded, "Nora", "Cork") == first
