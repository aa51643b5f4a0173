"""Files for TLS that cannot be used are named before anything starts; renewed ones are noticed."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from pkg.registry import EtcdSettings
from pkg.settings import ProcessSettings, SettingsError
from pkg.tls import Renewal, TlsFiles, TlsSettings, is_refused_certificate
from tests.certificates import EXPIRED, SUBJECTS, Certificates

CONFIG = Path(__file__).parents[2] / "config"


class EtcdProcess(ProcessSettings):
    etcd: EtcdSettings


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


@pytest.fixture
def files(certificates: Certificates, tmp_path: Path) -> dict[str, str]:
    """Paths by what is there."""
    own, other = certificates.pair("gateway"), certificates.pair("user")
    junk = tmp_path / "junk.pem"
    junk.write_text("no PEM")
    return {
        "ca": str(certificates.ca_file),
        "own": str(own.certificate),
        "own key": str(own.key),
        "other key": str(other.key),
        "junk": str(junk),
        "nothing": str(tmp_path / "nothing.pem"),
    }


@pytest.mark.parametrize(
    ("used", "told"),
    [
        (("nothing", "own", "own key"), "cannot read ca_file .*nothing.pem: No such file"),
        (("ca", "nothing", "own key"), "cannot read certificate_file .*nothing.pem: No such file"),
        (("ca", "own", "nothing"), "cannot read key_file .*nothing.pem: No such file"),
        (("junk", "own", "own key"), "junk.pem.* hold no certificates in PEM"),
        (("ca", "junk", "own key"), "junk.pem.* hold no certificates in PEM"),
        (("ca", "own", "junk"), "junk.pem.* hold no certificates in PEM"),
        (("ca", "own", "other key"), "or the key is of another"),
        (("ca", "own", None), "certificate_file and key_file belong together"),
        (("ca", None, "own key"), "certificate_file and key_file belong together"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(monkeypatch, files, used, told):
    for name, what in zip(("CA_FILE", "CERTIFICATE_FILE", "KEY_FILE"), used, strict=True):
        if what is not None:
            monkeypatch.setenv(f"DOUSHENG_ETCD__TLS__{name}", files[what])

    with pytest.raises(SettingsError, match=rf"etcd\.tls: .*{told}"):
        EtcdProcess.load(CONFIG)


def test_any_key_in_the_environment_switches_tls_on(monkeypatch, certificates):
    monkeypatch.setenv("DOUSHENG_ETCD__TLS__CA_FILE", str(certificates.ca_file))

    assert EtcdProcess.load(CONFIG).etcd.tls == TlsSettings(ca_file=certificates.ca_file)


def test_an_empty_mapping_believes_the_authorities_of_the_system(monkeypatch):
    monkeypatch.setenv("DOUSHENG_ETCD__TLS", "{}")

    tls = EtcdProcess.load(CONFIG).etcd.tls

    assert tls is not None
    assert tls.make_context().verify_mode.name == "CERT_REQUIRED"


def test_a_key_under_a_passphrase_is_refused_and_nobody_is_asked(certificates, tmp_path):
    pair = certificates.pair("gateway")
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )

    with pytest.raises(ValidationError, match=r"locked\.pem"):
        TlsFiles(certificate_file=pair.certificate, key_file=locked)


def test_a_renewed_certificate_counts_when_its_key_is_there_and_once(certificates, tmp_path):
    files = certificates.files("gateway")
    renewal = Renewal(files)
    assert not renewal.has_come()
    assert files.key_file is not None
    before = files.key_file.read_bytes()

    certificates.authority.issue(SUBJECTS["gateway"])
    after = files.key_file.read_bytes()
    files.key_file.write_bytes(before)
    assert not renewal.has_come()
    files.key_file.write_bytes(after)
    os.utime(files.key_file)

    assert renewal.has_come()
    assert not renewal.has_come()


@asynccontextmanager
async def tls_server(certificates: Certificates, *, days: float) -> AsyncIterator[int]:
    """Serve anybody who gets through the handshake with the certificate of MySQL; gives the port."""
    pair = certificates.authority.issue(SUBJECTS["mysql"], days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def shake_hands(tls: TlsSettings, port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls.make_context())
    writer.transport.abort()


async def test_a_certificate_is_believed_for_its_time_its_names_and_its_authority(
    certificates, tmp_path
):
    others = Certificates(tmp_path / "others")
    wrong = {
        "another name": certificates.client(None, server_name="redis-cache"),
        "another authority": others.client(None),
    }
    async with tls_server(certificates, days=1) as port:
        await shake_hands(certificates.client(None), port)
        await shake_hands(certificates.client(None, server_name="mysql"), port)
        for tls in wrong.values():
            with pytest.raises(ssl.SSLCertVerificationError) as caught:
                await shake_hands(tls, port)
            assert is_refused_certificate(caught.value)
    async with tls_server(certificates, days=EXPIRED) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="expired") as caught:
            await shake_hands(certificates.client(None), port)
        assert is_refused_certificate(caught.value)


async def test_a_new_context_holds_what_was_renewed(certificates):
    tls = certificates.client(None)
    certificates.authority.pair("ca").key.unlink()
    certificates.authority.ensure()

    async with tls_server(certificates, days=1) as port:
        await shake_hands(tls, port)
