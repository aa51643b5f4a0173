"""Paths that come in and media URLs that go out."""

from typing import Any

import pytest

from gateway.media_urls import MediaUrls
from gateway.middleware import normalise_path


@pytest.mark.parametrize(
    ("host", "scheme", "expected"),
    [
        ("192.168.1.7:8080", "http", "http://192.168.1.7:8080/media/"),
        ("example.com", "https", "https://example.com:8080/media/"),
        ("my_host-1.local:1", "http", "http://my_host-1.local:8080/media/"),
        ("[fe80::1]:9", "http", "http://[fe80::1]:8080/media/"),
        ("", "http", "http://10.0.0.9:8080/media/"),
        ('evil.com/"><script>', "http", "http://10.0.0.9:8080/media/"),
        ("a@b", "http", "http://10.0.0.9:8080/media/"),
        ("a:b:c", "http", "http://10.0.0.9:8080/media/"),
        ("x" * 300, "http", "http://10.0.0.9:8080/media/"),
    ],
)
def test_media_urls_take_a_proper_host_alone(host: str, scheme: str, expected: str) -> None:
    scope: dict[str, Any] = {
        "scheme": scheme,
        "server": ("10.0.0.9", 8089),
        "headers": [(b"host", host.encode())],
    }

    assert MediaUrls(base_url=None, port=8080).base_for(scope) == expected


@pytest.mark.parametrize(
    ("told", "scheme", "expected"),
    [
        ("example.com", "https", "https://example.com/media/"),
        ("192.168.1.7:8443", "https", "https://192.168.1.7:8443/media/"),
        ("192.168.1.7:9000", "http", "http://192.168.1.7:9000/media/"),
        ('evil.com/"><script>', "http", "http://gateway:8080/media/"),
    ],
)
def test_media_are_where_the_proxy_in_front_was_called(
    told: str, scheme: str, expected: str
) -> None:
    scope: dict[str, Any] = {
        "scheme": scheme,
        "headers": [(b"host", b"gateway:8089"), (b"x-forwarded-host", told.encode())],
    }

    assert MediaUrls(base_url=None, port=8080).base_for(scope) == expected


def test_a_configured_media_base_wins() -> None:
    for base in ("https://cdn.example.com/media", "https://cdn.example.com/media/"):
        urls = MediaUrls(base_url=base, port=1)
        assert urls.base_for({"headers": []}) == "https://cdn.example.com/media/"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/douyin/feed", "/douyin/feed/"),
        ("/douyin/feed/", "/douyin/feed/"),
        ("//douyin///feed//", "/douyin/feed/"),
        ("/healthz", "/healthz"),
        ("/docs", "/docs"),
    ],
)
def test_paths_are_normalised(path: str, expected: str) -> None:
    assert normalise_path(path) == expected
