"""Settings: YAML below the environment, nothing unknown, no placeholder."""

from pathlib import Path

import pytest

from dal.db.engine import MySQLSettings
from pkg.registry import EtcdSettings
from pkg.settings import ProcessSettings, SettingsError

CONFIG = Path(__file__).parents[2] / "config"


class EtcdProcess(ProcessSettings):
    etcd: EtcdSettings


class MySQLProcess(ProcessSettings):
    mysql: MySQLSettings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("DOUSHENG_MYSQL__PASSWORD", "DOUSHENG_ETCD__TIMEOUT_S", "DOUSHENG_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_the_environment_wins_over_the_file(monkeypatch):
    monkeypatch.setenv("DOUSHENG_ETCD__TIMEOUT_S", "4321")

    settings = EtcdProcess.load(CONFIG)

    assert settings.etcd.timeout_s == 4321
    assert settings.etcd.nodes == ("127.0.0.1:8106",)


@pytest.mark.parametrize("variable", ["DOUSHENG_ETCD__PROT", "DOUSHENG_ETDC__PORT", "DOUSHENG_FOO"])
def test_an_unknown_variable_is_refused_by_its_name(monkeypatch, variable):
    monkeypatch.setenv(variable, "4321")

    with pytest.raises(SettingsError, match=r"(?i)prot|ETDC|FOO"):
        EtcdProcess.load(CONFIG)


def test_an_unknown_key_in_a_file_is_refused_by_its_name(tmp_path):
    for path in CONFIG.glob("*.yml"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "etcd.yml").write_text((CONFIG / "etcd.yml").read_text() + "\nhostt: x\n")

    with pytest.raises(SettingsError, match=r"etcd\.hostt"):
        EtcdProcess.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, r"cannot read .*etcd\.yml"),
        ("nodes: [1", r"cannot read .*etcd\.yml"),
        ("- nodes", r"etcd\.yml is not a mapping"),
        ("# nothing yet", r"etcd\.nodes: Field required"),
    ],
    ids=["missing", "no YAML", "a list", "empty"],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, told):
    for path in CONFIG.glob("*.yml"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "etcd.yml").unlink()
    if content is not None:
        (tmp_path / "etcd.yml").write_text(content)

    with pytest.raises(SettingsError, match=told):
        EtcdProcess.load(tmp_path)


def test_a_placeholder_is_no_secret():
    with pytest.raises(SettingsError, match=r"mysql\.password.*placeholder"):
        MySQLProcess.load(CONFIG)


def test_an_error_never_shows_the_value(monkeypatch):
    monkeypatch.setenv("DOUSHENG_MYSQL__PASSWORD", "hush-hush")
    monkeypatch.setenv("DOUSHENG_MYSQL__PORT", "hush-hush")

    with pytest.raises(SettingsError) as caught:
        MySQLProcess.load(CONFIG)

    assert "hush" not in str(caught.value)


def test_every_settings_object_is_frozen(monkeypatch):
    settings = EtcdProcess.load(CONFIG)

    with pytest.raises(ValueError, match="frozen"):
        settings.etcd.timeout_s = 1  # type: ignore[misc]


def test_a_list_that_is_no_json_is_told_by_its_section_and_not_shown(monkeypatch):
    monkeypatch.setenv("DOUSHENG_ETCD__NODES", "secret-host:2379")

    with pytest.raises(SettingsError, match=r'"etcd".*JSON') as refused:
        EtcdProcess.load(CONFIG)

    assert "secret-host" not in str(refused.value)
