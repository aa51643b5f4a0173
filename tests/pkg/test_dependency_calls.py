"""What the metrics say about a call of a server."""

import asyncio
import uuid

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.exposition import generate_latest

from pkg.dependency_calls import Dependency
from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable, UserNotFound
from pkg.tracing import TracingSettings, find_kept_trace_id
from pkg.tracing.recorder import recording
from tests.traced import a_request

CALLS = "dousheng_dependency_call_seconds"


class DriverError(Exception):
    """What a driver raises where its server is gone."""


@pytest.fixture
def dependency() -> Dependency:
    """A server that no other test has counted."""
    return Dependency(uuid.uuid4().hex, DriverError)


def read(name: str, dependency: Dependency, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"dependency": dependency.name, **labels})


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "answered"),
        (UserNotFound(), "answered"),
        (DependencyUnavailable(), "failed"),
        (DependencyRefused(), "failed"),
        (ConnectionResetError(), "failed"),
        (DriverError(), "failed"),
        (DeadlineExceeded(), "timed_out"),
        (TimeoutError(), "timed_out"),
        (asyncio.CancelledError(), "cancelled"),
    ],
    ids=repr,
)
def test_a_call_is_counted_by_what_it_says_about_the_server(dependency, error, outcome):
    raised = None
    try:
        with dependency.call("read"):
            if error is not None:
                raise error
    except BaseException as exc:  # noqa: BLE001 - also the cancellation
        raised = exc

    assert raised is error
    assert read(f"{CALLS}_count", dependency, operation="read", outcome=outcome) == 1


def test_running_and_waiting_calls_are_shown_until_they_end(dependency):
    with dependency.call("read"):
        with dependency.waiting():
            assert read("dousheng_dependency_calls_waiting", dependency) == 1
        assert read("dousheng_dependency_calls_running", dependency) == 1
        assert read("dousheng_dependency_calls_waiting", dependency) == 0

    assert read("dousheng_dependency_calls_running", dependency) == 0


def test_a_duration_names_the_trace_that_is_kept(dependency):
    trace_id = uuid.uuid4().hex
    settings = TracingSettings(sample_ratio=1, slow_s=1, timeout_s=1)

    with (
        recording(settings, lambda part: None),
        a_request("Feed", trace_id),
        dependency.call("read"),
    ):
        pass

    lines = generate_latest(REGISTRY).decode().splitlines()
    named = [line for line in lines if f'# {{trace_id="{trace_id}"}}' in line]
    assert len(named) == 1
    assert dependency.name in named[0]


def test_without_a_trace_no_duration_names_one():
    assert find_kept_trace_id() is None
