"""Asks a service on this machine whether it serves: `python -m pkg.rpc.health 127.0.0.1:8085 user`; exit status 0 means yes.

For health checks of containers, which run it every few seconds: it imports gRPC and nothing else, and reads of the settings
the variable `DOUSHENG_RPC__TLS` alone. The name of the service is what its certificate must be for.
"""

import json
import os
import sys
from pathlib import Path

import grpc

TIMEOUT_S = 3
CHECK = "/grpc.health.v1.Health/Check"
# The two messages are this short: a request that names no service, and a reply whose status is SERVING.
REQUEST, SERVING = b"", b"\x08\x01"
VARIABLE = "DOUSHENG_RPC__TLS"


def find_problem(address: str, service: str = "") -> str | None:
    """Return what is wrong with the service at `host:port`; None where it serves."""
    with _open_channel(address, service) as channel:
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(CHECK)
        try:
            reply: bytes = check(REQUEST, timeout=TIMEOUT_S, wait_for_ready=False)
        except grpc.RpcError as exc:
            return f"{address}: {exc.code().name}: {exc.details()}"
    return None if reply == SERVING else f"{address}: not serving"


def _open_channel(address: str, service: str) -> grpc.Channel:
    # A proxy of the environment has no business between a container and itself.
    options: list[tuple[str, object]] = [("grpc.enable_http_proxy", 0)]
    files: dict[str, str] | None = json.loads(os.environ.get(VARIABLE) or "null")
    if files is None:
        return grpc.insecure_channel(address, options)
    certificate, key, authorities = (
        Path(files[name]).read_bytes() for name in ("certificate_file", "key_file", "ca_file")
    )
    credentials = grpc.ssl_channel_credentials(authorities, key, certificate)
    expected = ("grpc.ssl_target_name_override", f"{service}.dousheng")
    return grpc.secure_channel(address, credentials, [*options, expected])


def main() -> None:
    """Exit with 0, or with the reason."""
    if len(sys.argv) not in {2, 3}:
        sys.exit("usage: python -m pkg.rpc.health HOST:PORT [SERVICE]")
    sys.exit(find_problem(*sys.argv[1:]))


if __name__ == "__main__":
    main()
