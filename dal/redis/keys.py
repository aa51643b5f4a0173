"""Every key format, and the value of a register. No other module knows one; the table in dal/README.md says who writes and reads each.

Braces mark the hash tag: keys that one script touches share it, so that Redis Cluster keeps them together.
"""

import hashlib

from dal.participants import Participants
from dal.registers.model import Action, ActionType, Kind


def login_failures_of_name_key(name: str) -> str:
    """Cache, counter, expires: failed logins of one user name, of whatever length somebody sends."""
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{{login}}:name:{digest}"


def login_failures_of_address_key(network: str) -> str:
    """Cache, counter, expires: failed logins from one client's network."""
    return f"{{login}}:address:{network}"


# Likes and follows. All registers of one user lie in one of these partitions of their kind. The number is a constant: under another
# one, what is pending would not be found again.
PARTITIONS = 16


def partition_of(user_id: int) -> int:
    """Return the partition of a user's registers."""
    return user_id % PARTITIONS


def register_keys(kind: Kind, user_id: int, target_id: int) -> tuple[str, str]:
    """Actions, strings `<version>::<action>`: the register for reads (`r`, expires) and the pending one (`w`, does not)."""
    tag = _tag(kind, partition_of(user_id))
    if kind is Kind.FAVORITE:
        base = f"{tag}:video:{target_id}:user:{user_id}"
    else:
        base = f"{tag}:user:{user_id}:to_user:{target_id}"
    return f"{base}:r", f"{base}:w"


def register_value(action: Action) -> str:
    """Return what a register holds."""
    return f"{action.version}::{action.type:d}"


def parse_register(user_id: int, target_id: int, value: bytes) -> Action:
    """Return what a register says; an item that was set aside begins like one."""
    version, action_type = value.split(b"::")[:2]
    return Action(user_id, target_id, int(version), ActionType(int(action_type)))


def pending_key(kind: Kind, partition: int) -> str:
    """Actions, sorted set: every pair with a `w`, member `<user>:<target>`, by version."""
    return f"{_tag(kind, partition)}:pending"


def user_pending_key(kind: Kind, user_id: int) -> str:
    """Actions, hash: what one user has pending, target to `<version>::<action>`."""
    return f"{_tag(kind, partition_of(user_id))}:user:{user_id}:pending"


def aside_key(kind: Kind, partition: int) -> str:
    """Actions, hash: what MySQL refused, member `<user>:<target>` to `<version>::<action>::<reason>`."""
    return f"{_tag(kind, partition)}:aside"


def flush_lock_key(kind: Kind) -> str:
    """Actions, string, expires: the token of the process that flushes this kind."""
    return f"{{{kind}}}:flush-lock"


def clock_key() -> str:
    """Actions, string: the last version that was drawn."""
    return "{actions}:clock"


def changes_key() -> str:
    """Actions, stream of bounded length: what has changed, field `changed` with `<subject>:<id>` after `<subject>:<id>`."""
    return "{changes}:log"


def trace_key(of: str, number: int) -> str:
    """Actions, string, expires: the trace that brought an action, by its version, or an upload, by its video's id."""
    return f"{{{of}}}:trace:{number}"


def _tag(kind: Kind, partition: int) -> str:
    return f"{{{kind}:{partition}}}"


# So many that few conversations share one; it bounds the keys of `chat_sent_key`.
CHAT_PARTITIONS = 65_536


def chat_key(participants: Participants) -> str:
    """Actions, hash, expires: what a poll may know of a conversation without asking MySQL; fields in chat.py."""
    return f"{_chat_tag(participants)}:{participants.low_id}:{participants.high_id}"


def chat_sent_key(participants: Participants) -> str:
    """Actions, string, expires: when anybody last sent in this conversation's partition, in microseconds."""
    return f"{_chat_tag(participants)}:sent"


def actions_life_key() -> str:
    """Actions, string: a name of the data that this Redis holds; another one, or none, says that it has lost them."""
    return "{actions}:life"


def _chat_tag(participants: Participants) -> str:
    partition = (participants.low_id * 31 + participants.high_id) % CHAT_PARTITIONS
    return f"{{chat:{partition}}}"
