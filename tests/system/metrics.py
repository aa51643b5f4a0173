"""Reading what a process says of itself to Prometheus."""

import httpx
from prometheus_client.parser import text_string_to_metric_families


async def count_observed(http: httpx.AsyncClient, url: str, histogram: str, **labels: str) -> int:
    """Return how often a histogram was fed under these labels; other labels are summed up."""
    return await sum_samples(http, url, f"{histogram}_count", **labels)


async def sum_samples(http: httpx.AsyncClient, url: str, name: str, **labels: str) -> int:
    """Return the sum of the samples of a name that have these labels, whatever other labels they have."""
    reply = await http.get(url)
    reply.raise_for_status()
    return int(
        sum(
            sample.value
            for family in text_string_to_metric_families(reply.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )
    )


async def count_served(http: httpx.AsyncClient, metrics_port: int, method: str) -> int:
    """Return how many calls of a method a service has answered with success."""
    return await count_observed(
        http,
        f"http://127.0.0.1:{metrics_port}/metrics",
        "dousheng_rpc_served_seconds",
        method=method,
        code="OK",
    )
