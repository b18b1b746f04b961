"""Label Studio's machine-learning backend, with scripted models."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read
from entsemble.ner.pipeline import Pipeline

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from fastapi.testclient import TestClient

from entsemble.server.label_studio import LabelConfig, parse_label_config

Serve = Callable[..., TestClient]

CONFIG = """
<View>
  <!-- a comment -->
  <Labels name="ner" toName="body">
    <Label value="person" background="red" hint="names of people"/>
    <Label value="Place" alias="location"/>
  </Labels>
  <Text name="body" value="$article"/>
</View>
"""


def predict(client: TestClient, *texts: object, **changes: Any) -> Any:
    """Label Studio's request for predictions, with all that it sends."""
    tasks = [{"id": number, "data": {"article": text}, "meta": {}} for number, text in enumerate(texts, 7)]
    body = {
        "tasks": tasks,
        "model_version": None,
        "project": "3.1700000000",
        "label_config": CONFIG,
        "params": {"login": None, "password": None, "context": None},
    }
    return client.post("/predict", json={**body, **changes})


def test_health_and_setup(serve: Serve) -> None:
    client = serve()
    assert client.get("/health").json() == {"status": "UP", "model_class": "entsemble"}
    body = {"project": "3.17", "schema": CONFIG, "hostname": "", "access_token": "", "extra_params": None}
    response = client.post("/setup", json=body)
    assert response.status_code == 200
    assert response.json()["model_version"].startswith("entsemble ")


def test_predictions_are_results_of_the_projects_tags(serve: Serve) -> None:
    response = predict(serve(), "\U0001f600 Ann flew to Oslo.", "Nothing here.")
    assert response.status_code == 200
    first, empty = response.json()["results"]
    assert [(one["from_name"], one["to_name"], one["type"]) for one in first["result"]] == [
        ("ner", "body", "labels")
    ] * 2
    assert [one["value"] for one in first["result"]] == [
        {"start": 2, "end": 5, "text": "Ann", "labels": ["person"]},
        {"start": 14, "end": 18, "text": "Oslo", "labels": ["location"]},
    ]
    assert first["score"] == min(one["score"] for one in first["result"])
    assert 0 < first["score"] <= 1
    assert empty["result"] == []
    assert "score" not in empty


def test_an_export_with_these_predictions_is_read_back(serve: Serve, tmp_path: Path) -> None:
    text = "Ann flew to Oslo."
    [prediction] = predict(serve(), text).json()["results"]
    path = tmp_path / "export.json"
    path.write_text(json.dumps([{"id": 7, "data": {"article": text}, "predictions": [prediction]}]))
    [document] = read(path, "label-studio")
    assert [(one.text, one.label) for one in document.mentions] == [("Ann", "person"), ("Oslo", "location")]


def test_hints_are_definitions_and_aliases_are_labels() -> None:
    expected = LabelConfig("ner", "body", "article", {"person": "names of people", "location": ""})
    assert parse_label_config(CONFIG) == expected


def test_the_configuration_in_the_guide_can_be_used() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")
    config = guide[guide.index("<View>") : guide.index("</View>") + len("</View>")]
    assert parse_label_config(config).labels == {"person": "names of people", "location": ""}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("<View>", "is not XML"),
        ("", "is not XML"),
        ('<View><Choices name="c" toName="t"/></View>', "needs <Text"),
        (
            '<View><Labels name="l" toName="x"><Label value="a"/></Labels><Text name="t" value="$t"/></View>',
            "needs <Text",
        ),
        ('<View><Labels name="l" toName="t"/><Text name="t" value="$t"/></View>', "has no Label"),
        (
            '<View><Labels name="l" toName="t"><Label value="a"/></Labels><Text name="t"/></View>',
            "needs the task's text",
        ),
        ('<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>', "DOCTYPE"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_with_the_reason(serve: Serve, config: str, reason: str) -> None:
    client = serve()
    for response in (client.post("/setup", json={"schema": config}), predict(client, "Ann", label_config=config)):
        assert response.status_code == 409
        assert reason in response.json()["error"]


def test_a_task_without_the_text_is_refused(serve: Serve) -> None:
    response = predict(serve(), "Ann left.", None)
    assert response.status_code == 409
    assert response.json()["error"] == "task 2: its data has no text under 'article', but 'article'"


def test_a_text_that_is_not_unicode_is_refused(serve: Serve) -> None:
    body = json.dumps({"tasks": [{"data": {"article": "\ud800"}}], "label_config": CONFIG})
    response = serve().post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 409
    assert "surrogate" in response.json()["error"]


def test_a_task_that_fails_is_an_error_and_no_empty_prediction(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    from entsemble.errors import MemberDownError

    def fail(_: Pipeline, text: str) -> Any:
        raise MemberDownError("m", f"no answer to {text}")

    client = serve()
    monkeypatch.setattr(Pipeline, "run", fail)
    response = predict(client, "Ann left.")
    assert response.status_code == 503
    assert response.json()["error"].startswith("task 1 of 1: ")


def test_no_tasks_have_no_predictions(serve: Serve) -> None:
    assert predict(serve()).json()["results"] == []


def test_label_studio_sends_the_key_as_a_password(serve: Serve) -> None:
    client = serve(key="s3cret")
    assert client.get("/health").status_code == 200
    assert predict(client, "Ann").status_code == 401
    for credentials, status in (("user:s3cret", 200), (":s3cret", 200), ("s3cret:", 401), ("user:no", 401)):
        client.headers["Authorization"] = f"Basic {b64encode(credentials.encode()).decode()}"
        assert predict(client, "Ann").status_code == status
    client.headers["Authorization"] = "Basic ?"
    assert predict(client, "Ann").status_code == 401
