"""The settings of FavoriteService's process."""

from pkg.mq.connection import RabbitMQSettings
from services.actions.settings import ActionServiceSettings
from services.foundation import FoundationSettings


class FavoriteProcessSettings(FoundationSettings):
    """What the process reads."""

    favorite: ActionServiceSettings
    rabbitmq: RabbitMQSettings
