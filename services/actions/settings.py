"""What the favorite and the relation service have in their sections beyond every service's keys."""

from pkg.rpc.server import ServiceSettings
from pkg.settings import Count, Seconds

BACKLOG_INTERVAL_S = 2.0
DEAD_LETTERS_INTERVAL_S = 30.0


class ActionServiceSettings(ServiceSettings):
    flush_interval_s: Seconds
    """How often Redis' pending actions are written to MySQL."""
    flush_batch_actions: Count
    """How many actions one transaction writes, at most."""
