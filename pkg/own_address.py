"""Under which address this machine is known: in a container only the network knows it."""

import asyncio
import socket

AUTO = "auto"


async def resolve_own(address: str, *, towards: tuple[str, int]) -> str:
    """Return `host:port` with the host `auto` replaced by the address from which this machine reaches `towards`.

    Raises:
        OSError: there is no such host, or no way to it.
    """
    host, _, port = address.rpartition(":")
    if host != AUTO:
        return address
    loop = asyncio.get_running_loop()
    # Clients are told addresses of IPv4. Nothing is sent: connecting only chooses the way.
    found = await loop.getaddrinfo(*towards, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(found[0][4])
        return f"{probe.getsockname()[0]}:{port}"
