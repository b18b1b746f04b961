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
TYPE_OPTIONS = [" person;", " place;", " personal effect;", " none;"]


def extraction_prompt(name: str, town: str) -> str:
    """The first prompt of a sentence."""
    return f"{HEADER}Text: {name} came from {town} by train.\nEntities:"


def typing_prompt(name: str, town: str) -> str:
    """A later prompt of the same sentence."""
    return f"{extraction_prompt(name, town)} {name} | {town}\nTypes: {name} ="


def llamacpp_model(path: Path, name: str, slots: int = 2) -> LlamaCppModel:
    return LlamaCppModel(
        name, path, fingerprint=name, parameters=1, options=LlamaCppOptions(context=CONTEXT, slots=slots, threads=1)
    )


def served_model(path: Path) -> Iterator[LanguageModel]:
    """A model behind llama.cpp's own server."""
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


OTHER_ENGINES = [
    pytest.param("openai", marks=pytest.mark.models),
    pytest.param("transformers", marks=[pytest.mark.models, pytest.mark.soak]),  # a tiny one has its own tests
]


@pytest.fixture(scope="module", params=["scripted", *EMBEDDED, *OTHER_ENGINES])
def model(request: pytest.FixtureRequest) -> Iterator[LanguageModel]:
    if request.param == "scripted":
        yield ScriptedModel("scripted", {"Dora": "person", "Graz": "place", "Emil": "person", "Riga": "place"})
        return
    path: Callable[[str], Path] = request.getfixturevalue("model_file")
    if request.param == "openai":
        yield from served_model(path("smollm2-135m"))
        return
    if request.param == "transformers":
        pytest.importorskip("peft", reason="needs the extra 'experts'")
        from entsemble.backends.transformers import TransformersModel, TransformersOptions

        options = TransformersOptions(context=CONTEXT)
        yield TransformersModel("transformers", path("smollm2-135m"), fingerprint="f", options=options)
        return
    model_under_test = llamacpp_model(path(request.param), request.param)
    yield model_under_test
    model_under_test.close()


@pytest.fixture(scope="module", params=EMBEDDED)
def embedded(request: pytest.FixtureRequest, model_file: Callable[[str], Path]) -> Iterator[LlamaCppModel]:
    model_under_test = llamacpp_model(model_file(request.param), request.param, slots=4)
    yield model_under_test
    model_under_test.close()


def test_a_model_has_a_name_and_a_fingerprint(model: LanguageModel) -> None:
    assert isinstance(model, LanguageModel)
    assert model.name
    assert model.fingerprint
    assert model.name in ("served", "scripted") or model.parameters


def test_a_reply_ends_at_a_stop_string(model: LanguageModel) -> None:
    [reply] = model.generate([extraction_prompt("Dora", "Graz")], Decoding(40, stop=("\n",)))
    assert reply.finished
    assert "\n" not in reply.text
    assert "Dora" in reply.text


def test_a_listing_grammar_allows_several_spans_of_the_text(model: LanguageModel) -> None:
    grammar = build_listing_grammar(load_template("ner-1"), "Dora came from Graz by train.")
    [reply] = model.generate(
        [extraction_prompt("Dora", "Graz")], Decoding(40, stop=("\n",), grammar=grammar, list_separator="|")
    )
    assert reply.finished
    assert {item.strip() for item in reply.text.split("|")} >= {"Dora", "Graz"}


def test_a_reply_has_at_most_max_tokens(model: LanguageModel) -> None:
    [reply] = model.generate([extraction_prompt("Dora", "Graz")], Decoding(2))
    assert not reply.finished
    assert 0 < len(reply.text) < 25


def test_a_list_is_interrupted_once_it_repeats_itself(embedded: LlamaCppModel) -> None:
    """Small models repeat themselves up to the limit; later requests are not affected."""
    repetitive_grammar = 'root ::= (" Dora |")+'
    [reply] = embedded.generate(
        [extraction_prompt("Dora", "Graz")], Decoding(40, grammar=repetitive_grammar, list_separator="|")
    )
    [full_reply] = embedded.generate([extraction_prompt("Dora", "Graz")], Decoding(40, grammar=repetitive_grammar))
    assert (reply.text, reply.finished) == (" Dora | Dora ", True)
    assert full_reply.text.startswith(reply.text)
    assert (full_reply.finished, full_reply.usage.generated_tokens) == (False, 40)
    assert reply.usage.generated_tokens < 12
    assert reply.usage.prompt_tokens == full_reply.usage.prompt_tokens
    [next_reply] = embedded.generate(
        [extraction_prompt("Emil", "Riga")], Decoding(12, stop=("\n",), list_separator="|")
    )
    [separate_reply] = embedded.generate([extraction_prompt("Emil", "Riga")], Decoding(12, stop=("\n",)))
    assert next_reply.text == separate_reply.text


