"""The check after each test: it finds what the test left behind, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SETTINGS = "import leftovers\nleftovers.PATIENCE_S = 0.3\nleftovers.REPOSITORY = Path(__file__).parent\n"
HEAD = """
import asyncio, logging, os, signal, subprocess, sys, threading, time
from pathlib import Path
import matplotlib, pytest
import matplotlib.pyplot as plt

def forever():
    threading.Event().wait()

@pytest.fixture(scope="module")
def owned():
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, name="owned")
    thread.start()
    yield
    ended.set()
    thread.join()

@pytest.fixture(scope="module", autouse=True)
def of_the_file():
    signal.signal(signal.SIGHUP, lambda *_: None)
    Path(__file__).with_name("mlflow.db").touch()

@pytest.fixture
def late(monkeypatch, tmp_path):
    monkeypatch.setenv("SET_BY_THE_TEST", "1")
    monkeypatch.chdir(tmp_path)
    ended = threading.Event()
    threading.Thread(target=lambda: ended.wait() and time.sleep(0.1), name="late").start()
    yield
    ended.set()
"""
LEAVES = {
    "thread": (
        "threading.Thread(target=forever, name='stray', daemon=True).start()",
        "thread 'stray' goes on",
    ),
    "process": (
        "global child; child = subprocess.Popen(['sleep', '60'], stdout=-3, stderr=-3)",
        "process [0-9]+ goes on: sleep 60",
    ),
    "folder": ("os.chdir(tmp_path)", "the working folder was .* and is "),
    "environment": ("os.environ['SET_AND_LEFT'] = '1'", "os.environ differs in SET_AND_LEFT"),
    "path": ("sys.path.insert(0, 'elsewhere')", "sys.path was"),
    "signal": ("signal.signal(signal.SIGTERM, lambda *_: None)", "the handler of SIGTERM was"),
    "excepthook": ("threading.excepthook = print", "the hooks for exceptions was"),
    "level": ("logging.getLogger('kontext_lab').setLevel(10)", "the logger 'kontext_lab' was"),
    "handler": ("logging.getLogger().addHandler(logging.NullHandler())", "the logger 'root' was"),
    "disabled": ("logging.disable(50)", "logging.disable was 0 and is 50"),
    "rcparams": ("matplotlib.rcParams['figure.dpi'] = 7", "matplotlib's rcParams differs in figure.dpi"),
    "figure": ("plt.figure()", "the figures of pyplot was"),
    "again": ("os.environ['SET_AND_LEFT'] = '2'", "os.environ differs in SET_AND_LEFT"),
}
"""What a test does, and what is said of it."""

LEAVES_NOTHING = {
    "nothing": "(tmp_path): pass",
    "what_its_fixture_puts_back": "(late): pass",
    "what_its_file_owns": "(owned): pass",
    "a_process_that_has_ended": "(): subprocess.run(['true'], check=True)",
    "a_thread_that_has_ended": "(): threading.Thread(target=int).start()",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What pytest says at the end about each of these tests, run in a process of its own."""
    folder = tmp_path_factory.mktemp("leaving")
    tests = [f"def test_{name}(tmp_path): {body}" for name, (body, _) in LEAVES.items()]
    tests += [f"def test_{name}{rest}" for name, rest in LEAVES_NOTHING.items()]
    tests.append("def test_last(): child.kill(); child.wait()")
    (folder / "conftest.py").write_text("from pathlib import Path\n" + SETTINGS, encoding="utf-8")
    (folder / "test_leaving.py").write_text(HEAD + "\n".join(tests), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "leftovers", "-rA", "-q", folder],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(TESTS),
            "MPLBACKEND": "agg",
            "COLUMNS": "1000",
            "KONTEXT_LAB_TESTS_STRICT": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = re.findall(r"^ERROR \S+::test_(\w+) - (.*)$", done.stdout, re.MULTILINE)
    assert len(tests) == len(re.findall("^PASSED ", done.stdout, re.MULTILINE))
    return dict(lines)


@pytest.mark.parametrize("name", LEAVES)
def test_what_a_test_leaves_behind_fails_it(said: dict[str, str], name: str) -> None:
    """And is named."""
    assert re.search(LEAVES[name][1], said[name])


@pytest.mark.parametrize("name", LEAVES_NOTHING)
def test_a_test_that_leaves_nothing_behind_passes(said: dict[str, str], name: str) -> None:
    """Its fixtures have ended before anybody looks, threads that are ending are waited for."""
    assert name not in said


def test_what_a_file_leaves_behind_fails_its_last_test(said: dict[str, str]) -> None:
    """It is said of a fixture of the file; what was said of a test is not said again."""
    assert "the handler of SIGHUP was" in said["last"]
    assert "mlflow.db in the repository" in said["last"]
    assert "stray" not in said["last"]
