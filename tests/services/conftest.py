"""Tokens, issued and verified as the services do it, and phones that talk to the user service."""

import pytest

from pkg.token import TokenIssuer, TokenVerifier
from tests.services.user_phones import OpenPhone, make_opener


@pytest.fixture
def issuer(settings) -> TokenIssuer:
    return TokenIssuer(settings.token)


@pytest.fixture
def verifier(settings) -> TokenVerifier:
    return TokenVerifier(settings.token)


@pytest.fixture
def open_phone(settings) -> OpenPhone:
    """Run the user service, with limits as told, and give a phone that talks to it."""
    return make_opener(settings)
