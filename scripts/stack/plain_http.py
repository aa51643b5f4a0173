"""Asking the stack's own processes over plain HTTP."""

import ssl

import httpx

# Reading the certificates of the machine takes 40 ms of the processor for each client, and there is nothing to verify.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def ask(url: str, *, timeout_s: float) -> httpx.Response:
    """Return what a process of the stack answers, whatever proxy the environment names.

    Raises:
        httpx.HTTPError: it does not answer.
    """
    return httpx.get(url, timeout=timeout_s, trust_env=False, verify=NO_CERTIFICATES)
