"""Token buckets: what a key may spend, and what is remembered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rate_limit import RequestLimits, TokenBuckets
from gateway.settings import RateLimitSettings
from pkg.errors import RateLimited


@given(
    rate=st.integers(1, 100),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 2), max_size=60),
)
def test_no_key_gets_more_than_burst_and_rate_allow_nor_waits_in_vain(
    rate: int, burst: int, pauses: list[float]
) -> None:
    now = 0.0
    buckets = TokenBuckets(rate=rate, burst=burst, max_tracked=10, clock=lambda: now)
    for allowed, pause in enumerate(pauses, start=1):
        now += pause
        wait_s = buckets.take("key")
        if wait_s:
            now += wait_s + 1e-9
            assert buckets.take("key") == 0
        assert allowed <= burst + now * rate + 1e-6


def test_keys_do_not_share_a_bucket_and_memory_is_bounded() -> None:
    now = 0.0
    buckets = TokenBuckets(rate=1, burst=1, max_tracked=3, clock=lambda: now)

    assert [buckets.take(key) for key in "abcde"] == [0.0] * 5
    assert buckets.take("e") == 1.0
    # The three latest are remembered, the others may spend again.
    assert [buckets.take(key) for key in "dc"] == [1.0, 1.0]
    assert buckets.take("a") == 0.0


def settings_of_one(**changes: int) -> RateLimitSettings:
    """Return limits that let everybody do one thing at once."""
    one = dict.fromkeys(RateLimitSettings.model_fields, 1) | {"max_tracked": 9}
    return RateLimitSettings.model_validate(one | {"enabled": True} | changes)


def test_registrations_of_a_network_have_a_limit_of_their_own() -> None:
    limits = RequestLimits(settings_of_one(registration_burst_requests=2))
    for address in ("2001:db8::1", "2001:db8::2"):
        limits.check_registration(address)

    with pytest.raises(RateLimited) as refusal:
        limits.check_registration("2001:db8::3")

    assert 50 <= (refusal.value.retry_after_s or 0) <= 60
    limits.check_registration("2001:db8:0:1::1")
    limits.check_address("2001:db8::1")


def test_an_ipv6_household_and_a_mapped_address_count_as_one_address() -> None:
    limits = RequestLimits(settings_of_one())
    for first, second in (("2001:db8::1", "2001:db8::ffff:2"), ("::ffff:10.0.0.1", "10.0.0.1")):
        limits.check_address(first)
        with pytest.raises(RateLimited):
            limits.check_address(second)
    limits.check_address("2001:db8:0:1::1")
