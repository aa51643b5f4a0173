"""A process that runs in a container finds out by itself how it is reached."""

from pkg.own_address import resolve_own


async def test_auto_is_the_address_towards_the_registry() -> None:
    found = await resolve_own("auto:8085", towards=("127.0.0.1", 2379))

    assert found == "127.0.0.1:8085"


async def test_an_address_that_was_given_stays() -> None:
    assert (
        await resolve_own("192.0.2.7:8085", towards=("no.such.host.invalid", 1)) == "192.0.2.7:8085"
    )
