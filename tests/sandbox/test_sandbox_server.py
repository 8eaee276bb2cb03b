"""The server's life: loopback only, threads, limits, stopping, and the process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from kontext_lab.sandbox import PortInUseError, Sandbox, serve, simulated_service
from kontext_lab.sandbox.painting import make_picture
from kontext_lab.sandbox.simulated_service import Service


def sandbox_threads() -> list[str]:
    """Names of the sandbox's threads that are alive."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sandbox")]


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A sandbox in a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "kontext_lab", "sandbox", *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts jobs in the background hands an ignored interrupt down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - nothing else happens there
    ) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def test_it_listens_on_loopback_only():
    """The listening socket is bound to 127.0.0.1."""
    with Sandbox() as box:
        server = box._server
        assert server is not None
        assert server.socket.getsockname()[0] == "127.0.0.1"
        assert f"http://127.0.0.1:{server.port}" == box.url


def test_other_addresses_of_the_machine_are_closed():
    """Nobody answers on another address of this machine."""
    with Sandbox() as box, pytest.raises(OSError, match=r"\w"):
        socket.create_connection(("127.0.0.2", int(box.url.rpartition(":")[2])), timeout=2).close()


def test_start_and_stop_may_be_repeated():
    """Starting twice and stopping twice change nothing; a restart keeps the address and the memory."""
    box = Sandbox()
    first = box.start().start().url
    box.stop()
    box.stop()
    assert first == box.start().url
    box.stop()
    assert sandbox_threads() == []


def test_stopped_sandbox_refuses_connections(client):
    """After a stop nobody listens any more."""
    client.box.stop()
    with pytest.raises(requests.ConnectionError):
        client.post()


def test_record_outlives_the_stop(client):
    """Calls and bill can be read after the stop."""
    client.post()
    client.box.stop()
    assert (len(client.box.calls), client.box.bill) == (1, 0.052)


def test_url_before_start_is_an_error():
    """There is no address before the start."""
    with pytest.raises(RuntimeError, match="not been started"):
        _ = Sandbox().url


@pytest.mark.parametrize("settings", [{"latency": 30.0}, {"faults": ["lost"]}], ids=["working", "lost"])
def test_stop_does_not_wait_for_requests(make_client, settings):
    """A stop cuts requests under way at once and leaves no threads."""
    client = make_client(**settings)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.post)
        deadline = time.monotonic() + 5
        while not client.box.calls and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        client.box.stop()
        # The one that would have worked, or kept silent, for long is gone as well.
        assert sandbox_threads() == []
        with pytest.raises(requests.ConnectionError):
            waiting.result()


def test_port_in_use_is_one_clear_error(client):
    """A taken port is an error of its own kind."""
    with pytest.raises(PortInUseError, match="in use"):
        Sandbox(port=int(client.box.url.rpartition(":")[2])).start()


def test_serve_on_a_taken_port_ends_with_2(client, capsys):
    """`serve` says in one line that the port is taken."""
    assert serve(int(client.box.url.rpartition(":")[2])) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"shape": "new"}, {"envelope": "html"}, {"latency": -1}, {"concurrency": 0}, {"keys": "abc"},
        {"faults": ["nonsense"]}, {"faults": {"lost": 0.6, "black": 0.6}}, {"log_delay": float("nan")},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(settings):
    """Settings are checked before anything starts."""
    with pytest.raises(ValueError, match=r"\w"):
        Sandbox(**settings)


def test_an_answer_comes_after_the_latency(make_client):
    """Not before."""
    client = make_client(latency=0.5)
    began = time.monotonic()
    client.post()
    assert 0.5 <= time.monotonic() - began


def test_latency_includes_the_rendering(make_client, monkeypatch):
    """What is waited for is the rest of the latency."""
    waits = []
    monkeypatch.setattr(Service, "_pause", lambda _, seconds: waits.append(seconds))
    monkeypatch.setattr(
        simulated_service, "make_picture", lambda *given: (time.sleep(0.2), make_picture(*given))[1]
    )
    client = make_client(latency=60.0)
    began = time.monotonic()
    client.post()
    took = time.monotonic() - began
    assert [True] == [60 - took <= seconds <= 60 - 0.2 for seconds in waits]


def test_requests_run_side_by_side(make_client):
    """Several requests are worked on at once, and the record says how many."""
    client = make_client(latency=0.6)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda seed: client.post(seed=seed), range(1, 5)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert (client.box.max_in_flight, client.box.in_flight) == (4, 0)


def test_too_many_at_once_get_429(make_client):
    """Beyond the concurrency limit requests are refused, in the envelope and for free."""
    client = make_client(latency=0.8, concurrency=2)
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda seed: client.post(seed=seed).status_code, range(1, 5)))
    assert statuses == [200, 200, 429, 429]
    assert client.box.bill == 0.104


def test_strict_client_never_meets_the_limit(make_client):
    """A client that waits for each answer is never over the limit, however fast it follows up."""
    client = make_client(concurrency=1)
    assert [client.post().status_code for _ in range(10)] == [200] * 10
    assert client.box.max_in_flight == 1


def test_connections_are_kept_alive(client):
    """Answers do not end the connection, also after errors."""
    for fields in ({}, {"seed": 0}, {"model": "gone"}):
        client.post(**fields)
    pools = client.session.get_adapter(client.box.url).poolmanager.pools
    assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118  not a plain mapping


