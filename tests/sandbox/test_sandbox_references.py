"""ReferenceLoader by address: stand-in photographs by default, loaded with `fetch`, private addresses never."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

import kontext_lab as kl
from kontext_lab.lab.service import connect
from kontext_lab.sandbox import Sandbox, fetched_references, mark_box
from kontext_lab.sandbox.fetched_references import ReferenceLoader

sys.path.append(str(Path(__file__).parents[1] / "client"))
from raw_server import Peer, RawServer, own_certificate  # the client's tests have the server

T_REX = "https://zovi0.github.io/public_misc/flux-dev-t-rex.png"
BLUE_MUG = "https://zovi0.github.io/public_misc/blue-mug.jpg"
HEADER = "x-kontext-sandbox-stand-in"
PUBLIC = "93.184.215.14"
SECRET = "https://me:hunter2@pictures.example:444/a/b.png?X-Signature=hunter2&w=1"
SHOWN = "https://pictures.example:444/a/b.png?..."
NEIGHBOURS = [
    *("https://pictures.example/a.png", "http://pictures.example/a.png", "https://pictures.example/A.png"),
    *("https://pictures.example/a.png?w=1", "https://pictures.example/a.png?w=2", "https://pictures.example"),
    *(
        "https://pictures.example:444/a.png",
        "https://other.example/a.png",
        "https://[2606:2800:21f::1]/a.png",
    ),
]
PRIVATE = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.0.1", "0.0.0.0"),
    *(
        "224.0.0.1",
        "240.0.0.1",
        "[::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[fec0::1]",
        "[ff02::1]",
        "[2001:db8::1]",
    ),
    *("[::ffff:10.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[2002:a00:1::]", "[::10.0.0.1]", "[64:ff9b:1::a00:1]"),
]


def encoded(width: int, height: int, kind: str) -> bytes:
    """The file of a picture of soft stripes."""
    buffer = io.BytesIO()
    stripes = np.linspace(0, 20, width) % 3 * 70
    Image.fromarray(np.tile(stripes.astype(np.uint8), (height, 1))).save(buffer, kind)
    return buffer.getvalue()


PNG = encoded(96, 72, "PNG")


def picture(peer: Peer) -> None:
    """Answers with a picture."""
    peer.read_request()
    peer.answer(200, PNG, Content_Type="image/png")


class Net:
    """A made-up internet: names and public addresses whose connections end at this machine's servers."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.looked_up: list[str] = []
        self.connected: list[str] = []


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    """The made-up internet in place of the real one; this machine's own addresses work as ever."""
    made = Net()
    look, create = socket.getaddrinfo, socket.create_connection

    def getaddrinfo(host: str, port: Any, *more: Any, **options: Any) -> Any:
        if host in ("127.0.0.1", "localhost"):
            return look(host, port, *more, **options)
        made.looked_up.append(host)
        if re.fullmatch(r"[0-9.]+|.*:.*", host):
            return look(host, port, *more, **options)
        if host not in made.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (made.names[host], port))]

    def create_connection(address: tuple[str, int], *more: Any, **options: Any) -> socket.socket:
        made.connected.append(address[0])
        return create(("127.0.0.1", address[1]), *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(fetched_references.socket, "create_connection", create_connection)
    return made


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    """Starts servers that end with the test."""
    started: list[RawServer] = []

    def start(act: Callable[[Peer], None], **options: Any) -> RawServer:
        started.append(RawServer(act, **options).__enter__())
        return started[-1]

    yield start
    for server in started:
        server.__exit__(None, None, None)


@pytest.fixture
def fetching(make_client: Callable[..., Any]) -> Any:
    """A client of a sandbox that loads public addresses."""
    return make_client(fetch=True)


def redirect_to(target: str) -> Callable[[Peer], None]:
    """Answers with a redirect."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.answer(302, Location=target)

    return act


# Stand-ins


def test_public_address_is_answered(client):
    """A public address gets a picture of the published examples' size, billed like any other."""
    answer = client.post(image_url=T_REX)
    item = answer.json()["images"][0]
    assert (200, 1184, 880, 0.052) == (answer.status_code, item["width"], item["height"], client.box.bill)


@pytest.mark.parametrize("address", NEIGHBOURS)
def test_same_address_has_the_same_stand_in(address):
    """Another sandbox makes the same stand-in of an address."""
    one, other = ReferenceLoader().load(address), ReferenceLoader().load(address)
    assert one.sha256 == other.sha256
    assert np.array_equal(one.image, other.image)


def test_stand_ins_are_the_same_in_another_process():
    """A stand-in depends on the address alone."""
    code = f"from kontext_lab.sandbox.fetched_references import ReferenceLoader; print(ReferenceLoader().load({T_REX!r}).sha256)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ReferenceLoader().load(T_REX).sha256 == done.stdout.strip()


def test_different_addresses_have_different_stand_ins():
    """Addresses that differ anywhere have stand-ins that differ by more than noise."""
    made = [np.asarray(ReferenceLoader().load(address).image, np.int16)[::8, ::8] for address in NEIGHBOURS]
    apart = [np.abs(made[i] - made[j]).mean() for i in range(len(made)) for j in range(i)]
    assert min(apart) > 2


def test_many_addresses_have_as_many_stand_ins():
    """Numbered addresses do not share stand-ins."""
    found = {ReferenceLoader().load(f"https://pictures.example/{number}.png").sha256 for number in range(40)}
    assert 40 == len(found)


def test_stand_in_is_a_four_to_three_photograph():
    """The ratio is that of the references in the published examples."""
    assert (1024, 768) == ReferenceLoader().load(T_REX).image.size


@pytest.mark.parametrize(
    ("references", "named"),
    [(T_REX, T_REX), ([T_REX, BLUE_MUG], f"{T_REX}, {BLUE_MUG}"), ([..., BLUE_MUG], BLUE_MUG), (..., None)],
    ids=["one", "two", "one of two", "none"],
)
def test_header_names_the_stand_ins(shared, references, named):
    """A header names the addresses that were not loaded, in order; without any there is no header."""
    own = (
        [shared.reference if one is ... else one for one in references]
        if isinstance(references, list)
        else references
    )
    answer = shared.post(image_url=shared.reference if own is ... else own)
    assert named == answer.headers.get(HEADER)


def test_record_names_the_stand_ins(client):
    """A call's record has the addresses, and digests of the pixels that were used."""
    client.post(image_url=[T_REX, client.reference])
    call = client.box.calls[0]
    assert (T_REX,) == call.stand_ins
    assert ReferenceLoader().load(T_REX).sha256 == call.references[0]
    assert [T_REX] == client.get("/sandbox/calls", key=False).json()[0]["stand_ins"]


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_mark_has_a_line_for_each_stand_in(client, count):
    """Above SANDBOX stands one line for each stand-in, as high as that one."""
    addresses = [f"https://pictures.example/{number}.png" for number in range(count)]
    client.post(image_url=addresses or client.reference, output_format="png")
    mask = client.box.mark(client.box.calls[0].outputs[0])
    left, top, right, bottom = mark_box(mask.shape[1], mask.shape[0])
    assert mask[top:bottom, left:right].all()
    rows = np.flatnonzero(mask.any(axis=1))
    assert (count + 1) * (bottom - top) == len(rows)
    assert bottom - 1 == rows[-1]


def test_mark_is_written_over_the_picture(client):
    """Two addresses with the same picture around them differ where their names stand."""
    lines = []
    for address in (T_REX, BLUE_MUG):
        pixels = client.image(image_url=[client.reference, address], output_format="png")
        left, top, right, bottom = mark_box(pixels.shape[1], pixels.shape[0])
        lines.append(pixels[2 * top - bottom - 2 : top - 2, left - 200 : right].astype(int))
    assert np.abs(lines[0] - lines[1]).max() > 100


def test_mark_fits_every_size_and_name(shared):
    """A long name is cut so that its line lies within the narrowest picture."""
    address = f"https://{'sub.' * 20}pictures.example/{'folder/' * 20}{'long-' * 40}name.png"
    shared.post(image_url=address, aspect_ratio="9:21")
    mask = shared.box.mark(shared.box.calls[-1].outputs[0])
    assert not mask[:, :20].any()


def test_truth_leaves_the_mark_out(client):
    """What is written over the picture does not count as edited."""
    client.post(image_url=T_REX)
    sha256 = client.box.calls[0].outputs[0]
    assert not (client.box.truth(sha256) & client.box.mark(sha256)).any()


def test_log_names_a_stand_in_once(client, caplog):
    """A warning names the address when its stand-in is made, and not again."""
    for seed in (1, 2):
        client.post(image_url=T_REX, seed=seed)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [
        f"{T_REX} was not loaded: a stand-in photograph takes its place (--fetch loads public addresses)"
    ] == warned


def test_secrets_of_an_address_are_shown_nowhere(client, caplog):
    """Password and query values are in no header, record, log row or log line."""
    answer = client.post(image_url=SECRET)
    assert SHOWN == answer.headers[HEADER]
    told = [repr(client.box.calls), caplog.text, repr(answer.headers), client.get("/v2/logs?period=1h").text]
    assert [] == [text for text in told if "hunter2" in text]


def test_secrets_of_an_address_are_in_no_refusal(shared):
    """Nor in the message about an address that is refused."""
    answer = shared.post(image_url="http://me:hunter2@10.0.0.1/a.png?token=hunter2")
    assert (400, False) == (answer.status_code, "hunter2" in answer.text)


def test_unusual_letters_of_an_address_do_no_harm(shared):
    """Letters that no header may hold arrive encoded."""
    answer = shared.post(image_url="https://pictures.example/Ünï中.png")
    assert "https://pictures.example/%C3%9Cn%C3%AF%E4%B8%AD.png" == answer.headers[HEADER]


@pytest.mark.parametrize("address", [*NEIGHBOURS, "http://2130706433/a.png", "http://nas/a.png"])
def test_without_fetch_nothing_leaves_the_machine(net, client, address):
    """No name is looked up and nothing is connected to."""
    assert client.post(image_url=address).status_code == 200
    assert ([], []) == (net.looked_up, net.connected)


def test_without_fetch_a_local_server_cannot_lead_away(net, client, serve):
    """A redirect away from this machine is refused and not looked up."""
    answer = client.post(image_url=f"{serve(redirect_to('http://pictures.example/a.png')).url}/a.png")
    assert "it redirects to http://pictures.example/a.png" in answer.json()["message"]
    assert [] == net.looked_up


# Loaded addresses


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.parametrize("fetch", [False, True])
def test_private_address_is_never_connected_to(net, make_client, host, fetch):
    """A private address is a 400 that names the way out, with and without `fetch`."""
    answer = make_client(fetch=fetch).post(image_url=f"http://{host}/a.png")
    assert (400, []) == (answer.status_code, net.connected)
    assert "is not public; send the picture as a data: URI" in answer.json()["message"]


def test_public_address_is_loaded(net, fetching, serve):
    """With `fetch` the picture itself is edited, and nothing is said of stand-ins."""
    net.names["pictures.example"] = PUBLIC
    answer = fetching.post(image_url=f"http://pictures.example:{serve(picture).port}/a.png")
    assert (200, None) == (answer.status_code, answer.headers.get(HEADER))
    assert [PUBLIC] == net.connected
    assert (
        fetching.post(image_url=f"data:image/png;base64,{base64.b64encode(PNG).decode()}").status_code == 200
    )
    assert 1 == len({(call.references, call.outputs) for call in fetching.box.calls})


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "192.168.0.7"])
def test_name_of_a_private_address_is_refused(net, fetching, address):
    """The address that is connected to counts, not the name."""
    net.names["pictures.example"] = address
    answer = fetching.post(image_url="http://pictures.example/a.png")
    assert (400, []) == (answer.status_code, net.connected)