def test_answers_come_in_the_order_of_the_prompts(model: LanguageModel) -> None:
    prompts = [extraction_prompt("Dora", "Graz"), extraction_prompt("Emil", "Riga"), extraction_prompt("Dora", "Riga")]
    replies = [r.text for r in model.generate(prompts, Decoding(12, stop=("\n",)))]
    for name, reply in zip(("Dora", "Emil", "Dora"), replies, strict=True):
        assert name in reply
        assert ("Emil" in reply) == (name == "Emil")
    names = [(name, town) for name in ("Dora", "Emil") for town in ("Graz", "Riga")]
    together = model.choose([typing_prompt(*n) for n in names], TYPE_OPTIONS)
    assert [c.best_index for c in together] == [
        model.choose([typing_prompt(*n)], TYPE_OPTIONS)[0].best_index for n in names
    ]
    assert model.generate([], Decoding(3)) == []
    assert model.choose([], TYPE_OPTIONS) == []


@pytest.mark.parametrize(
    "options",
    [
        TYPE_OPTIONS,
        [" yes;", " no;"],
        [" person name part;", " person name;", " person;"],
        [" 北京;", " 😀;", " none;"],
    ],
)
def test_a_choice_is_a_probability_distribution_that_does_not_depend_on_the_order(
    model: LanguageModel, options: Sequence[str]
) -> None:
    [choice] = model.choose([typing_prompt("Dora", "Graz")], options)
    assert choice.exact or isinstance(model, OpenAIModel)  # a server lists only its twenty most probable tokens
    assert len(choice.log_probabilities) == len(options)
    assert sum(map(math.exp, choice.log_probabilities)) == pytest.approx(1, abs=1e-4)
    [reversed_choice] = model.choose([typing_prompt("Dora", "Graz")], options[::-1])
    assert [math.exp(x) for x in reversed_choice.log_probabilities[::-1]] == pytest.approx(
        [math.exp(x) for x in choice.log_probabilities], abs=0.02
    )


def test_a_few_shot_prompt_makes_a_person_the_best_option(model: LanguageModel) -> None:
    [choice] = model.choose([typing_prompt("Dora", "Graz")], TYPE_OPTIONS)
    assert TYPE_OPTIONS[choice.best_index] == " person;"
    assert math.exp(choice.log_probabilities[0]) > 0.5


def test_usage_counts_tokens_and_calls(model: LanguageModel) -> None:
    prompt = extraction_prompt("Dora", "Riga")
    [reply] = model.generate([prompt], Decoding(3))
    [longer] = model.generate([prompt + " Dora" * 20], Decoding(3))
    usage = reply.usage
    assert len(prompt.split()) <= usage.prompt_tokens < len(prompt)
    assert longer.usage.prompt_tokens >= usage.prompt_tokens + 20
    assert 0 <= usage.cached_tokens <= usage.prompt_tokens
    assert usage.calls == 1
    assert usage.seconds >= 0
    [choice] = model.choose([prompt], TYPE_OPTIONS)
    assert choice.usage.calls >= 1
    assert choice.usage.prompt_tokens >= usage.prompt_tokens


# engines in this process


@pytest.mark.models
def test_a_prompt_longer_than_the_context_is_an_error(embedded: LlamaCppModel) -> None:
    with pytest.raises(PromptTooLongError, match=rf"{embedded.name}.*{CONTEXT}.*fewer shots"):
        embedded.generate(["word " * 2 * CONTEXT], Decoding(3))
    with pytest.raises(PromptTooLongError):
        embedded.choose(["word " * 2 * CONTEXT], TYPE_OPTIONS)
    assert embedded.choose([typing_prompt("Dora", "Graz")], TYPE_OPTIONS)[0].best_index == 0


@pytest.mark.models
def test_a_prompt_that_leaves_no_room_for_the_reply_is_an_error(embedded: LlamaCppModel) -> None:
    with pytest.raises(PromptTooLongError):
        embedded.generate(["word " * (CONTEXT - 40)], Decoding(100))


