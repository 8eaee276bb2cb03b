"""What a broken connection means: nothing was sent, or in doubt. Against unruly servers."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import requests
import urllib3.exceptions as causes
from client_calls import attempt, edit
from raw_server import Peer, RawServer, own_certificate

from kontext_lab.client import ClientSettings, KontextClient
from kontext_lab.client.failures import from_exception
from kontext_lab.errors import (
    InDoubt,
    RateLimited,
    RequestRefused,
    ServiceError,
    ServiceUnavailable,
)
from kontext_lab.request import EditRequest
from kontext_lab.sandbox import Sandbox

Connect = Callable[..., KontextClient]
ENVELOPE = json.dumps({"requestId": "r-1", "statusCode": 503, "message": "Try later"}).encode()


@pytest.fixture
def outcome(connect: Connect, plain_request: EditRequest) -> Callable[..., ServiceError]:
    """The error that a server's behaviour ends in."""

    def find(act: Callable[[Peer], None], **settings: object) -> ServiceError:
        with RawServer(act) as server:
            error = attempt(
                connect(server.url, **{"read_timeout": 0.5, **settings}), plain_request, "kl-1"
            ).error
        assert error is not None
        assert len(str(error).splitlines()) == 1
        return error

    return find


@pytest.fixture
def free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_sent_nothing(
    connect: Connect, plain_request: EditRequest, free_port: int
) -> None:
    """Nobody listens: the service is unavailable, and the line says so."""
    with pytest.raises(ServiceUnavailable, match=r"could not connect to 127\.0\.0\.1.*connection refused"):
        edit(connect(f"http://127.0.0.1:{free_port}"), plain_request)


def test_an_unknown_host_sent_nothing(connect: Connect, plain_request: EditRequest) -> None:
    """A name that does not resolve is a service that is not there."""
    with pytest.raises(ServiceUnavailable, match=r"no-such-host\.invalid"):
        edit(connect("http://no-such-host.invalid"), plain_request)


def test_a_full_backlog_sent_nothing(connect: Connect, plain_request: EditRequest) -> None:
    """No connection within the connect timeout is a service that is not there, told in that time."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable, match="no connection in time"):
            edit(connect(f"http://127.0.0.1:{port}", connect_timeout=0.3), plain_request)
        assert time.monotonic() - started < 2
        for one in waiting:
            one.close()


def test_a_dead_proxy_sent_nothing(
    connect: Connect, plain_request: EditRequest, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    """A proxy that does not answer never saw the request."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")
    with pytest.raises(ServiceUnavailable, match="proxy"):
        edit(connect("http://service.invalid"), plain_request)


