"""Going on after something went wrong: what the journal holds comes first, and nothing is sent twice."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow.entities import Run

import kontext_lab as kl
from kontext_lab.errors import AlreadyRunning, TrackingError
from kontext_lab.journal import FolderPermits, Intent
from kontext_lab.lab.plan import Action
from kontext_lab.request.attempt import RawAnswer
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.sandbox import Sandbox
from kontext_lab.tracking import Store


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Four cells."""
    return kl.Sweep("Add a bird.", photo_file, axes={"seed": [1, 2, 3, 4]}, aspect_ratio="1:1")


def cut_off(
    lab: kl.Lab, sweep: kl.Sweep, place: int, raw: RawAnswer | None, request_id: str = "kl-x"
) -> None:
    """Leave in the journal what a process leaves that dies after sending, or after reading an answer."""
    journal = lab.context.journal_of(sweep)
    if not journal.folder.is_dir():
        journal.begin(sweep)
    cell = sweep.cells[place]
    print_ = cell.request.fingerprint(lab.context.connection.name)
    attempt_folder = journal.intend(
        Intent(place, cell.title, request_id, print_, 0.052, "2099-01-01T00:00:00+00:00")
    )
    attempt_folder.mark_sent("a process")
    if raw is not None:
        attempt_folder.keep_answer(raw)


def answered(lab: kl.Lab, sweep: kl.Sweep, place: int) -> RawAnswer:
    """A real answer to a cell's request."""
    return lab.context.connection.client.post(sweep.cells[place].request, "kl-x")


def test_an_answer_in_the_journal_is_downloaded_and_logged_first(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep
) -> None:
    """What was read before a crash is not sent again: four cells, four requests in all."""
    cut_off(lab, sweep, 2, answered(lab, sweep, 2))
    results = lab.run(sweep, progress=False)
    assert ({"done": 4}, 4) == (results.counts, len(api.calls))
    assert api.bill == pytest.approx(results.cost)


def test_the_plan_knows_what_the_journal_holds(lab: kl.Lab, api: Sandbox, sweep: kl.Sweep) -> None:
    """One to recover, one in doubt, two to send – before anything happens."""
    cut_off(lab, sweep, 0, answered(lab, sweep, 0))
    cut_off(lab, sweep, 1, None, "kl-unknown")
    plan = lab.plan(sweep)
    assert (1, 1, 2) == (len(plan.of(Action.RECOVER)), plan.in_doubt, plan.requests)
    assert "1 to recover" in plan.line


def test_a_taken_permit_without_an_answer_is_in_doubt(lab: kl.Lab, api: Sandbox, sweep: kl.Sweep) -> None:
    """A process that died between sending and answer may have paid: the cell is not sent by a plain run."""
    cut_off(lab, sweep, 1, None)
    results = lab.run(sweep, progress=False)
    assert ["done", "in_doubt", "done", "done"] == [cell.state for cell in results]
    assert 3 == len(api.calls)
    assert [] == lab.unfinished


def test_an_intent_whose_permit_nobody_took_is_simply_sent(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep
) -> None:
    """A process that died before its request left owes nothing, whatever the service's log says."""
    journal = lab.context.journal_of(sweep)
    journal.begin(sweep)
    cell = sweep.cells[1]
    attempt_folder = journal.intend(Intent(1, cell.title, "kl-x", cell.request.fingerprint("x"), 0.052, ""))
    late = FolderPermits().issue(attempt_folder, "kl-x")
    assert (0, 4) == (lab.plan(sweep).in_doubt, lab.plan(sweep).requests)
    results = lab.run(sweep, progress=False)
    assert ({"done": 4}, 4) == (results.counts, len(api.calls))
    assert not late.take()


def test_an_intent_that_the_log_knows_as_failed_is_simply_sent(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep
) -> None:
    """The log's word makes a doubt free."""
    api.script(["server_error"])
    with pytest.raises(kl.KontextLabError):
        lab.context.connection.client.post(sweep.cells[1].request, "kl-failed")
    cut_off(lab, sweep, 1, None, "kl-failed")
    results = lab.run(sweep, progress=False)
    assert {"done": 4} == results.counts


