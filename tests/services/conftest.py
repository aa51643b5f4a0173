"""Tokens, issued and verified as the services do it."""

import pytest

from pkg.token import TokenIssuer, TokenVerifier


@pytest.fixture
def issuer(settings) -> TokenIssuer:
    return TokenIssuer(settings.token)


@pytest.fixture
def verifier(settings) -> TokenVerifier:
    return TokenVerifier(settings.token)
