"""The steps below a root."""

from time import perf_counter_ns
from typing import Self

from pkg.tracing.context import call_span_id
from pkg.tracing.spans import Attributes, Kind, RecordedSpan, Root


class Step(RecordedSpan):
    """A step of what is below a root."""

    def __init__(self, parent: RecordedSpan, name: str, kind: Kind, attributes: Attributes) -> None:
        self.name = name
        self.kind = kind
        self.trace_id = parent.trace_id
        self._root = parent.root
        self._given = attributes
        self._parent = parent
        self.began_ns = perf_counter_ns()

    @property
    def root(self) -> Root:
        return self._root

    @property
    def parent_id(self) -> int:
        return self._parent.id


class LateStep(Step):
    """A block in a request that was not drawn: it is recorded when it has ended, if at all, and until then it is nobody's parent."""

    def __init__(self, root: Root, name: str, kind: Kind, attributes: Attributes) -> None:
        self.name = name
        self.kind = kind
        self._root = self._parent = root
        self._given = attributes
        self.began_ns = perf_counter_ns()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        root, ended_ns = self._root, perf_counter_ns()
        if exc is not None:
            self._note_failure(exc)
        if ended_ns - self.began_ns < root.recorder.brief_ns and self.error is None:
            root.left_out += 1
        elif root.has_room():
            self.trace_id = root.trace_id
            self.ended_ns = ended_ns
            root.add(self)


class CallStep(Step):
    """A call of another process, made when it has ended: until then its id is all that is needed, and both sides know that by themselves."""

    kind = Kind.CLIENT

    def __init__(
        self,
        parent: RecordedSpan,
        method: str,
        attributes: Attributes,
        *,
        began_ns: int,
        ended_ns: int,
    ) -> None:
        self.name = method
        self.trace_id = parent.trace_id
        self._root = parent.root
        self._given = attributes
        self._parent = parent
        self.began_ns = began_ns
        self.ended_ns = ended_ns

    def _make_id(self) -> int:
        return call_span_id(self.trace_id, self.name)
