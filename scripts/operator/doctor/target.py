"""What is looked at."""

from dataclasses import dataclass

from dal.db.engine import Database, MySQLSettings
from dal.redis.client import RedisSettings
from pkg.crypt.messages import CryptSettings
from pkg.mq.connection import RabbitMQSettings
from pkg.registry import EtcdSettings
from pkg.rpc.tls import RpcSettings
from pkg.settings import ProcessSettings
from pkg.storage import StorageSettings
from pkg.token import TokenSettings
from scripts.operator.doctor.place import Place


class DoctorSettings(ProcessSettings):
    """Every server and key of the product."""

    mysql: MySQLSettings
    redis_actions: RedisSettings
    redis_cache: RedisSettings
    rabbitmq: RabbitMQSettings
    etcd: EtcdSettings
    storage: StorageSettings
    rpc: RpcSettings
    token: TokenSettings
    crypt: CryptSettings

    def waiting_at_most(self, answer_s: float, *, within_s: float) -> "DoctorSettings":
        """Return the same servers with deadlines of a person who waits; a statement may take what is left of the whole look."""
        mysql = {"connect_timeout_s": answer_s, "statement_timeout_s": within_s}
        changed = {
            "mysql": self.mysql.model_copy(update=mysql),
            "redis_actions": self.redis_actions.model_copy(update={"timeout_s": answer_s}),
            "redis_cache": self.redis_cache.model_copy(update={"timeout_s": answer_s}),
            "rabbitmq": self.rabbitmq.model_copy(update={"connect_timeout_s": answer_s}),
            "etcd": self.etcd.model_copy(update={"timeout_s": answer_s}),
            "storage": self.storage.model_copy(update={"timeout_s": answer_s}),
        }
        return self.model_copy(update=changed)


@dataclass(frozen=True)
class Target:
    """The product in one place, and what is known of it so far."""

    settings: DoctorSettings
    place: Place
    database: Database
    url: str | None
    answer_s: float  # whoever has not answered by then is away
    away: frozenset[str] = frozenset()  # checks that found what they look for away
