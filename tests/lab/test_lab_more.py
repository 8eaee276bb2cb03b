"""What a panel asks of a lab besides runs: other services, leftovers, what was sent, lists, remembered answers."""

from __future__ import annotations

import io
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from mlflow import MlflowClient
from PIL import Image

import kontext_lab as kl
from kontext_lab.cli.main import run_command
from kontext_lab.journal import Intent
from kontext_lab.lab.context import Lazy, ServiceCache
from kontext_lab.lab.lab import with_service
from kontext_lab.lab.lookup import thumbnail, with_requests
from kontext_lab.sandbox import Sandbox

KEY = "marked-key-given-1234"

MakeSweep = Callable[..., kl.Sweep]


def small(make_sweep: MakeSweep, name: str = "small", **changes: Any) -> kl.Sweep:
    """A sweep of two cells."""
    return make_sweep(**{"name": name, "axes": {"animal": ["bird", "crab"]}, **changes})


def together(call: Callable[[], Any], count: int = 6) -> list[Any]:
    """What a call returns to several threads at once."""
    barrier = threading.Barrier(count)

    def one(_: int) -> Any:
        barrier.wait(10)
        return call()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


class TestOtherServices:
    """`with_service`, and what a context says of its service without opening it."""

    def test_the_same_settings(self, lab: kl.Lab) -> None:
        """Settings and the open store are shared; the service is another one."""
        lab.context.criteria = ("sharp",)
        with with_service(lab, "sandbox") as other:
            assert lab.context.tracker is other.context.tracker
            assert (lab.context.options, ("sharp",), lab.context.identity) == (
                other.context.options,
                other.context.criteria,
                other.context.identity,
            )
            assert ("api", "sandbox") == (lab.context.service, other.context.service)
            assert lab.context.connection is not other.context.connection

    @pytest.mark.usefixtures("api")
    def test_a_store_opened_later_is_shared_too(self) -> None:
        """Whichever of the two opens the store, opens it for both."""
        with kl.Lab(quiet=True) as lab, with_service(lab, "sandbox") as other:
            assert other.context.tracker is lab.context.tracker

    @pytest.mark.usefixtures("store_uri")
    def test_a_given_key_is_used(self, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a key in the environment one can be given, for that lab alone."""
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        with kl.Lab("sandbox", quiet=True) as lab:
            assert not lab.context.has_key
            with with_service(lab, "api", f" {KEY}\n") as other:
                assert ("api", True, False) == (
                    other.context.service,
                    other.context.has_key,
                    lab.context.has_key,
                )
                assert box.balance == other.balance()
                assert other.context.connection.client.has_key
            with pytest.raises(kl.errors.ConfigError, match="no API key"):
                with_service(lab, "api")

    @pytest.mark.usefixtures("store_uri")
    def test_a_given_key_is_nowhere(
        self,
        box: Sandbox,
        make_sweep: MakeSweep,
        monkeypatch: pytest.MonkeyPatch,
        workdir: Path,
    ) -> None:
        """Neither environment, repr, vars nor pickle shows it, and no file holds it after a sweep."""
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        with kl.Lab("sandbox", quiet=True) as lab, with_service(lab, "api", KEY) as other:
            other.run(small(make_sweep), progress=False)
            inside = [
                vars(one)
                for one in (
                    other,
                    other.context._connection,
                    other.context.connection,
                    other.context.connection.client,
                )
            ]
            assert KEY not in repr((other, inside, dict(os.environ)))
            assert KEY.encode() not in pickle.dumps(other.context.worker)
            with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
                pickle.dumps(other)
        files = [file for file in workdir.parent.rglob("*") if file.is_file()]
        assert [] == [file for file in files if KEY.encode() in file.read_bytes()]

    @pytest.mark.parametrize(
        ("service", "key", "told"),
        [
            ("auto", None, "service must be api or sandbox, not 'auto'"),
            ("sandbox", KEY, "the sandbox takes no key"),
            ("api", "  ", "is empty"),
            ("api", "marked key", "holds spaces"),
            ("api", 7, "key must be text, not int"),
        ],
    )
    def test_what_cannot_be(self, lab: kl.Lab, service: str, key: Any, told: str) -> None:
        """A wrong service or key is refused, and the key not shown."""
        with pytest.raises(kl.errors.ConfigError, match=told) as error:
            with_service(lab, service, key)
        frames = [entry.locals for entry in error.traceback if "kontext_lab" in str(entry.path)]
        assert frames
        assert "marked" not in str(error.value) + repr(frames)

    def test_nothing_is_opened(self, store_uri: str) -> None:
        """Service, key, place and leftovers are told without starting a sandbox or opening the store."""
        lab = kl.Lab("sandbox", quiet=True)
        assert ("sandbox", False, store_uri) == (
            lab.context.service,
            lab.context.has_key,
            lab.context.identity[0],
        )
        assert ([], "") == (lab.unfinished, lab.context.active_run_id())
        assert (False, False) == (lab.context.connected, lab.context.store_opened)

    @pytest.mark.usefixtures("store_uri")
    def test_auto_stays_what_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A lab that chose the sandbox for want of a key doesn't begin to pay when one appears."""
        with kl.Lab(quiet=True) as lab:
            monkeypatch.setenv("AIMLAPI_API_KEY", KEY)
            assert ("sandbox", True, True) == (lab.context.service, lab.simulated, lab.context.has_key)

    def test_balance(self, lab: kl.Lab, make_sweep: MakeSweep) -> None:
        """The balance is asked for anew each time."""
        before = lab.balance()
        results = lab.run(small(make_sweep), progress=False)
        assert before is not None
        assert before - results.cost == pytest.approx(lab.balance())

    def test_balance_of_a_dead_service(self, lab: kl.Lab, api: Sandbox) -> None:
        """A service that is away doesn't tell."""
        api.stop()
        assert None is lab.balance()


class TestThreads:
    """Store and service are opened once."""

    @pytest.mark.usefixtures("store_uri")
    def test_store_and_service(self) -> None:
        """Threads that ask at once get the same store and the same service."""
        with kl.Lab("sandbox", quiet=True) as lab:
            assert 1 == len({id(one) for one in together(lambda: lab.context.tracker)})
            assert 1 == len({id(one) for one in together(lambda: lab.context.connection)})
            assert 1 == sum(thread.name == "sandbox" for thread in threading.enumerate())

    def test_after_a_failure_it_is_tried_again(self) -> None:
        """Whoever comes after one that failed opens it himself."""
        tries = iter([None, "open"])

        def make() -> str:
            found = next(tries)
            if found is None:
                raise OSError("away")
            return found

        once = Lazy(make)
        with pytest.raises(OSError, match="away"):
            once.get()
        assert ["open", "open"] == [once.get(), once.get()]
        assert ["open", None] == [once.release(), once.value]


def left(lab: kl.Lab, sweep: kl.Sweep) -> None:
    """Leave in the journal what a process leaves that dies after sending."""
    journal = lab.context.journal_of(sweep)
    journal.lock.take()
    journal.begin(sweep)
    cell = sweep.cells[0]
    fingerprint = cell.request.fingerprint(lab.context.connection.name)
    attempt_folder = journal.intend(
        Intent(0, cell.title, "kl-x", fingerprint, 0.052, "2099-01-01T00:00:00+00:00")
    )
    attempt_folder.mark_sent("a process")
    journal.lock.release()


class TestLeftovers:
    """Sweeps that did not end."""

    def test_what_they_say(self, lab: kl.Lab, make_sweep: MakeSweep) -> None:
        """Name, line, where it belongs, when it began, and the sweep itself."""
        sweep = small(make_sweep)
        left(lab, sweep)
        (found,) = lab.unfinished
        assert ("small", "sandbox", lab.context.identity[0], True) == (
            found.name,
            found.service,
            found.store,
            found.here,
        )
        assert [str(one) for one in lab.unfinished] == [found.line]
        assert found.started is not None
        assert found.started.tzinfo is not None
        assert (sweep.digest("sandbox"), "small") == (found.sweep().digest("sandbox"), found.sweep().name)
        assert "_journal" not in repr(found)

    def test_gone_on_with(self, lab: kl.Lab, make_sweep: MakeSweep) -> None:
        """Running the sweep it brings goes on with it; then nothing is left."""
        left(lab, small(make_sweep))
        (found,) = lab.unfinished
        results = lab.run(found.sweep(), progress=False)
        assert ["in_doubt", "done"] == [cell.state for cell in results]
        assert [] == lab.unfinished
        with pytest.raises(kl.errors.SweepError):
            found.sweep()

    def test_not_here(self, lab: kl.Lab, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch) -> None:
        """A lab with another store, or another service, is not the one that is meant."""
        left(lab, small(make_sweep))
        elsewhere = kl.Lab("sandbox", tracking_uri="sqlite:///other.db", quiet=True)
        monkeypatch.setenv("AIMLAPI_BASE_URL", "http://api.example.test")
        paying = kl.Lab("api", quiet=True)
        same = kl.Lab("sandbox", quiet=True)
        assert [False, False, True] == [one.unfinished[0].here for one in (elsewhere, paying, same)]
        assert not Path("other.db").exists()


class TestOuterRuns:
    """Which run a sweep's run is put into."""

    def test_read_before_started_elsewhere(self, lab: kl.Lab, make_sweep: MakeSweep, store_uri: str) -> None:
        """A sweep started on another thread is put into the run that was active here."""
        with mlflow.start_run() as outer:
            inside = lab.context.active_run_id()
            with ThreadPoolExecutor(1) as pool:
                handle = pool.submit(lambda: lab.start(small(make_sweep), inside=inside)).result()
            results = handle.wait()
        tags = MlflowClient(store_uri).get_run(results.run_id).data.tags
        assert [outer.info.run_id] * 2 == [inside, tags["mlflow.parentRunId"]]

    def test_none_if_so_asked(self, lab: kl.Lab, make_sweep: MakeSweep, store_uri: str) -> None:
        """Empty text puts it into none, though one is active."""
        with mlflow.start_run():
            results = lab.start(small(make_sweep), inside="").wait()
        assert "mlflow.parentRunId" not in MlflowClient(store_uri).get_run(results.run_id).data.tags


class TestStoredCells:
    """Cells and what was sent, read back."""

    def test_requests(self, lab: kl.Lab, make_sweep: MakeSweep) -> None:
        """Loaded cells get their requests, references and all; the results stay the same object."""
        sweep = small(make_sweep)
        lab.run(sweep, progress=False)
        loaded = lab.load("small")
        assert [None, None] == [cell.request for cell in loaded]
        assert loaded is with_requests(lab.context.tracker, loaded)
        assert [cell.request for cell in sweep.cells] == [cell.request for cell in loaded]
        assert [sweep.references[0].png] == [one.png for one in (loaded[0].request or sweep).images]  # type: ignore[union-attr]

    def test_requests_of_several_sweeps(self, lab: kl.Lab, make_sweep: MakeSweep) -> None:
        """Cells brought together from several sweeps get theirs as well."""
        first = lab.run(small(make_sweep), progress=False)
        with kl.Lab(experiment="another", quiet=True) as other:
            second = other.run(small(make_sweep, "other", guidance_scale=7), progress=False)
        cells = with_requests(lab.context.tracker, lab.load_cells([second[1].run_id, first[0].run_id]))
        assert [second[1].request, first[0].request] == [cell.request for cell in cells]

    def test_requests_that_cannot_be_known(self, lab: kl.Lab, make_sweep: MakeSweep, workdir: Path) -> None:
        """Where the sweep's file is gone, nothing is filled in and nothing raised."""
        results = lab.run(small(make_sweep), progress=False)
        (file,) = workdir.rglob("sweep.yaml")
        file.unlink()
        assert [None, None] == [
            cell.request for cell in with_requests(lab.context.tracker, lab.load(results.run_id))
        ]

    @pytest.mark.slow
    def test_cells(self, lab: kl.Lab, make_sweep: MakeSweep) -> None:
        """Cells of any experiment come in the order asked for, each once."""
        first = lab.run(small(make_sweep), progress=False)
        with kl.Lab(experiment="another", quiet=True) as other:
            second = other.run(small(make_sweep, "other", guidance_scale=7), progress=False)
        wanted = [second[1].run_id, first[0].run_id, second[0].run_id]
        found = lab.load_cells([*wanted, wanted[0]])
        assert (wanted, "other + small") == ([cell.run_id for cell in found], found.name)
        assert second[1].bytes == found[0].bytes
        assert {"guidance_scale", "animal"} == set(found.axes)
        assert 0 == len(lab.load_cells([]))

    def test_cells_that_are_none(self, lab: kl.Lab, make_sweep: MakeSweep) -> None:
        """Sweeps, strangers and nonsense are named."""
        results = lab.run(small(make_sweep), progress=False)
        with pytest.raises(kl.errors.NotFound, match=f"these run ids: '{results.run_id}', 'no one'") as told:
            lab.load_cells([results[0].run_id, results.run_id, "no one"])
        assert results[0].run_id not in str(told.value)


class TestLists:
    """History: hidden sweeps, thumbnails, addresses."""

    def test_hidden(self, lab: kl.Lab, make_sweep: MakeSweep, capsys: pytest.CaptureFixture[str]) -> None:
        """A hidden sweep is left out of lists unless asked for, and can be shown again."""
        results = lab.run(small(make_sweep), progress=False)
        lab.run(small(make_sweep, "kept", seed=5), progress=False)
        lab.hide(results.run_id)
        assert ["kept"] == [run.name for run in lab.history()]
        assert [False, True] == [run.hidden for run in lab.history(hidden=True)]
        assert 2 == len(lab.load("small"))
        capsys.readouterr()
        run_command(["list"])
        assert "small" not in capsys.readouterr().out
        run_command(["list", "--all"])
        assert "small  simulated  hidden" in capsys.readouterr().out
        lab.hide(results.run_id, hidden=False)
        lab.hide(results.run_id, False)
        assert ["kept", "small"] == [run.name for run in lab.history()]

    def test_only_sweeps_are_hidden(self, lab: kl.Lab, make_sweep: MakeSweep) -> None:
        """A cell can't be hidden, nor what isn't there."""
        results = lab.run(small(make_sweep), progress=False)
        with pytest.raises(kl.errors.NotFound, match="is not a sweep"):
            lab.hide(results[0].run_id)
        with pytest.raises(kl.errors.KontextLabError, match="can't be hidden"):
            lab.hide("0" * 32)

    def test_thumbnails(self, lab: kl.Lab, make_sweep: MakeSweep, api: Sandbox, workdir: Path) -> None:
        """A list's picture is small, and comes from the preview: the picture itself is not touched."""
        api.script(["bad_request"])
        lab.run(small(make_sweep), progress=False)
        for file in workdir.rglob("outputs/*"):
            file.unlink()
        (run,) = lab.history()
        data = thumbnail(lab.context.tracker, run)
        with Image.open(io.BytesIO(data)) as picture:
            assert ("JPEG", 96) == (picture.format, max(picture.size))
        assert 6000 > len(data)
        with Image.open(io.BytesIO(thumbnail(lab.context.tracker, run, 40))) as picture:
            assert 40 == max(picture.size)

    def test_no_thumbnail(self, lab: kl.Lab, make_sweep: MakeSweep, workdir: Path) -> None:
        """A sweep without a picture, or whose files are gone, has none."""
        lab.run(small(make_sweep), progress=False, limit=0)
        (run,) = lab.history()
        assert b"" == thumbnail(lab.context.tracker, run)
        lab.run(small(make_sweep), progress=False)
        for file in (*workdir.rglob("outputs/*"), *workdir.rglob("images/*")):
            file.unlink()
        assert b"" == thumbnail(lab.context.tracker, run)

    def test_no_address(self, lab: kl.Lab, make_sweep: MakeSweep) -> None:
        """A store in a file has no pages."""
        results = lab.run(small(make_sweep), progress=False)
        things = (results, results[0], results[0].output, lab.history()[0])
        assert [""] * 4 == [lab.context.tracker.address(one.run_id) for one in things]


class TestReferences:
    """`lab.reference`."""

    def test_fetched_and_frozen(self, lab: kl.Lab, served_photo: tuple[str, list[str]]) -> None:
        """An address is fetched once, by our client, as for a sweep."""
        url, agents = served_photo
        found = lab.reference(url)
        sweep = kl.Sweep("Add a bird.", found, aspect_ratio="1:1")
        lab.plan(sweep)
        assert (True, url, (300, 200)) == (found.resolved, found.url, found.sent_size)
        assert 1 == len(agents)
        assert agents[0].startswith("kontext-lab/")

    @pytest.mark.usefixtures("store_uri")
    def test_files_need_no_service(self, photo_file: Path) -> None:
        """A file is loaded and prepared without starting anything."""
        lab = kl.Lab("sandbox", quiet=True)
        found = lab.reference(photo_file, max_megapixels=0.01)
        assert 10_000 >= found.sent_size[0] * found.sent_size[1]
        assert not lab.context.connected

    def test_what_cannot_be_fetched(self, lab: kl.Lab) -> None:
        """It is told in our words."""
        with pytest.raises(kl.errors.ImageError, match="could not be fetched"):
            lab.reference("http://127.0.0.1:9/a.png")


class TestRememberedAnswers:
    """Plans that are made after every change ask the service now and then."""

    @pytest.fixture
    def asked(self, lab: kl.Lab) -> list[str]:
        """The addresses that were asked from now on; for once the sandbox passes for the API itself."""
        lab.context.connection.name = lab.context.connection.client.service
        seen: list[str] = []

        def note(response: requests.Response, **_: Any) -> None:
            if response.request.method == "GET" and "/v" in str(response.url):
                seen.append(str(response.url).split("/", 3)[3].split("&")[0])

        lab.context.connection.client._connection.session.hooks["response"].append(note)
        return seen

    def test_for_half_a_minute(self, lab: kl.Lab, make_sweep: MakeSweep, asked: list[str]) -> None:
        """Three questions for the first plan, none for the next, three again after 30 seconds."""
        now = [100.0]
        lab.context.answers = ServiceCache(lambda: now[0])
        sweep = small(make_sweep)
        first = lab.plan(sweep)
        assert 3 == len(asked)
        now[0] += 29
        second = lab.plan(sweep.replace(seed=7))
        assert 3 == len(asked)
        assert (first.prices, first.balance) == (second.prices, second.balance)
        now[0] += 2
        lab.plan(sweep)
        assert 6 == len(asked)

    def test_another_model_is_asked_for(self, lab: kl.Lab, make_sweep: MakeSweep, asked: list[str]) -> None:
        """Only its price is new."""
        lab.plan(small(make_sweep, model="pro"))
        lab.plan(small(make_sweep, model="max"))
        assert 4 == len(asked)

    def test_the_log_as_well(self, lab: kl.Lab, make_sweep: MakeSweep, asked: list[str]) -> None:
        """What became of a lost request is asked once for several plans."""
        left(lab, small(make_sweep))
        asked.clear()
        assert [1, 1] == [lab.plan(small(make_sweep)).in_doubt for _ in range(2)]
        assert 1 == sum(address.startswith("v2/logs") for address in asked)

    def test_a_start_forgets(self, lab: kl.Lab, make_sweep: MakeSweep) -> None:
        """After a sweep the plan knows the new balance."""
        lab.context.connection.name = lab.context.connection.client.service
        before = lab.plan(small(make_sweep)).balance
        results = lab.run(small(make_sweep), progress=False)
        after = lab.plan(small(make_sweep, seed=9)).balance
        assert before is not None
        assert before - results.cost == pytest.approx(after)

    def test_a_failure_for_five_seconds(self, lab: kl.Lab, make_sweep: MakeSweep, api: Sandbox) -> None:
        """A dead service is not asked with every change, and found again soon."""
        now = [100.0]
        lab.context.answers = ServiceCache(lambda: now[0])
        lab.context.connection.name = lab.context.connection.client.service
        url = api.url
        api.stop()
        assert "doesn't answer" in " ".join(lab.plan(small(make_sweep)).notes)
        with Sandbox(int(url.rpartition(":")[2])):
            now[0] += 4
            assert "doesn't answer" in " ".join(lab.plan(small(make_sweep)).notes)
            now[0] += 2
            assert () == lab.plan(small(make_sweep)).notes

    def test_forgotten_while_on_its_way(self) -> None:
        """An answer that was asked for before everything was forgotten is not kept."""
        asked = ServiceCache()

        def slow() -> int:
            asked.clear()
            return 1

        assert [1, 2] == [asked.get("balance", slow), asked.get("balance", lambda: 2)]