def test_this_machine_is_reached_without_a_proxy(
    client: KontextClient, plain_request: EditRequest, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    """A proxy in the environment does not come between the client and the sandbox."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")
    assert edit(client, plain_request).reason is None


def test_a_service_without_tls_got_nothing(connect: Connect, plain_request: EditRequest) -> None:
    """A handshake that fails is a service that is not there: the request is sent only after it."""
    with RawServer(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        address = server.url.replace("http:", "https:")
        with pytest.raises(ServiceUnavailable, match="could not connect"):
            edit(connect(address), plain_request)


def test_a_silent_handshake_got_nothing(connect: Connect, plain_request: EditRequest) -> None:
    """A server that accepts and never shakes hands cannot have taken the request."""
    with RawServer(lambda peer: peer.stopped.wait(5) and None) as server:
        address = server.url.replace("http:", "https:")
        with pytest.raises(ServiceUnavailable, match="could not connect"):
            edit(connect(address, connect_timeout=0.3), plain_request)


def test_a_reset_handshake_got_nothing(connect: Connect, plain_request: EditRequest) -> None:
    """A reset during the handshake is no doubt either."""

    def act(peer: Peer) -> None:
        # Not before the handshake began: Python 3.11 leaks a socket that is reset earlier.
        peer.connection.recv(1)
        peer.reset()

    with RawServer(act) as server:
        address = server.url.replace("http:", "https:")
        with pytest.raises(ServiceUnavailable, match="could not connect"):
            edit(connect(address), plain_request)


def test_an_unknown_certificate_got_nothing(
    connect: Connect, plain_request: EditRequest, tmp_path: Path
) -> None:
    """A certificate nobody vouches for ends the handshake before anything is sent, and the line says why."""
    with (
        RawServer(lambda peer: peer.answer(500), tls=own_certificate(tmp_path)) as server,
        pytest.raises(ServiceUnavailable, match="certificate is not accepted"),
    ):
        edit(connect(server.url), plain_request)


def test_closing_before_reading_is_in_doubt(outcome: Callable[..., ServiceError]) -> None:
    """Who can tell how much was read before the connection closed?"""
    assert isinstance(outcome(lambda peer: peer.read_head() and None), InDoubt)


def test_closing_after_reading_is_in_doubt(outcome: Callable[..., ServiceError]) -> None:
    """The whole request was read and no answer came."""
    assert isinstance(outcome(lambda peer: peer.read_request() and None), InDoubt)


def test_a_reset_after_reading_is_in_doubt(outcome: Callable[..., ServiceError]) -> None:
    """A reset is told by its name."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.reset()

    error = outcome(act)
    assert (InDoubt, True) == (type(error), "connection reset" in str(error))


def test_silence_is_in_doubt(outcome: Callable[..., ServiceError]) -> None:
    """A read timeout proves nothing."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.stopped.wait(5)

    error = outcome(act)
    assert (InDoubt, True) == (type(error), "in time" in str(error))


def test_a_request_that_gets_stuck_is_in_doubt(
    connect: Connect, make_request: Callable[..., EditRequest]
) -> None:
    """A server that stops reading in the middle leaves a write timeout."""
    with RawServer(lambda peer: peer.stopped.wait(5) and None) as server:
        request = make_request().model_copy(update={"prompt": "x" * 20_000_000})
        with pytest.raises(InDoubt):
            edit(connect(server.url, connect_timeout=0.3, read_timeout=0.3), request)


def test_nonsense_is_in_doubt(outcome: Callable[..., ServiceError]) -> None:
    """What is no HTTP is no proof of anything."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")

    assert isinstance(outcome(act), InDoubt)


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"images"',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"images"\r\n',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{"images"\r\n',
        b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n{"images"',
    ],
    ids=["length", "chunked", "chunk size", "gzip"],
)
@pytest.mark.parametrize("reset", [True, False])
def test_a_broken_good_answer_is_in_doubt(
    outcome: Callable[..., ServiceError], answer: bytes, reset: bool
) -> None:
    """A 200 whose body breaks off was accepted and surely billed, but its pictures are not known."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(answer)
        if reset:
            peer.reset()

    assert isinstance(outcome(act), InDoubt)


def test_an_endless_answer_ends_in_doubt(outcome: Callable[..., ServiceError]) -> None:
    """An answer that trickles on is given up after the read timeout, though no single wait is that long."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        peer.trickle(b" ")

    started = time.monotonic()
    assert isinstance(outcome(act), InDoubt)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("status", "kind"), [(400, RequestRefused), (429, RateLimited), (500, InDoubt), (503, InDoubt)]
)
def test_a_broken_failure_is_judged_by_its_status(
    outcome: Callable[..., ServiceError], status: int, kind: type[ServiceError]
) -> None:
    """Where the body of a failure breaks off, the status is enough; half an envelope proves nothing."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 %d X\r\nContent-Length: 900\r\n\r\n" % status + ENVELOPE[:40])

    assert isinstance(outcome(act), kind)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (502, b"<html><title>502 Bad Gateway</title></html>", InDoubt),
        (503, b'{"status": 503, "message": "no request id"}', InDoubt),
        (503, b'{"requestId": "r-1", "message": "no status"}', InDoubt),
        (503, b'["requestId", "status"]', InDoubt),
        (503, ENVELOPE, ServiceUnavailable),
        (504, ENVELOPE, ServiceUnavailable),
        (408, b"", InDoubt),
    ],
)
def test_only_the_own_envelope_proves_a_failure(
    outcome: Callable[..., ServiceError], status: int, body: bytes, kind: type[ServiceError]
) -> None:
    """A server error is free only in the service's own words."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.answer(status, body)

    error = outcome(act)
    assert (kind, status) == (type(error), error.status)


def test_an_early_refusal_is_read(connect: Connect, make_request: Callable[..., EditRequest]) -> None:
    """A 413 that comes before the whole request was read is a refusal, not a broken connection."""

    def act(peer: Peer) -> None:
        peer.read_head()
        peer.answer(413, b"too large")
        peer.stopped.wait(0.3)

    request = make_request().model_copy(update={"prompt": "x" * 20_000_000})
    with RawServer(act) as server, pytest.raises(RequestRefused, match="too large"):
        edit(connect(server.url), request)


