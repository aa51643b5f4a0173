"""What a client chooses freely must not become a time series of its own."""

import uuid

import httpx

from gateway.middleware import METHODS


async def test_paths_and_methods_that_a_client_makes_up_share_their_labels(
    client: httpx.AsyncClient,
) -> None:
    for method in ("PROPFIND", "MKCOL", "REPORT", "SEARCH"):
        await client.request(method, f"/{uuid.uuid4().hex}")
        await client.request(method, "/douyin/feed/")

    text = (await client.get("/metrics")).text
    served = [line for line in text.splitlines() if line.startswith("dousheng_http_served_")]

    methods = {line.split('method="')[1].split('"')[0] for line in served}
    assert "OTHER" in methods
    # Other tests of this process have used other known ones.
    assert methods <= METHODS | {"OTHER"}
    routes = {line.split('route="')[1].split('"')[0] for line in served}
    assert all(len(route) < 40 for route in routes)
