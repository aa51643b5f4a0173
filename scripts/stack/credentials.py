"""Passwords and keys of one local stack: made once, kept in its private folder."""

import json
import secrets
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scripts.private_files import write_private

TOKEN_KEY_ID = "k1"  # noqa: S105 - a name, not a secret
CRYPT_KEY_ID = "m1"
# A local stack is thrown away sooner.
_VALID_DAYS = 3650


@dataclass(frozen=True)
class Credentials:
    """What the servers and the services of one stack authenticate with."""

    mysql: str
    mysql_replica: str
    mysql_admin: str
    redis_actions: str
    redis_cache: str
    rabbitmq: str
    s3_access_key: str
    s3_secret_key: str
    s3_parts: str


def load_credentials(path: Path) -> Credentials:
    """Return the stack's passwords, making those that do not exist yet."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    names = [field.name for field in fields(Credentials)]
    credentials = Credentials(**{name: known.get(name) or secrets.token_hex(20) for name in names})
    write_private(path, json.dumps(asdict(credentials), indent=2) + "\n")
    return credentials


@dataclass(frozen=True)
class KeyFiles:
    """Where the key pairs lie; the private token key is apart from the public ones."""

    directory: Path

    @property
    def token_private(self) -> Path:
        """The EdDSA key that signs tokens; only the user service may read it."""
        return self.directory / "token" / "private" / f"{TOKEN_KEY_ID}.pem"

    @property
    def token_public_dir(self) -> Path:
        """The folder of `<kid>.pem` public keys that everyone verifies tokens with."""
        return self.directory / "token" / "public"

    @property
    def crypt_private_dir(self) -> Path:
        """The folder of `<key id>.pem` RSA keys that wrap the message keys."""
        return self.directory / "message"

    @property
    def parts_private(self) -> Path:
        """The key with which the parts of the storage prove to each other who they are."""
        return self.directory / "storage" / "key.pem"

    @property
    def parts_certificate(self) -> Path:
        """Its certificate, which all parts share; it is its own authority."""
        return self.directory / "storage" / "certificate.pem"

    def ensure(self) -> None:
        """Make the key pairs that do not exist yet."""
        public = self.token_public_dir / f"{TOKEN_KEY_ID}.pem"
        if not (self.token_private.exists() and public.exists()):
            signer = ed25519.Ed25519PrivateKey.generate()
            write_private(self.token_private, _to_pem(signer))
            write_private(public, _to_public_pem(signer))
        crypt = self.crypt_private_dir / f"{CRYPT_KEY_ID}.pem"
        if not crypt.exists():
            write_private(crypt, _to_pem(rsa.generate_private_key(65537, 3072)))
        if not (self.parts_private.exists() and self.parts_certificate.exists()):
            parts = ec.generate_private_key(ec.SECP256R1())
            write_private(self.parts_private, _to_pem(parts))
            write_private(self.parts_certificate, _certify(parts, "dousheng storage"))


def _certify(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Return a certificate of the key by itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        # Clocks step back.
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=_VALID_DAYS),
    )
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _to_pem(
    key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _to_public_pem(key: ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
