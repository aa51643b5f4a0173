"""TLS towards the servers: which authorities are believed, who we are, and whom we expect.

The files are read when the settings are, so that a process does not start on files that it cannot use, and again for
each new connection, so that certificates that were renewed on disk need no restart.
"""

import re
import ssl
from pathlib import Path
from typing import Any, Self

import grpc
from loguru import logger
from pydantic import model_validator

from pkg.settings import Section

# What the drivers say of certificates that are not what they should be: only an operator helps.
CERTIFICATE_REFUSALS = r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|(?:alert|ALERT)[ _](?:bad|BAD|unknown|UNKNOWN)|CERTIFICATE_REQUIRED|certificate required"


def is_refused_certificate(reason: object) -> bool:
    """Tell whether a driver's error is about a certificate, ours or the server's."""
    return re.search(CERTIFICATE_REFUSALS, str(reason)) is not None


class TlsFiles(Section):
    """Certificates and keys in PEM."""

    ca_file: Path | None = None
    """The certificates of the authorities that are believed; null: those of the system."""
    certificate_file: Path | None = None
    """Our own certificate, its chain after it, for who asks us who we are."""
    key_file: Path | None = None
    """The key of `certificate_file`, without a passphrase."""

    @model_validator(mode="after")
    def _refuse_unusable_files(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together")
        for key in ("ca_file", "certificate_file", "key_file"):
            path: Path | None = getattr(self, key)
            try:
                read_optional(path)
            except OSError as exc:
                raise ValueError(f"cannot read {key} {path}: {exc.strerror}") from exc
        try:
            _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self)
        except ssl.SSLError as exc:
            raise ValueError(
                f"{self._named_files()} hold no certificates in PEM, or the key is of another: {exc}"
            ) from exc
        return self

    def make_channel_credentials(self) -> grpc.ChannelCredentials:
        """Return what a gRPC channel connects with, made of the files as they are now.

        Raises:
            OSError: a file cannot be read (any more).
        """
        authorities, chain, key = self.read_all()
        return grpc.ssl_channel_credentials(authorities, private_key=key, certificate_chain=chain)

    def read_all(self) -> list[bytes | None]:
        """Return the content of `ca_file`, `certificate_file` and `key_file`, None for each that is not set.

        Raises:
            OSError: one cannot be read (any more).
        """
        return [read_optional(path) for path in self._paths()]

    def changed_at_ns(self) -> list[int]:
        """Return when each file was changed."""
        return [path.stat().st_mtime_ns for path in self._paths() if path is not None]

    def _paths(self) -> list[Path | None]:
        return [self.ca_file, self.certificate_file, self.key_file]

    def _named_files(self) -> str:
        return ", ".join(str(path) for path in self._paths() if path is not None)


class Renewal:
    """Tells when files were renewed on disk."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = files.changed_at_ns()

    def has_come(self) -> bool:
        """Return whether the files are others than the last time, and can be used: a new certificate waits for its key."""
        try:
            changed_at_ns = self._files.changed_at_ns()
            if changed_at_ns == self._seen:
                return False
            TlsFiles.model_validate(self._files.model_dump(include=set(TlsFiles.model_fields)))
        except (OSError, ValueError) as exc:
            logger.bind(cause=str(exc)).warning("renewed certificate cannot be used")
            return False
        self._seen = changed_at_ns
        logger.bind(file=str(self._files.certificate_file)).info("certificate renewed")
        return True


class TlsSettings(TlsFiles):
    """TLS to one server or cluster; a section without it speaks plain text."""

    server_name: str | None = None
    """The name in the server's certificate where it is another one than the host of its address."""

    def make_context(self) -> ssl.SSLContext:
        """Return what a driver connects with, made of the files as they are now.

        Raises:
            OSError: a file cannot be read (any more), or its content not be used.
        """
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)
        context.expected_name = self.server_name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file is None:
            context.load_default_certs()
        _load(context, self)
        return context


class _Context(ssl.SSLContext):
    """Expects a name of the settings, whatever host the driver connects to."""

    expected_name: str | None = None

    def wrap_bio(  # noqa: PLR0917 - the signature is the library's
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a handshake over buffers, as asyncio does."""
        name = self.expected_name or server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, name, session)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """Begin a handshake on a socket."""
        name = self.expected_name or options.get("server_hostname")
        return super().wrap_socket(*args, **options | {"server_hostname": name})


def read_optional(path: Path | None) -> bytes | None:
    """Return a file's content, or None where there is no file."""
    return None if path is None else path.read_bytes()


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.ca_file is not None:
        context.load_verify_locations(files.ca_file)
    if files.certificate_file is not None:
        # A passphrase would be asked for at the terminal.
        context.load_cert_chain(files.certificate_file, files.key_file, password=lambda: b"")
