"""The session as a whole: what did not run is counted, a skip is a failure under the strict switch, any order can be had."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FOUR = "import pytest\n@pytest.mark.parametrize('at', range(4))\ndef test_one(at): {}\n"
SKIPS = {
    "skip": "import pytest\ndef test_one(): pytest.skip('no Chromium')\n",
    "skipif": "import pytest\n@pytest.mark.skipif(True, reason='no Chromium')\ndef test_one(): pass\n",
    "importorskip": "import pytest\ndef test_one(): pytest.importorskip('no_such_module', reason='no Chromium')\n",
    "in a fixture": (
        "import pytest\n@pytest.fixture\ndef page(): pytest.skip('no Chromium')\ndef test_one(page): pass\n"
    ),
    "a whole file": "import pytest\npytest.skip('no Chromium', allow_module_level=True)\n",
}


@dataclass(frozen=True)
class Session:
    """A run of pytest that has ended.

    Attributes:
        code: its exit code.
        counts: what it wrote of the tests it collected, and of those that ran.
        said: its output.
    """

    code: int
    counts: str
    said: str

    @property
    def order(self) -> list[str]:
        """The tests in the order in which they passed, by their ids."""
        return re.findall(r"^(\S+::\S+) PASSED", self.said, re.MULTILINE)


def run(folder: Path, *options: str, strict: bool = False, **files: str) -> Session:
    """Run pytest in a folder on these files, by their names without suffix."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    counts = folder / "counts"
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "KONTEXT_LAB_TESTS_COUNTS": str(counts)}
    environment |= {"KONTEXT_LAB_TESTS_STRICT": "1" if strict else "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "completeness", "-p", "xdist", "-v", *options]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return Session(done.returncode, counts.read_text() if counts.exists() else "", done.stdout)


@pytest.mark.parametrize("how", SKIPS)
def test_a_skip_is_a_failure_under_the_strict_switch(tmp_path: Path, how: str) -> None:
    """With its reason."""
    session = run(tmp_path, strict=True, test_a=SKIPS[how])
    assert 0 != session.code
    assert "no Chromium (KONTEXT_LAB_TESTS_STRICT is set: no test may be skipped)" in session.said


def test_an_expected_failure_is_none_under_the_strict_switch(tmp_path: Path) -> None:
    """Though pytest reports it as a skip."""
    text = "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_one(): assert False\n"
    session = run(tmp_path, strict=True, test_a=text)
    assert (0, "1 1\n") == (session.code, session.counts)


def test_a_skip_is_shown_without_the_switch(tmp_path: Path) -> None:
    """With its reason, and is no failure."""
    session = run(tmp_path, "-ra", test_a=SKIPS["skip"])
    assert 0 == session.code
    assert re.search("SKIPPED .*no Chromium", session.said)


@pytest.mark.parametrize("options", [(), ("-n", "2", "--dist", "loadgroup")], ids=["one process", "several"])
def test_all_tests_ran(tmp_path: Path, options: tuple[str, ...]) -> None:
    """As many as were collected."""
    session = run(tmp_path, *options, test_a=FOUR.format("pass"), test_b=FOUR.format("pass"))
    assert (0, "8 8\n") == (session.code, session.counts)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "several"])
def test_deselected_tests_did_not_run(tmp_path: Path, options: tuple[str, ...]) -> None:
    """They were collected, and are no failure."""
    session = run(tmp_path, *options, "-k", "1", test_a=FOUR.format("pass"))
    assert (0, "4 1\n") == (session.code, session.counts)


def test_an_interrupted_session_did_not_run_the_rest(tmp_path: Path) -> None:
    """And says so."""
    session = run(tmp_path, test_a=FOUR.format("assert at == 0 or exec('raise KeyboardInterrupt')"))
    assert (True, "4 1\n") == (session.code != 0, session.counts)
    assert "1 of 4 tests ran" in session.said


def test_a_process_that_ends_in_the_middle_writes_nothing(tmp_path: Path) -> None:
    """Though its exit code is 0."""
    session = run(tmp_path, test_a=FOUR.format("exec('import os; os._exit(0)')"))
    assert (0, "") == (session.code, session.counts)


def test_a_worker_that_ends_in_the_middle_is_a_failure(tmp_path: Path) -> None:
    """The test that ended it did not come to its end."""
    crash = FOUR.format("assert at != 2 or exec('import os; os._exit(0)')")
    session = run(tmp_path, "-n", "2", test_a=crash)
    assert (1, "4 3\n") == (session.code, session.counts)


def test_a_session_that_loses_tests_is_a_failure(tmp_path: Path) -> None:
    """Though every test that ran passed."""
    loses = "def pytest_runtestloop(session): session.items.pop()\n"
    session = run(tmp_path, conftest=loses, test_a=FOUR.format("pass"))
    assert (1, "4 3\n") == (session.code, session.counts)


def test_collecting_alone_is_no_failure(tmp_path: Path) -> None:
    """And writes no numbers."""
    session = run(tmp_path, "--collect-only", test_a=FOUR.format("pass"))
    assert (0, "") == (session.code, session.counts)


def test_shuffled_files_stay_together(tmp_path: Path) -> None:
    """All tests run, in another order, and those of a file after each other."""
    files = {f"test_{letter}": FOUR.format("pass") for letter in "abcd"}
    plain, shuffled = run(tmp_path, **files).order, run(tmp_path, "--shuffle", "1", **files).order
    assert (16, sorted(plain)) == (len(plain), sorted(shuffled))
    assert plain != shuffled
    names = [one.partition("::")[0] for one in shuffled]
    assert 3 == sum(before != after for before, after in itertools.pairwise(names))


def test_a_seed_gives_the_same_order_again(tmp_path: Path) -> None:
    """Another seed gives another."""
    files = {f"test_{letter}": FOUR.format("pass") for letter in "abcd"}
    first, again, other = (run(tmp_path, "--shuffle", seed, **files).order for seed in ("1", "1", "2"))
    assert (first, True) == (again, first != other)


@pytest.mark.parametrize("processes", [[], ["-n", "2"]], ids=["one process", "two"])
def test_the_last_line_says_what_was_left_to_ci(tmp_path: Path, processes: list[str]) -> None:
    """By marker, each test once."""
    text = (
        "import pytest\n@pytest.mark.slow\n@pytest.mark.kill\ndef test_one(): pass\n"
        "@pytest.mark.slow\ndef test_two(): pass\ndef test_three(): pass\n"
    )
    session = run(tmp_path, *processes, "-m", "not kill and not slow", test_a=text)
    assert (0, "3 1\n") == (session.code, session.counts)
    assert "left to .ci/run: 1 kill, 1 slow tests" == session.said.splitlines()[-1]
