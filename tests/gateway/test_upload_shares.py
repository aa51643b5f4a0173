"""What strangers hold while they upload: a share, for a while, and never what others need."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.uploads import Pace
from pkg import errors
from pkg.token import TokenIssuer
from tests.eventually import eventually
from tests.gateway.conftest import RunningGateway, StartGateway, make_settings
from tests.gateway.endpoints import assert_envelope
from tests.gateway.upload_forms import HEADERS, PATH, fields_of, make_form, publish, request_head

pytestmark = pytest.mark.timeout(60)
TRICKLE_S = 0.02


def coming_from(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


@asynccontextmanager
async def upload_under_way(
    gateway: RunningGateway, address: str, *, beginning: bytes = b"", path: str = PATH
) -> AsyncIterator[asyncio.StreamReader]:
    """Begin an upload that does not end; gives what is read from it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = request_head(path, 2_000_000).removesuffix(b"\r\n")
    writer.write(head + f"X-Forwarded-For: {address}\r\n\r\n".encode() + beginning)
    await writer.drain()
    try:
        yield reader
    finally:
        writer.close()


async def answered(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        return await reader.readuntil(b"\r\n")


async def held_slots(gateway: RunningGateway, number: int) -> None:
    """Wait until so many uploads of strangers are under way."""
    slots = gateway.app.state.gateway.slots.unknown_uploads
    await eventually(lambda: slots.taken == number, within_s=10, interval_s=0.01)


@pytest.fixture
async def besieged(start_gateway: StartGateway) -> AsyncIterator[RunningGateway]:
    """A gateway at which four networks hold all that they can get with uploads that bring no token."""
    async with start_gateway() as gateway:
        share = gateway.app.state.gateway.settings.max_unknown_uploads_per_address
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            stop = asyncio.Event()
            for number in range(4 * 8):
                tasks.create_task(_hold(gateway, f"203.0.113.{number % 4}", stop))
            await held_slots(gateway, 4 * share)
            yield gateway
            stop.set()


async def _hold(gateway: RunningGateway, address: str, stop: asyncio.Event) -> None:
    async with upload_under_way(gateway, address, beginning=b"-"):
        await stop.wait()


@pytest.mark.parametrize("order", [1, -1], ids=["token first", "token last"])
async def test_four_networks_full_of_strangers_keep_nobody_else_from_uploading(
    besieged: RunningGateway, token: str, order: int
) -> None:
    fields = list(fields_of(token).items())[::order]

    response = await publish(besieged.client, fields, headers=coming_from("198.51.100.1"))

    assert response.json()["status_code"] == 0


async def test_a_token_in_query_or_header_passes_the_strangers_of_ones_own_network(
    besieged: RunningGateway, token: str
) -> None:
    same = coming_from("203.0.113.0")

    by_query = await publish(
        besieged.client, fields_of().items(), params={"token": token}, headers=same
    )
    by_header = await publish(
        besieged.client,
        fields_of().items(),
        headers=same | {"Authorization": f"Bearer {token}"},
    )
    unknown = await publish(besieged.client, fields_of(token).items(), headers=same)

    assert by_query.json()["status_code"] == by_header.json()["status_code"] == 0
    assert_envelope(unknown, errors.RateLimited)
    assert unknown.headers["Retry-After"]


async def test_strangers_of_many_networks_give_way_to_a_network_that_has_none(
    start_gateway: StartGateway, token: str
) -> None:
    async with start_gateway(max_unknown_uploads=4) as gateway, AsyncExitStack() as stack:
        readers = []
        for number in range(4):
            held = upload_under_way(gateway, f"203.0.113.{number % 2}", beginning=b"-")
            readers.append(await stack.enter_async_context(held))
            await held_slots(gateway, number + 1)

        response = await publish(
            gateway.client, fields_of(token).items(), headers=coming_from("198.51.100.1")
        )
        ended = await asyncio.wait(
            [asyncio.ensure_future(answered(reader)) for reader in readers],
            return_when=asyncio.FIRST_COMPLETED,
        )

    assert response.json()["status_code"] == 0
    assert [b" 429 " in reply.result() for reply in ended[0]] == [True]


async def test_an_ipv6_household_has_one_share(start_gateway: StartGateway) -> None:
    async with (
        start_gateway(max_unknown_uploads_per_address=1) as gateway,
        upload_under_way(gateway, "2001:db8::1"),
    ):
        await held_slots(gateway, 1)

        async with upload_under_way(gateway, "2001:db8::ffff:2") as reader:
            assert b" 429 " in await answered(reader)
        async with upload_under_way(gateway, "2001:db8:0:1::1"):
            await held_slots(gateway, 2)


async def test_whoever_has_shown_a_token_frees_the_place_of_a_stranger(
    start_gateway: StartGateway, token: str
) -> None:
    beginning = make_form([("token", token.encode()), ("title", b"t")], end=False)
    async with (
        start_gateway(max_unknown_uploads=1) as gateway,
        upload_under_way(gateway, "203.0.113.1", beginning=beginning),
    ):
        uploads = gateway.app.state.gateway.slots.uploads
        await eventually(lambda: uploads.of_users.taken, within_s=10, interval_s=0.01)

        response = await publish(gateway.client, fields_of(token).items())

    assert response.json()["status_code"] == 0


async def test_a_bad_token_in_the_form_is_refused_also_where_the_header_has_a_good_one(
    start_gateway: StartGateway, token: str
) -> None:
    async with start_gateway() as gateway:
        bearer = {"Authorization": f"Bearer {token}"}
        response = await publish(gateway.client, fields_of("junk").items(), headers=bearer)

    assert_envelope(response, errors.Unauthenticated)


@pytest.mark.parametrize(
    ("limit", "same_user", "same_network", "refused"),
    [
        ("max_uploads_per_user", True, False, True),
        ("max_uploads_per_user", False, True, False),
        ("max_uploads_per_address", False, True, True),
        ("max_uploads_per_address", True, False, False),
        ("max_parallel_uploads", False, False, True),
    ],
)
async def test_a_user_and_a_network_have_a_share_of_the_uploads(  # noqa: PLR0917
    start_gateway: StartGateway,
    issuer: TokenIssuer,
    limit: str,
    same_user: bool,
    same_network: bool,
    refused: bool,
) -> None:
    first, second = issuer.issue(1), issuer.issue(1 if same_user else 2)
    async with (
        start_gateway(**{limit: 1}) as gateway,
        upload_under_way(gateway, "203.0.113.1", path=f"{PATH}?token={first}"),
    ):
        uploads = gateway.app.state.gateway.slots.uploads
        await eventually(lambda: uploads.of_users.taken, within_s=10, interval_s=0.01)

        address = "203.0.113.1" if same_network else "203.0.113.2"
        response = await publish(
            gateway.client,
            fields_of().items(),
            params={"token": second},
            headers=coming_from(address),
        )

    assert (response.status_code == 429) is refused


async def test_an_upload_that_trickles_is_given_up_and_its_place_is_free(
    start_gateway: StartGateway,
) -> None:
    async with start_gateway(upload_idle_timeout_s=0.3) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request_head(PATH, 2_000_000))
        beginning = make_form([("title", b"t"), ("data", b"v" * 100)], end=False)

        async def trickle() -> None:
            for byte in beginning:
                writer.write(bytes([byte]))
                await writer.drain()
                # The pace is what the gateway judges.
                await asyncio.sleep(TRICKLE_S)

        trickling = asyncio.create_task(trickle())
        try:
            assert b" 503 " in await answered(reader)
            await held_slots(gateway, 0)
        finally:
            trickling.cancel()
            writer.close()


