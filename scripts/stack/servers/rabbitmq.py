"""RabbitMQ and the port mapper of Erlang that it needs, both apart from the machine's own."""

import base64
import hashlib
import json
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

import pika

from scripts.stack.files import hash_files, make_private_dir, render, write_private
from scripts.stack.ports import is_free
from scripts.stack.programs import Listener, Program, Tier
from scripts.stack.site import Site

# Not /usr/sbin/rabbitmq-server: that one switches to a user of its own.
_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
USER = "dousheng"
VIRTUAL_HOST = "dousheng"
_NODE = "dousheng@localhost"
_CONFIG_FILES = ("rabbitmq.conf", "definitions.json")
_LOCAL_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"


@dataclass(frozen=True)
class Epmd:
    """Erlang's port mapper on a port of its own."""

    site: Site

    def prepare(self) -> None:
        """Nothing: epmd has no files."""

    def program(self) -> Program:
        """Return how epmd runs in the foreground."""
        port = self.site.ports.of("epmd")
        return Program(
            name="epmd",
            kind="server",
            tier=Tier.NAMES,
            command=(
                shutil.which("epmd") or "/usr/bin/epmd",
                *("-port", str(port)),
                *("-address", "127.0.0.1"),
            ),
            listeners=(Listener("Erlang's port mapper", port),),
            stop_within_s=2,
        )

    def probe(self) -> None:
        """See that the port is taken; that it is our process is checked by its pid."""
        if is_free(self.site.ports.of("epmd")):
            raise ConnectionError("epmd does not listen yet")


@dataclass(frozen=True)
class RabbitMQ:
    """The broker; user and virtual host come from a definitions file, queues from pkg/mq."""

    site: Site

    @property
    def _directory(self) -> Path:
        return self.site.run_dir / "rabbitmq"

    def prepare(self) -> None:
        """Write configuration and definitions."""
        for folder in ("home", "mnesia", "log", "generated", "schema"):
            make_private_dir(self._directory / folder)
        template = self.site.config_dir / "rabbitmq" / "rabbitmq.conf.template"
        values = {"RABBITMQ_DEFINITIONS": self._directory / "definitions.json"}
        write_private(self._directory / "rabbitmq.conf", render(template, values))
        write_private(self._directory / "advanced.config", "[].\n")
        write_private(self._directory / "enabled_plugins", "[].\n")
        write_private(self._directory / "definitions.json", self._definitions())

    def _definitions(self) -> str:
        permission = {"user": USER, "vhost": VIRTUAL_HOST}
        content = {
            "users": [
                {
                    "name": USER,
                    "password_hash": _hash_password(self.site.credentials.rabbitmq),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": "",
                }
            ],
            "vhosts": [{"name": VIRTUAL_HOST}],
            "permissions": [permission | {"configure": ".*", "write": ".*", "read": ".*"}],
        }
        return json.dumps(content, indent=2) + "\n"

    def program(self) -> Program:
        """Return how the broker runs: its pid is the Erlang machine's own."""
        ports = self.site.ports
        return Program(
            name="rabbitmq",
            kind="server",
            tier=Tier.SERVERS,
            command=(_SERVER,),
            environment=self._environment(),
            listeners=(
                Listener("RabbitMQ", ports.of("rabbitmq")),
                Listener("RabbitMQ's Erlang distribution", ports.of("rabbitmq-distribution")),
            ),
            fingerprint=hash_files(*(self._directory / name for name in _CONFIG_FILES)),
            start_s=4,
            ready_within_s=120,
            stop_within_s=30,
        )

    def _environment(self) -> dict[str, str]:
        folder, ports = self._directory, self.site.ports
        return {
            "HOME": f"{folder}/home",
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": f"{folder}/rabbitmq.pid",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/generated",
            "RABBITMQ_SCHEMA_DIR": f"{folder}/schema",
            "RABBITMQ_FEATURE_FLAGS_FILE": f"{folder}/feature_flags",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(ports.of("rabbitmq")),
            "RABBITMQ_DIST_PORT": str(ports.of("rabbitmq-distribution")),
            "ERL_EPMD_PORT": str(ports.of("epmd")),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # Otherwise the broker would start a port mapper of its own that outlives the stack.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_LOCAL_ONLY} -start_epmd false",
            "RABBITMQ_CTL_ERL_ARGS": _LOCAL_ONLY,
            # The wrapper then execs: signals reach the broker itself.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def probe(self) -> None:
        """Log in as the services do and open a channel."""
        # pika logs pages for a refused connection, which is what a starting broker gives.
        socket.create_connection(("127.0.0.1", self.site.ports.of("rabbitmq")), 2).close()
        connection = pika.BlockingConnection(
            pika.ConnectionParameters(
                host="127.0.0.1",
                port=self.site.ports.of("rabbitmq"),
                virtual_host=VIRTUAL_HOST,
                credentials=pika.PlainCredentials(USER, self.site.credentials.rabbitmq),
                socket_timeout=2,
                stack_timeout=5,
                blocked_connection_timeout=5,
            )
        )
        connection.channel()
        connection.close()


def _hash_password(password: str) -> str:
    """Return RabbitMQ's salted form; the salt follows from the password, so the file is stable.

    Source: the "Passwords" page of RabbitMQ's documentation.
    """
    salt = hashlib.sha256(b"salt" + password.encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