def test_client_that_went_away_gets_no_delivery(make_client):
    """An answer to a client that gave up counts as billed and not as delivered."""
    client = make_client(latency=0.6)
    with pytest.raises(requests.ReadTimeout):
        client.post(timeout=0.2)
    deadline = time.monotonic() + 5
    while client.box.calls[0].answered is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (client.box.bill, client.box.calls[0].delivered) == (0.052, False)


def test_concurrent_requests_cannot_overdraw(make_client):
    """Requests at the same time do not spend more than the balance."""
    client = make_client(latency=0.5, balance=0.11)
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda seed: client.post(seed=seed).status_code, range(1, 5)))
    assert statuses == [200, 200, 403, 403]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_process_says_its_address_and_ends_cleanly(number):
    """The process prints one line when it is ready and ends with 0 on Ctrl-C, SIGTERM and SIGHUP."""
    with process("--port", "0", "--shape", "current", "--latency", "0.1") as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        match = re.fullmatch(
            r"Sandbox: simulated pictures, free, at (http://127\.0\.0\.1:\d+) \(Ctrl-C stops it\)\n", line
        )
        assert match
        answer = requests.get(f"{match[1]}/v1/models", headers={"User-Agent": "t"}, timeout=10)
        assert answer.status_code == 200
        os.kill(child.pid, number)
        out, err = child.communicate(timeout=10)
    assert (child.returncode, out, err) == (0, "", "")


def test_process_on_a_taken_port_ends_with_2(client):
    """A taken port is one line on stderr and exit code 2."""
    with process("--port", client.box.url.rpartition(":")[2]) as child:
        _, err = child.communicate(timeout=20)
    assert (child.returncode, len(err.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    "arguments",
    [("--prices", '{"a": "dear"}'), ("--prices", "[1]"), ("--faults", '{"lost"'), ("--faults", "nonsense")],
    ids=" ".join,
)
def test_process_with_an_impossible_option_ends_with_2(arguments):
    """A mistake in JSON, a price that is no number and an unknown fault are one line on stderr and exit code 2."""
    with process("--port", "0", *arguments) as child:
        _, err = child.communicate(timeout=20)
    assert (child.returncode, len(err.splitlines()), "Traceback" in err) == (2, 1, False)


def test_process_takes_prices_faults_and_keys():
    """The options of the command reach the service: its price, its fault, and the key that it accepts."""
    model = "flux/kontext-pro/image-to-image"
    options = (
        "--prices",
        f'{{"{model}": 0.5}}',
        "--faults",
        '["unavailable"]',
        "--key",
        "k",
        "--latency",
        "0",
    )
    image = "http://pictures.example/a.png"
    with process("--port", "0", *options) as child:
        assert child.stdout is not None
        url = re.search(r"http://[\d.:]+", child.stdout.readline())
        assert url
        statuses = [
            requests.post(
                f"{url[0]}/v1/images/generations",
                headers={"Authorization": f"Bearer {key}"},
                json={"model": model, "prompt": "x", "image_url": image},
                timeout=30,
            ).status_code
            for key in ("k", "another", "k")
        ]
        billing = requests.get(f"{url[0]}/v2/billing", headers={"Authorization": "Bearer k"}, timeout=10)
    assert ([503, 401, 200], 99.5) == (statuses, billing.json()["current_balance"])


def test_importing_starts_nothing():
    """Importing the package starts no thread and pulls in nothing else of the project."""
    code = (
        "import sys, threading, kontext_lab.sandbox\n"
        "mine = [name for name in sys.modules if name.startswith('kontext_lab.')]\n"
        "print(threading.active_count(), all(name.startswith('kontext_lab.sandbox') for name in mine))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "1 True"


def test_half_sent_request_is_no_call(client):
    """A request whose sender vanished while sending never reached the service."""
    port = int(client.box.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as sender:
        head = "POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"
        sender.sendall(head.encode())
    time.sleep(0.2)
    assert client.post().status_code == 200
    assert len(client.box.calls) == 1


def test_failure_of_the_sandbox_itself_is_an_honest_500(client, monkeypatch, caplog):
    """A mistake in the sandbox is a 500 that says so, free of charge, and the next request works."""
    with monkeypatch.context() as patch:
        patch.setattr("kontext_lab.sandbox.simulated_service.make_picture", lambda *_: 1 / 0)
        answer = client.post()
    assert (answer.status_code, client.box.bill) == (500, 0)
    assert "sandbox itself" in answer.json()["message"]
    assert "ZeroDivisionError" in caplog.text
    assert client.post().status_code == 200


def test_faults_meet_calls_in_the_same_order(make_client):
    """Also when requests arrive at once, the n-th call meets the n-th fault."""
    names = ["rate_limited", None, "unavailable", "server_error", None, "bad_gateway"]
    client = make_client(faults=names)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda seed: client.post(seed=seed), range(1, 7)))
    assert [call.fault for call in client.box.calls] == names


@pytest.mark.slow
def test_lost_answer_does_not_hold_up_the_record(make_client):
    """While an answer is being withheld, the record can be read at once."""
    client = make_client(faults=["lost"])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.post, timeout=3)
        deadline = time.monotonic() + 5
        while not client.box.bill and time.monotonic() < deadline:
            time.sleep(0.02)
        assert [call.billed_usd for call in client.box.calls] == [0.052]
        assert not waiting.done()
        with pytest.raises(requests.ReadTimeout):
            waiting.result()
