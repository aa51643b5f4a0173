"""What scripts/setup --compose makes: secrets that are private, keys that the product can use, and nothing twice."""

import os
import shutil
import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from pkg.crypt.messages import CryptSettings, WrappingKeys
from pkg.token import TokenIssuer, TokenSettings, TokenVerifier
from scripts.checks.compose.project import SETUP_FILE
from scripts.checks.sources import REPOSITORY


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which it ran once."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / SETUP_FILE).parent.mkdir(parents=True)
    shutil.copyfile(REPOSITORY / SETUP_FILE, folder / SETUP_FILE)
    shutil.copytree(REPOSITORY / "config", folder / "config")
    # As a strict umask leaves them.
    for path in (folder / "config").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert "made" in run(folder)
    return folder


def run(folder: Path) -> str:
    done = subprocess.run(["bash", folder / SETUP_FILE], check=True, capture_output=True, text=True)
    return done.stdout


def read_variables(folder: Path) -> dict[str, str]:
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def snapshot(folder: Path) -> dict[Path, bytes]:
    files = [folder / ".env", *(folder / ".secrets").rglob("*.pem")]
    return {path: path.read_bytes() for path in files}


def test_nobody_else_reads_the_secrets(checkout: Path) -> None:
    for path in (checkout / ".env", *(checkout / ".secrets").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_keys_belong_to_whom_the_containers_run_as_and_that_is_never_root(
    checkout: Path,
) -> None:
    uid = int(read_variables(checkout)["CONTAINER_UID"])

    assert uid == (os.getuid() or 10001)
    for path in (checkout / ".secrets").rglob("*.pem"):
        assert path.stat().st_uid == uid


def test_every_password_is_another_one(checkout: Path) -> None:
    variables = read_variables(checkout)
    secret = [name for name in variables if name.endswith(("PASSWORD", "_KEY"))]

    assert len(secret) >= 11
    assert len({variables[name] for name in secret}) == len(secret)
    assert all(len(variables[name]) >= 40 for name in secret)


def test_the_product_can_use_the_keys(checkout: Path) -> None:
    keys = checkout / ".secrets"
    token = TokenSettings(
        issuer="dousheng",
        lifetime_s=60,
        key_id="k1",
        public_keys_dir=keys / "token_public",
        private_key_file=keys / "token_private" / "k1.pem",
    )
    wrapping = WrappingKeys(CryptSettings(key_id="m1", private_keys_dir=keys / "message_private"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    context.load_cert_chain(keys / "tls" / "certificate.pem", keys / "tls" / "key.pem")
    assert TokenVerifier(token).verify(TokenIssuer(token).issue(7)) == 7
    assert wrapping.unwrap(1, wrapping.make_wrapped(), pair_id="m1").id == 1


def test_servers_can_read_their_configuration(checkout: Path) -> None:
    for folder in ("mysql", "nginx", "prometheus", "rabbitmq", "redis"):
        for path in (checkout / "config" / folder).iterdir():
            assert path.stat().st_mode & stat.S_IROTH, path


def test_running_it_again_changes_nothing(checkout: Path) -> None:
    before = snapshot(checkout)

    assert "complete" in run(checkout)

    assert snapshot(checkout) == before


def test_a_setting_that_an_older_file_lacks_is_added_and_the_others_stay(
    checkout: Path, tmp_path: Path
) -> None:
    older = tmp_path / "checkout"
    shutil.copytree(checkout, older)
    kept = [
        line
        for line in (older / ".env").read_text().splitlines()
        if not line.startswith(("DOCS=", "HTTP_PORT="))
    ]
    (older / ".env").write_text("\n".join([*kept, "HTTP_PORT=80", ""]))

    assert "made 1 settings" in run(older)

    now = read_variables(older)
    assert now == read_variables(checkout) | {"HTTP_PORT": "80"}
