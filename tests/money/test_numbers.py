"""Figures and addresses that a service makes up: no sum is without sense, no sweep runs on, no picture is lost."""

from __future__ import annotations

import json
import math
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import kontext_lab as kl
from kontext_lab.cli.main import run_command
from kontext_lab.client import KontextClient, http_session
from kontext_lab.request.attempt import Answer
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.sandbox import Sandbox

PRO = "flux/kontext-pro/image-to-image"


class Service:
    """Answers every request alike, and serves one picture wherever it is asked for one.

    Attributes:
        headers: of an answer.
        host: of the pictures' addresses.
        body: of an answer, in place of a list of one address.
        posts: requests that came.
        gets: pictures that were asked for.
        hangs: set once pictures are to be served; None for at once.
    """

    def __init__(self, picture: bytes) -> None:
        self.headers: dict[str, str] = {}
        self.host, self.body = "127.0.0.1", b""
        self.posts = self.gets = 0
        self.hangs: threading.Event | None = None
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                service.posts += 1
                link = f"http://{service.host}:{service.port}/{service.posts}.jpg"
                self._answer(
                    200, service.body or json.dumps({"images": [{"url": link}]}).encode(), service.headers
                )

            def do_GET(self) -> None:
                if not self.path.endswith(".jpg"):
                    self._answer(404, b"", {})
                    return
                service.gets += 1
                if service.hangs is not None:
                    service.hangs.wait(20)
                self._answer(200, picture, {})

            def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def service(photo_file: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service of the test's own, as the API that the environment names."""
    made = Service(photo_file.read_bytes())
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("AIMLAPI_BASE_URL", made.url)
    monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A service that charges six times its list price."""
    with Sandbox(prices={PRO: 0.312}) as running:
        yield running


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Eight cells."""
    return kl.Sweep("Add a bird.", photo_file, axes={"seed": "1-8"}, aspect_ratio="1:1")


def test_a_charge_far_above_the_plan_stops_the_sweep(api: Sandbox, sweep: kl.Sweep, quick: Pacing) -> None:
    """What nobody agreed to pay is paid once, told with the way on, and counted as the service said."""
    with kl.Lab(measure=False) as lab:
        results = lab.run(sweep, progress=False, concurrency=1, pacing=quick)
    assert ("price", {"done": 1, "cancelled": 7}) == (results.stopped, results.counts)
    assert 0.312 == results.spent
    assert (
        "the service charged $0.31 for a request that was planned at $0.052: stopped; to go on at that price, "
        "run it again with `price: 0.312` in the sweep"
    ) in results.notes


def test_a_price_that_a_person_states_is_agreed_to(api: Sandbox, sweep: kl.Sweep, quick: Pacing) -> None:
    """The way on that the line names is one, in any later process."""
    with kl.Lab(measure=False) as lab:
        lab.run(sweep, progress=False, concurrency=1, pacing=quick)
    with kl.Lab(measure=False) as lab:
        results = lab.run(sweep.replace(price=0.312), progress=False, pacing=quick)
    assert ("", {"done": 8}) == (results.stopped, results.counts)


def test_the_larger_figure_is_reserved(api: Sandbox, sweep: kl.Sweep, quick: Pacing) -> None:
    """After the first charge a budget holds by what requests really cost."""
    with kl.Lab(measure=False) as lab:
        results = lab.run(sweep, progress=False, concurrency=1, pacing=quick, budget=1.0, pause_after=0)
    assert {"done": 3, "skipped": 5} == results.counts


@pytest.mark.parametrize("amount", ["1e308", "1e999", "inf", "9" * 300, "1000001"])
def test_an_absurd_amount_stops_the_sweep(
    service: Service, sweep: kl.Sweep, quick: Pacing, tracked: Callable[..., list[Run]], amount: str
) -> None:
    """A figure beyond all sense enters no sum: the planned price does, and the sweep stops."""
    service.headers = {"x-aimlapi-usd-spent": amount}
    with kl.Lab(measure=False) as lab:
        results = lab.run(sweep, progress=False, concurrency=1, pacing=quick)
    assert ("price", 0.052, 0.052) == (results.stopped, results.spent, results.cost)
    assert {0.052} == {run.data.metrics["cost/usd"] for kind in ("cell", "sweep") for run in tracked(kind)}
    assert f"the service says that it charged '{amount[:5]}" in results.notes[0]


@pytest.mark.parametrize("amount", ["1e308", "-5", "nan"])
def test_no_line_names_an_infinite_sum(
    service: Service, sweep: kl.Sweep, workdir: Path, capfd: pytest.CaptureFixture[str], amount: str
) -> None:
    """Four such answers at once are no infinite sum in a line either."""
    service.headers = {"x-aimlapi-usd-spent": amount}
    sweep.to_yaml(workdir / "sweep.yaml")
    run_command(["run", "sweep.yaml", "--yes", "--no-measure"])
    run_command(["list"])
    said = "".join(capfd.readouterr())
    assert [] == re.findall(r"\$(?:inf|nan|-)|\$\d{4,}", said)
    assert "paid now $0." in said


@pytest.fixture
def inside(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The same, with its pictures on another machine of a private network."""
    look, create = socket.getaddrinfo, http_session.create_connection
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.9.9.9", service.port))]

    def fake(host: str, *more: object) -> object:
        return found if host == "pictures.example" else look(host, *more)  # type: ignore[arg-type]

    def lead(address: tuple[str, int], *more: object, **options: object) -> socket.socket:
        there = ("127.0.0.1", address[1]) if address[0] == "10.9.9.9" else address
        return create(there, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    monkeypatch.setattr(http_session, "create_connection", lead)
    service.host = "pictures.example"
    return service


def test_refused_pictures_are_fetched_once_they_may_be(
    inside: Service, sweep: kl.Sweep, quick: Pacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five paid pictures that a setting forbids stop the sweep; with the host named `recover` brings them free."""
    with kl.Lab(measure=False) as lab:
        results = lab.run(sweep, progress=False, concurrency=1, pacing=quick)
        assert ("billed", {"failed": 5, "cancelled": 3}) == (results.stopped, results.counts)
        assert "add it to AIMLAPI_PICTURE_HOSTS, then `kontext-lab recover` (free)" in results[0].note
        (found,) = lab.recover()
        assert (0, True) == (found.answers, "AIMLAPI_PICTURE_HOSTS" in found.problem)
    assert (5, 0) == (inside.posts, inside.gets)

    monkeypatch.setenv("AIMLAPI_PICTURE_HOSTS", "pictures.example")
    with kl.Lab(measure=False) as lab:
        (found,) = lab.recover()
        assert (5, "") == (found.answers, found.problem)
        assert (5, 5) == (inside.posts, inside.gets)
        assert {"done": 8} == lab.run(sweep, progress=False, pacing=quick).counts
    assert 8 == inside.posts


def test_a_refused_picture_is_not_given_up_with_time(
    inside: Service, sweep: kl.Sweep, quick: Pacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses live for days at most, but one that nobody tried is tried before it is given up."""
    with kl.Lab(measure=False) as lab:
        lab.run(sweep.replace(seed=1), progress=False, pacing=quick)
        (journal,) = lab.context.journal.unfinished()
        ((intent, attempt_folder),) = journal.attempt_folders()
        long_ago = datetime.now(UTC) - timedelta(days=30)
        attempt_folder.keep_intent(type(intent)(**{**vars(intent), "when": long_ago.isoformat()}))
        (found,) = lab.recover()
    assert (0, True) == (found.answers, "AIMLAPI_PICTURE_HOSTS" in found.problem)


def test_a_picture_at_the_start_of_a_flood_is_kept(service: Service, sweep: kl.Sweep, quick: Pacing) -> None:
    """An answer that goes on for megabytes behind its picture's address is read as far as it makes sense."""
    link = f"{service.url}/a.jpg".encode()
    service.body = b'{"images": [{"url": "' + link + b'"}], "more": [' + b"0, " * 4_000_000 + b"0]}"
    with kl.Lab(measure=False) as lab:
        results = lab.run(sweep.replace(seed=1), progress=False, pacing=quick)
    assert ({"done": 1}, 1) == (results.counts, service.gets)


@pytest.mark.slow
def test_hosts_that_hang_are_given_one_time_for_all(
    service: Service, sweep: kl.Sweep, quick: Pacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures that don't come in time stay in the journal; recovering does not wait for each of them in turn."""
    hangs = threading.Event()
    service.hangs = hangs
    monkeypatch.setattr(KontextClient, "collect", hurried(KontextClient.collect))
    with kl.Lab(measure=False) as lab:
        results = lab.run(sweep, progress=False, concurrency=1, pacing=replace(quick, downloads=1))
        assert ("billed", {"failed": 5, "cancelled": 3}) == (results.stopped, results.counts)
        assert "did not deliver it within" in results[0].note
        asked = service.gets
        hasty = replace(lab.context.options, pacing=replace(quick, fetching=0.0))
        monkeypatch.setattr(lab.context, "options", hasty)
        (found,) = lab.recover()
        assert (0, "pictures could not be reached yet: recover again later") == (found.answers, found.problem)
        assert 1 == service.gets - asked
        hangs.set()
        assert [5] == [one.answers for one in lab.recover()]
    assert 5 == service.posts


def hurried(collect: Callable[..., Answer]) -> Callable[..., Answer]:
    """The same within half a second."""

    def quickly(client: KontextClient, *what: object, **more: object) -> Answer:
        monkey = KontextClient(replace(client.settings, read_timeout=0.5))
        try:
            return collect(monkey, *what, **more)
        finally:
            monkey.close()

    return quickly


@pytest.mark.parametrize("amount", [math.inf, math.nan, -1.0, 1e308])
def test_a_cost_that_somebody_else_wrote_spoils_no_sum(
    service: Service,
    sweep: kl.Sweep,
    quick: Pacing,
    tracked: Callable[..., list[Run]],
    amount: float,
) -> None:
    """A store's numbers come from outside as well: what is no amount counts as none."""
    with kl.Lab(measure=False) as lab:
        lab.run(sweep.replace(seed="1-2"), progress=False, pacing=quick)
        MlflowClient().log_metric(tracked()[0].info.run_id, "cost/usd", amount)
        spent = [
            lab.load("last").cost,
            lab.spending().total,
            lab.run(sweep, progress=False, pacing=quick).cost,
        ]
    assert all(0 <= one < 1e6 for one in spent), spent
