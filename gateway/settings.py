"""The settings of the gateway's process: the section `gateway` and those that it shares with other processes."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pkg.registry import EtcdSettings
from pkg.rpc.tls import RpcSettings
from pkg.settings import Count, Port, ProcessSettings, Seconds, Section
from pkg.spool import SpoolLimits
from pkg.token import TokenSettings
from pkg.tracing import TracingSettings
from pkg.uploads import UploadSettings, transfer_time_s


class RateLimitSettings(Section):
    """Token buckets: `rate` requests per second, `burst` at once."""

    enabled: bool
    """Whether requests are limited at all."""
    user_rate_per_s: Count
    """Requests per second of one user, in the long run."""
    user_burst_requests: Count
    """How many requests of one user may come at once."""
    address_rate_per_s: Count
    """Requests per second of one address (an IPv6 /64 is one), in the long run."""
    address_burst_requests: Count
    """How many requests of one address may come at once."""
    registration_rate_per_min: Count
    """Registrations per minute from one address, in the long run; a whole classroom may be behind one."""
    registration_burst_requests: Count
    """How many registrations from one address may come at once."""
    max_tracked: Count
    """How many users, and as many addresses, are remembered."""


class GatewaySettings(Section):
    host: str
    """Where it listens."""
    port: Port
    """Its port."""
    stop_grace_s: Count
    """Running requests get this long to finish on SIGTERM."""
    trusted_proxies: tuple[str, ...]
    """Addresses whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""
    media_port: Port
    """Media URLs name this port of the host that the request came to, unless `media_base_url` is set."""
    media_base_url: Annotated[str, Field(pattern="^https?://[^/]")] | None = None
    """What media URLs start with instead, such as `https://media.example.com/media`."""
    max_parallel_uploads: Count
    """How many uploads are received at once whose token was verified."""
    max_uploads_per_address: Count
    """How many of them may come from one address, so that one client cannot hold all; an IPv6 /64 is one address."""
    max_uploads_per_user: Count
    """How many of them one user may have."""
    max_unknown_uploads: Count
    """How many uploads are received at once whose token has not come yet: it may be the last field of a form."""
    max_unknown_uploads_per_address: Count
    """How many of them may come from one address."""
    max_sockets: Count
    """How many WebSockets may be open."""
    max_sockets_per_address: Count
    """How many of them may come from one address; a fifth of all, so that one leaves room for others."""
    max_sockets_per_user: Count
    """How many of them one user may have."""
    upload_idle_timeout_s: Seconds
    """An upload that brings no byte for this long is given up; one below `upload_min_kb_per_s` after this long."""
    upload_min_kb_per_s: Count
    """KiB that an upload must bring per second; a pause of `upload_idle_timeout_s` is made up for by what comes after."""
    upload_receive_timeout_s: Seconds
    """An upload that takes longer than this in all is given up."""
    upload_timeout_s: Seconds
    """The deadline of the hand-over to the video service, on top of the time for its size (2 MB a second); the app gives up after 5 s."""
    spool_dir: Path
    """A folder for uploads while they arrive."""
    spool: SpoolLimits
    rpc_timeout_s: Seconds
    """The deadline of every other RPC."""
    calls_together: bool
    """Whether calls to an instance travel together on one stream, which costs a fifth; else each by itself."""
    card_cache_mb: Annotated[int, Field(ge=0)]
    """MiB for the JSON of cards that were shown lately; 0: none is kept."""
    ready_timeout_s: Seconds
    """The deadline of the health checks behind `/readyz`."""
    rate_limit: RateLimitSettings

    def hand_over_time_s(self, size: int) -> float:
        """Return the deadline of the hand-over of an upload of this size."""
        return self.upload_timeout_s + transfer_time_s(size)


class GatewayProcessSettings(ProcessSettings):
    gateway: GatewaySettings
    etcd: EtcdSettings
    rpc: RpcSettings
    tracing: TracingSettings
    token: TokenSettings
    upload: UploadSettings
