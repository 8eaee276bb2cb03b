"""The command line as a person or a script meets it: text, exit codes, nothing sent by mistake."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_parts import Said
from PIL import Image

from kontext_lab.sandbox import FAULTS, Sandbox


def size_of(file: Path) -> tuple[int, int]:
    """Width and height of a picture file."""
    with Image.open(file) as picture:
        return picture.size


@pytest.fixture
def sweep_file(workdir: Path, photo_file: Path) -> Path:
    """A sweep of four cells in the working folder."""
    (workdir / "photo.jpg").write_bytes(photo_file.read_bytes())
    file = workdir / "sweep.yaml"
    file.write_text(
        "name: four\nprompt: Add a {animal}.\nimage: photo.jpg\n"
        "axes:\n  animal: [bird, crab]\n  aspect_ratio: [1:1, 16:9]\n"
    )
    return file


@pytest.fixture
def api(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox that the environment names as the API."""
    with Sandbox() as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        yield box


@pytest.mark.slow
def test_run_tracks_and_saves(kontext: Callable[..., Said], sweep_file: Path, store_uri: str) -> None:
    """A sweep file runs on the sandbox; pictures and a table are saved."""
    said = kontext("run", "sweep.yaml", "--sandbox", "--out", "pictures")

    assert (0, "") == (said.code, said.err)
    assert "4 cells: 4 done" in said.out
    assert "imulated" in said.out
    assert 4 == len(list(csv.DictReader(Path("pictures/index.csv").read_text().splitlines())))
    assert 4 == len(list(Path("pictures").glob("*.jpg")))


@pytest.mark.slow
def test_second_run_sends_nothing(kontext: Callable[..., Said], sweep_file: Path, api: Sandbox) -> None:
    """The same file again pays nothing."""
    kontext("run", "sweep.yaml")
    said = kontext("run", "sweep.yaml")

    assert (0, 4) == (said.code, len(api.calls))
    assert "paid now $0.00" in said.out


def test_run_without_key_names_both_ways_out(
    kontext: Callable[..., Said], sweep_file: Path, store_uri: str
) -> None:
    """Without a key and without --sandbox it ends with 2."""
    said = kontext("run", "sweep.yaml")

    assert 2 == said.code
    assert "AIMLAPI_API_KEY" in said.err
    assert "--sandbox" in said.err
    assert "Traceback" not in said.err


def test_dry_run_sends_nothing(kontext: Callable[..., Said], sweep_file: Path, api: Sandbox) -> None:
    """The plan as JSON costs nothing and records nothing."""
    said = kontext("run", "sweep.yaml", "--dry-run", "--json")
    plan = json.loads(said.out)

    assert (0, [], 4) == (said.code, api.calls, plan["requests"])
    assert 4 * 0.052 == pytest.approx(plan["cost_usd"])


