"""A certificate authority for trying TLS: it signs one certificate for every process and server, and keeps its key beside them.

Not for a system that others depend on: there the key of an authority lies where no server can read it.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pkg.rpc.tls import certificate_name
from scripts.private_files import write_private
from scripts.stack.ports import SERVICES

DEFAULT_DAYS = 365
_AUTHORITY_DAYS = 3650
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_LOCAL = ("localhost", "127.0.0.1", "::1")
# What the outside servers are called in the settings and in compose.
SERVERS = ("mysql", "redis-actions", "redis-cache", "rabbitmq", "etcd", "storage", "nginx")
# Who calls and is not called: the gateway, and an operator with grpcurl or the scripts.
OPERATOR = "operator"
CALLERS = ("gateway", OPERATOR)


@dataclass(frozen=True)
class Pair:
    """Where a certificate and its key lie."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Subject:
    """Whose certificate it is: the names by which callers know it, and what it may prove with it."""

    name: str
    hosts: Sequence[str]
    usages: Sequence[x509.ObjectIdentifier]


def list_subjects(more_hosts: Mapping[str, Sequence[str]]) -> list[Subject]:
    """Return everybody who needs a certificate; `more_hosts` are further names and addresses of the outside servers."""
    # etcd's own gateway calls it over the same port; with the certificate of another server nobody calls a service.
    servers = [
        Subject(
            name,
            (name, *_LOCAL, *more_hosts.get(name, ())),
            (_SERVER, _CLIENT) if name == "etcd" else (_SERVER,),
        )
        for name in SERVERS
    ]
    # A service shows its certificate to its servers and to its own health check as well.
    services = [
        Subject(name, (certificate_name(name),), (_SERVER, _CLIENT)) for name in sorted(SERVICES)
    ]
    callers = [Subject(name, (certificate_name(name),), (_CLIENT,)) for name in CALLERS]
    return [*servers, *services, *callers]


class Authority:
    """Signs certificates and writes them into a folder, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = self.pair("ca")

    @property
    def certificate_file(self) -> Path:
        """The authority's own certificate, the `ca_file` of the settings."""
        return self._files.certificate

    def pair(self, name: str) -> Pair:
        """Return where somebody's certificate and key lie."""
        return Pair(self._folder / f"{name}.pem", self._folder / f"{name}-key.pem")

    def ensure(self) -> None:
        """Make the authority where there is none."""
        if self._files.certificate.exists() and self._files.key.exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        name = _common_name("dousheng authority")
        builder = _begin(name, name, key, days=_AUTHORITY_DAYS)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        usage = _key_usage(signs_certificates=True)
        builder = builder.add_extension(usage, critical=True)
        self._write(self._files, builder.sign(key, hashes.SHA256()), key)

    def issue(self, subject: Subject, *, days: float = DEFAULT_DAYS) -> Pair:
        """Make a key and a certificate that ends after `days`, in place of those that are there."""
        authority = x509.load_pem_x509_certificate(self._files.certificate.read_bytes())
        signer = serialization.load_pem_private_key(self._files.key.read_bytes(), None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._files.key} is of another kind than this authority makes")
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        certificate = (
            _begin(_common_name(subject.name), authority.subject, key, days=days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(subject.usages), critical=False)
            .add_extension(_alternative_names(subject.hosts), critical=False)
            .add_extension(identifier, critical=False)
            .sign(signer, hashes.SHA256())
        )
        pair = self.pair(subject.name)
        self._write(pair, certificate, key)
        return pair

    def _write(
        self, pair: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        kept = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
        write_private(pair.key, kept)
        write_private(pair.certificate, certificate.public_bytes(encoding))


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        # Clocks differ; one that was valid for a past time alone begins before that.
        not_valid_before=now - timedelta(days=1 + max(-days, 0)),
        not_valid_after=now + timedelta(days=days),
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative_name(host) for host in hosts])


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