async def test_a_phone_at_30_kb_per_second_passes(start_gateway: StartGateway, token: str) -> None:
    body = make_form(fields_of(token, data=b"v" * 20_000).items())

    async def slowly() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 600):
            yield body[start : start + 600]
            # 600 bytes in 20 ms are 30 kB/s.
            await asyncio.sleep(TRICKLE_S)

    async with start_gateway(upload_idle_timeout_s=0.3) as gateway:
        response = await gateway.client.post(PATH, content=slowly(), headers=HEADERS)

    assert response.json()["status_code"] == 0


def pace_of(clock: Any) -> Pace:
    return Pace(make_settings(Path("unused")), clock=clock)


@given(pauses=st.lists(st.floats(0.01, 10), min_size=1, max_size=100))
def test_30_kb_per_second_are_enough_however_they_come(pauses: list[float]) -> None:
    now = 0.0
    pace = pace_of(lambda: now)
    for pause in pauses:
        now += pause
        assert now < pace.give_up_at or now > 600
        pace.count(int(pause * 30_000))


def test_a_byte_every_nine_seconds_is_given_up_when_a_silent_client_is() -> None:
    now = 0.0
    pace = pace_of(lambda: now)
    while now < pace.give_up_at:
        pace.count(1)
        now += 9

    assert now <= 27


def test_a_fast_upload_may_pause_once_and_not_live_on_what_it_brought() -> None:
    now = 0.0
    pace = pace_of(lambda: now)
    pace.count(40_000_000)

    assert pace.give_up_at == 20


@pytest.mark.parametrize(
    "spool",
    [{"max_mb": 1, "min_free_mb": 1}, {"max_mb": 4096, "min_free_mb": 10**9}],
    ids=["spool full", "disk nearly full"],
)
async def test_an_upload_without_room_is_refused_before_it_is_sent(
    start_gateway: StartGateway, token: str, spool: dict[str, int]
) -> None:
    async with (
        start_gateway(spool=spool) as gateway,
        upload_under_way(gateway, "203.0.113.1", path=f"{PATH}?token={token}") as reader,
    ):
        assert b" 503 " in await answered(reader)
