"""Adds a key pair for tokens, or takes an old public key away; nobody is logged out.

The public key goes into `token.public_keys_dir`, where running processes find it by themselves; copy it to every other machine. Then set
`token.key_id` and `token.private_key_file` of the user service as this command says, and restart its instances one after the other: until
the last one has, tokens of both keys are made and accepted. When the last token of the old key has expired, `--drop` takes its public key
away. Exit status: 0 done, 1 refused.
"""

import argparse
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pkg.settings import ProcessSettings
from pkg.token import TokenSettings
from scripts.operator.private_files import write_private
from scripts.operator.settings import load_settings

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
PUBLIC_MODE = 0o644  # services may run as other users


class RotationRefused(Exception):
    """What was asked would log people out, or overwrite a key; the text says so."""


class RotateTokenKeySettings(ProcessSettings):
    token: TokenSettings


def add_key(token: TokenSettings, kid: str) -> Path:
    """Make a pair and return the file of the private key; the public one is in place before that.

    Raises:
        RotationRefused: the name is taken or cannot be one, or the private key of now is not here.
    """
    if not NAME.fullmatch(kid):
        raise RotationRefused(f"{kid!r} is no name for a key: use letters, digits, _ and -")
    if token.private_key_file is None:
        raise RotationRefused("token.private_key_file is not set: run this where the key is")
    public, private = (
        token.public_keys_dir / f"{kid}.pem",
        token.private_key_file.with_name(f"{kid}.pem"),
    )
    for path in (public, private):
        if path.exists():
            raise RotationRefused(f"there is a key {path} already; choose another name")
    key = Ed25519PrivateKey.generate()
    write_private(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    encoded = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write_private(public, encoded)
    public.chmod(PUBLIC_MODE)
    return private


def drop_key(token: TokenSettings, kid: str, *, leaked: bool, now_s: float) -> None:
    """Take a public key away.

    Raises:
        RotationRefused: it signs, is not there, or tokens of it may still be valid (unless `leaked`).
    """
    path = token.public_keys_dir / f"{kid}.pem"
    if kid == token.key_id:
        raise RotationRefused(f"{kid!r} is token.key_id: it signs; switch to another one first")
    if not path.exists():
        raise RotationRefused(f"there is no key {path}")
    signing = token.public_keys_dir / f"{token.key_id}.pem"
    # Before the key that signs now was made, the old one signed.
    until_s = signing.stat().st_mtime + token.lifetime_s
    if now_s < until_s and not leaked:
        until = datetime.fromtimestamp(until_s, UTC) + timedelta(seconds=1)
        raise RotationRefused(
            f"tokens of {kid!r} may be valid until {until:%Y-%m-%d %H:%M:%S} UTC at least, and whoever "
            "holds one would be logged out; come back then, or add --leaked"
        )
    path.unlink()


def main() -> int:
    """Entry of scripts/rotate-token-key."""
    parser = argparse.ArgumentParser(
        prog="scripts/rotate-token-key",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--add", metavar="NAME", help="make a pair of this name")
    what.add_argument("--drop", metavar="NAME", help="take this public key away")
    parser.add_argument(
        "--leaked", action="store_true", help="drop it before its tokens have expired"
    )
    options = parser.parse_args()
    token = load_settings(RotateTokenKeySettings).token
    try:
        if options.drop:
            drop_key(token, options.drop, leaked=options.leaked, now_s=time.time())
            print(f"{options.drop} is gone; restart every process, which still knows it")
        else:
            private = add_key(token, options.add)
            print(
                f"copy {options.add}.pem to token.public_keys_dir of every machine, then set, for the"
            )
            print("user service, and restart its instances one after the other:")
            print(f"DOUSHENG_TOKEN__KEY_ID={options.add}")
            print(f"DOUSHENG_TOKEN__PRIVATE_KEY_FILE={private}")
    except (RotationRefused, OSError) as exc:
        print(f"nothing was changed: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
