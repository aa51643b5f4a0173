"""Upload forms as odd clients write them: what does not concern us is no reason to refuse a video."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.multipart import UploadForm
from pkg import errors
from tests.gateway.endpoints import assert_envelope
from tests.gateway.fakes import FakeServices
from tests.gateway.upload_forms import BOUNDARY, HEADERS, PATH, make_form, publish

VIDEO = b"\0\0\0\x20ftypisom\r\n--" + BOUNDARY.encode()[:-1] + b"\r\n" * 9
GOOD = [("title", "熊".encode()), ("data", VIDEO)]
FORM = make_form(GOOD)
NAMELESS = b"--%b\r\nContent-Disposition: form-data\r\n\r\nx\r\n" % BOUNDARY.encode()
HEADLESS = b"--%b\r\n\r\nx\r\n" % BOUNDARY.encode()
ODD_FORMS = {
    "an unknown field twice": make_form([("note", b"1"), *GOOD, ("note", b"2")]),
    "two parts without a name": NAMELESS + NAMELESS + FORM,
    "two parts without a head": HEADLESS + HEADLESS + FORM,
    "two fields with an empty name": make_form([("", b"1"), ("", b"2"), *GOOD]),
    "text before the first boundary": b"This is a message in several parts.\r\n" + FORM,
    "an empty line before the first boundary": b"\r\n" + FORM,
    "a longer boundary before the first one": b"--" + BOUNDARY.encode() + b"x\r\n\r\n" + FORM,
    "text after the last boundary": FORM + b"and this is the end\r\nof it",
    "another form after the last boundary": FORM + FORM,
    "nothing after the last boundary": FORM.removesuffix(b"\r\n"),
    "known fields in capitals are unknown": make_form([("TITLE", b"1"), ("Title", b"2"), *GOOD]),
}


def part(head: str, value: bytes) -> bytes:
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + value + b"\r\n"


def form_with(title_head: str, data_head: str) -> bytes:
    end = f"--{BOUNDARY}--\r\n".encode()
    return part(title_head, "熊".encode()) + part(data_head, VIDEO) + end


TITLE = 'Content-Disposition: form-data; name="title"'
DATA = 'Content-Disposition: form-data; name="data"; filename="a.mp4"'
ODD_HEADS = {
    "no file name": (TITLE, 'Content-Disposition: form-data; name="data"'),
    "an empty file name": (TITLE, 'Content-Disposition: form-data; name="data"; filename=""'),
    "a Chinese file name": (
        TITLE,
        'Content-Disposition: form-data; name="data"; filename="熊.mp4"',
    ),
    "a quote in the file name": (
        TITLE,
        r'Content-Disposition: form-data; name="data"; filename="a\"; name=\"b.mp4"',
    ),
    "a semicolon in the file name": (
        TITLE,
        'Content-Disposition: form-data; name="data"; filename="a; name=title.mp4"',
    ),
    "an encoded file name": (
        TITLE,
        "Content-Disposition: form-data; name=\"data\"; filename*=UTF-8''%e7%86%8a.mp4",
    ),
    "a broken encoded file name": (
        TITLE,
        "Content-Disposition: form-data; name=\"data\"; filename*=nope''%zz; filename*0*=x",
    ),
    "the file name first": (TITLE, 'Content-Disposition: form-data; filename="a.mp4"; name="data"'),
    "no quotes": (
        "Content-Disposition: form-data; name=title",
        "Content-Disposition: form-data; name=data",
    ),
    "other spelling": (
        'CONTENT-DISPOSITION:form-data;NAME="title"',
        'content-disposition:  Form-Data ;  name="data"',
    ),
    "more headers": (
        f"Content-Type: text/plain; charset=UTF-8\r\n{TITLE}\r\nContent-Length: 3",
        f"{DATA}\r\nContent-Type: application/x-unknown; a=b\r\nContent-Transfer-Encoding: binary",
    ),
}


async def assert_published(
    services: FakeServices, reply: httpx.Response, *, title: str = "熊"
) -> None:
    assert_envelope(reply, None)
    assert services.last("PublishAction").title == title
    assert services.uploads[-1][1] == sha256(VIDEO).hexdigest()


@pytest.mark.parametrize("body", ODD_FORMS.values(), ids=ODD_FORMS.keys())
async def test_what_does_not_concern_us_refuses_no_upload(
    client: httpx.AsyncClient, services: FakeServices, token: str, body: bytes
) -> None:
    await assert_published(services, await publish(client, body, params={"token": token}))


@pytest.mark.parametrize("heads", ODD_HEADS.values(), ids=ODD_HEADS.keys())
async def test_heads_of_parts_may_be_written_in_every_way(
    client: httpx.AsyncClient, services: FakeServices, token: str, heads: tuple[str, str]
) -> None:
    reply = await publish(client, form_with(*heads), params={"token": token})

    await assert_published(services, reply)


@pytest.mark.parametrize(
    "content_type",
    [
        f'multipart/form-data; boundary="{BOUNDARY}"',
        f"Multipart/Form-Data; Boundary={BOUNDARY}",
        f"multipart/form-data;charset=utf-8;boundary={BOUNDARY}",
        f"multipart/form-data; boundary={BOUNDARY}; charset=UTF-8",
        f"multipart/form-data; x; boundary={BOUNDARY};",
    ],
)
async def test_the_content_type_may_be_written_in_every_way(
    client: httpx.AsyncClient, services: FakeServices, token: str, content_type: str
) -> None:
    reply = await publish(
        client, FORM, params={"token": token}, headers={"Content-Type": content_type}
    )

    await assert_published(services, reply)


@pytest.mark.parametrize("size", [1, 2, 7, 61])
async def test_a_form_that_comes_in_small_pieces_is_the_same_form(
    client: httpx.AsyncClient, services: FakeServices, token: str, size: int
) -> None:
    body = b"a text\r\n--almost\r\n" + make_form([("note", b"1"), ("note", b"2"), *GOOD]) + b"end"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]
            await asyncio.sleep(0)

    reply = await client.post(PATH, content=pieces(), headers=HEADERS, params={"token": token})

    await assert_published(services, reply)


@pytest.mark.parametrize("body", [b"", b"--", b"text alone", b"--" + BOUNDARY.encode() + b"x\r\n"])
async def test_a_body_without_a_boundary_is_no_form(
    client: httpx.AsyncClient, services: FakeServices, token: str, body: bytes
) -> None:
    reply = await publish(client, body, params={"token": token})

    assert assert_envelope(reply, errors.InvalidParameter)["video_id"] == 0
    assert services.requests["PublishAction"] == []


@given(head=st.text(st.characters(codec="utf-8"), max_size=60), value=st.binary(max_size=20))
def test_whatever_a_client_writes_is_a_form_or_an_error_of_ours(head: str, value: bytes) -> None:
    form = UploadForm(HEADERS["Content-Type"], max_video_bytes=100)
    try:
        form.feed(part(f"Content-Disposition: form-data; {head}", value) + FORM)
        form.finish()
    except errors.InvalidParameter:
        return

    assert form.title
