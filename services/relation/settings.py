"""The settings of RelationService's process."""

from pkg.crypt.messages import CryptSettings
from pkg.mq.connection import RabbitMQSettings
from services.actions.flusher import FlushingServiceSettings
from services.foundation import FoundationSettings


class RelationProcessSettings(FoundationSettings):
    """What the process reads."""

    relation: FlushingServiceSettings
    rabbitmq: RabbitMQSettings
    crypt: CryptSettings
