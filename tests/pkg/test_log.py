"""One setup of the logs, seen from outside: what standard error and the folder hold."""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import grpc
import pytest
from grpc._cython import cygrpc  # type: ignore[attr-defined]
from grpc_health.v1 import health_pb2, health_pb2_grpc
from loguru import logger

from pkg.log import FrequentEvent, new_request_id, request_id, setup_logging
from pkg.settings import LogSettings
from pkg.tracing import TracingSettings
from pkg.tracing.recorder import recording
from tests.eventually import eventually
from tests.traced import a_request

CHATTY = ("apscheduler.executors.default", "pika.connection", "urllib3.connectionpool", "httpx")

SetUp = Callable[..., None]


@pytest.fixture
def set_up() -> Iterator[SetUp]:
    """The product's setup, undone at the end of the test."""
    handlers, level = logging.root.handlers[:], logging.root.level

    def set_up(format: str = "text", *, level: str = "INFO", directory: Path | None = None) -> None:  # noqa: A002
        settings = LogSettings(
            level=level, format=format, directory=directory, rotation_mb=1, retention_files=2
        )
        setup_logging(settings, process="user")

    token = request_id.set("abc123")
    yield set_up
    request_id.reset(token)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logger.remove()
    logger.configure(extra={}, patcher=lambda _: None)
    logger.add(sys.__stderr__)  # type: ignore[arg-type]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    def read() -> list[str]:
        return capsys.readouterr().err.splitlines()

    return read


def fail(password: str) -> None:
    if password:
        raise ValueError("no")


def test_a_line_holds_the_process_the_request_and_the_facts(set_up, lines):
    set_up()

    logger.bind(video_id=7, bytes=1024).info("upload stored")

    (line,) = lines()
    assert " INFO    user abc123 tests.pkg.test_log:" in line
    assert line.endswith("upload stored video_id=7 bytes=1024")


def test_outside_of_a_request_there_is_no_request_id(set_up, lines):
    set_up()
    request_id.set("-")

    logger.info("started")

    assert " user - " in lines()[0]


def test_json_lines_hold_every_fact_as_a_field(set_up, lines):
    set_up("json")

    logger.bind(video_id=7).info("upload stored")
    logger.info("two\nlines {braces}")

    first, second = (json.loads(line) for line in lines())
    assert datetime.fromisoformat(first.pop("time")).utcoffset() == timedelta()
    assert first.pop("place").startswith("tests.pkg.test_log:")
    assert first == {
        "level": "INFO",
        "process": "user",
        "request_id": "abc123",
        "trace_id": "-",
        "event": "upload stored",
        "facts": {"video_id": 7},
    }
    assert second["event"] == "two\nlines {braces}"


@pytest.mark.parametrize("trace_id", ["0123456789abcdef" * 2, "f" * 32])
def test_every_line_holds_the_trace_that_it_belongs_to(set_up, lines, trace_id):
    settings = TracingSettings(sample_ratio=0, slow_s=1, timeout_s=1)

    with (
        recording(settings, lambda part: None),
        a_request("Feed", trace_id),
    ):
        set_up("text")
        logger.info("served")
        set_up("json")
        logger.info("served")

    text, line = lines()
    assert text.endswith(f"served trace_id={trace_id}")
    assert json.loads(line)["trace_id"] == trace_id


def test_the_trace_is_not_told_twice_where_its_id_is_that_of_the_request(set_up, lines):
    settings = TracingSettings(sample_ratio=0, slow_s=1, timeout_s=1)
    set_up("text")
    request_id.set("ab" * 16)

    with (
        recording(settings, lambda part: None),
        a_request("Feed", "ab" * 16),
    ):
        logger.info("served")

    assert lines()[0].endswith("served ")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_shows_the_way_and_no_values(set_up, lines, tmp_path, form):
    set_up(form, directory=tmp_path)
    password = "hunter" + str(2)

    try:
        fail(password)
    except ValueError as exc:
        logger.exception("login failed")
        logger.opt(exception=exc).error("once more")
        logging.getLogger("grpc").exception("of a library")

    for output in ("\n".join(lines()), (tmp_path / "user.log").read_text()):
        assert output.count("ValueError: no") >= 3
        assert "in fail" in output
        assert password not in output


