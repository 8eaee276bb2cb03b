"""Settings: which addresses are accepted, and what the service is called in fingerprints."""

from __future__ import annotations

import pytest

from kontext_lab.client import ClientSettings, KontextClient
from kontext_lab.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "service"),
    [
        ("https://api.aimlapi.com", "https://api.aimlapi.com"),
        ("HTTPS://API.AIMLAPI.COM/", "https://api.aimlapi.com"),
        ("https://api.aimlapi.com:443", "https://api.aimlapi.com"),
        ("https://api.aimlapi.com/v1", "https://api.aimlapi.com"),
        ("http://localhost:80/", "http://localhost"),
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("https://proxy.example/aiml/v1/", "https://proxy.example"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("  https://api.aimlapi.com\n", "https://api.aimlapi.com"),
    ],
)
def test_equal_addresses_are_one_service(given: str, service: str) -> None:
    """The service is the origin: lower case, without default port, path or trailing slash."""
    assert service == KontextClient(ClientSettings(base_url=given)).service


def test_a_path_before_the_service_is_kept() -> None:
    """Behind a gateway's path, addresses start with it."""
    assert "https://proxy.example/aiml" == ClientSettings(base_url="https://proxy.example/aiml/v1/").base_url


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "api.aimlapi.com",
        "ftp://host",
        "file:///etc/passwd",
        "https://",
        "http://h:99999",
        "https://h?a=b",
        "http://[",
    ],
)
def test_other_addresses_are_refused(wrong: str) -> None:
    """What is no http(s) address is a ConfigError."""
    with pytest.raises(ConfigError, match="base URL"):
        ClientSettings(base_url=wrong)


def test_a_password_in_the_address_is_refused_unseen() -> None:
    """Credentials in the base URL are refused, and not repeated."""
    with pytest.raises(ConfigError) as caught:
        ClientSettings(base_url="https://user:hunter2@host")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"read_timeout": 0},
        {"connect_timeout": float("nan")},
        {"pool": 0},
        {"max_output_bytes": -1},
        {"max_redirects": -1},
        {"user_agent": "line\nbreak"},
        {"user_agent": ""},
    ],
)
def test_impossible_values_are_refused(wrong: dict[str, object]) -> None:
    """Times, counts and names that cannot be used are a ConfigError that names the field."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ClientSettings(**wrong)  # type: ignore[arg-type]


def test_the_default_is_the_real_api() -> None:
    """Nothing set means the service itself, with our own user agent."""
    settings = ClientSettings()
    assert settings.base_url == "https://api.aimlapi.com"
    assert settings.user_agent.startswith("kontext-lab/")
