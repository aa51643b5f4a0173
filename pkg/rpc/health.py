"""Asks a service on this machine whether it serves: `python -m pkg.rpc.health 127.0.0.1:8085`; exit status 0 means yes.

For health checks of containers, which run it every few seconds: it imports gRPC and nothing else.
"""

import sys

import grpc

TIMEOUT_S = 3
CHECK = "/grpc.health.v1.Health/Check"
# The two messages are this short: a request that names no service, and a reply whose status is SERVING.
REQUEST, SERVING = b"", b"\x08\x01"


def find_problem(address: str) -> str | None:
    """Return what is wrong with the service at `host:port`; None where it serves."""
    # A proxy of the environment has no business between a container and itself.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(CHECK)
        try:
            reply: bytes = check(REQUEST, timeout=TIMEOUT_S, wait_for_ready=False)
        except grpc.RpcError as exc:
            return f"{address}: {exc.code().name}: {exc.details()}"
    return None if reply == SERVING else f"{address}: not serving"


def main() -> None:
    """Exit with 0, or with the reason."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m pkg.rpc.health HOST:PORT")
    sys.exit(find_problem(sys.argv[1]))


if __name__ == "__main__":
    main()
