"""Where the keys of a backup come from and go to; needs no server."""

from pathlib import Path

import pytest

from pkg.crypt.messages import CryptSettings
from pkg.token import TokenSettings
from scripts.operator.backup.keys import (
    install_keys,
    require_key_ids,
    require_message_keys,
    save_keys,
)
from scripts.operator.backup.manifest import BackupError, Manifest
from tests.gateway.conftest import make_token_keys
from tests.pkg.test_message_encryption import make_pair

Keys = tuple[TokenSettings, CryptSettings]


def make_keys(folder: Path) -> Keys:
    """Make the keys of one system."""
    messages = folder / "messages"
    messages.mkdir(parents=True)
    make_pair(messages, "m1")
    return make_token_keys(folder), CryptSettings(key_id="m1", private_keys_dir=messages)


def read_keys(keys: Keys) -> list[bytes]:
    token, crypt = keys
    assert token.private_key_file
    paths = [token.private_key_file, *sorted(token.public_keys_dir.iterdir())]
    return [path.read_bytes() for path in (*paths, *sorted(crypt.private_keys_dir.iterdir()))]


def test_keys_of_the_same_name_are_replaced_only_when_told(tmp_path: Path):
    old, new = make_keys(tmp_path / "old"), make_keys(tmp_path / "new")
    folder = tmp_path / "backup"
    save_keys(folder, *old)
    kept = read_keys(new)

    with pytest.raises(BackupError, match="--replace-keys"):
        install_keys(folder, *new, replace=False)
    assert read_keys(new) == kept
    install_keys(folder, *new, replace=True)

    assert read_keys(new) == read_keys(old)
    assert install_keys(folder, *new, replace=False) == []


def test_a_backup_without_a_key_that_its_rows_need_is_none(tmp_path: Path):
    token, crypt = make_keys(tmp_path / "old")
    folder = tmp_path / "backup"

    with pytest.raises(BackupError, match="private_key_file is not set"):
        save_keys(folder, token.model_copy(update={"private_key_file": None}), crypt)
    save_keys(folder, token, crypt)
    require_message_keys(folder, {"m1"})
    with pytest.raises(BackupError, match=r"no m0\.pem"):
        require_message_keys(folder, {"m0", "m1"})


def test_settings_that_name_another_key_than_the_backups_are_refused(tmp_path: Path):
    token, crypt = make_keys(tmp_path)
    head = Manifest(made_at="", schema_version="0001", token_key_id="k2", crypt_key_id="m1")

    with pytest.raises(BackupError, match=r"token\.key_id is 'k1'; set it to 'k2'"):
        require_key_ids(head, token, crypt)
