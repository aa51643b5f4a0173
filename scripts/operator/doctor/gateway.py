"""The way in: nginx, the gateways, and what these reach."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from scripts.operator.doctor.answers import SILENCE, ask_all, describe, get_reply
from scripts.operator.doctor.finding import Finding, NotHere
from scripts.operator.doctor.services import instances_of
from scripts.operator.doctor.target import Target

ROLE, EDGE = "gateway", "nginx"
MOST_EVIDENCE = 200
LOOK_AGAIN_S = 0.3
# nginx answers it by itself, with 404: what it passes on would wait for a gateway that hangs.
OWN_PATH = "/media/"


async def look_at_gateways(target: Target) -> Sequence[Finding]:
    """Every gateway answers."""
    addresses = instances_of(target.place, ROLE).values()
    if not addresses:
        raise NotHere("gateways are asked through nginx")

    async def ask(address: str) -> None:
        await get_reply(f"http://{address}/healthz", timeout_s=target.answer_s)

    return await ask_all(target, ROLE, addresses, ask)


async def look_at_nginx(target: Target) -> Sequence[Finding]:
    """nginx answers, whoever stands behind it."""
    url = _require_url(target)
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)

    async def ask(_address: str) -> None:
        await get_reply(f"{url}{OWN_PATH}", timeout_s=target.answer_s)

    return await ask_all(target, EDGE, [f"{parts.hostname}:{port}"], ask)


async def look_at_readiness(target: Target) -> Sequence[Finding]:
    """A gateway reaches all six services, through nginx."""
    url = _require_url(target)
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + target.answer_s
    command = target.place.look_into(ROLE, urlsplit(url).netloc)
    # A gateway gives services a second: one 503 of a busy machine says little.
    while True:
        try:
            reply = await get_reply(f"{url}/readyz", timeout_s=target.answer_s)
        except SILENCE as exc:
            # nginx answers, so that it is who stands behind it.
            return [Finding(ROLE, "does not answer", f"GET /readyz: {describe(exc)}", command)]
        if reply.status == 200:
            return []
        if loop.time() + LOOK_AGAIN_S > ends_at:
            break
        await asyncio.sleep(LOOK_AGAIN_S)
    said = f"GET /readyz: {reply.status} {reply.data[:MOST_EVIDENCE].decode(errors='replace')}"
    what = "does not reach services that answer" if b"missing" in reply.data else "does not answer"
    return [Finding(ROLE, what, said, command)]


def _require_url(target: Target) -> str:
    if target.url is None:
        raise NotHere("nobody said where nginx listens: --url")
    return target.url
