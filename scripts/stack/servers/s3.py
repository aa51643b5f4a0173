"""SeaweedFS as the S3 storage of the local stack."""

import io
import json
from collections.abc import Mapping

import urllib3
from minio import Minio

from scripts.stack.component import Component, Listener
from scripts.stack.syntax import to_toml

REGION = "us-east-1"
_PROBE_BUCKET = "stack-probe"
# The parts of SeaweedFS that must listen somewhere, as its flags name them.
_PARTS = ("master", "volume", "filer", "admin")
_PORT_FLAGS = {
    "s3": "s3.port",
    "s3-grpc": "s3.port.grpc",
    **{f"s3-{part}": f"{part}.port" for part in _PARTS},
    **{f"s3-{part}-grpc": f"{part}.port.grpc" for part in _PARTS},
}
# Who must show a signed token to whom, as security.toml names it.
_SIGNED = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
_GRPC_PARTS = ("volume", "master", "filer", "s3", "admin", "worker", "client")


class S3(Component):
    """All parts of SeaweedFS in one process; only its S3 port is used."""

    name = "s3"
    certificate = "storage"
    listeners = tuple(
        Listener(port, port.replace("s3-", "S3's ").replace("s3", "S3")) for port in _PORT_FLAGS
    )
    folders = ("data", "home")
    # It acknowledges only what is on disk and is slow to leave by itself.
    stop_within_s = 2

    def files(self) -> dict[str, str]:
        """Return the identities; the services make their buckets themselves."""
        credentials = self.site.credentials
        key = {"accessKey": credentials.s3_access_key, "secretKey": credentials.s3_secret_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "app", "credentials": [key], "actions": actions}
        return {
            "s3.json": json.dumps({"identities": [identity]}, indent=2) + "\n",
            "home/.seaweedfs/security.toml": self._security(),
        }

    def _security(self) -> str:
        """Return what the parts ask of each other: signed URLs over HTTP, certificates over gRPC."""
        credentials, keys = self.site.credentials, self.site.keys
        sections: dict[str, dict[str, str]] = {
            name: {"key": f"{credentials.s3_parts}-{name}"} for name in _SIGNED
        }
        sections["grpc"] = {"ca": str(keys.parts_certificate)}
        pair = {"cert": str(keys.parts_certificate), "key": str(keys.parts_private)}
        sections |= {f"grpc.{part}": pair for part in _GRPC_PARTS}
        return to_toml(sections)

    @property
    def command(self) -> list[str]:
        """All parts in one process, nothing of it reachable from other machines."""
        folder, sockets = self.directory, self.site.socket_dir
        return [
            str(self.site.python.with_name("weed")),
            "-logtostderr=true",
            "mini",
            f"-ip={self.host}",
            f"-ip.bind={self.host}",
            f"-dir={folder / 'data'}",
            "-master.telemetry=false",
            "-admin.ui=false",
            "-webdav=false",
            # Master and filer would let anybody write; S3 uses gRPC, which asks for a certificate.
            "-disableHttp",
            "-s3.iam=false",
            f"-s3.config={folder / 's3.json'}",
            f"-s3.localSocket={sockets / 's3.sock'}",
            f"-filer.localSocket={sockets / 'filer.sock'}",
            "-s3.allowDeleteBucketNotEmpty=false",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            *(f"-{flag}={self.site.ports.of(port)}" for port, flag in _PORT_FLAGS.items()),
            *self._tls_options(),
        ]

    def _tls_options(self) -> list[str]:
        """Speak https on the port of S3, where the stack has TLS."""
        if self.tls_pair is None:
            return []
        return [f"-s3.cert.file={self.tls_pair.certificate}", f"-s3.key.file={self.tls_pair.key}"]

    @property
    def environment(self) -> Mapping[str, str]:
        """`mini` collects garbage so eagerly that it takes a fifth of a core while nothing happens."""
        return {"HOME": f"{self.directory}/home", "GOGC": "400", "GOMEMLIMIT": "400MiB"}

    def probe(self) -> None:
        """Put a small object and remove it again."""
        credentials = self.site.credentials
        client = Minio(
            self.address,
            access_key=credentials.s3_access_key,
            secret_key=credentials.s3_secret_key,
            secure=self.site.has_tls,
            region=REGION,
            http_client=urllib3.PoolManager(
                timeout=5, retries=False, ssl_context=self.tls_context()
            ),
        )
        if not client.bucket_exists(_PROBE_BUCKET):
            client.make_bucket(_PROBE_BUCKET)
        client.put_object(_PROBE_BUCKET, "probe", io.BytesIO(b"ready"), 5)
        client.remove_object(_PROBE_BUCKET, "probe")
