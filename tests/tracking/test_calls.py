"""Calls to a tracking server that is in trouble: bounded, asked again where that is safe, the environment left alone."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow.entities import Metric

from kontext_lab.errors import TrackingError
from kontext_lab.tracking import client_calls
from kontext_lab.tracking.store import mlflow_trouble

RETRIES, TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"


def log(uri: str) -> float:
    """Write a metric to a server; returns the seconds until it failed."""
    client = client_calls.connect(uri)
    began = time.monotonic()
    with pytest.raises(TrackingError), mlflow_trouble("the metric can't be written"):
        client.log_batch("a" * 32, metrics=[Metric("a", 1.0, 1, 0)])
    return time.monotonic() - began


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_refused_call_fails_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    """A server that went away is told at once, not after four minutes, and nothing is printed."""
    assert 2 > log("http://127.0.0.1:9")
    assert ("", "") == capfd.readouterr()


def test_hanging_call_is_sent_once_and_bounded(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs holds a call for the limit, not for as many times as MLflow would ask."""
    monkeypatch.setitem(client_calls._SETTINGS, TIMEOUT, "2")

    assert 2 == pytest.approx(log(silent), abs=1)


def test_environment_is_as_it_was_after_a_call(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits are set while a call of ours is under way, and gone afterwards."""
    monkeypatch.setitem(client_calls._SETTINGS, TIMEOUT, "2")
    calling = threading.Thread(target=log, args=(silent,))
    calling.start()
    time.sleep(1)
    during = os.environ.get(RETRIES)
    calling.join()

    assert ("0", None, None) == (during, os.environ.get(RETRIES), os.environ.get(TIMEOUT))


def test_lines_of_mlflow_s_are_off_during_a_call_whatever_a_person_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was set comes back afterwards."""
    name = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
    monkeypatch.setenv(name, "false")
    with client_calls._settings():
        during = os.environ[name]
    assert ("true", "false") == (during, os.environ[name])


def test_limit_that_a_person_set_is_kept(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own variables decide where they are set."""
    monkeypatch.setenv(TIMEOUT, "1")

    assert 1 == pytest.approx(log(silent), abs=0.7)
    assert "1" == os.environ[TIMEOUT]


def test_server_that_says_not_now_is_asked_again() -> None:
    """A 503 is asked again until there is an answer."""
    answers = [503, 503, 200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(answers.pop(0))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        client_calls.connect(f"http://127.0.0.1:{server.server_port}").log_batch(
            "a" * 32, metrics=[Metric("a", 1.0, 1, 0)]
        )
        server.shutdown()
        thread.join()

    assert [] == answers
