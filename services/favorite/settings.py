"""The settings of FavoriteService's process."""

from dal.db.engine import MySQLSettings
from dal.redis.client import RedisSettings
from pkg.mq.connection import RabbitMQSettings
from pkg.rpc.server import ServiceProcessSettings
from pkg.token import TokenSettings
from services.actions.settings import ActionServiceSettings


class FavoriteProcessSettings(ServiceProcessSettings):
    """What the process reads."""

    favorite: ActionServiceSettings
    mysql: MySQLSettings
    redis_actions: RedisSettings
    rabbitmq: RabbitMQSettings
    token: TokenSettings