@pytest.mark.models
def test_a_shared_prefix_is_not_evaluated_again(embedded: LlamaCppModel) -> None:
    [first] = embedded.generate([extraction_prompt("Dora", "Turin")], Decoding(8, stop=("\n",)))
    [second] = embedded.choose([typing_prompt("Dora", "Turin")], [" yes;", " no;"])
    assert first.usage.cached_tokens == 0
    assert second.usage.cached_tokens >= first.usage.prompt_tokens - 4
    assert second.usage.evaluated_tokens < 30


@pytest.mark.models
def test_a_reply_follows_its_grammar(embedded: LlamaCppModel) -> None:
    constraint = 'root ::= " 1" " 2"? "\\n"'
    [reply] = embedded.generate([extraction_prompt("Dora", "Graz")], Decoding(8, stop=("\n",), grammar=constraint))
    assert reply.text in (" 1", " 1 2")
    assert reply.finished
    with pytest.raises(BadReplyError, match=embedded.name):
        embedded.generate(["Text"], Decoding(3, grammar="root ::= ((("))


# reproducible answers


def sentence_scores(model: LanguageModel, name: str, town: str) -> list[tuple[float, ...]]:
    """The log-probabilities of the choices of a sentence, with prompts in the pipeline's order."""
    model.generate([extraction_prompt(name, town)], Decoding(8, stop=("\n",)))
    so_far, scores = typing_prompt(name, town), []
    for surface in (town, name):
        [choice] = model.choose([so_far], TYPE_OPTIONS)
        scores.append(choice.log_probabilities)
        so_far += f"{TYPE_OPTIONS[choice.best_index]} {surface} ="
    scores += [c.log_probabilities for c in model.choose([f"{so_far}\nCheck: {name} = person?"], [" yes;", " no;"])]
    return scores


SENTENCES = [("Dora", "Graz"), ("Emil", "Graz"), ("Dora", "Riga"), ("Emil", "Riga")]
Answers = dict[tuple[str, str], list[tuple[float, ...]]]


@pytest.fixture(scope="module", params=EMBEDDED)
def reference(request: pytest.FixtureRequest, model_file: Callable[[str], Path]) -> tuple[Callable[[], Any], Answers]:
    """A function that starts a new engine, and the scores of all sentences in one."""

    def start_model() -> LlamaCppModel:
        return llamacpp_model(model_file(request.param), request.param, slots=4)

    model_under_test = start_model()
    scores = {names: sentence_scores(model_under_test, *names) for names in SENTENCES}
    model_under_test.close()
    assert len({str(answers) for answers in scores.values()}) == len(SENTENCES)
    return start_model, scores


@pytest.mark.models
def test_answers_do_not_depend_on_earlier_sentences(reference: tuple[Any, Answers]) -> None:
    model_under_test = reference[0]()
    model_under_test.generate(
        ["Something else entirely", extraction_prompt("Dora", "Nice"), "A named entity"], Decoding(2)
    )
    model_under_test.choose([typing_prompt("Dora", "Gra")], TYPE_OPTIONS)
    assert {names: sentence_scores(model_under_test, *names) for names in SENTENCES[::-1]} == reference[1]
    model_under_test.close()


@pytest.mark.models
def test_two_threads_get_the_answers_of_one(reference: tuple[Any, Answers]) -> None:
    def score_sentences(part: Sequence[tuple[str, str]]) -> None:
        for names in part:
            together[names] = sentence_scores(model_under_test, *names)

    model_under_test, together = reference[0](), Answers()
    threads = [threading.Thread(target=score_sentences, args=(SENTENCES[i::2],)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    model_under_test.close()
    assert together == reference[1]


@pytest.mark.models
def test_a_repeated_sentence_gets_the_same_answers(embedded: LlamaCppModel) -> None:
    first = sentence_scores(embedded, "Mona", "Cork")
    assert sentence_scores(embedded, "Mona", "Cork") == first


@pytest.mark.models
@pytest.mark.xfail(
    strict=True, reason="a prompt that begins with an earlier one continues it, evaluated in other pieces"
)
def test_a_prompt_that_continues_an_unrelated_one(embedded: LlamaCppModel) -> None:
    first = sentence_scores(embedded, "Nora", "Cork")
    embedded.generate([extraction_prompt("Otto", place) for place in ("Ulm", "Jena", "Kiel", "Bern")], Decoding(1))
    embedded.generate([HEADER], Decoding(1))
    assert sentence_scores(embedded, "Nora", "Cork") == first
