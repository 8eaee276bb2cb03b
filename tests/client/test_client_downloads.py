"""Downloads: exact or not at all, within limits of size, time and redirects."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from collections.abc import Callable

import pytest
from client_calls import edit, fetch_output
from raw_server import Peer, RawServer

from kontext_lab.client import ClientSettings, KontextClient
from kontext_lab.errors import ImageError, OutputUnavailable
from kontext_lab.request.attempt import Reason

Connect = Callable[..., KontextClient]
Act = Callable[[Peer], None]


def answering(status: int, body: bytes = b"", **headers: str) -> Act:
    """A server that always answers the same."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.answer(status, body, **headers)

    return act


def sending(data: bytes, *, reset: bool = False) -> Act:
    """A server that sends these bytes and hangs up."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(data)
        if reset:
            peer.reset()

    return act


@pytest.fixture
def fetch(connect: Connect) -> Callable[..., bytes]:
    """Fetch an output from a server that behaves in a given way."""

    def run(act: Act, **settings: object) -> bytes:
        with RawServer(act) as server:
            return fetch_output(
                connect(server.url, **{"read_timeout": 1.0, **settings}), f"{server.url}/a.png"
            )

    return run


@pytest.fixture
def trouble(fetch: Callable[..., bytes]) -> Callable[..., tuple[Reason, str]]:
    """The reason and the line a server's behaviour ends in."""

    def run(act: Act, **settings: object) -> tuple[Reason, str]:
        with pytest.raises(OutputUnavailable) as caught:
            fetch(act, **settings)
        assert len(str(caught.value).splitlines()) == 1
        return caught.value.reason, str(caught.value)  # type: ignore[attr-defined]

    return run


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes and more than announced",
        b"HTTP/1.1 200 OK\r\n\r\nbytes",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nby\r\n3\r\ntes\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"bytes", mtime=0),
        b"HTTP/1.0 200 OK\r\n\r\nbytes",
    ],
)
def test_every_framing_gives_the_exact_bytes(fetch: Callable[..., bytes], answer: bytes) -> None:
    """Length, chunks, compression or none: the same bytes arrive."""
    assert fetch(sending(answer)) == b"bytes"


@pytest.mark.parametrize("status", [400, 403, 404, 410, 429, 500, 503])
def test_a_refused_download_is_expired(trouble: Callable[..., tuple[Reason, str]], status: int) -> None:
    """A host that does not serve a picture leaves it expired, with the status in the line."""
    reason, line = trouble(answering(status))
    assert (reason, str(status) in line) == (Reason.EXPIRED, True)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b broken",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("reset", [True, False])
def test_a_short_download_is_corrupt(
    trouble: Callable[..., tuple[Reason, str]], answer: bytes, reset: bool
) -> None:
    """Fewer bytes than announced are no picture."""
    assert trouble(sending(answer, reset=reset))[0] == Reason.CORRUPT


