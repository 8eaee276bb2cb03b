"""Hosts of pictures: public ones, the service's own, and those that a person named."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

import pytest
from client_calls import edit, fetch_output
from raw_server import Peer, RawServer

from kontext_lab.client import KontextClient, http_session
from kontext_lab.client.downloads import AddressRefused, PictureHosts, is_public, literal_address
from kontext_lab.client.settings import read_hosts
from kontext_lab.errors import ConfigError, ImageError, OutputUnavailable
from kontext_lab.request import EditRequest

Connect = Callable[..., KontextClient]

ELSEWHERE = "http://service.invalid"
PUBLIC = [
    "93.184.215.14",
    "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
    "::ffff:93.184.215.14",
    "64:ff9b::5db8:d70e",
]
OTHERS = [
    *(
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0.0.0.0",
        "::",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
    ),
    *("169.254.169.254", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "100.64.0.1"),
    *(
        "198.18.0.1",
        "192.0.2.1",
        "203.0.113.9",
        "224.0.0.1",
        "ff02::1",
        "ff0e::1",
        "240.0.0.1",
        "255.255.255.255",
    ),
    *(
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "::127.0.0.1",
    ),
    *("2001:db8::1", "64:ff9b:1::7f00:1"),
]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What each look-up of a name gives, one after another; a name that is not here is not known."""
    known: dict[str, list[list[str]]] = {}
    look = socket.getaddrinfo

    def fake(host: str, port: object, *more: object) -> object:
        if literal_address(host) is not None:
            return look(host, port, *more)  # type: ignore[arg-type]
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    return known


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that connections are made to; each of them leads to this machine."""
    made: list[str] = []
    create = http_session.create_connection

    def noted(address: tuple[str, int], *more: object, **options: object) -> socket.socket:
        made.append(address[0])
        return create(("127.0.0.1", address[1]), *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(http_session, "create_connection", noted)
    return made


def serving(peer: Peer) -> None:
    """Answers with a picture, or so it says."""
    peer.read_request()
    peer.answer(200, b"bytes")


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_is_public(address: str) -> None:
    """Addresses of the public internet are, also in the spellings that translate between the two kinds."""
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OTHERS)
def test_all_else_is_not_public(address: str) -> None:
    """Loopback, private, link-local, shared, group and reserved addresses are not, however they are wrapped."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.slow
@pytest.mark.parametrize("address", OTHERS)
def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    """What counts is where a name leads."""
    with pytest.raises(AddressRefused, match=r"pictures\.example is .*AIMLAPI_PICTURE_HOSTS"):
        PictureHosts(ELSEWHERE, ()).choose("pictures.example", [address])


@pytest.mark.slow
def test_only_public_addresses_of_a_host_are_left() -> None:
    """Of a host with addresses of both sorts, the public ones are connected to."""
    found = ["10.0.0.1", PUBLIC[0], "::1"]
    assert [PUBLIC[0]] == PictureHosts(ELSEWHERE, ()).choose("pictures.example", found)


@pytest.mark.parametrize(
    ("service", "address"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1"),
        ("http://127.0.0.1:8000", "::1"),
        ("http://localhost:8000", "127.0.0.1"),
        ("http://10.1.2.3", "10.1.2.3"),
        ("http://gateway.example", "10.1.2.3"),
        ("http://fake.example", "198.18.7.7"),
    ],
)
def test_where_the_service_is_pictures_may_be(
    names: dict[str, list[list[str]]], service: str, address: str
) -> None:
    """A sandbox or a gateway inside a network serves pictures from its own address."""
    names |= {
        "localhost": [["127.0.0.1"]],
        "gateway.example": [["10.1.2.3"]],
        "fake.example": [["198.18.0.9"]],
    }
    assert [address] == PictureHosts(service, ()).choose("pictures.example", [address])


@pytest.mark.parametrize(
    ("service", "address"),
    [("http://10.1.2.3", "10.1.2.4"), ("http://10.1.2.3", "127.0.0.1"), ("http://127.0.0.1", "10.1.2.3")],
)
def test_the_service_opens_its_own_address_only(service: str, address: str) -> None:
    """Its neighbours stay closed."""
    with pytest.raises(AddressRefused):
        PictureHosts(service, ()).choose("pictures.example", [address])


@pytest.mark.parametrize(
    "allowed",
    ["pictures.example", "Pictures.Example.", "10.1.2.3", "10.0.0.0/8", " a.example , 10.1.0.0/16,"],
)
def test_a_person_may_name_hosts(allowed: str) -> None:
    """A name, an address or a network opens what it names."""
    hosts = PictureHosts(ELSEWHERE, read_hosts(allowed))
    assert ["10.1.2.3"] == hosts.choose("pictures.example", ["10.1.2.3"])


