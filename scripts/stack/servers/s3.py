"""SeaweedFS as the S3 storage of the local stack."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import urllib3
from minio import Minio

from scripts.stack.files import hash_files, make_private_dir, write_private
from scripts.stack.programs import Listener, Program, Tier
from scripts.stack.site import Site

REGION = "us-east-1"
_PROBE_BUCKET = "stack-probe"


@dataclass(frozen=True)
class S3:
    """All parts of SeaweedFS in one process; only its S3 port is used."""

    site: Site

    @property
    def _directory(self) -> Path:
        return self.site.run_dir / "s3"

    def prepare(self) -> None:
        """Write the identities; the services make their buckets themselves."""
        for folder in ("data", "home"):
            make_private_dir(self._directory / folder)
        credentials = self.site.credentials
        key = {"accessKey": credentials.s3_access_key, "secretKey": credentials.s3_secret_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "app", "credentials": [key], "actions": actions}
        content = json.dumps({"identities": [identity]}, indent=2) + "\n"
        write_private(self._directory / "s3.json", content)

    def program(self) -> Program:
        """Return how `weed mini` runs."""
        ports = self.site.ports
        return Program(
            name="s3",
            kind="server",
            tier=Tier.SERVERS,
            command=(
                str(self.site.python.with_name("weed")),
                "-logtostderr=true",
                "mini",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                f"-dir={self._directory / 'data'}",
                "-master.telemetry=false",
                "-admin.ui=false",
                "-webdav=false",
                f"-s3.config={self._directory / 's3.json'}",
                f"-s3.localSocket={self.site.socket_dir / 's3.sock'}",
                f"-filer.localSocket={self.site.socket_dir / 'filer.sock'}",
                "-s3.allowDeleteBucketNotEmpty=false",
                "-s3.autoCreateBucket=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                *self._port_flags(),
            ),
            # `mini` collects garbage so eagerly that it takes a fifth of a core while nothing happens.
            environment={
                "HOME": f"{self._directory}/home",
                "GOGC": "400",
                "GOMEMLIMIT": "400MiB",
            },
            listeners=(
                Listener("S3", ports.of("s3")),
                *(Listener(f"S3's {name}", ports.of(f"s3-{name}")) for name in _INNER_FLAGS),
            ),
            fingerprint=hash_files(self._directory / "s3.json"),
            # It acknowledges only what is on disk and is slow to leave by itself.
            stop_within_s=2,
        )

    def _port_flags(self) -> list[str]:
        ports = self.site.ports
        inner = [f"-{flag}={ports.of(f's3-{name}')}" for name, flag in _INNER_FLAGS.items()]
        return [f"-s3.port={ports.of('s3')}", *inner]

    def probe(self) -> None:
        """Put a small object and remove it again."""
        credentials = self.site.credentials
        client = Minio(
            f"127.0.0.1:{self.site.ports.of('s3')}",
            access_key=credentials.s3_access_key,
            secret_key=credentials.s3_secret_key,
            secure=False,
            region=REGION,
            http_client=urllib3.PoolManager(timeout=5, retries=False),
        )
        if not client.bucket_exists(_PROBE_BUCKET):
            client.make_bucket(_PROBE_BUCKET)
        client.put_object(_PROBE_BUCKET, "probe", io.BytesIO(b"ready"), 5)
        client.remove_object(_PROBE_BUCKET, "probe")


_INNER_FLAGS = {
    "master": "master.port",
    "master-grpc": "master.port.grpc",
    "volume": "volume.port",
    "volume-grpc": "volume.port.grpc",
    "filer": "filer.port",
    "filer-grpc": "filer.port.grpc",
    "admin": "admin.port",
    "admin-grpc": "admin.port.grpc",
    "grpc": "s3.port.grpc",
}
