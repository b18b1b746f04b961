"""Settings from presets, files, overrides and the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entsemble.backends.model_spec import parse_model
from entsemble.errors import ConfigError, UnknownNameError
from entsemble.prompting.template import load_template
from entsemble.settings import Settings, environment, load, preset_names
from entsemble.voting.rules import voting_rule


def write_config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_names_what_exists(name: str) -> None:
    settings = load(preset=name)
    names = []
    for member in settings.members:
        spec = parse_model(member.model)
        names.append(member.name or spec.name)
        assert load_template(member.template)
        assert member.base_url is not None or not member.model.startswith("openai:")
    assert len(names) == len(set(names))
    assert len(names) > 1 or name in {"fast", "instant"}, "an ensemble has several members"
    assert names or settings.voices, "something must answer"
    assert settings.verification.member in ("", *names)
    if settings.classification.vote is not None:
        voting_rule(settings.classification.vote)


def test_overrides_take_precedence_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    path = write_config(
        tmp_path, 'seed = 3\n[pool]\nshots = 2\nsimilarity = "random"\n[classification]\nvote = "majority"\n'
    )
    settings = load(path, "paper", {"pool": {"shots": 5, "path": None}, "seed": None, "nested": False})
    assert settings.seed == 3
    assert settings.pool.shots == 5
    assert settings.pool.similarity == "random"
    assert settings.pool.spans == "members"
    assert settings.nested is False
    assert settings.workers == 16
    assert len(settings.members) == 3
    assert load(path).workers is None


@pytest.mark.parametrize("wrong", ['pool = "pool.jsonl"', "stacking = 5", "cache = false"])
def test_a_value_instead_of_a_table_is_refused(tmp_path: Path, wrong: str) -> None:
    without_values = {"pool": {"path": None}, "stacking": {"sentences": None}, "cache": {"replies": None}}
    with pytest.raises(ConfigError, match=f"{wrong.split(maxsplit=1)[0]}: Input should be a valid"):
        load(write_config(tmp_path, wrong), overrides=without_values)


def test_a_negative_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="seed: Input should be greater than or equal to 0"):
        load(write_config(tmp_path, "seed = -1"))


def test_an_encoder_folder_is_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    settings = load(write_config(tmp_path, '[encoder]\nmodel = "models/mine"\n'))
    assert settings.encoder.model == str(tmp_path / "models" / "mine")
    assert load(write_config(tmp_path, '[encoder]\nmodel = "owner/name"\n')).encoder.model == "owner/name"


@pytest.mark.parametrize(
    ("values", "members", "has_reader"),
    [
        ("", 0, True),
        ('[pool]\npath = "pool.jsonl"', 0, True),
        ('[pool]\npath = "pool.jsonl"\n[experts]\nmax_experts = 2', 2, False),
        ("[pool]\nshots = 4", 0, True),
        ('[[members]]\nmodel = "smollm2-135m"', 1, False),
        ("[experts]\nmax_experts = 2", 2, False),
    ],
)
def test_without_members_and_experts_voices_answer_alone(
    tmp_path: Path, values: str, members: int, has_reader: bool
) -> None:
    settings = load(write_config(tmp_path, values))
    assert (len(settings.members), bool(settings.voices)) == (members, has_reader)


def test_the_preset_of_the_paper_compares_spans() -> None:
    assert load(preset="paper").pool.similarity == "span"


def test_members_or_labels_of_a_file_replace_those_of_the_preset(tmp_path: Path) -> None:
    path = write_config(tmp_path, '[labels]\nperson = "people"\n[[members]]\nmodel = "smollm2-135m"\nweight = 2\n')
    settings = load(path)
    assert [(m.model, m.weight) for m in settings.members] == [("smollm2-135m", 2.0)]
    assert settings.labels == {"person": "people"}
    assert load(path, overrides={"labels": {"place": ""}}).labels == {"place": ""}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sed = 3", r"sed: unknown setting"),
        ("[pool]\nshot = 3", r"pool\.shot: unknown setting"),
        ('[[members]]\nmodel = "a"\n[[members]]\nmodel = "b"\nmodell = "c"', r"members\.1\.modell: unknown setting"),
        ("[[members]]\nweight = 1", r"members\.0\.model: "),
        ('[[members]]\nmodel = "a"\nweight = 0', r"members\.0\.weight: .*greater than 0"),
        ('[pool]\nshots = "many"', r"pool\.shots: "),
        ("[pool]\nshots = -1", r"pool\.shots: "),
        ('[pool]\nsimilarity = "magic"', r"pool\.similarity: .*'span'"),
        ("[classification]\nthreshold = 1.5", r"classification\.threshold: "),
        ("workers = 0", r"workers: "),
        ('pool = "train.conll"', r"pool: "),
        ('labels = ["person"]', r"labels: "),
        ("a = 1\nb = 2", r"a: unknown setting; b: unknown setting"),
        ("seed = 1\nseed = \n", r"not valid TOML.*line 2"),
    ],
)
def test_invalid_settings_are_named_with_their_file(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"run\.toml: .*{problem}") as caught:
        load(write_config(tmp_path, text))
    assert caught.value.exit_code == 64


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: No such file"):
        load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.toml: not UTF-8 at byte 5"):
        load(path)


def test_an_unknown_preset_lists_the_presets() -> None:
    with pytest.raises(UnknownNameError, match=r"'huge'.*balanced.*paper"):
        load(preset="huge")


@pytest.mark.parametrize(
    ("configured", "expected"), [("train.conll", "here"), ("../train.conll", "up"), ("/data/train", "there")]
)
def test_a_pool_is_relative_to_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: str, expected: str
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    path = write_config(folder, f'[pool]\npath = "{configured}"')
    expected_path = {"here": folder / "train.conll", "up": folder / "../train.conll", "there": Path("/data/train")}[
        expected
    ]
    assert load(path.relative_to(tmp_path)).pool.path is not None
    assert load(path).pool.path == expected_path
    assert (tmp_path / (load(path.relative_to(tmp_path)).pool.path or "")).resolve() == expected_path.resolve()
    assert load(path, overrides={"pool": {"path": Path("mine")}}).pool.path == Path("mine")


def test_folders_and_keys_are_read_from_the_environment_and_keys_are_not_shown(tmp_path: Path) -> None:
    secret: dict[str, Any] = {"MY_KEY": "sk-secret", "HF_TOKEN": "hf-secret", "HF_ENDPOINT": "http://hub"}
    settings = environment({**secret, "ENTSEMBLE_CACHE": str(tmp_path)})
    assert settings.cache == tmp_path
    assert settings.keys["MY_KEY"] == "sk-secret"
    assert (settings.hub_endpoint, settings.hub_token) == ("http://hub", "hf-secret")
    assert "secret" not in repr(settings) + str(settings)
    bare = environment({"ENTSEMBLE_CACHE": "~/models", "HF_TOKEN": ""})
    assert bare.cache == Path("~/models").expanduser()
    assert bare.hub_token is None
    assert "entsemble" in str(environment({}).cache)


def test_settings_hold_no_key() -> None:
    assert "key" not in "".join(Settings().model_dump())


def test_a_model_file_is_relative_to_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    names = ["own.gguf", "/abs/own.gguf", "hf:a/b:c.gguf", "smollm2-135m"]
    path.write_text("".join(f'[[members]]\nmodel = "{name}"\n' for name in names))
    assert [m.model for m in load(path).members] == [str(tmp_path / "own.gguf"), *names[1:]]
