"""The settings of FavoriteService's process."""

from pkg.mq.connection import RabbitMQSettings
from services.actions.flusher import FlushingServiceSettings
from services.foundation import FoundationSettings


class FavoriteProcessSettings(FoundationSettings):
    """What the process reads."""

    favorite: FlushingServiceSettings
    rabbitmq: RabbitMQSettings
