from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entsemble.backends.model_spec import parse_model
from entsemble.errors import ConfigError, UnknownNameError
from entsemble.prompting.template import load_template
from entsemble.settings import Settings, environment, load, preset_names
from entsemble.voting.rules import voting_rule


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_names_what_there_is(name: str) -> None:
    made = load(preset=name)
    names = []
    for member in made.members:
        spec = parse_model(member.model)
        names.append(member.name or spec.name)
        assert load_template(member.template)
        assert member.base_url is not None or not member.model.startswith("openai:")
    assert len(names) == len(set(names))
    assert len(names) > 1 or name == "fast", "one model is no ensemble"
    assert made.verification.member in ("", *names)
    if made.classification.vote is not None:
        voting_rule(made.classification.vote)


def test_the_command_line_wins_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    path = config(tmp_path, 'seed = 3\n[pool]\nshots = 2\nsimilarity = "random"\n[classification]\nvote = "majority"\n')
    made = load(path, "paper", {"pool": {"shots": 5, "path": None}, "seed": None, "nested": False})
    assert made.seed == 3
    assert made.pool.shots == 5
    assert made.pool.similarity == "random"
    assert made.pool.spans == "members"
    assert made.nested is False
    assert made.workers == 16
    assert len(made.members) == 3
    assert load(path).workers is None


@pytest.mark.parametrize("wrong", ['pool = "pool.jsonl"', "stacking = 5", "cache = false"])
def test_a_value_in_the_place_of_a_table_is_an_error(tmp_path: Path, wrong: str) -> None:
    unsaid = {"pool": {"path": None}, "stacking": {"sentences": None}, "cache": {"replies": None}}
    with pytest.raises(ConfigError, match=f"{wrong.split(maxsplit=1)[0]}: Input should be a valid"):
        load(config(tmp_path, wrong), overrides=unsaid)


def test_a_negative_seed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="seed: Input should be greater than or equal to 0"):
        load(config(tmp_path, "seed = -1"))


def test_an_encoder_s_folder_is_found_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    made = load(config(tmp_path, '[encoder]\nmodel = "models/mine"\n'))
    assert made.encoder.model == str(tmp_path / "models" / "mine")
    assert load(config(tmp_path, '[encoder]\nmodel = "owner/name"\n')).encoder.model == "owner/name"


def test_the_paper_s_preset_compares_spans() -> None:
    assert load(preset="paper").pool.similarity == "span"


def test_a_file_that_lists_members_or_labels_replaces_them(tmp_path: Path) -> None:
    path = config(tmp_path, '[labels]\nperson = "people"\n[[members]]\nmodel = "smollm2-135m"\nweight = 2\n')
    made = load(path)
    assert [(m.model, m.weight) for m in made.members] == [("smollm2-135m", 2.0)]
    assert made.labels == {"person": "people"}
    assert load(path, overrides={"labels": {"place": ""}}).labels == {"place": ""}


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().seed = 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sed = 3", r"sed: is no setting"),
        ("[pool]\nshot = 3", r"pool\.shot: is no setting"),
        ('[[members]]\nmodel = "a"\n[[members]]\nmodel = "b"\nmodell = "c"', r"members\.1\.modell: is no setting"),
        ("[[members]]\nweight = 1", r"members\.0\.model: "),
        ('[[members]]\nmodel = "a"\nweight = 0', r"members\.0\.weight: .*greater than 0"),
        ('[pool]\nshots = "many"', r"pool\.shots: "),
        ("[pool]\nshots = -1", r"pool\.shots: "),
        ('[pool]\nsimilarity = "magic"', r"pool\.similarity: .*'span'"),
        ("[classification]\nthreshold = 1.5", r"classification\.threshold: "),
        ("workers = 0", r"workers: "),
        ('pool = "train.conll"', r"pool: "),
        ('labels = ["person"]', r"labels: "),
        ("a = 1\nb = 2", r"a: is no setting; b: is no setting"),
        ("seed = 1\nseed = \n", r"no valid TOML.*line 2"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"run\.toml: .*{told}") as caught:
        load(config(tmp_path, text))
    assert caught.value.exit_code == 64


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: No such file"):
        load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.toml: not UTF-8 at byte 5"):
        load(path)


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"'huge'.*balanced.*paper"):
        load(preset="huge")


@pytest.mark.parametrize(
    ("given", "expected"), [("train.conll", "here"), ("../train.conll", "up"), ("/data/train", "there")]
)
def test_a_pool_is_looked_for_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, expected: str
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    path = config(folder, f'[pool]\npath = "{given}"')
    wanted = {"here": folder / "train.conll", "up": folder / "../train.conll", "there": Path("/data/train")}[expected]
    assert load(path.relative_to(tmp_path)).pool.path is not None
    assert load(path).pool.path == wanted
    assert (tmp_path / (load(path.relative_to(tmp_path)).pool.path or "")).resolve() == wanted.resolve()
    assert load(path, overrides={"pool": {"path": Path("mine")}}).pool.path == Path("mine")


def test_the_environment(tmp_path: Path) -> None:
    secret: dict[str, Any] = {"MY_KEY": "sk-secret", "HF_TOKEN": "hf-secret", "HF_ENDPOINT": "http://hub"}
    made = environment({**secret, "ENTSEMBLE_CACHE": str(tmp_path)})
    assert made.cache == tmp_path
    assert made.keys["MY_KEY"] == "sk-secret"
    assert (made.hub_endpoint, made.hub_token) == ("http://hub", "hf-secret")
    assert "secret" not in repr(made) + str(made)
    bare = environment({"ENTSEMBLE_CACHE": "~/models", "HF_TOKEN": ""})
    assert bare.cache == Path("~/models").expanduser()
    assert bare.hub_token is None
    assert "entsemble" in str(environment({}).cache)


def test_no_settings_hold_a_key() -> None:
    assert "key" not in "".join(Settings().model_dump())


def test_a_model_file_is_relative_to_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    names = ["own.gguf", "/abs/own.gguf", "hf:a/b:c.gguf", "smollm2-135m"]
    path.write_text("".join(f'[[members]]\nmodel = "{name}"\n' for name in names))
    assert [m.model for m in load(path).members] == [str(tmp_path / "own.gguf"), *names[1:]]
