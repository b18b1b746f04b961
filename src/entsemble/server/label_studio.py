"""A machine-learning backend for Label Studio: predictions for the tasks that it sends.

Label Studio asks `/health`, announces a project's labelling configuration to `/setup`, and sends tasks with it to
`/predict`. Nothing is stored between requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from xml.etree import ElementTree

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

import entsemble
from entsemble.server import schemas
from entsemble.server.streaming import ExtractHandler

_MODEL_VERSION = f"entsemble {entsemble.__version__}"
_MAX_CONFIG_CHARACTERS = 100_000


class TaskIn(BaseModel):
    """A task of Label Studio; what is not used may be anything."""

    data: dict[str, Any]


class PredictIn(BaseModel):
    """The request of `/predict`."""

    tasks: list[TaskIn]
    label_config: Annotated[str, Field(max_length=_MAX_CONFIG_CHARACTERS)]


class SetupIn(BaseModel):
    """The request of `/setup`; Label Studio calls the labelling configuration its schema."""

    label_config: Annotated[str, Field(alias="schema", max_length=_MAX_CONFIG_CHARACTERS)]


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """What a labelling configuration says about named entities.

    Attributes:
        from_name: name of its `Labels` tag.
        to_name: name of its `Text` tag.
        text_key: of a task's data.
        labels: name -> definition, which is the label's hint.
    """

    from_name: str
    to_name: str
    text_key: str
    labels: Mapping[str, str]


def add_label_studio(app: FastAPI, handler: ExtractHandler) -> None:
    """Add `/health`, `/setup` and `/predict`."""

    @app.get("/health", tags=["Label Studio"])
    def get_label_studio_health() -> dict[str, str]:
        """Whether the backend is running."""
        return {"status": "UP", "model_class": "entsemble"}

    @app.post("/setup", tags=["Label Studio"], responses=_PROBLEMS)
    def set_up(body: SetupIn) -> dict[str, str]:
        """Check that a project's labelling configuration can be used."""
        handler.limits.check_labels(_config_or_refusal(body.label_config).labels)
        return {"model_version": _MODEL_VERSION}

    @app.post("/predict", tags=["Label Studio"], responses=_PROBLEMS)
    async def predict(request: Request, body: PredictIn) -> dict[str, Any]:
        """The mentions of each task, as a prediction of Label Studio."""
        config = _config_or_refusal(body.label_config)
        texts = [_task_text(task, number, config) for number, task in enumerate(body.tasks, 1)]
        if not texts:
            return {"results": [], "model_version": _MODEL_VERSION}
        try:
            documents = [schemas.TextIn(text=text, id=str(number)) for number, text in enumerate(texts)]
            extract_in = schemas.ExtractIn(documents=documents, labels=dict(config.labels), threshold=None, nested=None)
        except ValidationError as error:
            raise HTTPException(409, f"a text or a label cannot be used: {error.errors()[0]['msg']}") from error
        extraction = await run_in_threadpool(handler.parse, extract_in)
        results = await handler.all_results(extraction, request)
        for failed in results.failed:  # an empty prediction would look like a text without names
            raise HTTPException(503, f"task {int(failed.id) + 1} of {len(texts)}: {failed.error}")
        by_id = {document.id: document for document in results.documents}
        predictions = [_prediction(by_id[str(number)], config) for number in range(len(texts))]
        return {"results": predictions, "model_version": _MODEL_VERSION}


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    409: {"model": schemas.Problem, "description": "The labelling configuration or a task cannot be used; says why."},
    413: {"model": schemas.Problem, "description": "Too large."},
    503: {"model": schemas.Problem, "description": "The models did not answer, or too many requests are waiting."},
}


def parse_label_config(xml: str) -> LabelConfig:
    """The first `Labels` tag for a `Text` tag.

    Raises:
        ValueError: the configuration is not XML, or has no such tags.
    """
    if "<!" in xml.replace("<!--", ""):  # entities could expand without end
        raise ValueError("the labelling configuration must not have a DOCTYPE or CDATA")
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ValueError(f"the labelling configuration is not XML: {error}") from error
    texts = {tag.get("name", ""): tag for tag in root.iter("Text")}
    for tag in root.iter("Labels"):
        text_tag = texts.get(tag.get("toName", ""))
        if text_tag is None:
            continue
        text_key = text_tag.get("value", "").removeprefix("$")
        if not text_key or text_tag.get("valueType") == "url":
            raise ValueError(f'the Text tag {text_tag.get("name")!r} needs the task\'s text: value="$text"')
        labels = dict(_labels(tag))
        if not labels:
            raise ValueError(f"the Labels tag {tag.get('name')!r} has no Label")
        return LabelConfig(tag.get("name", ""), text_tag.get("name", ""), text_key, labels)
    raise ValueError('the labelling configuration needs <Text name="text" .../> and <Labels toName="text">')


def _labels(tag: ElementTree.Element) -> Iterator[tuple[str, str]]:
    for label in tag.iter("Label"):
        name = label.get("alias") or label.get("value") or ""
        if name.strip():
            yield name, label.get("hint", "")


def _config_or_refusal(xml: str) -> LabelConfig:
    try:
        return parse_label_config(xml)
    except ValueError as error:
        raise HTTPException(409, str(error)) from error


def _task_text(task: TaskIn, number: int, config: LabelConfig) -> str:
    text = task.data.get(config.text_key)
    if not isinstance(text, str):
        keys = ", ".join(map(repr, task.data)) or "nothing"
        raise HTTPException(409, f"task {number}: its data has no text under {config.text_key!r}, but {keys}")
    return text


def _prediction(document: schemas.DocumentOut, config: LabelConfig) -> dict[str, Any]:
    """A prediction; its score is that of the least certain mention, by which Label Studio can sort tasks."""
    results = [_result(mention, number, config) for number, mention in enumerate(document.mentions)]
    prediction: dict[str, Any] = {"model_version": _MODEL_VERSION, "result": results}
    scores: Sequence[float] = [mention.score for mention in document.mentions if mention.score is not None]
    return {**prediction, "score": min(scores)} if scores else prediction


def _result(mention: schemas.MentionOut, number: int, config: LabelConfig) -> dict[str, Any]:
    return {
        "id": f"m{number}",
        "from_name": config.from_name,
        "to_name": config.to_name,
        "type": "labels",
        "value": {"start": mention.start, "end": mention.end, "text": mention.text, "labels": [mention.label]},
        "score": mention.score,
    }
