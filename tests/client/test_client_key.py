"""The key reaches the API's own origin and nothing else: no other host, no repr, no pickle, no error."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import requests
from client_calls import attempt, edit, fetch_output
from raw_server import Peer, RawServer

from kontext_lab.client import SANDBOX_KEY, ClientSettings, KontextClient, key_from_environment
from kontext_lab.client.keys import KEY_NAMES, GivenKey
from kontext_lab.errors import ConfigError, ServiceError, Unauthorized
from kontext_lab.lab.service import connect as connect_service
from kontext_lab.redaction import SECRET_NAMES
from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import Attempt, RawAnswer
from kontext_lab.sandbox import Sandbox

Connect = Callable[..., KontextClient]


class Recorder:
    """Answers every request the same way and keeps what came."""

    def __init__(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.heads: list[str] = []
        self._answer = (status, body, headers)

    def __call__(self, peer: Peer) -> None:
        self.heads.append(peer.read_request())
        status, body, headers = self._answer
        peer.answer(status, body, **headers)


def test_the_key_is_sent_to_the_api(connect: Connect, plain_request: EditRequest, key: str) -> None:
    """The API gets the key as a bearer token."""
    api = Recorder(401)
    with RawServer(api) as server:
        attempt(connect(server.url), plain_request, "kl-1")
    assert f"Authorization: Bearer {key}" in api.heads[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_api_gets_nothing(
    connect: Connect, plain_request: EditRequest, status: int
) -> None:
    """Neither the key nor the request follows a redirect of the API to another host."""
    other = Recorder(200)
    with RawServer(other) as elsewhere, RawServer(Recorder(status, Location=elsewhere.url)) as server:
        client = connect(server.url)
        attempt(client, plain_request, "kl-1")
        client.balance()
        client.logs()
        client.ping()
    assert other.heads == []


@pytest.mark.parametrize("hops", [0, 1, 3])
def test_a_picture_host_never_sees_the_key(
    connect: Connect, plain_request: EditRequest, key: str, hops: int
) -> None:
    """Downloads go without key, also where a picture lies on the API's own origin or behind redirects."""
    heads: list[str] = []

    def act(peer: Peer) -> None:
        head = peer.read_request()
        heads.append(head)
        hop = len([one for one in heads if one.startswith("GET")])
        if head.startswith("POST"):
            peer.answer(200, json.dumps({"images": [{"url": f"{server.url}/p.png"}]}).encode())
        elif hop <= hops:
            peer.answer(302, Location=f"{server.url}/{hop}.png")
        else:
            peer.answer(200, b"no picture")

    with RawServer(act) as server:
        edit(connect(server.url), plain_request)
    assert hops + 2 == len(heads)
    assert key in heads[0]
    assert all(key not in head and "authorization" not in head.lower() for head in heads[1:])


def test_a_reference_host_never_sees_the_key(connect: Connect, key: str) -> None:
    """References by URL are fetched without key."""
    host = Recorder(200, b"bytes")
    with RawServer(host) as server:
        assert connect(server.url).fetch_reference(server.url) == b"bytes"
    assert key not in host.heads[0]


def test_optional_addresses_without_need_get_no_key(connect: Connect, key: str) -> None:
    """Ping and price send no key, balance and logs do."""
    api = Recorder(404)
    with RawServer(api) as server:
        client = connect(server.url)
        client.ping()
        client.price("x")
        client.balance()
        client.logs()
    assert [key in head for head in api.heads] == [False, False, True, True]


@pytest.mark.parametrize("with_key", [None, "sk-0123456789abcdef-secret"])
def test_netrc_is_never_used(
    connect: Connect,
    plain_request: EditRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_key: str | None,
) -> None:
    """A .netrc entry for the host replaces no key and adds none to downloads."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    host = Recorder(200, b"{}")
    with RawServer(host) as server:
        client = connect(server.url, with_key=with_key)
        edit(client, plain_request)
        fetch_output(client, server.url)
        client.ping()
    assert all("Basic" not in head for head in host.heads)
    assert [with_key is not None, False, False] == ["Authorization" in head for head in host.heads]


def test_a_password_in_a_picture_address_is_not_sent(connect: Connect) -> None:
    """User and password in an output's URL stay here."""
    host = Recorder(200, b"bytes")
    with RawServer(host) as server:
        fetch_output(connect(server.url), server.url.replace("://", "://user:secret@"))
    assert "Authorization" not in host.heads[0]


def test_a_borrowed_session_gives_no_authorization_away(connect: Connect, key: str) -> None:
    """Whatever a session that was passed in would add, a picture's host does not see it."""
    session = requests.Session()
    session.headers["Authorization"] = "Bearer of-the-session"
    session.auth = ("user", "password")
    host = Recorder(200, b"bytes")
    with RawServer(host) as server:
        client = KontextClient(ClientSettings(base_url=server.url), key, session)
        fetch_output(client, server.url)
        client.ping()
    session.close()
    assert all("Authorization" not in head for head in host.heads)