def test_price_needs_a_yes_without_a_terminal(
    kontext: Callable[..., Said], sweep_file: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a dollar without a terminal and without --yes ends with 2 and the price."""
    monkeypatch.setenv("AIMLAPI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AIMLAPI_API_KEY", "key")
    sweep_file.write_text(sweep_file.read_text() + "  seed: 1-10\n")
    said = kontext("run", "sweep.yaml")

    assert 2 == said.code
    assert "$2.08" in said.err
    assert "--yes" in said.err


def test_budget_counts_as_the_price_that_is_asked_about(
    kontext: Callable[..., Said], sweep_file: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget of less than a dollar needs no --yes, however dear the sweep would be without."""
    monkeypatch.setenv("AIMLAPI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AIMLAPI_API_KEY", "key")
    sweep_file.write_text(sweep_file.read_text() + "  seed: 1-10\n")
    said = kontext("run", "sweep.yaml", "--budget", "0.2")

    assert 2 == said.code
    assert "could not connect" in said.err
    assert "--yes" not in said.err


def test_out_folder_is_tried_before_anything_is_sent(
    kontext: Callable[..., Said], sweep_file: Path, api: Sandbox
) -> None:
    """A file in the place of the folder is told before paying."""
    said = kontext("run", "sweep.yaml", "--out", "photo.jpg")

    assert (2, []) == (said.code, api.calls)
    assert "is a file" in said.err


def test_usage_errors_are_one_line(kontext: Callable[..., Said], sweep_file: Path, store_uri: str) -> None:
    """A wrong option is one line on stderr."""
    assert 1 == len(kontext("run", "sweep.yaml", "--budget", "much").err.strip().splitlines())


def test_misspelt_key_is_recognised(kontext: Callable[..., Said], sweep_file: Path, store_uri: str) -> None:
    """A key that is nearly right is answered with the right one."""
    sweep_file.write_text(sweep_file.read_text() + "guidence_scale: 3\n")

    assert "did you mean guidance_scale?" in kontext("run", "sweep.yaml", "--sandbox").err


def test_failed_cells_end_with_1(kontext: Callable[..., Said], sweep_file: Path, api: Sandbox) -> None:
    """A failed cell is named on stderr and the exit code is 1."""
    api.script([FAULTS["moderated"]])
    said = kontext("run", "sweep.yaml")

    assert 1 == said.code
    assert "moderated" in said.err
    assert "3 done" in said.out


def test_refused_key_ends_with_1(
    kontext: Callable[..., Said], sweep_file: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that the service refuses ends with 1, and the key is not shown."""
    with Sandbox(keys={"right"}) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        said = kontext("run", "sweep.yaml")

    assert 1 == said.code
    assert "marked-key-4711" not in said.out + said.err


def test_dead_service_ends_with_2(
    kontext: Callable[..., Said], sweep_file: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead service ends with 2, nothing paid, no traceback."""
    monkeypatch.setenv("AIMLAPI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AIMLAPI_API_KEY", "key")
    said = kontext("run", "sweep.yaml")

    assert 2 == said.code
    assert 1 == len(said.err.strip().splitlines())


def test_budget_ends_with_3(kontext: Callable[..., Said], sweep_file: Path, api: Sandbox) -> None:
    """What the budget leaves out makes the exit code 3."""
    said = kontext("run", "sweep.yaml", "--budget", "0.11")

    assert (3, 2) == (said.code, len(api.calls))


def test_no_credits_end_with_3(
    kontext: Callable[..., Said], sweep_file: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running out of credits makes the exit code 3."""
    with Sandbox(balance=0.06) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "key")
        assert 3 == kontext("run", "sweep.yaml", "--concurrency", "1").code


@pytest.mark.parametrize(
    ("words", "said_about"),
    [
        (("run", "nothing.yaml", "--sandbox"), "nothing.yaml"),
        (("run",), "SWEEP.yaml"),
        (("run", "sweep.yaml", "--reuse", "maybe"), "reuse"),
        (("run", "sweep.yaml", "--concurrency", "0"), "concurrency"),
        (("show", "nothing"), "nothing"),
        (("export", "nothing", "folder"), "nothing"),
        (("fly",), "fly"),
    ],
)
def test_bad_usage_ends_with_2(
    words: tuple[str, ...], said_about: str, kontext: Callable[..., Said], sweep_file: Path, store_uri: str
) -> None:
    """Bad usage is named on stderr, ends with 2 and never shows a traceback."""
    said = kontext(*words)

    assert 2 == said.code
    assert said_about in said.err
    assert "Traceback" not in said.err


def test_list_and_show(kontext: Callable[..., Said], sweep_file: Path, store_uri: str) -> None:
    """The sweeps and the cells of one are listed, for people and for programs."""
    kontext("run", "sweep.yaml", "--sandbox")
    listed = json.loads(kontext("list", "--json").out)
    shown = json.loads(kontext("show", "last", "--json").out)

    assert [("four", 4, True)] == [(run["name"], run["counts"]["done"], run["simulated"]) for run in listed]
    assert 4 == len(shown["results"])
    assert "four" in kontext("list").out
    assert "1:1 bird" not in kontext("show", "four").err


@pytest.mark.slow
def test_export_saves_the_exact_bytes(kontext: Callable[..., Said], sweep_file: Path, store_uri: str) -> None:
    """The exported pictures are pictures of the right sizes, with a table."""
    kontext("run", "sweep.yaml", "--sandbox")
    said = kontext("export", "last", "out")

    assert 0 == said.code
    sizes = sorted(size_of(file) for file in Path("out").glob("*.jpg"))
    assert [(1024, 1024), (1024, 1024), (1392, 752), (1392, 752)] == sizes


def test_check_says_what_is_set_up(kontext: Callable[..., Said], api: Sandbox) -> None:
    """Key, service, balance and store, one line each, and never the key itself."""
    said = kontext("doctor")

    assert 0 == said.code
    assert ["key", "service", "balance", "store", "journal"] == [
        line.split()[0] for line in said.out.splitlines()
    ]
    assert "marked-key-4711" not in said.out
    assert [] == api.calls


@pytest.mark.slow
def test_demo_leaves_a_grid_a_sweep_and_twelve_children(
    kontext: Callable[..., Said], store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo runs without a key, also where one is set, and a run of its file sends nothing more."""
    monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
    said = kontext("demo", "--out", "demo")
    again = kontext("run", "demo/sweep.yaml", "--sandbox")

    assert (0, 0) == (said.code, again.code)
    assert "imulated" in said.out
    assert size_of(Path("demo/grid.png"))[0] > 600
    assert size_of(Path("demo/effects.png"))[0] > 600
    assert 12 == json.loads(kontext("show", "demo", "--json").out)["counts"]["done"]
    assert "0 to send" in again.out
    assert "the sandbox is free" not in again.out


@pytest.mark.slow
def test_demo_ends_with_what_the_parameters_did(kontext: Callable[..., Said], store_uri: str) -> None:
    """Findings and what they don't prove, which say that they are about simulated pictures."""
    end = kontext("demo", "--out", "demo").out.strip().splitlines()[-5:]
    assert re.search(r"animal explains \d\d % of change/area; .*guidance_scale \d\d %", end[0])
    assert "2 seeds are no proof" in end[-1]
    assert all(line.startswith("  Simulated: ") for line in end)


@pytest.mark.slow
def test_demo_draws_whatever_the_sweep_became(kontext: Callable[..., Said], store_uri: str) -> None:
    """A demo whose axes a person renamed still ends with a grid."""
    kontext("demo", "--out", "demo")
    file = Path("demo/sweep.yaml")
    file.write_text(file.read_text().replace("animal", "creature"))
    Path("demo/grid.png").unlink()

    assert 0 == kontext("demo", "--out", "demo").code
    assert Path("demo/grid.png").exists()


@pytest.mark.slow
def test_demo_keeps_a_changed_sweep(kontext: Callable[..., Said], store_uri: str) -> None:
    """A sweep file that a person changed is not written over."""
    kontext("demo", "--out", "demo")
    file = Path("demo/sweep.yaml")
    file.write_text(file.read_text().replace("seed: [1, 2]", "seed: [1, 2, 3]"))
    kontext("demo", "--out", "demo")

    assert "seed: [1, 2, 3]" in file.read_text()
    assert 18 == json.loads(kontext("show", "last", "--json").out)["counts"]["done"]


def test_import_loads_nothing_heavy() -> None:
    """`import kontext_lab` loads no mlflow, matplotlib, ipywidgets or pandas, and no network library."""
    code = (
        "import sys, kontext_lab; print([m for m in ('mlflow', 'matplotlib', 'ipywidgets', 'pandas', "
        "'requests', 'pydantic', 'numpy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


@pytest.mark.slow
def test_interrupt_keeps_what_came_and_the_next_run_sends_the_rest(
    kontext: Callable[..., Said], sweep_file: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends with 130; what was in flight is kept, and only the rest is sent later."""
    with Sandbox(latency=1.0) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "key")
        command = [sys.executable, "-m", "kontext_lab", "run", "sweep.yaml", "--concurrency", "1"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's background jobs ignore interrupts, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - nothing else happens there
        )
        until = time.monotonic() + 60
        while not box.calls and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        sent = len(box.calls)
        again = kontext("run", "sweep.yaml")

        assert 130 == process.returncode
        assert "Traceback" not in err
        assert f"{sent} done" in out
        assert (0, 4) == (again.code, len(box.calls))


@pytest.mark.slow
def test_entry_point_works_as_a_process(sweep_file: Path, store_uri: str) -> None:
    """The installed command runs as a process of its own, quietly."""
    command = [sys.executable, "-m", "kontext_lab", "run", "sweep.yaml", "--sandbox"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert (0, "") == (done.returncode, done.stderr)