@pytest.mark.parametrize("target", ["http://10.0.0.1/", "http://127.0.0.1:{port}/", "http://inner.example/"])
def test_public_address_cannot_lead_inside(net, fetching, serve, target):
    """A redirect from a public address to this machine or a private one is refused."""
    net.names |= {"pictures.example": PUBLIC, "inner.example": "192.168.0.7"}
    inner = serve(picture)
    outer = serve(redirect_to(target.format(port=inner.port)))
    answer = fetching.post(image_url=f"http://pictures.example:{outer.port}/a.png")
    assert (400, 0) == (answer.status_code, inner.connections)
    assert "is not public" in answer.json()["message"]


@pytest.mark.parametrize("fetch", [False, True])
def test_local_redirect_is_followed(make_client, serve, fetch):
    """A server of this machine may redirect to another one of it."""
    outer = serve(redirect_to(f"{serve(picture).url}/b.png"))
    assert make_client(fetch=fetch).post(image_url=f"{outer.url}/a.png").status_code == 200


def test_redirects_without_end_are_refused(client, serve):
    """After five redirects it is over."""
    server = serve(redirect_to("/again"))
    assert "more than 5 redirects" in client.post(image_url=f"{server.url}/a.png").json()["message"]
    assert 6 == server.connections


def _endless(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    peer.trickle(b"\0" * 1024 * 1024, pause=0)


def _page(peer: Peer) -> None:
    peer.read_request()
    peer.answer(200, b"<html>no picture</html>")


def _missing(peer: Peer) -> None:
    peer.read_request()
    peer.answer(404)


def _nonsense(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"nonsense\r\n\r\n")


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (_endless, "larger than 26214400 bytes"),
        (_page, "use jpg, png, webp, gif or avif"),
        (_missing, "HTTP 404"),
        (_nonsense, "nonsense"),
        (redirect_to("file:///etc/passwd"), "it redirects to file:///etc/passwd"),
        (redirect_to("http://[::1"), "could not fetch"),
        (lambda peer: peer.reset(), "could not fetch"),
    ],
)
def test_address_without_a_picture_is_a_400(net, fetching, serve, act, why):
    """What cannot be used is refused with its reason, never replaced, and free."""
    net.names["pictures.example"] = PUBLIC
    answer = fetching.post(image_url=f"http://pictures.example:{serve(act).port}/a.png")
    assert (400, 0) == (answer.status_code, fetching.box.bill)
    assert why in answer.json()["message"]


