"""Deadlines: whatever comes a byte at a time, and wherever, an exchange ends in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from client_calls import edit, fetch_output
from raw_server import Peer, RawServer, own_certificate

from kontext_lab.client import ClientSettings, KontextClient
from kontext_lab.client.http_session import addresses
from kontext_lab.errors import InDoubt, OutputUnavailable, ServiceUnavailable
from kontext_lab.request import EditRequest

Connect = Callable[..., KontextClient]
Act = Callable[[Peer], None]

SECONDS = 0.5
"""What an answer has; a single silence of the servers here is a tenth of it."""


def dribbling(begin: bytes, piece: bytes) -> Act:
    """A server that begins an answer and goes on with a piece now and then, without end."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(begin)
        peer.trickle(piece)

    return act


DRIBBLES = {
    "status": dribbling(b"", b"H"),
    "header": dribbling(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
    "headers": dribbling(b"HTTP/1.1 200 OK\r\n", b"X-Slow: x\r\n"),
    "continue": dribbling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints": dribbling(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    "body": dribbling(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
    "body without length": dribbling(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "chunk size": dribbling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "chunks": dribbling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "trailers": dribbling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Slow: x\r\n"),
}
every_dribble = pytest.mark.parametrize("act", DRIBBLES.values(), ids=DRIBBLES)


@contextmanager
def ending(seconds: float = 2.5) -> Iterator[None]:
    """What is inside ends in time, with room for a busy machine."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.fixture(params=["http", "https"])
def serve(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Act], RawServer]:
    """Makes servers, also with TLS by a certificate that the client trusts."""
    if request.param == "http":
        return RawServer
    tls = own_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "server.pem"))
    return lambda act: RawServer(act, tls=tls)


@every_dribble
def test_a_dribbled_answer_is_in_doubt(
    connect: Connect, plain_request: EditRequest, serve: Callable[[Act], RawServer], act: Act
) -> None:
    """An answer has its time as a whole, the header included; after that the request is in doubt."""
    with serve(act) as server, ending(), pytest.raises(InDoubt, match="in time"):
        edit(connect(server.url, read_timeout=SECONDS), plain_request)


@every_dribble
def test_a_dribbled_picture_is_given_up(
    connect: Connect, serve: Callable[[Act], RawServer], act: Act
) -> None:
    """A picture has its time as a whole."""
    with serve(act) as server, ending(), pytest.raises(OutputUnavailable, match=r"within 0\.5 s"):
        fetch_output(connect(server.url, read_timeout=SECONDS), f"{server.url}/a.png")


@every_dribble
def test_a_dribbled_optional_answer_is_none(connect: Connect, act: Act) -> None:
    """What nobody needs is waited for no longer than anything else."""
    with RawServer(act) as server, ending():
        assert connect(server.url, read_timeout=SECONDS).balance() is None


def test_endless_pages_of_a_log_end(connect: Connect) -> None:
    """A log of which every page says that another follows has one deadline for all of them."""

    def act(peer: Peer) -> None:
        while not peer.stopped.wait(0.1) and peer.read_request():
            body = b'{"data": [{"client_request_id": "kl-0"}], "pagination": {"has_more": true}}'
            peer.answer(200, body, Connection="keep-alive")

    with RawServer(act) as server, ending():
        assert connect(server.url, read_timeout=SECONDS).logs() is None


def test_redirects_share_one_deadline(connect: Connect) -> None:
    """Hosts that redirect slowly have no more time together than one."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.stopped.wait(0.3)
        peer.answer(302, b"", Location="/next")

    with RawServer(act) as server, ending(), pytest.raises(OutputUnavailable, match=r"within 0\.5 s"):
        fetch_output(connect(server.url, read_timeout=SECONDS, max_redirects=100), f"{server.url}/a.png")


def test_pictures_of_one_answer_share_one_deadline(
    connect: Connect, make_request: Callable[..., EditRequest]
) -> None:
    """A host that hangs takes its share of the time, and the next picture still comes."""

    def act(peer: Peer) -> None:
        head = peer.read_request()
        if head.startswith("POST"):
            links = ", ".join(f'{{"url": "{server.url}/{name}"}}' for name in ("slow", "slow2", "quick"))
            peer.answer(200, f'{{"images": [{links}]}}'.encode())
        elif "quick" in head:
            peer.answer(200, b"bytes")
        else:
            peer.send(b"HTTP/1.1 200 OK\r\n")
            peer.trickle(b"X-Slow: x\r\n")

    with RawServer(act) as server, ending(3):
        pictures = edit(connect(server.url, read_timeout=1.5), make_request(num_images=3)).pictures
    assert [b"", b"", b"bytes"] == [picture.data for picture in pictures]
    assert [True, True, False] == [picture.unreached for picture in pictures]


@pytest.mark.parametrize(
    "begin", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03"]
)
def test_a_proxy_that_dribbles_got_nothing(
    connect: Connect, plain_request: EditRequest, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    """A proxy's answer to CONNECT, and the handshake behind it, are part of connecting."""
    with RawServer(dribbling(begin, b"\0")) as proxy, ending():
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(ServiceUnavailable, match="could not connect"):
            edit(connect("https://service.invalid", connect_timeout=SECONDS), plain_request)


def test_a_name_that_nobody_answers_got_nothing(
    connect: Connect, plain_request: EditRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may look for a name for minutes; looking is part of connecting."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: over.wait(10) and [])
    with ending(), pytest.raises(ServiceUnavailable, match="no connection in time"):
        edit(connect("http://service.example", connect_timeout=0.2), plain_request)
    over.set()


def test_the_next_address_is_tried(
    connect: Connect, plain_request: EditRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host of two addresses is there while one of them answers."""
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in ("127.0.0.2", "127.0.0.1")]
    look = socket.getaddrinfo

    def two(host: str, *more: object) -> object:
        return both if host == "two.example" else look(host, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with RawServer(lambda peer: peer.read_request() and peer.answer(200, b"{}")) as server:
        answer = edit(connect(f"http://two.example:{server.port}"), plain_request)
    assert answer.reason == "unreadable"


def test_a_slow_line_gets_a_large_request_through(
    connect: Connect, make_request: Callable[..., EditRequest], serve: Callable[[Act], RawServer]
) -> None:
    """Sending may take longer than any of the deadlines, as long as every block of it gets through."""

    def act(peer: Peer) -> None:
        peer.read_head()
        for place in range(20):
            got = 0
            while got < 1_000_000 and (block := peer.connection.recv(1_000_000 - got)):
                got += len(block)
            # The last megabytes lie in the sockets' buffers: the client has sent them, and waits for the answer.
            peer.stopped.wait(0.1 if place < 10 else 0)
        peer.answer(200, b"{}")

    request = make_request().model_copy(update={"prompt": "x" * 20_000_000})
    with serve(act) as server:
        answer = edit(connect(server.url, connect_timeout=SECONDS, read_timeout=SECONDS), request)
    assert answer.reason == "unreadable"


def test_a_service_that_hardly_reads_is_in_doubt(
    connect: Connect, make_request: Callable[..., EditRequest], serve: Callable[[Act], RawServer]
) -> None:
    """A block that does not get through in the time for a connection ends it, with TLS as without."""

    def act(peer: Peer) -> None:
        while not peer.stopped.wait(0.05) and peer.connection.recv(4096):
            pass

    request = make_request().model_copy(update={"prompt": "x" * 40_000_000})
    with serve(act) as server, ending(6), pytest.raises(InDoubt):
        edit(connect(server.url, connect_timeout=SECONDS, read_timeout=SECONDS), request)


def test_early_hints_are_no_answer(connect: Connect, plain_request: EditRequest) -> None:
    """What announces an answer is passed over: the answer behind it is paid for."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        peer.answer(200, b'{"images": []}')

    with RawServer(act) as server:
        assert edit(connect(server.url), plain_request).reason == "empty"


def test_addresses_are_listed_once() -> None:
    """A host's addresses come in the system's order, each once."""
    assert ["127.0.0.1"] == addresses("127.0.0.1", 80, 1.0)


def test_the_waits_are_as_promised() -> None:
    """Ten seconds for a connection, three minutes for an answer and for its pictures."""
    assert (10.0, 180.0) == (ClientSettings().connect_timeout, ClientSettings().read_timeout)