def test_a_reset_on_a_used_connection_is_in_doubt(connect: Connect, plain_request: EditRequest) -> None:
    """A kept connection that dies under the second request leaves it in doubt; it is not sent again."""
    seen: list[str] = []

    def act(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.answer(400, b"{}", Connection="keep-alive")
        seen.append(peer.read_request())
        peer.reset()

    with RawServer(act) as server:
        client = connect(server.url)
        first, second = (attempt(client, plain_request, f"kl-{number}").error for number in (1, 2))
        assert (RequestRefused, InDoubt) == (type(first), type(second))
        assert (server.connections, len([head for head in seen if head])) == (1, 2)


def test_a_huge_answer_is_billed_and_unreadable(connect: Connect, plain_request: EditRequest) -> None:
    """An answer beyond all limits is cut: billed, unreadable, and the memory stays small."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n{")
        peer.trickle(b" " * 1_000_000, 0)

    with RawServer(act) as server:
        answer = edit(connect(server.url, max_output_bytes=1000, read_timeout=20.0), plain_request)
    assert answer.reason == "unreadable"
    assert answer.cost_usd == 0.052


def test_threads_share_a_client(
    client: KontextClient, box: Sandbox, make_request: Callable[..., EditRequest]
) -> None:
    """Eight threads at once each get their own picture."""
    asked = [make_request(seed=seed, output_format="jpeg") for seed in range(1, 17)]
    with ThreadPoolExecutor(8) as pool:
        attempts = list(pool.map(partial(attempt, client), asked, [f"kl-{seed}" for seed in range(1, 17)]))
    made = {call.client_request_id: call.outputs for call in box.calls}
    got = {one.client_request_id: (one.answer.pictures[0].sha256,) for one in attempts if one.answer}
    assert got == made


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_request_is_refused(outcome: Callable[..., ServiceError], status: int) -> None:
    """A redirect of the API is not followed: the base URL is wrong."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.answer(status, b"moved", Location="https://www.example.com/elsewhere")

    error = outcome(act)
    assert isinstance(error, RequestRefused)
    assert "www.example.com" in str(error)
    assert "base URL" in str(error)


def test_an_endless_redirect_is_not_read(outcome: Callable[..., ServiceError]) -> None:
    """A redirect's body is nobody's business, however long it is."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n")
        peer.trickle(b"x" * 1000)

    started = time.monotonic()
    assert isinstance(outcome(act), RequestRefused)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (requests.ConnectTimeout("slow"), InDoubt),
        (requests.ConnectionError(causes.ConnectTimeoutError("slow")), ServiceUnavailable),
        (requests.ConnectionError(causes.NewConnectionError(None, "refused")), ServiceUnavailable),  # type: ignore[arg-type]
        (requests.exceptions.ProxyError("proxy"), ServiceUnavailable),
        (requests.exceptions.SSLError(ssl.SSLCertVerificationError(1, "no")), ServiceUnavailable),
        (requests.exceptions.SSLError(ssl.SSLError(1, "bad mac")), InDoubt),
        (requests.ReadTimeout("slow"), InDoubt),
        (requests.ConnectionError(causes.ProtocolError("aborted", ConnectionResetError())), InDoubt),
        (requests.ConnectionError("who knows"), InDoubt),
    ],
)
def test_a_borrowed_session_is_judged_by_causes(error: Exception, kind: type[ServiceError]) -> None:
    """Where nobody knows what was sent, only a cause that lies before sending counts as proof."""
    assert isinstance(from_exception(error, "host", sent=None), kind)


def test_an_older_exception_is_no_cause(connect: Connect, plain_request: EditRequest) -> None:
    """What the caller was handling at the time does not turn a doubt into a free failure."""
    with RawServer(lambda peer: peer.read_request() and None) as server:
        client = connect(server.url)
        try:
            raise causes.NewConnectionError(None, "an earlier trouble")  # type: ignore[arg-type]
        except causes.NewConnectionError:
            with pytest.raises(InDoubt):
                edit(client, plain_request)


def test_ping_finds_a_dead_host(connect: Connect, free_port: int) -> None:
    """Ping tells quickly that nothing answers."""
    with pytest.raises(ServiceUnavailable, match="could not connect"):
        connect(f"http://127.0.0.1:{free_port}").ping()


def test_ping_finds_a_silent_host(connect: Connect) -> None:
    """Ping waits for an answer no longer than for a connection."""
    with (
        RawServer(lambda peer: peer.stopped.wait(5) and None) as server,
        pytest.raises(ServiceUnavailable),
    ):
        connect(server.url, connect_timeout=0.2, read_timeout=60.0).ping()


def test_a_borrowed_session_stays_open(reference: object) -> None:
    """A session that was passed in is neither changed nor closed."""

    class Watched(requests.Session):
        closed = 0

        def close(self) -> None:
            self.closed += 1
            super().close()

    session = Watched()
    KontextClient(ClientSettings(), session=session).close()
    assert (session.closed, str(session.headers["User-Agent"])[:15]) == (0, "python-requests")
