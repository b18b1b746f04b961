"""What a model is called -> what it is. Nothing is loaded here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from entsemble.backends.catalogue import HubSource, ModelCard, catalogue
from entsemble.backends.hub import parse_hub_source
from entsemble.errors import ConfigError, UnknownNameError

FORMS = ("PATH/TO/MODEL.gguf", "PATH/TO/FOLDER (of transformers)", "hf:OWNER/REPO[:FILE][@revision]", "openai:MODEL")
"""How to name a model that the catalogue does not hold."""


@dataclass(frozen=True, slots=True)
class ServerModel:
    """A model behind an OpenAI-compatible server; `model` is its name there."""

    model: str


ModelSource = ModelCard | HubSource | Path | ServerModel
"""A card of the catalogue, a file on the hub, a local GGUF file or folder of transformers, or a server's model."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as the user named it.

    Attributes:
        name: short, for reports; two models of an ensemble may need telling apart.
        source: where it comes from.
    """

    name: str
    source: ModelSource


def parse_model(text: str) -> ModelSpec:
    """What `text` names: an entry of the catalogue, a GGUF file or a folder, a file on the hub, or a server's model.

    >>> parse_model("openai:Qwen/Qwen2.5-7B-Instruct").source
    ServerModel(model='Qwen/Qwen2.5-7B-Instruct')

    Raises:
        UnknownNameError: none of these; lists the catalogue and the other forms.
        ConfigError: one of these, but not well formed.
    """
    if text.startswith("hf:"):
        hub = parse_hub_source(text)
        return ModelSpec(Path(hub.file).stem if hub.file else hub.repo.rpartition("/")[2], hub)
    if text.startswith("openai:"):
        model = text.removeprefix("openai:").strip()
        if not model:
            raise ConfigError("openai: needs the model's name at the server behind it, as in openai:my-model")
        return ModelSpec(model, ServerModel(model))
    if text in catalogue():
        return ModelSpec(text, catalogue()[text])
    path = Path(text).expanduser()
    if text.endswith(".gguf"):
        return ModelSpec(path.stem, path)
    if text and path.is_dir():
        return ModelSpec(path.name, path)
    raise UnknownNameError("model", text, (*catalogue(), *FORMS))
