"""TLS between the gateway and the services: each proves by its certificate which service it is.

A service's certificate carries the name `<service>.dousheng`, and a caller expects it whatever address the registry named.
Whoever takes the port of a service that is down has no such certificate and gets no call.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import grpc
from cryptography import x509
from pydantic import model_validator

from pkg.settings import Section, SettingsError
from pkg.tls import Renewal, TlsFiles

DOMAIN = "dousheng"


class RpcSettings(Section):
    """The section `rpc`: how gateway and services speak with each other."""

    tls: TlsFiles | None = None
    require_caller_certificate: bool
    """Whether a service, where there is TLS, answers only callers that show a certificate of `tls.ca_file`."""

    @model_validator(mode="after")
    def _require_authority(self) -> Self:
        if self.tls is not None and self.tls.ca_file is None:
            raise ValueError("tls.ca_file is missing: the authority of the services' certificates")
        return self


def certificate_name(service: str) -> str:
    """Return the name in a service's certificate; "dousheng.VideoService" and "video" are video.dousheng."""
    return f"{service.rpartition('.')[2].removesuffix('Service').lower()}.{DOMAIN}"


def make_channel(
    target: str,
    service: str,
    tls: TlsFiles | None,
    *,
    options: Sequence[tuple[str, object]] = (),
) -> grpc.aio.Channel:
    """Return a channel to instances of a service, which with TLS have to prove that they are.

    Raises:
        OSError: a file of a certificate or key cannot be read.
    """
    if tls is None:
        return grpc.aio.insecure_channel(target, options)
    expected = ("grpc.ssl_target_name_override", certificate_name(service))
    return grpc.aio.secure_channel(target, tls.make_channel_credentials(), [*options, expected])


def check_own_certificate(rpc: RpcSettings, service: str) -> None:
    """See that a service can prove who it is.

    Raises:
        SettingsError: it has no certificate, or one with another name.
    """
    if rpc.tls is None:
        return
    if rpc.tls.certificate_file is None:
        raise SettingsError(
            "settings cannot be used:\n  rpc.tls.certificate_file: a service needs one"
        )
    names, name = _read_names(rpc.tls.certificate_file), certificate_name(service)
    if name not in names:
        raise SettingsError(
            f"settings cannot be used:\n  rpc.tls.certificate_file: {rpc.tls.certificate_file} "
            f"is for {', '.join(names) or 'nobody'}, not for {name}"
        )


def _read_names(path: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return found.value.get_values_for_type(x509.DNSName)


def add_port(server: grpc.aio.Server, address: str, rpc: RpcSettings) -> int:
    """Let a server listen on an address, with TLS where the settings say so; return the port.

    gRPC asks for the certificates at each handshake: renewed ones are used without a restart.
    """
    if rpc.tls is None:
        return server.add_insecure_port(address)
    files = rpc.tls
    renewal = Renewal(files)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # None: those of the last handshake are still good.
        return _read_certificates(files) if renewal.has_come() else None

    credentials = grpc.dynamic_ssl_server_credentials(
        _read_certificates(files),
        fetch,  # type: ignore[arg-type] # the stubs do not know None
        require_client_authentication=rpc.require_caller_certificate,
    )
    return server.add_secure_port(address, credentials)


def _read_certificates(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    authorities, chain, key = files.read_all()
    if chain is None or key is None:
        raise ValueError("a server needs a certificate and its key")
    return grpc.ssl_server_certificate_configuration([(key, chain)], authorities)