def test_cookies_are_not_kept(connect: Connect) -> None:
    """Nothing a host sets comes back to it or to another."""
    host = Recorder(200, b"bytes", Set_Cookie="id=1; Path=/")
    with RawServer(host) as server:
        client = connect(server.url)
        fetch_output(client, server.url)
        fetch_output(client, server.url)
    assert "Cookie" not in host.heads[1]


def test_the_user_agent_is_our_own(connect: Connect) -> None:
    """The API and its CDN refuse Python's default names, so the client brings its own to both."""
    host = Recorder(200, b"bytes")
    with RawServer(host) as server:
        client = connect(server.url)
        client.ping()
        fetch_output(client, server.url)
    assert all("User-Agent: kontext-lab/" in head for head in host.heads)


def test_no_representation_shows_the_key(client: KontextClient, key: str) -> None:
    """Neither the client nor anything a debugger lists below it shows the key as text."""
    seen: set[int] = set()

    def walk(value: object, depth: int) -> None:
        assert key not in repr(value)
        assert key not in str(value)
        if depth and id(value) not in seen:
            seen.add(id(value))
            parts = value if isinstance(value, dict) else getattr(value, "__dict__", {})
            for part in list(parts.values()):
                walk(part, depth - 1)

    walk(client, 5)
    assert len(seen) > 5


def test_a_pickle_holds_no_key(client: KontextClient, key: str) -> None:
    """A pickled client does not contain the key."""
    assert key.encode() not in pickle.dumps(client)


