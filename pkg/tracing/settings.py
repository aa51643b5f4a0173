"""The section `tracing`."""

from typing import Annotated

from pydantic import Field

from pkg.settings import Seconds, Section


class TracingSettings(Section):
    endpoint: Annotated[str, Field(pattern="^https?://[^/]+$")] | None = None
    """Where spans go, by OTLP over HTTP: `http://host:4318`, without a path; null: nothing is traced."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)]
    """The share of requests whose traces are kept whole, in every process."""
    slow_s: Seconds
    """A request that took longer is kept as well, and so is one that ended with an error: in the processes that saw it."""
    timeout_s: Seconds
    """The deadline of sending some spans, and of sending the last ones when a process stops."""
