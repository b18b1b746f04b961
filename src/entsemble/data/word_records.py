"""Records of words in place of a text, as Hugging Face data sets and training files of other tools have them.

Their annotation is a tag for each word (`ner_tags`: strings, or numbers whose names `class_names` finds), or ranges of
words: GLiNER's, DyGIE's and W2NER's `ner`, where the last word is included, and SpERT's `entities`, where it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

from entsemble.data.class_names import ClassNames
from entsemble.data.conll.detokenise import detokenise
from entsemble.data.conll.tags import OUTSIDE, TokenRange, decode, is_tag
from entsemble.data.mention_shapes import MENTION_KEYS, TEXT_KEYS, holds_mentions
from entsemble.errors import DataError
from entsemble.types import Span

_WORD_KEYS = ("tokens", "words", "tokenized_text", "sentence", "text")
_TAG_KEYS = (
    "ner_tags",
    "ner_tag",
    "tags",
    "ner",
    "ner_labels",
    "labels",
    "label",
    "bio_tags",
    "iob_tags",
    "bio",
    "iob",
)
"""Where tags are even if they have no prefix, or are numbers; under other keys, only what looks like tags is."""

_OTHER_TAGS = ("chunk_tags", "chunks", "chunk")
"""Tags with prefixes that are no mentions."""

_PLAIN_KEYS = ("id", "meta")


def with_text(record: dict[str, Any], names: ClassNames) -> dict[str, Any]:
    """A record of words as one with a text, its tokens and its mentions; any other record as it is.

    Tags of words are also read beside a text in which the words are found one after another.

    Args:
        record: a parsed JSON object; not changed. What is not read of a record of words goes to its `meta`.
        names: of the classes that numbers stand for.

    Raises:
        DataError: there are words and annotation, but one does not fit the other; the message names no file.
    """
    record = with_split_tags(record)
    words_key = next((key for key in _WORD_KEYS if _are_words(record.get(key))), None)
    if any(isinstance(record.get(key), str) for key in TEXT_KEYS):
        return record if words_key is None else _with_tags_of_text(record, words_key, names)
    if words_key is None:
        record, words_key = _join_sentences(record), "words"
        if words_key not in record:
            return record
    words = record[words_key]
    key, ranges = _find_ranges(record, words, names)
    rest = {name: value for name, value in record.items() if name not in (words_key, key)}
    unread_key = next((name for name in MENTION_KEYS if key is None and holds_mentions(rest.get(name), name)), None)
    if unread_key:
        problem = f"there are words, but no text that the offsets under `{unread_key}` could count in"
        raise DataError(f"{problem}; add the `text`, or write a tag for each word under `ner_tags`")
    text, spans = detokenise(words)
    return _record(rest, text, spans, ranges)


def with_split_tags(record: dict[str, Any]) -> dict[str, Any]:
    """A record with a text and, in another string, a tag for each of its words, with lists of both; others as they are.

    Words and tags are separated by whitespace, as in a table of sentences and tags.
    """
    keys = [key for key in _TAG_KEYS if isinstance(record.get(key), str) and key not in TEXT_KEYS]
    text = next((record[key] for key in TEXT_KEYS if isinstance(record.get(key), str)), "") if keys else ""
    words = text.split()
    for key in keys:
        tags = record[key].split()
        if len(tags) == len(words) > 1 and all(map(is_tag, tags)) and "words" not in record:
            return {**record, "words": words, key: tags}
    return record


def _with_tags_of_text(record: dict[str, Any], words_key: str, names: ClassNames) -> dict[str, Any]:
    """A record with a text and its words, with the mentions that tags of the words give if it has no other mentions."""
    text_key = next(key for key in TEXT_KEYS if isinstance(record.get(key), str))
    key = _find_tag_key(record, record[words_key], names)
    if key is None or any(holds_mentions(record.get(name), name) for name in MENTION_KEYS):
        return record
    text, spans = record[text_key], _find_in_text(record[words_key], record[text_key])
    tags = _tags(key, record[key], names)
    if spans is None or tags is None:
        return record
    rest = {name: value for name, value in record.items() if name not in (words_key, key, text_key)}
    return _record(rest, text, spans, _decode(tags))


def _find_in_text(words: Sequence[str], text: str) -> list[Span | None] | None:
    """The ranges of words that follow each other in a text; `None` if one is not there."""
    spans: list[Span | None] = []
    end = 0
    for word in words:
        start = text.find(word, end) if word.strip() else -1
        if word.strip() and start < 0:
            return None
        spans.append(Span(start, start + len(word)) if word.strip() else None)
        end = start + len(word) if word.strip() else end
    return spans


def _record(
    rest: dict[str, Any], text: str, spans: Sequence[Span | None], ranges: Sequence[TokenRange]
) -> dict[str, Any]:
    mentions = []
    for first, end, label in ranges:
        covered = [span for span in spans[first:end] if span]
        if not covered:
            raise DataError(f"the {label} at word {first + 1} covers blank words only; leave it out")
        mentions.append({"start": covered[0].start, "end": covered[-1].end, "label": label})
    tokens = [[span.start, span.end] for span in spans if span]
    meta = {key: value for key, value in rest.items() if key not in ("id", "meta")}
    given_meta = rest.get("meta")
    meta |= given_meta if isinstance(given_meta, dict) else {} if given_meta is None else {"meta": given_meta}
    return {"id": rest.get("id"), "text": text, "mentions": mentions, "tokens": tokens, "meta": meta}


def _are_words(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)


def _join_sentences(record: dict[str, Any]) -> dict[str, Any]:
    """A record of DyGIE's, whose words and ranges are in sentences, as one of words; any other record as it is."""
    sentences, ner = record.get("sentences"), record.get("ner")
    if not (isinstance(sentences, list) and sentences and all(map(_are_words, sentences))):
        return record
    words = [word for sentence in sentences for word in sentence]
    joined = {key: value for key, value in record.items() if key != "sentences"} | {"words": words}
    if isinstance(ner, list) and len(ner) == len(sentences) and all(isinstance(ranges, list) for ranges in ner):
        joined["ner"] = [item for ranges in ner for item in ranges]
    return joined


