"""Why a connection failed, in words with a way out: for the service, for references and for MLflow's server."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from raw_server import Peer, RawServer, own_certificate

from kontext_lab.client import KontextClient
from kontext_lab.errors import ImageError, ServiceUnavailable, TrackingError
from kontext_lab.tracking import Tracker

REMOTE = "https://service.invalid"

CLASS_NAME = re.compile(r"\b[A-Z][a-z]+[A-Z]\w+\b")
"""The name of an exception's class, which says nothing to a person."""

# What the environment holds, the address, the cause, the way out.
SETTINGS: dict[str, tuple[dict[str, str], str, str]] = {
    "SOCKS": ({"ALL_PROXY": "socks5://127.0.0.1:9"}, "PySocks is not installed", "pip install pysocks"),
    "no host": ({"HTTPS_PROXY": "http://"}, "proxy's address names no host", "check HTTPS_PROXY"),
    "brackets": ({"HTTPS_PROXY": "http://[::1"}, "proxy's address can't be read", "check HTTPS_PROXY"),
    "port": ({"HTTPS_PROXY": "http://127.0.0.1:99999"}, "proxy's address can't be read", "check HTTPS_PROXY"),
    "scheme": ({"HTTPS_PROXY": "ftp://127.0.0.1:9"}, "neither with http:// nor", "check HTTPS_PROXY"),
    "dead": ({"HTTPS_PROXY": "http://127.0.0.1:9"}, "the proxy does not connect", "check HTTPS_PROXY"),
    "name": (
        {"HTTPS_PROXY": "http://proxy.invalid:3128"},
        "the proxy's name is not known",
        "check HTTPS_PROXY",
    ),
    "nothing": ({}, "the host's name is not known", "check the address"),
}


@pytest.fixture(autouse=True)
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's certificates reach a test."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def lines(connect: Callable[..., KontextClient], store_uri: str) -> Callable[[str], list[str]]:
    """What the service, a reference and the store say of an address that can't be reached."""

    def told(url: str) -> list[str]:
        client, said = connect(url), []
        for act, kind in (
            (client.ping, ServiceUnavailable),
            (lambda: client.fetch_reference(f"{url}/cat.png"), ImageError),
            (lambda: Tracker(url), TrackingError),
        ):
            with pytest.raises(kind) as caught:
                act()
            said.append(str(caught.value))
        return said

    return told


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_is_named_with_its_way_out(
    setting: str, lines: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in one line, without the name of a class."""
    environment, cause, way_out = SETTINGS[setting]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    for line in lines(REMOTE):
        assert cause in line
        assert way_out in line
        assert CLASS_NAME.search(line.replace("PySocks", "")) is None


def proxy(answer: bytes) -> Callable[[Peer], None]:
    """A proxy that says this to whoever asks for a tunnel."""

    def act(peer: Peer) -> None:
        peer.read_head()
        peer.send(answer)

    return act


@pytest.mark.parametrize(
    ("answer", "cause", "way_out"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "a name and a password (407)",
            "in HTTPS_PROXY",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "refuses to connect (403)", "ask who runs it"),
    ],
)
def test_a_proxy_that_refuses_is_named(
    answer: bytes,
    cause: str,
    way_out: str,
    lines: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it wants is said."""
    with RawServer(proxy(answer)) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        assert all(cause in line and way_out in line for line in lines(REMOTE))


@pytest.mark.parametrize(
    ("changes", "cause", "way_out"),
    [
        ({}, "self-signed certificate", "REQUESTS_CA_BUNDLE"),
        ({"trusted": True, "name": "other.example"}, "(?i)mismatch|not valid for", "check the address"),
        ({"trusted": True, "age": timedelta(days=9)}, "expired", "this machine's clock"),
        ({"trusted": True, "age": timedelta(days=-9)}, "not yet valid", "this machine's clock"),
    ],
    ids=["self-signed", "another name", "expired", "not yet"],
)
def test_a_certificate_that_is_not_accepted_is_told(
    changes: dict[str, object],
    cause: str,
    way_out: str,
    lines: Callable[[str], list[str]],
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By whom, of what name, of what day."""
    given = dict(changes)
    if given.pop("trusted", False):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "server.pem"))
    with RawServer(lambda peer: peer.answer(500), tls=own_certificate(tmp_path, **given)) as server:
        for line in lines(server.url):
            assert re.search(cause, line)
            assert way_out in line


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_that_is_not_there_is_told(
    name: str, lines: Callable[[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and the setting that names it."""
    monkeypatch.setenv(name, "/nonexistent")
    with RawServer(lambda peer: peer.answer(500), tls=own_certificate(tmp_path)) as server:
        for line in lines(server.url):
            assert re.search(rf"certificates /nonexistent.*unset {name}", line)


def test_a_bundle_without_certificates_is_told(
    lines: Callable[[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that holds something else."""
    (tmp_path / "empty.pem").write_text("nothing")
    context = own_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "empty.pem"))
    with RawServer(lambda peer: peer.answer(500), tls=context) as server:
        assert all("the bundle of certificates holds none" in line for line in lines(server.url))


def test_https_at_a_port_that_speaks_http_is_told(lines: Callable[[str], list[str]]) -> None:
    """The way out is the other scheme."""
    with RawServer(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        said = lines(server.url.replace("http:", "https:"))
        assert all("does not speak TLS" in line and "write http://" in line for line in said)


def test_http_at_a_port_that_speaks_tls_is_told(connect: Callable[..., KontextClient]) -> None:
    """An alert in the place of an answer: the way out is the other scheme."""
    with (
        RawServer(lambda peer: (peer.read_head(), peer.send(b"\x15\x03\x01\x00\x02\x02\x46"))[1]) as server,
        pytest.raises(ServiceUnavailable, match=r"it speaks TLS at that port.*write https://"),
    ):
        connect(server.url).ping()


def test_a_refused_connection_is_told(lines: Callable[[str], list[str]]) -> None:
    """Nobody listens, also at an IPv6 address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    assert all("connection refused" in line for line in lines(f"http://127.0.0.1:{port}"))


def test_a_password_of_a_proxy_is_never_told(
    lines: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the address can't be read."""
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:marked-word@127.0.0.1:99999")
    assert not any("marked-word" in line for line in lines(REMOTE))
