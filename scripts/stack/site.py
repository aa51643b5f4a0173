"""Where one stack lives: its folders, its ports, its passwords."""

import hashlib
import os
import re
import shutil
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pkg.tls import TlsSettings
from scripts.private_files import make_private_dir
from scripts.stack.authority import OPERATOR, Authority, list_subjects
from scripts.stack.credentials import Credentials, KeyFiles, load_credentials
from scripts.stack.files import find_command
from scripts.stack.ports import Ports
from scripts.stack.report import StackError

LOCALHOST = "127.0.0.1"
REPOSITORY = Path(__file__).resolve().parents[2]
_SHORT_PLACE = Path("/tmp")  # noqa: S108 - what is there is checked before it is used
_PLAIN_PATH = re.compile(r"[\w./+@~-]+", re.ASCII)
_LEAST_FREE_MIB = 1024
# A local stack is thrown away sooner.
_CERTIFICATE_DAYS = 3650
_NEEDED_COMMANDS = (
    *("mariadbd", "mariadb-install-db", "redis-server", "epmd", "etcd", "nginx"),
    *("ffmpeg", "ffprobe", "setpriv", "pkill"),
)
# sun_path holds 107 bytes; the longest name in the folder of sockets takes some of them.
_LONGEST_SOCKET_FOLDER = 107 - len("/supervisor.sock.12345678")


@dataclass(frozen=True)
class Site:
    """The places of one stack; nothing here starts anything."""

    run_dir: Path
    ports: Ports
    repository: Path = REPOSITORY
    # Where servers and services listen and are found; other machines reach another one than this.
    address: str = LOCALHOST
    has_tls: bool = False
    mysql_replicas: int = 0

    @property
    def config_dir(self) -> Path:
        """The templates and YAML files of the repository."""
        return self.repository / "config"

    @property
    def python(self) -> Path:
        """The interpreter of the product's environment."""
        return self.repository / ".venv" / "bin" / "python"

    @cached_property
    def place(self) -> Path:
        """The folder as everybody is told it: `run_dir`, or a link to it whose path needs no quoting anywhere."""
        return self.run_dir if _is_plain(self.run_dir) else self._outside / "run"

    @property
    def log_dir(self) -> Path:
        """One rotated log per process."""
        return self.place / "log"

    @property
    def keys(self) -> KeyFiles:
        """The key pairs of this stack."""
        return KeyFiles(self.place / "keys")

    @property
    def authority(self) -> Authority:
        """What signs the certificates of this stack, where it has TLS."""
        return Authority(self.place / "keys" / "tls")

    def tls_files_of(self, name: str) -> dict[str, str]:
        """Return the files with which a process of this stack connects, by their names in the settings."""
        pair = self.authority.pair(name)
        return {
            "ca_file": str(self.authority.certificate_file),
            "certificate_file": str(pair.certificate),
            "key_file": str(pair.key),
        }

    @property
    def operator_tls(self) -> TlsSettings | None:
        """How a probe connects; None: in plain text. The files are there once the stack was brought up."""
        return TlsSettings.model_validate(self.tls_files_of(OPERATOR)) if self.has_tls else None

    @cached_property
    def credentials(self) -> Credentials:
        """The passwords of this stack, made at the first look."""
        return load_credentials(self.run_dir / "secrets.json")

    @cached_property
    def socket_dir(self) -> Path:
        """Where unix sockets lie: in the folder of the stack, or where the path is short enough."""
        inside = self.run_dir / "sock"
        fits = len(os.fsencode(inside)) <= _LONGEST_SOCKET_FOLDER
        return inside if fits and _is_plain(inside) else self._outside

    @property
    def _outside(self) -> Path:
        """A short and plain path of this stack alone."""
        digest = hashlib.sha256(os.fsencode(self.run_dir)).hexdigest()[:16]
        return _SHORT_PLACE / f"dousheng-{os.getuid()}-{digest}"

    def ensure_keys(self) -> None:
        """Make the keys and certificates that do not exist yet."""
        self.keys.ensure()
        if not self.has_tls:
            return
        self.authority.ensure()
        for subject in list_subjects({}):
            if not self.authority.pair(subject.name).key.exists():
                self.authority.issue(subject, days=_CERTIFICATE_DAYS)

    def check(self) -> None:
        """Refuse a place where the stack cannot live.

        Raises:
            StackError: servers are not installed, or have no room.
        """
        missing = [name for name in _NEEDED_COMMANDS if find_command(name) is None]
        if missing:
            raise StackError(f"not installed: {', '.join(missing)}", fix="run scripts/setup")
        free = shutil.disk_usage(self.run_dir).free // 1024**2
        if free < _LEAST_FREE_MIB:
            raise StackError(
                f"the disk of {self.run_dir} has {free} MiB left, {_LEAST_FREE_MIB} are needed",
                fix="make room there",
            )

    def claim_socket_dir(self) -> None:
        """Make the folder of sockets, and the link to a folder that needs one, or refuse what lies there.

        Raises:
            StackError: it is a place that others can write to, and somebody else was there first.
        """
        found = make_private_dir(self.socket_dir).lstat()
        private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
        if not private or found.st_uid != os.getuid():
            raise StackError(f"{self.socket_dir} belongs to somebody else", fix="remove it")
        if self.place != self.run_dir and not self.place.is_symlink():
            self.place.symlink_to(self.run_dir)

    def release_socket_dir(self) -> None:
        """Remove what the stack left outside of its own folder."""
        if not self.socket_dir.is_relative_to(self.run_dir):
            shutil.rmtree(self.socket_dir, ignore_errors=True)

    def launch_script(self, name: str) -> Path:
        """Return what the supervisor runs to start a process."""
        return self.place / "launch" / f"{name}.sh"

    def log_file(self, name: str) -> Path:
        """Return where a process's output goes."""
        return self.log_dir / f"{name}.log"


def _is_plain(path: Path) -> bool:
    return _PLAIN_PATH.fullmatch(str(path)) is not None