@pytest.mark.parametrize(
    "wrong",
    ["http://pictures.example", "pictures.example:80", "*.example", "10.0.0.0/99", "a b", "ü.example"],
)
def test_other_entries_are_refused(wrong: str) -> None:
    """An entry that would never match is told, with what is allowed."""
    with pytest.raises(ConfigError, match=r"AIMLAPI_PICTURE_HOSTS: .*give host names"):
        read_hosts(wrong)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{}/", "http://127.1:{}/", "http://2130706433:{}/", "http://0x7f.0.0.1:{}/"]
)
def test_a_picture_on_this_machine_is_not_fetched(
    connect: Connect, names: dict[str, list[list[str]]], url: str
) -> None:
    """However the address is spelled, nothing connects."""
    with RawServer(serving) as server:
        with pytest.raises(OutputUnavailable, match=r"on this machine.*AIMLAPI_PICTURE_HOSTS"):
            fetch_output(connect(ELSEWHERE), url.format(server.port))
        assert server.connections == 0


def test_a_named_host_is_fetched(connect: Connect, names: dict[str, list[list[str]]]) -> None:
    """The setting opens it."""
    with RawServer(serving) as server:
        client = connect(ELSEWHERE, picture_hosts=("127.0.0.1",))
        assert b"bytes" == fetch_output(client, f"{server.url}/a.png")


def test_a_redirect_inside_is_not_followed(connect: Connect, names: dict[str, list[list[str]]]) -> None:
    """A host that may be asked cannot lead on to one that may not."""
    names["first.example"] = [["127.0.0.1"]]

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.answer(302, b"", Location=f"{server.url}/b.png")

    with RawServer(act) as server:
        client = connect(ELSEWHERE, picture_hosts=("first.example",))
        with pytest.raises(OutputUnavailable, match=r"127\.0\.0\.1 is on this machine"):
            fetch_output(client, f"http://first.example:{server.port}/a.png")
        assert server.connections == 1


def test_the_address_that_was_checked_is_connected_to(
    connect: Connect, names: dict[str, list[list[str]]], connected: list[str]
) -> None:
    """A name that leads elsewhere a moment later gains nothing: it is looked up once."""
    names["pictures.example"] = [[PUBLIC[0]], ["127.0.0.1"]]
    heads: list[str] = []

    def act(peer: Peer) -> None:
        heads.append(peer.read_request())
        peer.answer(200, b"bytes")

    with RawServer(act) as server:
        fetch_output(connect(ELSEWHERE), f"http://pictures.example:{server.port}/a.png")
    assert [PUBLIC[0]] == connected
    assert f"Host: pictures.example:{server.port}" in heads[0]


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> RawServer:
    """A proxy that every request goes through, and that answers itself."""
    server = RawServer(serving)
    monkeypatch.setenv("http_proxy", server.url)
    return server


def test_a_proxy_looks_names_up_itself(
    connect: Connect, names: dict[str, list[list[str]]], proxy: RawServer
) -> None:
    """Behind a proxy names may mean nothing here, so nobody here asks for them."""
    with proxy:
        assert b"bytes" == fetch_output(connect(ELSEWHERE), "http://pictures.invalid/a.png")


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "2130706433", "0x7f.1", "[::ffff:10.0.0.1]"])
def test_a_proxy_is_not_sent_inside(
    connect: Connect, names: dict[str, list[list[str]]], proxy: RawServer, host: str
) -> None:
    """An address that stands in place of a name is refused before the proxy hears of it."""
    with proxy:
        with pytest.raises(OutputUnavailable, match="AIMLAPI_PICTURE_HOSTS"):
            fetch_output(connect(ELSEWHERE), f"http://{host}/a.png")
        assert proxy.connections == 0


def test_a_reference_lies_where_a_person_said(connect: Connect, names: dict[str, list[list[str]]]) -> None:
    """The address of a reference is a person's own choice."""
    with RawServer(serving) as server:
        assert b"bytes" == connect(ELSEWHERE).fetch_reference(f"{server.url}/a.png")


def test_a_reference_is_not_led_inside(connect: Connect, names: dict[str, list[list[str]]]) -> None:
    """Where it redirects to is the host's choice: back to itself, or to the public internet."""
    names["photos.example"] = [["127.0.0.1"]]
    seen: list[str] = []

    def act(peer: Peer) -> None:
        seen.append(peer.read_request())
        there = f"http://photos.example:{server.port}/b" if len(seen) == 1 else f"{server.url}/c"
        peer.answer(302, b"", Location=there)

    with RawServer(act) as server, pytest.raises(ImageError, match=r"127\.0\.0\.1 is on this machine"):
        connect(ELSEWHERE).fetch_reference(f"http://photos.example:{server.port}/a")
    assert ["/a", "/b"] == [head.split()[1] for head in seen]


def test_a_refused_picture_keeps_its_answer(
    connect: Connect,
    plain_request: EditRequest,
    monkeypatch: pytest.MonkeyPatch,
    names: dict[str, list[list[str]]],
) -> None:
    """The picture is paid for: its address is kept, and fetching it is free once the setting allows it."""
    body = b'{"images": [{"url": "http://10.0.0.1/a.png"}]}'

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.answer(200, body)

    with RawServer(act) as server:
        answer = edit(connect(server.url), plain_request)
    picture = answer.pictures[0]
    assert (True, True, False) == (picture.refused, picture.unreached, picture.again)
    assert picture.note == (
        "10.0.0.1 is on a private network and was not fetched: add it to AIMLAPI_PICTURE_HOSTS, "
        "then `kontext-lab recover` (free)"
    )
    assert "http://10.0.0.1/a.png" in answer.raw
