"""The settings of RelationService's process."""

from dal.db.engine import MySQLSettings
from dal.redis.client import RedisSettings
from pkg.crypt.messages import CryptSettings
from pkg.mq.connection import RabbitMQSettings
from pkg.rpc.server import ServiceProcessSettings
from pkg.token import TokenSettings
from services.actions.settings import ActionServiceSettings


class RelationProcessSettings(ServiceProcessSettings):
    """What the process reads."""

    relation: ActionServiceSettings
    mysql: MySQLSettings
    redis_actions: RedisSettings
    rabbitmq: RabbitMQSettings
    token: TokenSettings
    crypt: CryptSettings