def test_a_short_download_says_how_much_came(trouble: Callable[..., tuple[Reason, str]]) -> None:
    """The line names both lengths."""
    assert "5 of 1,000 bytes" in trouble(sending(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort"))[1]


def test_an_unreachable_host_is_expired(connect: Connect) -> None:
    """A host that is gone leaves the picture expired."""
    with pytest.raises(OutputUnavailable, match="could not be reached"):
        fetch_output(connect("http://127.0.0.1:9"), "http://no-such-host.invalid/a.png")


def test_an_announced_giant_is_not_read(trouble: Callable[..., tuple[Reason, str]]) -> None:
    """A length beyond the limit is refused by its header."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n"
    reason, line = trouble(sending(answer), max_output_bytes=1_048_576)
    assert (reason, "larger than 1 MiB" in line) == (Reason.CORRUPT, True)


def test_an_endless_download_is_cut(trouble: Callable[..., tuple[Reason, str]]) -> None:
    """A body without length ends at the limit."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        peer.trickle(b"x" * 100_000, 0)

    assert trouble(act, max_output_bytes=1_000_000, read_timeout=20.0)[0] == Reason.CORRUPT


def test_the_limit_counts_decompressed_bytes(trouble: Callable[..., tuple[Reason, str]]) -> None:
    """A small body that unpacks to gigabytes is stopped at the limit, and memory stays near it."""
    bomb = gzip.compress(bytes(200_000_000), 1)
    tracemalloc.start()
    reason, _ = trouble(answering(200, bomb, Content_Encoding="gzip"), max_output_bytes=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reason == Reason.CORRUPT
    assert peak < 30_000_000


@pytest.mark.parametrize("chunked", [True, False])
def test_a_trickle_ends(trouble: Callable[..., tuple[Reason, str]], chunked: bool) -> None:
    """A host that sends a byte now and then is given up when the time for the whole download is over."""

    def act(peer: Peer) -> None:
        peer.read_request()
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 100000"
        peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        peer.trickle(b"1\r\nx\r\n" if chunked else b"x")

    started = time.monotonic()
    reason, line = trouble(act, read_timeout=0.5)
    assert (reason, "within 0.5 s" in line) == (Reason.EXPIRED, True)
    assert time.monotonic() - started < 3


def test_a_silent_host_is_expired(trouble: Callable[..., tuple[Reason, str]]) -> None:
    """A body that never comes is given up."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
        peer.stopped.wait(5)

    assert trouble(act, read_timeout=0.3)[0] == Reason.EXPIRED


def redirecting(hops: int, last: Act, location: str = "/next") -> Act:
    """A server that redirects some times and then behaves."""
    seen: list[int] = []

    def act(peer: Peer) -> None:
        if len(seen) < hops:
            seen.append(1)
            peer.read_request()
            peer.answer(302, b"", Location=location)
        else:
            last(peer)

    return act


@pytest.mark.parametrize("hops", [1, 3])
def test_three_redirects_are_followed(fetch: Callable[..., bytes], hops: int) -> None:
    """Up to three redirects lead to the picture."""
    assert fetch(redirecting(hops, answering(200, b"bytes"))) == b"bytes"


def test_a_fourth_redirect_is_not_followed(trouble: Callable[..., tuple[Reason, str]]) -> None:
    """A loop of redirects ends."""
    reason, line = trouble(redirecting(4, answering(200, b"bytes")))
    assert (reason, "more than 3 times" in line) == (Reason.EXPIRED, True)


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://host/a",
        "data:image/png;base64,AAAA",
        "http://[",
        "javascript:1",
        "https://",
    ],
)
def test_redirects_lead_to_http_only(trouble: Callable[..., tuple[Reason, str]], location: str) -> None:
    """A redirect anywhere but to http(s) is not followed."""
    assert trouble(redirecting(1, answering(200, b"bytes"), location))[0] == Reason.EXPIRED


def test_a_host_cannot_write_to_a_terminal(connect: Connect) -> None:
    """The service chose the host's name: it stands in the line without control characters."""
    with pytest.raises(OutputUnavailable) as caught:
        fetch_output(connect("http://127.0.0.1:9"), "http://a\x9b31m\x07.invalid/a.png")
    assert str(caught.value).isprintable()


def test_limits_are_as_promised() -> None:
    """No more than 64 MiB a picture and 3 redirects, unless told otherwise."""
    assert (64 * 1024 * 1024, 3) == (ClientSettings().max_output_bytes, ClientSettings().max_redirects)


def test_an_endless_redirect_body_is_not_read(fetch: Callable[..., bytes]) -> None:
    """What a redirect says besides its target is not waited for."""
    seen: list[int] = []

    def act(peer: Peer) -> None:
        peer.read_request()
        if seen:
            peer.answer(200, b"bytes")
            return
        seen.append(1)
        peer.send(b"HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\n")
        peer.trickle(b"x" * 1000)

    assert fetch(act, read_timeout=2.0) == b"bytes"


def test_a_redirect_without_target_is_expired(trouble: Callable[..., tuple[Reason, str]]) -> None:
    """A redirect to nowhere is an answer that is no picture."""
    assert trouble(answering(302))[0] == Reason.EXPIRED


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "data:,x", "/a", "", "http://[", "http://\ud800.example/"]
)
def test_other_addresses_are_not_opened(connect: Connect, url: str) -> None:
    """Only http and https are opened, for outputs and references."""
    client = connect("http://127.0.0.1:9")
    with pytest.raises(OutputUnavailable):
        fetch_output(client, url)
    with pytest.raises(ImageError):
        client.fetch_reference(url)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (answering(404), "answered 404"),
        (answering(200, b"x" * 5000), "larger than"),
        (sending(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), "broke off"),
        (sending(b""), "could not be reached"),
    ],
)
def test_a_reference_that_cannot_be_fetched_says_why(connect: Connect, act: Act, words: str) -> None:
    """A reference's URL that fails is an ImageError of one line with the address."""
    with RawServer(act) as server, pytest.raises(ImageError, match=words) as caught:
        connect(server.url, max_reference_bytes=1000).fetch_reference(f"{server.url}/photo.jpg")
    assert "photo.jpg" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_truncated_download_keeps_what_came(connect: Connect, plain_request: object) -> None:
    """Half a picture is kept with its reason: a person may still see something in it."""

    def act(peer: Peer) -> None:
        if peer.read_request().startswith("POST"):
            peer.answer(200, f'{{"images": [{{"url": "{server.url}/a.png"}}]}}'.encode())
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    with RawServer(act) as server:
        picture = edit(connect(server.url), plain_request).pictures[0]  # type: ignore[arg-type]
    assert (picture.data, picture.reason) == (b"half", Reason.CORRUPT)
