"""An etcd that lets only root, and a user with rights on our prefix, in."""

import base64

import httpx

from pkg.tls import TlsSettings
from tests.eventually import eventually

PREFIX = "kitex/registry-etcd"
USER = "dousheng"


def encode(text: str) -> str:
    """Return text as etcd's JSON carries it."""
    return base64.b64encode(text.encode()).decode()


async def enable_login(address: str, password: str, tls: TlsSettings | None = None) -> None:
    """Make `USER` and root, and let nobody else in."""
    rights = {"permType": "READWRITE", "key": encode(PREFIX), "range_end": encode("kitex/s")}
    steps = [
        ("user/add", {"name": "root", "password": password}),
        ("role/add", {"name": "root"}),
        ("user/grant", {"user": "root", "role": "root"}),
        ("user/add", {"name": USER, "password": password}),
        ("role/add", {"name": USER}),
        ("role/grant", {"name": USER, "perm": rights}),
        ("user/grant", {"user": USER, "role": USER}),
        ("enable", {}),
    ]
    async with httpx.AsyncClient(
        base_url=f"{address}/v3/auth/",
        trust_env=False,
        verify=tls.make_context() if tls else False,
    ) as client:

        async def answers() -> bool:
            health = await client.get(f"{address}/health")
            return bool(health.json()["health"] == "true")

        await eventually(answers)
        for path, body in steps:
            (await client.post(path, json=body)).raise_for_status()
