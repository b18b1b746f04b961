"""A model's name in the settings -> what it refers to. Nothing is loaded here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from entsemble.backends.catalogue import HubSource, ModelCard, catalogue
from entsemble.backends.hub import parse_hub_source
from entsemble.errors import ConfigError, UnknownNameError

NAME_FORMS = (
    "PATH/TO/MODEL.gguf",
    "PATH/TO/FOLDER (of transformers)",
    "hf:OWNER/REPO[:FILE][@revision]",
    "openai:MODEL",
)
"""How to name a model that is not in the catalogue."""


@dataclass(frozen=True, slots=True)
class ServerModel:
    """A model behind an OpenAI-compatible server; `model` is its name there."""

    model: str


ModelSource = ModelCard | HubSource | Path | ServerModel
"""A card of the catalogue, a file or model on the hub, a local GGUF file or transformers folder, a server's model."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as the user named it.

    Attributes:
        name: short, for reports; not always unique.
        source: where it comes from.
    """

    name: str
    source: ModelSource


def parse_model(text: str) -> ModelSpec:
    """What a name refers to.

    >>> parse_model("openai:Qwen/Qwen2.5-7B-Instruct").source
    ServerModel(model='Qwen/Qwen2.5-7B-Instruct')

    Raises:
        UnknownNameError: nothing; the message lists the catalogue and the other forms.
        ConfigError: it begins like one of the forms, but is not valid.
    """
    if text.startswith("hf:"):
        source = parse_hub_source(text)
        return ModelSpec(Path(source.file).stem if source.file else source.repo.rpartition("/")[2], source)
    if text.startswith("openai:"):
        model = text.removeprefix("openai:").strip()
        if not model:
            raise ConfigError("openai: must be followed by the model's name at the server, as in openai:my-model")
        return ModelSpec(model, ServerModel(model))
    if text in catalogue():
        return ModelSpec(text, catalogue()[text])
    path = Path(text).expanduser()
    if text.endswith(".gguf"):
        return ModelSpec(path.stem, path)
    if text and path.is_dir():
        return ModelSpec(path.name, path)
    raise UnknownNameError("model", text, (*catalogue(), *NAME_FORMS))
