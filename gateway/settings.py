"""What the gateway can be told: `config/gateway.yml` and the sections that it shares with others."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pkg.registry import EtcdSettings
from pkg.settings import Count, Port, ProcessSettings, Seconds, Section
from pkg.token import TokenSettings


class RateLimitSettings(Section):
    """Token buckets: `rate` requests per second, `burst` at once."""

    enabled: bool
    user_rate: Count
    user_burst: Count
    address_rate: Count
    address_burst: Count
    max_tracked: Count  # users, and as many addresses, that are remembered


class GatewaySettings(Section):
    host: str
    port: Port
    stop_grace_s: Count
    trusted_proxies: tuple[str, ...]
    media_port: Port
    media_base_url: Annotated[str, Field(pattern="^https?://[^/]")] | None = None
    max_upload_mb: Count
    max_parallel_uploads: Count
    max_uploads_per_address: Count
    max_sockets: Count
    max_sockets_per_user: Count
    upload_idle_timeout_s: Seconds
    upload_receive_timeout_s: Seconds
    upload_timeout_s: Seconds
    spool_dir: Path
    rpc_timeout_s: Seconds
    ready_timeout_s: Seconds
    rate_limit: RateLimitSettings

    @property
    def max_upload_bytes(self) -> int:
        """The largest video in bytes."""
        return self.max_upload_mb * 1024 * 1024


class GatewayProcessSettings(ProcessSettings):
    gateway: GatewaySettings
    etcd: EtcdSettings
    token: TokenSettings