def test_a_recovery_that_cannot_be_summed_up_ends_its_run_once(
    lab: kl.Lab, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that hangs is not waited for twice."""
    cut_off(lab, sweep, 1, None)
    ended: list[str] = []

    def refuse(*_: object, **__: object) -> None:
        raise TrackingError("database is locked")

    monkeypatch.setattr("kontext_lab.tracking.writing.finish_sweep", refuse)
    monkeypatch.setattr(Store, "end_run", lambda _, run_id: ended.append(run_id))
    (recovery,) = lab.recover()
    assert ("not delivered: database is locked", 1) == (recovery.problem, len(ended))


def test_a_fresh_run_leaves_no_old_one_running(
    lab: kl.Lab, sweep: kl.Sweep, tracked: Callable[..., list[Run]]
) -> None:
    """`reuse="never"` after a crash: what came is logged to the old run, which ends; the new one has all four."""
    cut_off(lab, sweep, 0, answered(lab, sweep, 0))
    results = lab.run(sweep, progress=False, reuse="never")
    assert {"done": 4} == results.counts
    assert ["FINISHED", "KILLED"] == sorted(run.info.status for run in tracked("sweep"))
    assert {"FINISHED"} == {run.info.status for run in tracked()}


@pytest.fixture
def unreachable_host() -> str:
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def host(photo_file: Path) -> Iterator[tuple[str, bytes]]:
    """A picture host and what it serves."""
    served = photo_file.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(served)))
            self.end_headers()
            self.wfile.write(served)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/a.jpg", served
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_picture_whose_host_is_away_waits_in_the_journal(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, unreachable_host: str, host: tuple[str, bytes]
) -> None:
    """It is neither given up nor bought again; once the host is back, `recover` brings it."""
    address, picture = host
    raw = answered(lab, sweep, 0)
    moved = RawAnswer(200, b'{"images": [{"url": "%s/a.jpg"}]}' % unreachable_host.encode(), raw.headers, 1.0)
    cut_off(lab, sweep, 0, moved)

    results = lab.run(sweep, progress=False, pacing=Pacing(first=0.01, downloads=2))
    assert ["skipped", "done", "done", "done"] == [cell.state for cell in results]
    assert 1 == len(lab.unfinished)

    ((_, attempt_folder),) = lab.context.journal.unfinished()[0].attempt_folders()
    attempt_folder.keep_answer(
        RawAnswer(200, b'{"images": [{"url": "%s"}]}' % address.encode(), raw.headers, 1.0)
    )
    (found,) = lab.recover()
    assert (1, "") == (found.answers, found.problem)
    loaded = lab.load("last")
    assert picture == loaded[0].bytes
    assert 4 == len(api.calls)


@pytest.mark.slow
def test_what_another_sweep_is_sending_is_not_sent_twice(
    store_uri: str, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A longer sweep waits for the one that is under way, then reuses its pictures."""
    with Sandbox(latency=0.5) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        with kl.Lab() as lab:
            handle = lab.start(sweep)
            with pytest.raises(AlreadyRunning, match="4 of its requests are being sent by sweep"):
                lab.run(sweep.replace(seed="1-6"), progress=False)
            handle.wait()
            results = lab.run(sweep.replace(seed="1-6"), progress=False)
        assert ({"done": 6}, 6) == (results.counts, len(box.calls))


def test_sweeps_with_nothing_in_common_run_side_by_side(
    store_uri: str, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two different sweeps of one lab at once: eight requests, eight pictures."""
    with Sandbox(latency=0.3) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        with kl.Lab() as lab:
            handles = [lab.start(sweep), lab.start(sweep.replace(prompt="Add a crab."))]
            counts = [handle.wait().counts for handle in handles]
        assert [{"done": 4}, {"done": 4}] == counts
        assert 8 == len(box.calls)


def test_a_stop_is_told_at_once(lab: kl.Lab, api: Sandbox, sweep: kl.Sweep) -> None:
    """A sweep with nothing under way ends within a moment of being stopped."""
    api.script(["unavailable"] * 4)
    handle = lab.start(sweep, pacing=Pacing(first=20.0))
    while len(api.calls) < 4:
        time.sleep(0.02)
    time.sleep(0.2)
    began = time.monotonic()
    handle.cancel()
    assert {"cancelled": 4} == handle.wait(20).counts
    assert time.monotonic() - began < 10
