"""A real S3 server that a test may freeze, kill and start again."""

import http.client
import os
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from minio.error import MinioException
from urllib3.exceptions import HTTPError

from pkg.storage import StorageSettings
from scripts.stack.ports import Ports, find_free_port_base
from scripts.stack.processes import wait_until
from scripts.stack.servers.s3 import REGION, S3
from scripts.stack.site import Site
from tests.freezing import freeze, thaw
from tests.stored_objects import open_client

TIMEOUT_S = 3.0


class S3Server:
    """A real S3 server in a folder of its own, which a test may freeze and kill."""

    def __init__(self, folder: Path) -> None:
        self._s3 = S3(Site(folder / "run", Ports(find_free_port_base())))
        self._log = folder / "s3.log"
        self._s3.site.claim_socket_dir()
        self._s3.site.keys.ensure()
        self._s3.prepare()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> StorageSettings:
        site = self._s3.site
        return StorageSettings(
            host="127.0.0.1",
            port=site.ports.of("s3"),
            access_key=site.credentials.s3_access_key,
            secret_key=site.credentials.s3_secret_key,
            region=REGION,
            timeout_s=TIMEOUT_S,
        )

    def start(self) -> None:
        program = self._s3
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *program.command],
                env={**os.environ, **program.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if not wait_until(self._works_or_ended, timeout_s=30) or self._has_ended():
            raise RuntimeError(self._log.read_text()[-2000:])

    def _has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _works_or_ended(self) -> bool:
        return self._has_ended() or self._works()

    def _works(self) -> bool:
        try:
            self._s3.probe()
        except (MinioException, HTTPError, OSError):
            return False
        return True

    def freeze(self) -> None:
        assert self._process is not None
        freeze(self._process.pid)

    def thaw(self) -> None:
        assert self._process is not None
        thaw(self._process.pid)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def clean_up(self) -> None:
        self.kill()
        self._s3.site.release_socket_dir()

    def sign_put(self, bucket: str, key: str) -> str:
        """Return the path and query with which anybody may store one object."""
        parts = urlsplit(open_client(self.settings).get_presigned_url("PUT", bucket, key))
        return f"{parts.path}?{parts.query}"

    def has_bucket(self, bucket: str) -> bool:
        return open_client(self.settings).bucket_exists(bucket)

    def ask(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        """Ask without credentials, as a phone does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.port, timeout=10)
        with closing(connection):
            connection.request(method, f"/{path}", headers=headers)
            reply = connection.getresponse()
            reply.read()
            return reply
