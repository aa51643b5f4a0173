"""The key pairs of tokens and of chat messages, in a backup and in the places that the settings name."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from pkg.crypt.messages import CryptSettings
from pkg.token import TokenSettings
from scripts.operator.backup.manifest import BackupError, Manifest
from scripts.operator.private_files import make_private_dir, write_private

SIGNING_KEY = "keys/token/private.pem"
PUBLIC_KEYS = "keys/token/public"
MESSAGE_KEYS = "keys/message"


def save_keys(folder: Path, token: TokenSettings, crypt: CryptSettings) -> list[Path]:
    """Copy every key pair into the backup and return the copies.

    Raises:
        BackupError: there is none of a kind, so that nobody could log in or read messages after a restore.
    """
    if token.private_key_file is None:
        raise BackupError(
            "token.private_key_file is not set: run the backup where the user service's key is"
        )
    saved = [_copy(token.private_key_file, folder / SIGNING_KEY)]
    for source, name in (
        (token.public_keys_dir, PUBLIC_KEYS),
        (crypt.private_keys_dir, MESSAGE_KEYS),
    ):
        paths = sorted(source.glob("*.pem"))
        if not paths:
            raise BackupError(f"there is no key in {source}")
        saved += [_copy(path, folder / name / path.name) for path in paths]
    return saved


def require_message_keys(folder: Path, pair_ids: set[str]) -> None:
    """Check that the backup holds every pair that wraps a data key of its rows.

    Raises:
        BackupError: one is missing; its messages could never be read.
    """
    missing = [name for name in pair_ids if not (folder / MESSAGE_KEYS / f"{name}.pem").exists()]
    if missing:
        raise BackupError(
            f"no {missing[0]}.pem in crypt.private_keys_dir, but messages need it; put it back"
        )


def require_key_ids(manifest: Manifest, token: TokenSettings, crypt: CryptSettings) -> None:
    """Check that the settings name the keys that the backup's system signed and encrypted with.

    Raises:
        BackupError: another one is named.
    """
    for setting, named, saved in (
        ("token.key_id", token.key_id, manifest.token_key_id),
        ("crypt.key_id", crypt.key_id, manifest.crypt_key_id),
    ):
        if named != saved:
            raise BackupError(f"{setting} is {named!r}; set it to {saved!r}, the backup's key")


def install_keys(
    folder: Path, token: TokenSettings, crypt: CryptSettings, *, replace: bool
) -> list[Path]:
    """Put the backup's keys where the settings say; return what was written.

    Raises:
        BackupError: another key of the same name is there, unless `replace`; or a place cannot be written.
    """
    wanted = [(source, target) for source, target in _targets(folder, token, crypt)]
    changed = [(s, t) for s, t in wanted if not t.exists() or t.read_bytes() != s.read_bytes()]
    others = [target for _, target in changed if target.exists()]
    if others and not replace:
        raise BackupError(
            f"{others[0]} is another key than the backup's; an empty system does not need it: "
            "add --replace-keys"
        )
    try:
        for source, target in changed:
            write_private(target, source.read_bytes())
    except OSError as exc:
        raise BackupError(f"{exc}; put the files of {folder}/keys there by hand") from exc
    return [target for _, target in changed]


def _targets(
    folder: Path, token: TokenSettings, crypt: CryptSettings
) -> Iterator[tuple[Path, Path]]:
    if token.private_key_file is not None:
        yield folder / SIGNING_KEY, token.private_key_file
    for path in sorted((folder / PUBLIC_KEYS).glob("*.pem")):
        yield path, token.public_keys_dir / path.name
    for path in sorted((folder / MESSAGE_KEYS).glob("*.pem")):
        yield path, crypt.private_keys_dir / path.name


def _copy(source: Path, target: Path) -> Path:
    make_private_dir(target.parent)
    try:
        shutil.copyfile(source, target)
    except OSError as exc:
        raise BackupError(f"a key cannot be read: {exc}") from exc
    return target
