"""The works: for each the requests that are sent, one after the other and then from the beginning, the same at each run.

What acts does something else with each request: every pair is liked once, and when all are, every pair is unliked once, and so on.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from urllib.parse import urlencode

from scripts.benchmarks.cast import Cast
from scripts.benchmarks.uploads import list_uploads
from scripts.benchmarks.wrk import CHECKED_SHARE

DO, UNDO = 1, 2
READS = 5_000
PAIRS = 20_000
MIXED = 10_000
# A sequence is dealt out to at most two ways, and of each an eighth to whoever looks into replies: all must get both deeds of a pair.
SHARERS = 2 * CHECKED_SHARE
AUTHORS = 64
COMMENT = "这是在哪里拍的?😀"
MESSAGE = "今晚一起吃饭吗?😀"
# Of 100 requests of an app's session.
SHARES = {"feed": 40, "older": 20, "user": 7, "lists": 8, "likes": 6, "follows": 4, "comments": 5, "chat-poll": 10}  # fmt: skip

# A request without its host: whoever sends it knows to whom.
Sequencer = Callable[[Cast], list["Request"]]


@dataclass(frozen=True)
class Request:
    """What is asked, without the address."""

    method: str
    path: str
    parameters: tuple[tuple[str, str | int], ...] = ()
    body: bytes = b""
    content_type: str = ""

    def to_bytes(self, host: str) -> bytes:
        """Return it as it is sent."""
        query = f"?{urlencode(self.parameters)}" if self.parameters else ""
        head = f"{self.method} /douyin{self.path}{query} HTTP/1.1\r\nHost: {host}\r\n"
        if self.method == "POST":
            head += f"Content-Length: {len(self.body)}\r\n"
        if self.content_type:
            head += f"Content-Type: {self.content_type}\r\n"
        return head.encode() + b"\r\n" + self.body


def list_requests(work: str, cast: Cast) -> list[Request]:
    """Return the sequence of a work, whatever was measured before."""
    return SEQUENCES[work](replace(cast, random=Random(work)))  # noqa: S311 - the same at each run


def _feed(cast: Cast) -> list[Request]:
    return [_get("/feed/", cast, viewer) for viewer in cast.viewers]


def _feed_anonymous(_cast: Cast) -> list[Request]:
    # Both halves of the load get one.
    return [Request("GET", "/feed/")] * 16


def _older(cast: Cast) -> list[Request]:
    return [
        _get("/feed/", cast, viewer, latest_time=cast.random.choice(cast.older_ms))
        for viewer in _viewers(cast, READS)
    ]


def _user(cast: Cast) -> list[Request]:
    return [
        _get("/user/", cast, viewer, user_id=cast.random.choice(cast.authors))
        for viewer in _viewers(cast, READS)
    ]


def _lists(cast: Cast) -> list[Request]:
    """Return as many video lists as comment lists, each a first page."""
    requests = []
    for viewer in _viewers(cast, READS):
        author, video = cast.random.choice(cast.authors), cast.random.choice(cast.discussed)
        requests.append(_get("/publish/list/", cast, viewer, user_id=author))
        requests.append(_get("/comment/list/", cast, viewer, video_id=video))
    cast.random.shuffle(requests)
    return requests


def _likes(cast: Cast) -> list[Request]:
    return _toggle("/favorite/action/", cast, "video_id", cast.videos)


def _follows(cast: Cast) -> list[Request]:
    """Return follows of everybody but those who chat, because only who follows may write."""
    return _toggle("/relation/action/", cast, "to_user_id", cast.authors, never=cast.followed)


def _comments(cast: Cast) -> list[Request]:
    return [
        _post(
            "/comment/action/",
            cast,
            viewer,
            video_id=cast.random.choice(cast.videos),
            action_type=DO,
            comment_text=COMMENT,
        )
        for viewer in _viewers(cast, READS)
    ]


def _chat_poll(cast: Cast) -> list[Request]:
    """Return polls of conversations in which nothing is new."""
    polls = []
    for one, other, last_ms in cast.conversations:
        polls.append(_get("/message/chat/", cast, one, to_user_id=other, pre_msg_time=last_ms))
        polls.append(_get("/message/chat/", cast, other, to_user_id=one, pre_msg_time=last_ms))
    return polls


def _chat_send(cast: Cast) -> list[Request]:
    return [
        _post("/message/action/", cast, one, to_user_id=other, action_type=DO, content=MESSAGE)
        for one, other in cast.followed
    ]


def _publish(cast: Cast) -> list[Request]:
    return [
        Request("POST", "/publish/action/", (), body, content_type)
        for body, content_type in list_uploads([cast.token(one) for one in cast.viewers[:AUTHORS]])
    ]


def _mixed(cast: Cast) -> list[Request]:
    """Return an app's session: mostly the feed, a third of it further down; acts are undone in the second half."""
    kinds = cast.random.choices(list(SHARES), list(SHARES.values()), k=MIXED)
    acts = {"likes": _likes(cast), "follows": _follows(cast)}
    reads = {
        kind: SEQUENCES[kind](cast) if kind != "older" else _older(cast)
        for kind in SHARES.keys() - acts.keys()
    }
    return [
        request
        for half in range(2)
        for request in _in_turn(kinds, reads | {name: _half(acts[name], half) for name in acts})
    ]


def _in_turn(kinds: Iterable[str], sequences: dict[str, list[Request]]) -> Iterable[Request]:
    at = dict.fromkeys(sequences, 0)
    for kind in kinds:
        yield sequences[kind][at[kind] % len(sequences[kind])]
        at[kind] += 1


def _half(requests: Sequence[Request], half: int) -> list[Request]:
    middle = len(requests) // 2
    return list(requests[half * middle : (half + 1) * middle])


def _toggle(
    path: str,
    cast: Cast,
    target: str,
    targets: Sequence[int],
    *,
    never: Collection[tuple[int, int]] = (),
) -> list[Request]:
    """Return each pair done once, then undone once."""
    excluded = {tuple(pair) for pair in never}
    pairs = [
        (viewer, aim)
        for viewer in cast.viewers
        for aim in targets
        if viewer != aim and (viewer, aim) not in excluded
    ]
    chosen = cast.random.sample(pairs, min(PAIRS, len(pairs)) // SHARERS * SHARERS)
    return [
        _post(path, cast, viewer, **{target: aim, "action_type": action})
        for action in (DO, UNDO)
        for viewer, aim in chosen
    ]


def _viewers(cast: Cast, count: int) -> list[int]:
    return cast.random.choices(cast.viewers, k=count)


def _get(path: str, cast: Cast, viewer: int, **parameters: str | int) -> Request:
    return Request("GET", path, (("token", cast.token(viewer)), *parameters.items()))


def _post(path: str, cast: Cast, viewer: int, **parameters: str | int) -> Request:
    return Request("POST", path, (("token", cast.token(viewer)), *parameters.items()))


# In the order in which they are measured: what leaves much behind comes last.
SEQUENCES: dict[str, Sequencer] = {
    "feed": _feed,
    "feed-anonymous": _feed_anonymous,
    "user": _user,
    "lists": _lists,
    "chat-poll": _chat_poll,
    "mixed": _mixed,
    "likes": _likes,
    "follows": _follows,
    "comments": _comments,
    "chat-send": _chat_send,
    "publish": _publish,
}
