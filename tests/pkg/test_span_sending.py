"""Spans on their way to a receiver, good and bad ones: a real server of OpenTelemetry's protocol over HTTP."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import REGISTRY

from pkg.tracing import Kind, TracingSettings, child, tracing
from pkg.tracing.sending import MOST_WAITING
from tests.eventually import eventually
from tests.otlp_receiver import OtlpReceiver, receiving
from tests.traced import a_request

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with receiving() as found:
        yield found


def settings_for(endpoint: str, *, timeout_s: float = 10) -> TracingSettings:
    return TracingSettings(endpoint=endpoint, sample_ratio=1, slow_s=1, timeout_s=timeout_s)


def ask(count: int = 1) -> None:
    for _ in range(count):
        with a_request("Feed", TRACE_ID) as request:
            request.set("http.response.status_code", 200)
            with child("SELECT", Kind.CLIENT, {"db.system.name": "mysql"}):
                pass


@contextmanager
def counted(outcome: str) -> Iterator[list[float]]:
    """Fill a list with how many spans had this outcome meanwhile."""
    found: list[float] = []
    before = count_spans(outcome)
    yield found
    found.append(count_spans(outcome) - before)


def count_spans(outcome: str) -> float:
    return REGISTRY.get_sample_value("dousheng_spans_total", {"outcome": outcome}) or 0.0


def test_spans_arrive_as_they_were_when_the_process_ends(receiver):
    with counted("sent") as sent, tracing(settings_for(receiver.endpoint), process="video"):
        ask()

    trace = receiver.trace(TRACE_ID)
    assert sent == [2]
    assert trace.steps == {("video", "Feed"), ("video", "SELECT")}
    assert trace.path_to("SELECT") == ["Feed", "SELECT"]
    request, statement = trace.named("Feed"), trace.named("SELECT")
    assert request is not None
    assert statement is not None
    assert (request.kind, statement.kind) == ("SERVER", "CLIENT")
    assert request.attributes["http.response.status_code"] == 200
    assert statement.attributes["db.system.name"] == "mysql"
    assert request.error is None
    assert 0 < statement.seconds <= request.seconds


def test_without_an_endpoint_nothing_is_traced():
    settings = TracingSettings(sample_ratio=1, slow_s=1, timeout_s=1)

    with tracing(settings, process="video"), a_request("Feed", TRACE_ID) as span:
        assert not span.is_recording


async def test_a_receiver_that_is_down_costs_spans_and_one_line_until_it_is_back(logged):
    with socket.create_server(("127.0.0.1", 0)) as unheard:
        port = unheard.getsockname()[1]
    settings = settings_for(f"http://127.0.0.1:{port}", timeout_s=1)

    with counted("refused") as refused, tracing(settings, process="video"):
        ask()
        await eventually(lambda: bool(told(logged)))
        ask()

    assert refused == [4]
    assert len(told(logged)) == 1


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (400, b"no"), (500, b"")])
async def test_a_receiver_that_answers_rubbish_is_told_once(receiver, logged, status, body):
    receiver.says(status, body)

    with tracing(settings_for(receiver.endpoint), process="video"):
        ask()
        await eventually(lambda: receiver.requests > 0)
        ask()

    assert len(told(logged)) == (0 if status == 200 else 1)
    assert not any("Traceback" in line for line in logged)


async def test_a_receiver_that_is_back_gets_what_comes_then(receiver, logged):
    receiver.says(400)

    with tracing(settings_for(receiver.endpoint), process="video"):
        ask()
        await eventually(lambda: bool(told(logged)))
        receiver.says(200)
        ask()

    assert any("spans are sent again" in line for line in logged)
    assert receiver.trace(TRACE_ID).named("Feed")


async def test_a_full_queue_drops_what_is_over_and_holds_nobody_up(receiver):
    receiver.let_answer.clear()

    settings = settings_for(receiver.endpoint, timeout_s=1)
    with counted("dropped") as dropped, tracing(settings, process="video"):
        ask()
        await eventually(lambda: receiver.requests > 0)
        ask(MOST_WAITING)

    # Each request has two spans: the queue had room for half of them, and was full when the process ended.
    assert dropped[0] > MOST_WAITING


def told(logged: list[str]) -> list[str]:
    return [line for line in logged if "spans cannot be sent" in line]
