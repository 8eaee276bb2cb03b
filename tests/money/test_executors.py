"""Executors that are not the standard library's: whatever they do to a task, its request leaves once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from mlflow.entities import Run

import kontext_lab as kl
from kontext_lab.errors import ConfigError, Unauthorized
from kontext_lab.lab import executors
from kontext_lab.lab.worker import Worker
from kontext_lab.results import Results, State
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.sandbox import Sandbox

PRICE = 0.052
KEY = "marked-key-4711"

Made = Callable[..., Client]

pytestmark = pytest.mark.slow


def until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for a fact of another process."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


@pytest.fixture
def slow_box(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A service slow enough for mishaps to fall into a request."""
    with Sandbox(latency=1.0) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", KEY)
        yield box


@pytest.fixture
def dask(tmp_path: Path, slow_box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """Starts clusters of two worker processes; hidden from them lies the journal behind their own /proc/self."""
    made: list[tuple[Client, LocalCluster]] = []
    before = dict(os.environ)

    def make(*, hidden: bool = False, key: bool = True) -> Client:
        if hidden:
            # The same path is another folder in every process: what a cluster without a shared disk sees.
            elsewhere = tmp_path / "elsewhere"
            elsewhere.mkdir()
            monkeypatch.setenv("KONTEXT_LAB_HOME", "/proc/self/cwd/home")
            monkeypatch.chdir(elsewhere)
        with monkeypatch.context() as for_workers:
            if not key:
                for_workers.delenv("AIMLAPI_API_KEY")
            cluster = LocalCluster(
                n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0", silence_logs=50
            )
        client = Client(cluster)
        made.append((client, cluster))
        if hidden:
            monkeypatch.chdir(tmp_path)
        return client

    yield make
    for client, cluster in made:
        client.close()
        cluster.close()
    # Dask writes what its workers are to get into the environment of the program that starts them.
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


class BareCluster:
    """A scheduler and one worker as processes that nobody starts again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        file = folder / "scheduler.json"
        self.scheduler = self._start("dask_scheduler", "--port", "0", "--scheduler-file", str(file))
        until(file.exists)
        self.worker = self._start(
            "dask_worker", "--no-nanny", "--nthreads", "2", "--scheduler-file", str(file)
        )
        self.client = Client(scheduler_file=str(file))
        self.client.wait_for_workers(1, timeout=60)

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{name}", "--no-dashboard", *arguments]
        with (self._folder / name).open("wb") as log:
            return subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)

    def close(self) -> None:
        for process in (self.worker, self.scheduler):
            process.kill()
            process.wait(20)
        self.client.close(timeout=2)
        # A client that gave up its scheduler by itself leaves its loop running.
        with suppress(RuntimeError):
            self.client.loop.add_callback(self.client.loop.stop)


@pytest.fixture
def bare_cluster(
    tmp_path: Path, slow_box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., BareCluster]]:
    """Starts one whose processes a test may stop for good."""
    made: list[BareCluster] = []

    def make(*, hidden: bool = True) -> BareCluster:
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        if hidden:
            monkeypatch.setenv("KONTEXT_LAB_HOME", "/proc/self/cwd/home")
        monkeypatch.setattr(Worker, "patience", lambda *_: 3.0)
        made.append(BareCluster(folder))
        return made[0]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Twelve cells."""
    return kl.Sweep("Add a bird.", photo_file, axes={"seed": "1-12"}, aspect_ratio="1:1")


@pytest.fixture
def pacing() -> Pacing:
    """Hardly any waiting; a lost answer is asked about at once and again."""
    return Pacing(first=0.01, longest=0.05, store=0.2, asks=(0.5, 1.0, 2.0, 4.0))


@pytest.fixture
def lab(slow_box: Sandbox) -> Iterator[kl.Lab]:
    """A lab at the slow service."""
    with kl.Lab(measure=False, concurrency=4) as made:
        yield made


def books(box: Sandbox, results: Results, tracked: Callable[..., list[Run]]) -> tuple[float, float, float]:
    """What the service billed, what the program says, what the store says."""
    stored = sum(run.data.metrics.get("cost/usd", 0.0) for run in tracked())
    return round(box.bill, 6), round(results.spent, 6), round(stored, 6)


def sent_twice(box: Sandbox) -> list[str | None]:
    """Requests that reached the service more than once."""
    return [one for one, count in Counter(call.client_request_id for call in box.calls).items() if count > 1]


def delivered_once(box: Sandbox, results: Results) -> None:
    """Each picture was billed once, and is there."""
    assert [] == sent_twice(box)
    assert {"done": len(results)} == results.counts
    assert pytest.approx(box.bill) == results.cost


# Dask


@pytest.mark.cluster
@pytest.mark.parametrize("hidden", [False, True], ids=["shared disk", "own disks"])
def test_a_cluster_runs_a_sweep(
    dask: Made,
    lab: kl.Lab,
    slow_box: Sandbox,
    sweep: kl.Sweep,
    *,
    pacing: Pacing,
    tracked: Callable[..., list[Run]],
    hidden: bool,
) -> None:
    """Bill, program and store agree, whether the workers see the journal's disk or not."""
    executor = dask(hidden=hidden).get_executor()
    results = lab.run(sweep, progress=False, pacing=pacing, executor=executor)
    delivered_once(slow_box, results)
    assert 1 == len(set(books(slow_box, results, tracked)))


@pytest.mark.cluster
@pytest.mark.kill
@pytest.mark.parametrize("hidden", [False, True], ids=["shared disk", "own disks"])
def test_killed_workers_pay_for_nothing_twice(
    dask: Made,
    lab: kl.Lab,
    slow_box: Sandbox,
    sweep: kl.Sweep,
    monkeypatch: pytest.MonkeyPatch,
    *,
    pacing: Pacing,
    tracked: Callable[..., list[Run]],
    hidden: bool,
) -> None:
    """The scheduler runs a killed worker's tasks again; the permit is gone, so nothing is sent again."""
    # A worker that is killed between permit and request leaves no row in the log, so that patience ends the wait.
    monkeypatch.setattr(Worker, "patience", lambda *_: 15.0)
    client = dask(hidden=hidden)
    budget = 20 * PRICE
    handle = lab.start(
        sweep.replace(seed="1-20"),
        pacing=pacing,
        executor=client.get_executor(),
        budget=budget,
        pause_after=0,
    )
    for kill in range(1, 4):
        until(lambda kill=kill: slow_box.in_flight and len(slow_box.calls) >= 4 * kill)
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    results = handle.wait(120)

    assert handle.done
    assert [] == sent_twice(slow_box)
    assert slow_box.bill <= budget + 1e-9
    assert 1 == len(set(books(slow_box, results, tracked)))
    assert results.counts[State.DONE] + results.counts[State.IN_DOUBT] == 20


@pytest.mark.cluster
@pytest.mark.parametrize("hidden", [False, True], ids=["shared disk", "own disks"])
def test_a_stop_keeps_what_a_cluster_has_under_way(
    dask: Made,
    lab: kl.Lab,
    slow_box: Sandbox,
    sweep: kl.Sweep,
    *,
    pacing: Pacing,
    tracked: Callable[..., list[Run]],
    hidden: bool,
) -> None:
    """Dask calls running tasks cancelled; their pictures arrive all the same, and the rest is sent by the next run."""
    executor = dask(hidden=hidden).get_executor()
    handle = lab.start(sweep, pacing=pacing, executor=executor)
    until(lambda: slow_box.in_flight)
    handle.cancel()
    first = handle.wait(60)
    assert handle.done
    assert len(slow_box.calls) == first.counts[State.DONE] > 0
    assert 1 == len(set(books(slow_box, first, tracked)))

    results = lab.run(sweep, progress=False, pacing=pacing, executor=executor)
    delivered_once(slow_box, results)
    assert 12 == len(slow_box.calls)


@pytest.mark.cluster
@pytest.mark.kill
@pytest.mark.parametrize("hidden", [False, True], ids=["shared disk", "own disks"])
def test_a_restarted_cluster_pays_for_nothing_twice(
    dask: Made,
    lab: kl.Lab,
    slow_box: Sandbox,
    sweep: kl.Sweep,
    *,
    pacing: Pacing,
    tracked: Callable[..., list[Run]],
    hidden: bool,
) -> None:
    """All workers are killed and all tasks forgotten in the middle of their requests."""
    client = dask(hidden=hidden)
    handle = lab.start(sweep, pacing=pacing, executor=client.get_executor(), pause_after=0)
    until(lambda: slow_box.in_flight)
    client.restart(timeout=60)
    results = handle.wait(120)
    assert handle.done
    assert [] == sent_twice(slow_box)
    assert 1 == len(set(books(slow_box, results, tracked)))


@pytest.mark.kill
@pytest.mark.parametrize("hidden", [False, True], ids=["shared disk", "own disks"])
def test_a_scheduler_that_dies_ends_the_sweep(
    bare_cluster: Callable[..., BareCluster],
    lab: kl.Lab,
    slow_box: Sandbox,
    sweep: kl.Sweep,
    *,
    pacing: Pacing,
    tracked: Callable[..., list[Run]],
    hidden: bool,
) -> None:
    """Nobody waits for ever; what is in doubt is counted by the service's log, the rest is sent by the next run."""
    cluster = bare_cluster(hidden=hidden)
    handle = lab.start(sweep, pacing=pacing, executor=cluster.client.get_executor(), pause_after=0)
    until(lambda: slow_box.in_flight)
    cluster.scheduler.kill()
    results = handle.wait(120)
    assert handle.done
    assert [] == sent_twice(slow_box)
    assert 1 == len(set(books(slow_box, results, tracked)))

    again = lab.run(sweep, progress=False, pacing=pacing)
    assert [] == sent_twice(slow_box)
    assert 12 == again.counts[State.DONE] + again.counts[State.IN_DOUBT]


@pytest.mark.kill
@pytest.mark.parametrize("lost", ["worker", "scheduler"])
def test_a_cluster_that_never_comes_back_keeps_nobody_waiting(
    lost: str,
    bare_cluster: Callable[..., BareCluster],
    lab: kl.Lab,
    slow_box: Sandbox,
    sweep: kl.Sweep,
    *,
    pacing: Pacing,
    tracked: Callable[..., list[Run]],
) -> None:
    """Its last worker is killed, or its scheduler says nothing more: a stop ends the sweep, and the books are right."""
    cluster = bare_cluster()
    handle = lab.start(sweep, pacing=pacing, executor=cluster.client.get_executor(), pause_after=0)
    until(lambda: slow_box.in_flight)
    if lost == "worker":
        cluster.worker.kill()
    else:
        cluster.scheduler.send_signal(signal.SIGSTOP)
    handle.cancel()
    results = handle.wait(90)
    assert handle.done
    assert [] == sent_twice(slow_box)
    assert 1 == len(set(books(slow_box, results, tracked)))


@pytest.mark.kill
def test_a_task_that_its_cluster_lost_is_given_up(
    bare_cluster: Callable[..., BareCluster],
    lab: kl.Lab,
    slow_box: Sandbox,
    sweep: kl.Sweep,
    *,
    pacing: Pacing,
    tracked: Callable[..., list[Run]],
) -> None:
    """Nobody stops the sweep: what its killed worker had sent ends in doubt, what queues waits for another worker."""
    cluster = bare_cluster()
    executor = cluster.client.get_executor()
    handle = lab.start(sweep, pacing=pacing, executor=executor, pause_after=0, concurrency=2)
    until(lambda: 2 == slow_box.in_flight)
    cluster.worker.kill()
    until(lambda: 2 == handle.results.counts[State.IN_DOUBT])
    handle.cancel()
    results = handle.wait(60)
    assert handle.done
    assert 2 == len(slow_box.calls)
    assert 1 == len(set(books(slow_box, results, tracked)))


@pytest.mark.cluster
def test_workers_without_a_key_are_found_out_before_money_is_spent(
    dask: Made, lab: kl.Lab, slow_box: Sandbox, sweep: kl.Sweep
) -> None:
    """The service's 401 comes from a free address, and the line names the worker."""
    executor = dask(key=False).get_executor()
    with pytest.raises(Unauthorized, match=r"worker tcp://.*nothing was sent"):
        lab.run(sweep, progress=False, executor=executor)
    assert [] == slow_box.calls


@pytest.mark.cluster
def test_bytes_from_workers_without_the_disk_are_journaled_before_anything_else(
    dask: Made,
    lab: kl.Lab,
    slow_box: Sandbox,
    sweep: kl.Sweep,
    *,
    pacing: Pacing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that takes nothing costs no picture: the next run delivers all of them without sending."""
    from kontext_lab.tracking import writing

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    executor = dask(hidden=True).get_executor()
    with monkeypatch.context() as broken:
        broken.setattr(writing, "_write_artifacts", full)
        lab.run(sweep, progress=False, pacing=pacing, executor=executor)
    results = lab.run(sweep, progress=False, pacing=pacing, executor=executor)
    delivered_once(slow_box, results)


# processes


@pytest.mark.kill
def test_a_killed_process_of_a_pool_is_paid_for_once(
    lab: kl.Lab, slow_box: Sandbox, sweep: kl.Sweep, *, pacing: Pacing, tracked: Callable[..., list[Run]]
) -> None:
    """The pool breaks in the middle of requests; what was billed is counted, the rest is sent by the next run."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        handle = lab.start(sweep, pacing=pacing, executor=pool)
        until(lambda: slow_box.in_flight == 2)
        os.kill(next(iter(pool._processes)), signal.SIGKILL)
        first = handle.wait(60)
    assert handle.done
    assert "executor" == first.stopped
    assert [] == sent_twice(slow_box)
    assert 1 == len(set(books(slow_box, first, tracked)))

    results = lab.run(sweep, progress=False, pacing=pacing)
    assert [] == sent_twice(slow_box)
    assert 12 == results.counts[State.DONE] + results.counts[State.IN_DOUBT]
    assert 12 == len(slow_box.calls)


# executors of one's own


class Lying(Executor):
    """Runs every task twice and gives the second result; what it cancels runs on."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(8)

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._threads.submit(work, *args, **options)

        def second() -> None:
            result = work(*args, **options)
            if not future.cancelled():
                future.set_result(result)

        self._threads.submit(second)
        return future

    def shutdown(self, wait: bool = True, **_: Any) -> None:
        self._threads.shutdown(wait)


class Losing(ThreadPoolExecutor):
    """Runs every task, and says that it failed while its request is under way."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        running = super().submit(work, *args, **options)
        if getattr(work, "__name__", "") != "send":
            return running
        permit = args[2]
        until(lambda: permit.attempt_folder.may_have_left)
        future.set_exception(TimeoutError("the task is late"))
        return future


class Forgetting(ThreadPoolExecutor):
    """Runs every task and never says anything of it."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        running = super().submit(work, *args, **options)
        return Future() if getattr(work, "__name__", "") == "send" else running


@pytest.mark.parametrize("kind", [Lying, Losing, Forgetting])
def test_an_executor_that_lies_costs_no_picture(
    kind: Callable[..., Executor],
    lab: kl.Lab,
    slow_box: Sandbox,
    sweep: kl.Sweep,
    *,
    pacing: Pacing,
    tracked: Callable[..., list[Run]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What its futures say decides nothing: the answers lie in the journal."""
    monkeypatch.setattr(Worker, "patience", lambda *_: 4.0)
    executor = kind() if kind is Lying else kind(8)
    try:
        results = lab.run(sweep, progress=False, pacing=pacing, executor=executor)
    finally:
        executor.shutdown()
    delivered_once(slow_box, results)
    assert 1 == len(set(books(slow_box, results, tracked)))


class Late(ThreadPoolExecutor):
    """Keeps the result of its first request until its second one is under way."""

    def __init__(self) -> None:
        super().__init__(4)
        self.first: tuple[Future[Any], Future[Any]] | None = None

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        running = super().submit(work, *args, **options)
        if getattr(work, "__name__", "") != "send" or self.first is not None:
            return running
        self.first = (Future(), running)
        return self.first[0]

    def tell(self) -> None:
        assert self.first is not None, "something was sent"
        kept, ran = self.first
        kept.set_result(ran.result())


def test_a_result_that_comes_too_late_ends_no_other_attempt(
    lab: kl.Lab,
    slow_box: Sandbox,
    sweep: kl.Sweep,
    *,
    pacing: Pacing,
    tracked: Callable[..., list[Run]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first attempt was given up, failed by the service's log, and is being sent again when its result comes."""
    monkeypatch.setattr(Worker, "patience", lambda *_: 0.5)
    slow_box.script(["server_error"])
    with Late() as executor:
        handle = lab.start(sweep.replace(seed=1), pacing=pacing, executor=executor)
        until(lambda: 2 == len(slow_box.calls))
        executor.tell()
        results = handle.wait(60)
    delivered_once(slow_box, results)
    assert 1 == len(set(books(slow_box, results, tracked)))
    assert 0.052 == pytest.approx(results.spent)


def test_a_stop_of_an_executor_that_lies_keeps_what_is_under_way(
    lab: kl.Lab, slow_box: Sandbox, sweep: kl.Sweep, pacing: Pacing
) -> None:
    """Its futures say cancelled of what runs."""
    executor = Lying()
    handle = lab.start(sweep, pacing=pacing, executor=executor)
    until(lambda: slow_box.in_flight)
    handle.cancel()
    first = handle.wait(60)
    executor.shutdown()
    assert handle.done
    assert len(slow_box.calls) == first.counts[State.DONE] > 0
    results = lab.run(sweep, progress=False, pacing=pacing)
    delivered_once(slow_box, results)
    assert 12 == len(slow_box.calls)


def test_any_other_executor_without_the_disk_is_refused_before_money_is_spent(
    lab: kl.Lab, slow_box: Sandbox, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its processes see another folder under the journal's path."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("KONTEXT_LAB_HOME", "/proc/self/cwd/home")
    spawn = get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=spawn, initializer=os.chdir, initargs=(elsewhere,)) as pool,
        pytest.raises(ConfigError, match="don't see the journal's folder"),
    ):
        lab.run(sweep, progress=False, executor=pool)
    assert [] == slow_box.calls


class Silent(Executor):
    """Takes work and never does it."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:  # noqa: ARG002
        return Future()


class Refusing(Executor):
    """Takes no work."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:  # noqa: ARG002
        raise RuntimeError("no room")


@pytest.mark.parametrize(
    ("executor", "line"),
    [(Silent(), "no worker answered"), (Refusing(), "takes no work.*no room")],
    ids=["silent", "refusing"],
)
def test_an_executor_that_does_no_work_is_one_line(
    executor: Executor,
    lab: kl.Lab,
    slow_box: Sandbox,
    sweep: kl.Sweep,
    *,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is sent, and nothing is left in the journal."""
    monkeypatch.setattr(executors, "PROBE_SECONDS", 0.3)
    with pytest.raises(ConfigError, match=line):
        lab.run(sweep, progress=False, executor=executor)
    assert ([], []) == (slow_box.calls, lab.unfinished)