def _find_ranges(
    record: dict[str, Any], words: Sequence[str], names: ClassNames
) -> tuple[str | None, list[TokenRange]]:
    """The key of a record's annotation, and the mentions as ranges of words."""
    ner, entities = record.get("ner"), record.get("entities")
    if isinstance(ner, list) and all(map(_is_range_of_words, ner)) and (ner or "tokenized_text" in record):
        return "ner", [_inclusive_range(item, len(words)) for item in ner]
    if isinstance(entities, list) and entities and all(map(_is_spert_entity, entities)):
        ranges = [(item["start"], item["end"], item["type"]) for item in entities]
        return "entities", [_checked(TokenRange(*item), len(words), "entities") for item in ranges]
    key = _find_tag_key(record, words, names)
    if key is None:
        return None, []
    tags = _tags(key, record[key], names)
    if tags is None:
        problem = f"`{key}` has numbers, and nothing says which labels they stand for"
        advice = "save the data set's dataset_info.json in the same folder, or write tags such as B-person"
        raise DataError(f"{problem}; {advice}")
    return key, _decode(tags)


def _is_range_of_words(item: object) -> bool:
    if isinstance(item, dict):
        return isinstance(item.get("index"), list) and isinstance(item.get("type"), str)
    return isinstance(item, list) and len(item) >= 3 and all(type(end) is int for end in item[:2])


def _is_spert_entity(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("type"), str) and type(item.get("start")) is int


def _inclusive_range(item: Any, length: int) -> TokenRange:  # noqa: ANN401 - parsed JSON
    if isinstance(item, dict):
        numbers = item["index"]
        if not numbers or numbers != [*range(numbers[0], numbers[0] + len(numbers))]:
            raise DataError(f"`ner`: {item!r} has words apart; write its pieces as mentions of their own")
        return _checked(TokenRange(numbers[0], numbers[-1] + 1, item["type"]), length, "ner")
    return _checked(TokenRange(item[0], item[1] + 1, item[2]), length, "ner")


def _checked(token_range: TokenRange, length: int, key: str) -> TokenRange:
    first, end, label = token_range
    if not (type(end) is int and 0 <= first < end <= length and isinstance(label, str) and label.strip()):
        raise DataError(f"`{key}`: words {first} to {end}, {label!r}, are no labelled range of {length} words")
    return token_range


def _find_tag_key(record: dict[str, Any], words: Sequence[str], names: ClassNames) -> str | None:
    """The key of the tags of the words; those under usual keys may be plain labels, or numbers."""
    for key in _TAG_KEYS:
        values = record.get(key)
        if isinstance(values, list) and values and (_are_numbers(values) or _are_tags(values, may_be_plain=True)):
            if len(values) != len(words):
                raise DataError(
                    f"there are {len(words)} words, but {len(values)} tags under `{key}`; correct the record"
                )
            return key
    others = (key for key in record if key not in _OTHER_TAGS and isinstance(record[key], list))
    return next(
        (key for key in others if len(record[key]) == len(words) and _look_like_tags(key, record[key], names)), None
    )


def _look_like_tags(key: str, values: list[Any], names: ClassNames) -> bool:
    if _are_numbers(values):
        return _are_tags(names.of(key) or [], may_be_plain=False)
    return _are_tags(values, may_be_plain=False)


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(type(value) is int for value in values)


def _are_tags(values: Sequence[Any], *, may_be_plain: bool) -> bool:
    if not values or not all(isinstance(value, str) for value in values):
        return False
    return all(map(is_tag, values)) or (may_be_plain and (OUTSIDE in values or any(map(is_tag, values))))


def _tags(key: str, values: Sequence[Any], names: ClassNames) -> list[str] | None:
    """The tags as strings; `None` if they are numbers without names."""
    if not _are_numbers(values):
        return [*values]
    class_names = names.of(key)
    if class_names is None:
        return None
    if not all(0 <= value < len(class_names) for value in values):
        raise DataError(f"`{key}` has numbers beyond its {len(class_names)} labels: {class_names}")
    return [class_names[value] for value in values]


def _decode(tags: Sequence[str]) -> list[TokenRange]:
    """The mentions of tags with prefixes, or of plain labels, where words with the same one are one mention."""
    if all(tag == OUTSIDE or not is_tag(tag) for tag in tags):
        tags = [tag if tag == OUTSIDE else f"I-{tag}" for tag in tags]
    return decode(tags)