def test_an_unpickled_client_reads_the_environment(
    client: KontextClient, box: Sandbox, plain_request: EditRequest, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other side uses its own environment's key, one client per process."""
    pickled = pickle.dumps(client)
    monkeypatch.setenv("AIML_API_KEY", key)
    copy, again = pickle.loads(pickled), pickle.loads(pickled)
    assert edit(copy, plain_request).reason is None
    assert copy is again
    assert client.settings == copy.settings
    copy.close()


def test_an_unpickled_client_follows_a_changed_key(
    client: KontextClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another key in the environment makes another client."""
    pickled = pickle.dumps(client)
    monkeypatch.setenv("AIMLAPI_API_KEY", "first-key-first")
    first = pickle.loads(pickled)
    monkeypatch.setenv("AIMLAPI_API_KEY", "second-key-second")
    assert pickle.loads(pickled) is not first


def test_a_key_given_to_this_process_is_replaced_by_no_other(
    box: Sandbox, plain_request: EditRequest, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client with a key of its own goes without one elsewhere: the environment's is another account's."""
    pickled = pickle.dumps(KontextClient(ClientSettings(base_url=box.url), GivenKey(key)))
    monkeypatch.setenv("AIML_API_KEY", "another-account-4711")
    copy = pickle.loads(pickled)
    assert not copy.has_key
    with pytest.raises(Unauthorized):
        edit(copy, plain_request)
    copy.close()
    assert [] == [call for call in box.calls if call.billed_usd]


@pytest.mark.parametrize("environment", [None, "not a\nkey"])
def test_an_unpickled_client_without_key_is_refused(
    client: KontextClient,
    plain_request: EditRequest,
    monkeypatch: pytest.MonkeyPatch,
    environment: str | None,
) -> None:
    """Where the other side has no usable key the service says so; unpickling itself never fails."""
    pickled = pickle.dumps(client)
    if environment:
        monkeypatch.setenv("AIMLAPI_API_KEY", environment)
    copy = pickle.loads(pickled)
    with pytest.raises(Unauthorized, match="AIMLAPI_API_KEY"):
        edit(copy, plain_request)
    copy.close()


def test_a_client_without_key_gets_none_from_the_environment(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """A client that had no key has none after a pickle either."""
    monkeypatch.setenv("AIMLAPI_API_KEY", key)
    assert not pickle.loads(pickle.dumps(connect("http://127.0.0.1:9", with_key=None))).has_key


def test_the_sandbox_key_travels(
    plain_request: EditRequest, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """The sandbox's key is no secret: it goes along, and no real key is sent in its place."""
    monkeypatch.setenv("AIMLAPI_API_KEY", key)
    api = Recorder(401)
    with RawServer(api) as server:
        client = KontextClient(ClientSettings(base_url=server.url), SANDBOX_KEY)
        copy = pickle.loads(pickle.dumps(client))
        attempt(copy, plain_request, "kl-1")
        copy.close()
    assert "Bearer sandbox" in api.heads[0]


@pytest.mark.slow
def test_a_process_pool_works(box: Sandbox, plain_request: EditRequest) -> None:
    """Client, request and attempt travel to a worker process and back."""
    with Sandbox() as open_box:
        client = KontextClient(ClientSettings(base_url=open_box.url), SANDBOX_KEY)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            outcome: Attempt = pool.submit(attempt, client, plain_request, "kl-1").result(60)
    assert outcome.answer is not None
    assert outcome.answer.reason is None


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 502])
def test_an_echoed_key_is_blackened(
    connect: Connect, plain_request: EditRequest, key: str, status: int
) -> None:
    """A service that sends the key back cannot make us keep it: not in bodies, headers or messages."""
    body = json.dumps({"requestId": key, "status": status, "message": f"your key is {key}"}).encode()
    with RawServer(Recorder(status, body, X_Request_Id=key)) as server:
        made = attempt(connect(server.url), plain_request, "kl-1")
    assert key not in repr(made)
    assert key.encode() not in pickle.dumps(made)
    if made.error is not None:
        assert key not in made.error.body
        assert "***" in made.error.body


def test_a_raw_answer_holds_no_key(connect: Connect, plain_request: EditRequest, key: str) -> None:
    """What a journal stores first has no key in it."""
    with RawServer(Recorder(200, f'{{"you sent": "{key}"}}'.encode(), X_Echo=key)) as server:
        raw = connect(server.url).post(plain_request, "kl-1")
    assert key.encode() not in pickle.dumps(raw)


@pytest.mark.parametrize("port", ["closed", "silent", "refusing"])
def test_errors_hold_no_request(connect: Connect, plain_request: EditRequest, key: str, port: str) -> None:
    """An error drags no exception of requests along, which would hold the Authorization header."""
    acts: dict[str, Callable[[Peer], None]] = {
        "closed": Peer.reset,
        "silent": lambda peer: peer.read_request() and None,
        "refusing": Recorder(401),
    }
    with RawServer(acts[port]) as server, pytest.raises(ServiceError) as caught:
        edit(connect(server.url), plain_request)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert caught.tb.tb_next is not None
    frames = traceback.walk_tb(caught.tb.tb_next)  # the first one is this test, which knows the key
    told = "".join(traceback.StackSummary.extract(frames, capture_locals=True).format())
    assert "client_request_id =" in told
    assert key not in told


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer's signal")
def test_an_interrupt_shows_no_key(connect: Connect, plain_request: EditRequest, key: str) -> None:
    """Nor do the local variables of requests, urllib3 and our own frames while an answer is waited for."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    with RawServer(lambda peer: peer.read_request() and peer.stopped.wait(5) and None) as server:
        client = connect(server.url)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            with pytest.raises(KeyboardInterrupt) as caught:
                edit(client, plain_request)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert caught.tb.tb_next is not None
    frames = traceback.walk_tb(caught.tb.tb_next)  # the first one is this test, which knows the key
    told = "".join(traceback.StackSummary.extract(frames, capture_locals=True).format())
    assert "urlopen" in told
    assert key not in told


def test_a_refused_key_is_in_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that no header can carry is masked in every frame that handled it."""
    monkeypatch.setenv("AIMLAPI_API_KEY", "qqzz yyxx")
    with pytest.raises(ConfigError) as caught:
        connect_service("api")
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "check_key" in told
    assert "yyxx" not in told


def test_a_secret_is_never_pickled() -> None:
    """Not even by somebody who takes it out of the environment himself."""
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(key_from_environment({"AIMLAPI_API_KEY": "abcd"}))


@pytest.mark.parametrize("wrong", ["", " qqzz", "qqzz\n", "qq zz", "qqüzz", "qqzz\x00", "qqzz\t"])
def test_an_unusable_key_is_refused_without_showing_it(wrong: str) -> None:
    """Keys that no header can carry are a ConfigError that does not repeat them."""
    with pytest.raises(ConfigError, match="API key") as caught:
        KontextClient(ClientSettings(), wrong)
    assert "qq" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"AIMLAPI_API_KEY": "a"}, "a"),
        ({"AIML_API_KEY": "b"}, "b"),
        ({"AIMLAPI_API_KEY": "a", "AIML_API_KEY": "b"}, "a"),
        ({"AIMLAPI_API_KEY": "", "AIML_API_KEY": "b"}, "b"),
        ({"AIMLAPI_KEY": "c"}, "c"),
        ({"AIML_API_KEY": "b", "AIMLAPI_KEY": "c"}, "b"),
    ],
)
def test_the_environment_has_three_names(environment: dict[str, str], expected: str | None) -> None:
    """The provider's own name comes first; an empty value counts as absent."""
    assert expected == key_from_environment(environment)


def test_every_name_of_the_key_is_a_secret() -> None:
    """Log lines mask the key under every name that it may have in the environment."""
    assert set(KEY_NAMES) <= set(SECRET_NAMES)


def test_raw_answers_pickle() -> None:
    """A raw answer travels and is stored as it is."""
    raw = RawAnswer(200, b"{}", {"a": "b"}, 1.5)
    assert raw == pickle.loads(pickle.dumps(raw))
