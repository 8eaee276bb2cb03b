"""The script for CI ends with 0 only if everything in it was done, and holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Notes what it is called with, and does what `ANSWERS` says of that: a shell command by the beginning of a call.
PRETENDED = """#!/usr/bin/env bash
call="$(basename "$0") $*"
echo "$call" >>"$CALLS"
while IFS='|' read -r beginning answer; do
    case "$call" in "$beginning"*) eval "$answer"; exit ;; esac
done <<<"$ANSWERS"
"""
MAKES_PROGRAMS = (
    "mkdir -p .venv/bin; for one in pip python ruff mypy lint-imports; do cp -p $0 .venv/bin/$one; done"
)
MOST = "python -m pytest --durations=20 -m not browser"
PAGES = "python -m pytest --durations=20 -n 0 -m browser"
RUNS_MOST, RUNS_PAGES = (f"echo '9 {ran}' >$KONTEXT_LAB_TESTS_COUNTS" for ran in (7, 2))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script, and programs in the places of those that it calls."""
    folder = tmp_path / "checkout"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci")
    for name in ("python3", "chromium", "apt-get"):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(PRETENDED, encoding="utf-8")
        program.chmod(0o755)
    return folder


def run(checkout: Path, *parts: str, **answers: str) -> tuple[int, list[str]]:
    """The script's exit code and the calls it made, where the named calls are answered so."""
    told = {"python3 -m venv": MAKES_PROGRAMS, MOST: RUNS_MOST, PAGES: RUNS_PAGES} | answers
    calls = checkout / "calls"
    environment = {
        **os.environ,
        "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}",
        "TMPDIR": str(checkout),
        "CALLS": str(calls),
        "ANSWERS": "\n".join(f"{beginning}|{answer}" for beginning, answer in told.items()),
    }
    done = subprocess.run(
        [checkout / ".ci" / "run", *parts], env=environment, capture_output=True, timeout=60, check=False
    )
    return done.returncode, calls.read_text(encoding="utf-8").splitlines()


STEPS = [
    "python3 -m venv",
    "pip install",
    "ruff check",
    "ruff format",
    "mypy",
    "lint-imports",
    MOST,
    PAGES,
]


def test_all_steps_well_done_are_a_success(checkout: Path) -> None:
    """Every step is called, once and in this order, and the script ends with 0."""
    code, calls = run(checkout)
    assert 0 == code
    assert [step for call in calls for step in STEPS if call.startswith(step)] == STEPS
    assert len(STEPS) == len(calls)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_ends_the_script(checkout: Path, step: str) -> None:
    """With its exit code, and nothing is called after it; an environment of an earlier run is no help."""
    run(checkout)
    (checkout / "calls").unlink()
    code, calls = run(checkout, **{step: "exit 3"})
    assert 3 == code
    assert calls[-1].startswith(step)


@pytest.mark.parametrize("stage", [MOST, PAGES])
@pytest.mark.parametrize(
    "answer",
    [
        "exit 0",
        "echo '9 8' >$KONTEXT_LAB_TESTS_COUNTS",
        "echo '0 0' >$KONTEXT_LAB_TESTS_COUNTS",
        "echo '9' >$KONTEXT_LAB_TESTS_COUNTS",
    ],
    ids=["ended without a word", "one did not run", "none ran", "half a line"],
)
def test_tests_that_did_not_all_run_are_a_failure(checkout: Path, stage: str, answer: str) -> None:
    """Also if pytest itself was content."""
    code, _ = run(checkout, **{stage: answer})
    assert 0 != code


def test_sessions_that_collect_different_tests_are_a_failure(checkout: Path) -> None:
    """Tests lost by both together don't go unnoticed."""
    code, _ = run(
        checkout,
        **{MOST: "echo '10 8' >$KONTEXT_LAB_TESTS_COUNTS", PAGES: "echo '9 1' >$KONTEXT_LAB_TESTS_COUNTS"},
    )
    assert 0 != code


def test_nothing_of_the_callers_chooses_among_the_tests(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pytest's options from the environment are not passed on, and the strict switch is set."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing")
    seen = "echo ${PYTEST_ADDOPTS-none} $KONTEXT_LAB_TESTS_STRICT >seen"
    code, _ = run(checkout, **{PAGES: f"{RUNS_PAGES}; {seen}"})
    assert (0, "none 1") == (code, (checkout / "seen").read_text(encoding="utf-8").strip())


@pytest.mark.parametrize(
    ("part", "steps"),
    [("lint", STEPS[2:6]), ("test", [MOST]), ("browser", [PAGES])],
    ids=["lint", "test", "browser"],
)
def test_a_part_runs_alone(checkout: Path, part: str, steps: list[str]) -> None:
    """In the environment that is there."""
    run(checkout)
    (checkout / "calls").unlink()
    code, calls = run(checkout, part)
    assert 0 == code
    assert [step for call in calls for step in STEPS if call.startswith(step)] == steps
    assert len(steps) == len(calls)


def test_an_unknown_part_is_one_line(checkout: Path) -> None:
    """Nothing is run."""
    run(checkout)
    (checkout / "calls").unlink()
    (checkout / "calls").touch()
    assert (2, []) == run(checkout, "tests")


def test_it_calls_the_readmes_commands_as_they_stand() -> None:
    """It installs as people are told to, and gives their test command more options."""
    block = re.search(r"```bash\n# work on it[^\n]*\n(.*?)```", README, re.DOTALL)
    assert block is not None
    *install, test = block[1].splitlines()
    lines = [line.strip() for line in SCRIPT.splitlines()]
    assert [line for line in lines if line in install] == install
    assert any(line.startswith(f"{test} ") for line in lines)


def test_one_command_a_line() -> None:
    """No list and no pipe in which a failure could be overlooked."""
    lines = [line for line in SCRIPT.splitlines() if not line.lstrip().startswith(("#", "echo"))]
    assert [] == [line for line in lines if re.search(r"&&|\|\||[^>]\|", line)]
