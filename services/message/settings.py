"""The settings of MessageService's process."""

from typing import Literal

from pkg.crypt.messages import CryptSettings
from pkg.rpc.server import ServiceSettings
from pkg.settings import Seconds
from services.foundation import FoundationSettings


class MessageSettings(ServiceSettings):
    """The section `message`."""

    who_may_write: Literal["following", "friends"]
    """`following`: who follows another may write to them; `friends`: only those who follow each other."""
    stale_mark_s: Seconds
    """Longer than any SQL deadline: a send that is marked for longer did not end as it should."""
    stream_interval_s: Seconds
    """How often a stream looks for new messages."""
    slow_client_timeout_s: Seconds
    """A stream whose client takes no message for this long ends."""


class MessageProcessSettings(FoundationSettings):
    """What the process reads."""

    message: MessageSettings
    crypt: CryptSettings
