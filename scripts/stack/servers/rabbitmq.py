"""RabbitMQ and the port mapper of Erlang that it needs, both apart from the machine's own."""

import base64
import hashlib
import json
import socket
from collections.abc import Mapping
from pathlib import Path

import pika

from scripts.stack.component import Component, Listener, Tier
from scripts.stack.files import get_command
from scripts.stack.ports import is_free

# Not /usr/sbin/rabbitmq-server: that one switches to a user of its own.
_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
USER = "dousheng"
VIRTUAL_HOST = "dousheng"
_NODE = "dousheng@localhost"
_LOCAL_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"


class Epmd(Component):
    """Erlang's port mapper on a port of its own."""

    name = "epmd"
    tier = Tier.NAMES
    listeners = (Listener("epmd", "Erlang's port mapper"),)
    stop_within_s = 2

    @property
    def command(self) -> list[str]:
        """The port mapper in the foreground."""
        return [get_command("epmd"), "-port", str(self.port), "-address", self.host]

    def probe(self) -> None:
        """See that the port is taken; that it is our process is checked by its pid."""
        if is_free(self.port):
            raise ConnectionError("epmd does not listen yet")


class RabbitMQ(Component):
    """The broker; user and virtual host come from a definitions file, queues from pkg/mq."""

    name = "rabbitmq"
    listeners = (
        Listener("rabbitmq", "RabbitMQ"),
        Listener("rabbitmq-distribution", "RabbitMQ's Erlang distribution"),
    )
    folders = ("home", "mnesia", "log", "generated", "schema")
    templates = ("rabbitmq/rabbitmq.conf.template",)
    start_s = 4
    ready_within_s = 120
    stop_within_s = 30

    @property
    def values(self) -> Mapping[str, object]:
        """Where the definitions are."""
        return {"RABBITMQ_DEFINITIONS": self.directory / "definitions.json"}

    def files(self) -> dict[str, str]:
        """Return the configuration, the definitions, and the plugins: none."""
        empty = {"advanced.config": "[].\n", "enabled_plugins": "[].\n"}
        files = {**super().files(), "definitions.json": self._definitions(), **empty}
        files["rabbitmq.conf"] += self._listeners()
        return files

    def _listeners(self) -> str:
        """Return where it listens, and that it answers nobody without a certificate where the stack has TLS."""
        if self.tls_pair is None:
            return f"listeners.tcp.1 = {self.host}:{self.port}\n"
        return (
            "listeners.tcp = none\n"
            f"listeners.ssl.1 = {self.host}:{self.port}\n"
            f"ssl_options.cacertfile = {self.site.authority.certificate_file}\n"
            f"ssl_options.certfile = {self.tls_pair.certificate}\n"
            f"ssl_options.keyfile = {self.tls_pair.key}\n"
            "ssl_options.verify = verify_peer\n"
            "ssl_options.fail_if_no_peer_cert = true\n"
        )

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

    @property
    def working_directory(self) -> Path:
        """Where it may leave its core dumps."""
        return self.directory

    @property
    def command(self) -> list[str]:
        """The wrapper of the package, which becomes the Erlang machine itself."""
        return [_SERVER]

    @property
    def environment(self) -> Mapping[str, str]:
        """Every place and port that the wrapper would otherwise share with the machine's broker."""
        folder, ports = self.directory, self.site.ports
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
            "RABBITMQ_DIST_PORT": str(ports.of("rabbitmq-distribution")),
            "ERL_EPMD_PORT": str(ports.of("epmd")),
            "ERL_EPMD_ADDRESS": self.host,
            # Otherwise the broker would start a port mapper of its own that outlives the stack.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_LOCAL_ONLY} -start_epmd false",
            "RABBITMQ_CTL_ERL_ARGS": _LOCAL_ONLY,
            # The wrapper then execs: signals reach the broker itself.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def probe(self) -> None:
        """Log in as the services do and open a channel."""
        tls = self.tls_context()
        # pika logs pages for a refused connection, which is what a starting broker gives.
        socket.create_connection((self.host, self.port), 2).close()
        connection = pika.BlockingConnection(
            pika.ConnectionParameters(
                host=self.host,
                port=self.port,
                virtual_host=VIRTUAL_HOST,
                credentials=pika.PlainCredentials(USER, self.site.credentials.rabbitmq),
                ssl_options=pika.SSLOptions(tls, self.host) if tls else None,
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
