"""Tests that did not run: counts of them, and failures in place of skips.

The last line of a session says how many tests were left to `.ci/run`, by marker.

Two switches of the environment serve a machine that has everything the tests need. `KONTEXT_LAB_TESTS_STRICT`, if set,
makes a failure of every skip. `KONTEXT_LAB_TESTS_COUNTS` names a file for two numbers: how many tests were collected,
and how many ran. It is written when the session has ended. The option `--shuffle SEED` changes the order of the tests.
"""

from __future__ import annotations

import os
import random
from collections.abc import Generator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

# Read before any test changes the environment.
STRICT = bool(os.environ.get("KONTEXT_LAB_TESTS_STRICT"))
COUNTS = os.environ.get("KONTEXT_LAB_TESTS_COUNTS")

_TOLD = "kontext_lab_tests"
_LEFT_TO_CI = ("browser", "kill", "cluster", "slow")


class Counter:
    """Counts the tests of a session, in one process or in several.

    Attributes:
        collected: how many there are, those included that an option deselects.
        selected: how many of them shall run.
        left: how many of the others have a marker that is left to CI, by the first such marker.
        ran: those that came to their end, by node id.
    """

    def __init__(self) -> None:
        self.collected = 0
        self.selected = 0
        self.left: dict[str, int] = {}
        self.ran: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Count before anything is deselected."""
        self.collected = len(items)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count what an option leaves out, by marker."""
        for item in items:
            marker = next((name for name in _LEFT_TO_CI if item.get_closest_marker(name)), None)
            if marker:
                self.left[marker] = self.left.get(marker, 0) + 1

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count after that."""
        self.selected = len(session.items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test whose fixtures have ended as well; a crashed process never says so."""
        if report.when == "teardown":
            self.ran.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take a worker's numbers: the process that distributes the tests collects none."""
        collected, selected, left = getattr(node, "workeroutput", {}).get(_TOLD, (0, 0, {}))
        self.collected, self.selected = max(collected, self.collected), max(selected, self.selected)
        self.left = left or self.left

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a session that ended well without a part of its tests, and write the numbers."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_TOLD] = (self.collected, self.selected, self.left)
            return
        if session.config.option.collectonly:
            return
        if session.exitstatus == pytest.ExitCode.OK and len(self.ran) < self.selected:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if COUNTS:
            Path(COUNTS).write_text(f"{self.collected} {len(self.ran)}\n")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how many are missing."""
        if len(self.ran) < self.selected and not terminalreporter.config.option.collectonly:
            terminalreporter.line(f"{len(self.ran)} of {self.selected} tests ran")

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Say what was left to CI, below the line with pytest's own counts."""
        if self.left and not hasattr(config, "workeroutput") and not config.option.collectonly:
            counts = ", ".join(f"{self.left[name]} {name}" for name in _LEFT_TO_CI if name in self.left)
            print(f"left to .ci/run: {counts} tests")  # noqa: T201 - pytest's reporter has ended


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for another order."""
    parser.addoption(
        "--shuffle",
        type=int,
        metavar="SEED",
        help="run the files, and the tests of each file, in a random order; a seed gives the same order again",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.pluginmanager.register(Counter())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give all pages to one worker, so that they are looked at one at a time; shuffle."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.xdist_group("browser"))
    seed = config.getoption("--shuffle")
    if seed is not None:
        _shuffle(items, random.Random(seed))


def _shuffle(items: list[pytest.Item], chance: random.Random) -> None:
    # Files stay together: what the tests of a file share would be made again and again.
    files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
    chance.shuffle(files)
    for tests in files:
        chance.shuffle(tests)
    items[:] = [item for tests in files for item in tests]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a failure of a skipped test under the strict switch."""
    report = yield
    # An expected failure is reported as a skip, too.
    if not hasattr(report, "wasxfail"):
        _be_strict(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Make a failure of a skipped file under the strict switch."""
    report = yield
    _be_strict(report)
    return report


def _be_strict(report: pytest.TestReport | pytest.CollectReport) -> None:
    if STRICT and report.skipped:
        *_, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (KONTEXT_LAB_TESTS_STRICT is set: no test may be skipped)"
