"""Streams and names of any encoding, full disks and closed streams: what can't be shown costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cli_parts import Said

import kontext_lab as kl

NAME = "Ünï ≈ 🦀"

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""What ssh, cron and small containers give: ASCII for streams and file names."""

ENCODINGS = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ascii": {"PYTHONIOENCODING": "ascii:strict"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "C locale": C_LOCALE,
}

COMMANDS = ("list", "list --json", "show last", "show last --json", "costs", "costs --json", "report last")

full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")


def command(
    words: str, more: dict[str, str] | None = None, **streams: object
) -> subprocess.CompletedProcess[bytes]:
    """A command line as a process of its own."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    words_given = [sys.executable, "-m", "kontext_lab", *words.split()]
    return subprocess.run(words_given, env={**os.environ, **(more or {})}, check=False, timeout=120, **given)


MANY = """\
import json, pathlib, sys
from kontext_lab.cli.main import run_command
from kontext_lab.cli.output import guard_output

guard_output()
codes = {words: run_command(words.split("|")) for words in sys.argv[1:]}
loaded = [one for one in ("mlflow", "matplotlib", "pandas", "skimage") if one in sys.modules]
pathlib.Path("codes.json").write_text(json.dumps([codes, loaded]))
"""


def codes_of(lines: Sequence[str], *, loaded: list[str] | None = None, **options: Any) -> dict[str, int]:
    """The exit codes of command lines, one after the other in one process; which heavy packages it has then."""
    words = [line.replace(" ", "|") for line in lines]
    done = subprocess.run([sys.executable, "-c", MANY, *words], check=False, timeout=120, **options)
    codes, heavy = json.loads(Path("codes.json").read_text()) if done.returncode == 0 else ({}, [])
    if loaded is not None:
        loaded += heavy
    return {line.replace("|", " "): code for line, code in codes.items()}


@pytest.fixture
def sweep_file(workdir: Path, photo_file: Path) -> Path:
    """A sweep of two cells whose name, words and files hold letters and signs of all kinds."""
    Path("Käfer.jpg").write_bytes(photo_file.read_bytes())
    file = Path("Swéep.yaml")
    words = 'prompt: "Add a {animal} – small."\nimage: Käfer.jpg\naxes:\n  animal: ["Käfer", "🦀"]\n'
    file.write_text(f'name: "{NAME}"\naspect_ratio: 1:1\n{words}', encoding="utf-8")
    return file


@pytest.fixture
def tracked(sweep_file: Path, store_uri: str) -> kl.Results:
    """That sweep in the store."""
    with kl.Lab("sandbox", quiet=True, measure=False) as lab:
        return lab.run(kl.Sweep.from_yaml(sweep_file), progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_sweep_runs_and_is_saved_in_any_encoding(encoding: str, sweep_file: Path, store_uri: str) -> None:
    """Signs that the stream has no code for are replaced, files get names that the file system takes."""
    done = command("run Swéep.yaml --sandbox --no-measure --out Bïlder", ENCODINGS[encoding])

    assert (0, b"") == (done.returncode, done.stderr)
    assert b"2 cells: 2 done" in done.stdout
    assert 3 == len(list(Path("Bïlder").iterdir()))


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["latin-1", "C locale"])
def test_commands_print_in_any_encoding(encoding: str, tracked: kl.Results) -> None:
    """No command ends with a traceback, whatever names it has to show."""
    assert dict.fromkeys(COMMANDS, 0) == codes_of(COMMANDS, env={**os.environ, **ENCODINGS[encoding]})


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_json_says_the_same_in_any_encoding(encoding: str, tracked: kl.Results) -> None:
    """Signs that the stream has no code for are escaped, not replaced."""
    done = command("list --json", ENCODINGS[encoding])
    assert NAME == json.loads(done.stdout.decode(encoding))[0]["name"]


@pytest.mark.slow
def test_similar_signs_stand_in_for_missing_ones(sweep_file: Path, store_uri: str) -> None:
    """A price stays readable in ASCII."""
    done = command("run Swéep.yaml --sandbox --dry-run", ENCODINGS["ascii"])
    assert b"(~ $0.10 if it were real) - simulated pictures" in done.stdout


@pytest.mark.slow
@full_device
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_full_disk_shows_no_traceback(stream: str, tracked: kl.Results) -> None:
    """What can't be written is dropped."""
    with Path("/dev/full").open("w") as full:
        assert dict.fromkeys(COMMANDS, 0) == codes_of(COMMANDS, **{stream: full})


@pytest.mark.slow
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_cost_nothing(closed: tuple[int, ...], sweep_file: Path, store_uri: str) -> None:
    """The sweep runs, and no file of the store gets a standard stream's number."""
    done = command(
        "run Swéep.yaml --sandbox --no-measure",
        preexec_fn=lambda: [os.close(number) for number in closed],
    )
    assert 0 == done.returncode
    assert {"done": 2} == kl.Lab("sandbox", quiet=True).load("last").counts


SCRIPT = """\
import sys
import kontext_lab as kl

with kl.Lab(measure=False) as lab:
    results = lab.run(kl.Sweep.from_yaml("Swéep.yaml"), progress=True)
    results.save("Bïlder")
sys.exit(results.counts["done"] != 2)
"""


@pytest.mark.slow
@full_device
@pytest.mark.parametrize("stderr", ["/dev/full", "latin-1", "closed"])
def test_a_script_runs_whatever_becomes_of_its_notices(stderr: str, sweep_file: Path, store_uri: str) -> None:
    """The progress bar and notices of `lab.run` cost nothing where they can't be shown."""
    Path("script.py").write_text(SCRIPT, encoding="utf-8")
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1:strict"}
    with Path("/dev/full" if stderr == "/dev/full" else "errors").open("w") as errors:
        done = subprocess.run(
            [sys.executable, "script.py"],
            env=environ,
            stderr=errors,
            check=False,
            timeout=120,
            preexec_fn=(lambda: os.close(2)) if stderr == "closed" else None,
        )
    assert 0 == done.returncode
    assert 3 == len(list(Path("Bïlder").iterdir()))


@pytest.mark.slow
def test_the_demo_goes_anywhere(store_uri: str) -> None:
    """A folder with letters that the locale has no code for gets the photograph and a sweep file that can be read."""
    done = command("demo --out Vörführung", C_LOCALE)

    assert (0, b"") == (done.returncode, done.stderr)
    assert "Vörführung" in Path("Vörführung/sweep.yaml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_words_are_checked_before_anything_heavy_loads(sweep_file: Path) -> None:
    """What is wrong with a path or an option is said without MLflow, matplotlib and pandas."""
    lines = (
        "run nothing.yaml --sandbox",
        "run Swéep.yaml --sandbox --out Swéep.yaml",
        "run Swéep.yaml --sandbox --json",
        "run Swéep.yaml",
        "find nothing.png",
        "export last Swéep.yaml/folder",
        "report last --out nowhere/page.html",
        "demo --out Swéep.yaml",
    )
    loaded: list[str] = []
    codes = codes_of(lines, loaded=loaded)

    assert (dict.fromkeys(lines, 2), []) == (codes, loaded)


def test_no_words_print_the_help(kontext: Callable[..., Said]) -> None:
    """As --help prints it, on stderr and with 2, as click's own programs do."""
    bare, asked = kontext(), kontext("--help")
    assert (2, "", asked.out) == (bare.code, bare.out, bare.err)
