"""The settings of RelationService's process."""

from pkg.crypt.messages import CryptSettings
from pkg.mq.connection import RabbitMQSettings
from services.actions.settings import ActionServiceSettings
from services.foundation import FoundationSettings


class RelationProcessSettings(FoundationSettings):
    """What the process reads."""

    relation: ActionServiceSettings
    rabbitmq: RabbitMQSettings
    crypt: CryptSettings