def test_loggers_of_the_standard_library_are_heard_with_their_place(set_up, lines):
    set_up()

    logging.getLogger("grpc").warning("%s of {braces} <b>", "lost")

    (line,) = lines()
    assert " WARNING user abc123 tests.pkg.test_log:" in line
    assert line.rstrip().endswith("lost of {braces} <b>")


def test_a_level_that_only_the_standard_library_knows_is_heard_too(set_up, lines):
    set_up()

    logging.getLogger("grpc").log(25, "notice")

    (line,) = lines()
    assert " Level 25 user abc123 tests.pkg.test_log:" in line


def test_chatty_libraries_are_heard_when_something_is_wrong(set_up, lines):
    set_up()

    for name in CHATTY:
        logging.getLogger(name).info("chat")
        logging.getLogger(name).critical("wrong")

    assert [line.split()[-1] for line in lines()] == ["wrong"] * len(CHATTY)


async def test_a_caller_that_is_gone_when_its_reply_is_sent_is_one_line_and_no_error(set_up, lines):
    class Sender(health_pb2_grpc.HealthServicer):
        async def Check(self, _request, _context):
            # So gRPC fails where it sends to a connection that is just being closed.
            raise cygrpc.ExecuteBatchError("Failed execute_batch")

    set_up()
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(Sender(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=0.2
            )
    await server.stop(0)

    [line] = lines()
    assert " INFO " in line
    assert "caller gone before its reply" in line
    assert "/grpc.health.v1.Health/Check" in line


def test_a_pooled_connection_that_died_with_its_server_is_one_line_and_no_error(set_up, lines):
    set_up()
    pool = logging.getLogger("sqlalchemy.pool.impl.AsyncAdaptedQueuePool")
    for said in ("Exception during reset or similar", "connection was never returned"):
        try:
            fail("lost")
        except ValueError:
            pool.error(said, exc_info=True)

    known, unknown, *traceback = lines()
    assert " INFO " in known
    assert "connection ended by its server" in known
    assert " ERROR " in unknown
    assert traceback


def test_what_is_below_the_level_is_not_written(set_up, lines):
    set_up(level="WARNING")

    logger.info("a")
    logging.info("b")
    logger.warning("c")

    assert [line.split()[-1] for line in lines()] == ["c"]


def test_the_folder_gets_the_same_lines_under_the_name_of_the_process(set_up, lines, tmp_path):
    set_up("json", directory=tmp_path / "log")

    logger.info("started")

    assert (tmp_path / "log" / "user.log").read_text().splitlines() == lines()


def test_request_ids_are_fresh():
    assert new_request_id() != new_request_id()
    assert len(new_request_id()) == 32


@pytest.mark.parametrize("form", ["text", "json"])
async def test_lines_of_a_frequent_event_look_like_all_others(set_up, lines, form):
    set_up(form)
    served = FrequentEvent("request served", "tests.pkg.test_log")

    for number in range(3):
        request_id.set(f"r{number}")
        served.tell({"status": 200, "number": number})
    logger.bind(status=200, number=0).info("request served")
    told: list[str] = []

    def is_all_there() -> bool:
        told.extend(lines())
        return len(told) == 4

    assert await eventually(is_all_there)
    single, *together = told
    assert len(together) == 3
    assert [f"r{number}" in line for number, line in enumerate(together)] == [True] * 3
    assert shape_of(together[0]) == shape_of(single.replace("r2", "r0"))


def shape_of(line: str) -> str:
    """Return a line without its time and the number of its line."""
    return re.sub(r"test_log:\d+", "test_log", re.sub(r"\d\d:\d\d:[\d.]+", "", line))


async def test_lines_that_wait_at_the_end_are_not_lost(set_up, lines):
    set_up()
    served = FrequentEvent("request served", "tests.pkg.test_log")
    served.tell({"status": 200})

    served.write()
    served.write()

    assert len(lines()) == 1