def _slow_head(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    peer.trickle(b"x")


def _slow_body(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    peer.trickle(b"x")


def _silent(peer: Peer) -> None:
    peer.read_request()
    peer.stopped.wait(10)


@pytest.mark.parametrize("act", [_slow_head, _slow_body, _silent])
def test_slow_address_is_given_up(client, serve, monkeypatch, act):
    """A fetch has an end, however slowly a host answers."""
    monkeypatch.setattr(fetched_references, "_FETCH_S", 0.3)
    assert "longer than 0.3 s" in client.post(image_url=f"{serve(act).url}/a.png").json()["message"]


def test_slow_resolver_is_given_up(fetching, monkeypatch):
    """Looking a name up belongs to the time of a fetch."""
    over, look = threading.Event(), socket.getaddrinfo

    def slow(host: str, *more: Any, **options: Any) -> Any:
        if host == "127.0.0.1":
            return look(host, *more, **options)
        over.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(fetched_references, "_FETCH_S", 0.3)
    answer = fetching.post(image_url="http://pictures.example/a.png")
    over.set()
    assert "longer than 0.3 s" in answer.json()["message"]


def test_certificate_is_checked(fetching, serve, tmp_path, monkeypatch):
    """An https address needs a certificate that is trusted."""
    server = serve(picture, tls=own_certificate(tmp_path))
    refused = fetching.post(image_url=f"{server.url}/a.png")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    assert (400, 200) == (refused.status_code, fetching.post(image_url=f"{server.url}/a.png").status_code)
    assert "CERTIFICATE_VERIFY_FAILED" in refused.json()["message"]


def test_huge_jpeg_is_read_at_a_fraction(shared, serve):
    """A JPEG of 75 megapixels, as phones make them, is read while being scaled down."""
    jpeg = encoded(10_000, 7_500, "JPEG")

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.answer(200, jpeg)

    answer = shared.post(image_url=f"{serve(act).url}/a.jpg")
    assert (200, 1184) == (answer.status_code, answer.json()["images"][0]["width"])


# Who loads


@pytest.mark.parametrize(("option", "status"), [([], 200), (["--fetch"], 400)])
def test_fetch_is_an_option_of_the_command(option, status):
    """Without the option an unknown host gets a stand-in, named on the terminal; with it the host is asked for."""
    command = [sys.executable, "-m", "kontext_lab", "sandbox", "--port", "0", *option]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url = re.search(r"http://[\d.:]+", child.stdout.readline())
        assert url
        body = {
            "model": "flux/kontext-pro/image-to-image",
            "prompt": "x",
            "image_url": "http://pictures.invalid/a.png",
        }
        headers = {"Authorization": "Bearer k"}
        answer = requests.post(f"{url[0]}/v1/images/generations", headers=headers, json=body, timeout=30)
        child.terminate()
        _, told = child.communicate(timeout=10)
    assert (status, status == 200) == (
        answer.status_code,
        "http://pictures.invalid/a.png was not loaded" in told,
    )


def test_lab_says_that_a_stand_in_was_edited(net, lab, serve):
    """Where the sandbox edited another photograph than the lab measures against, the results say so."""
    net.names["pictures.example"] = "127.0.0.1"
    address = f"http://pictures.example:{serve(picture).port}/a.png"
    results = lab.run(kl.Sweep("Add a bird.", address), progress=False)
    assert [1] == [line.count(address) for line in results.notes]


def test_the_labs_own_sandbox_loads():
    """The lab loads references by address itself to measure them: its sandbox edits the same pictures."""
    connection = connect("sandbox")
    try:
        assert isinstance(connection.box, Sandbox)
        body = {
            "model": "flux/kontext-pro/image-to-image",
            "prompt": "x",
            "image_url": "http://10.0.0.1/a.png",
        }
        url = f"{connection.box.url}/v1/images/generations"
        answer = requests.post(url, headers={"Authorization": "Bearer k"}, data=json.dumps(body), timeout=20)
        assert (400, True) == (answer.status_code, connection.box._service.references.fetch)
    finally:
        connection.close()
