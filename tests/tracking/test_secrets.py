"""Nothing that a process prints, logs, stores or raises holds a password or a token, whatever fails."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import traceback
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import mlflow
import pytest
from guard import guard

import kontext_lab as kl
from kontext_lab.panel.code_export import sweep_code
from kontext_lab.tracking import Tracker
from kontext_lab.tracking import tracker as tracker_module

PASSWORD = "marked/pass+word@0815"
TOKEN = "marked-token-4711"
ENCODED = quote(PASSWORD, safe="")

SPELLINGS = (
    PASSWORD,
    ENCODED,
    ENCODED.lower(),
    PASSWORD.replace("/", "%2F"),
    b64encode(f"ann:{PASSWORD}".encode()).decode(),
    b64encode(f"ann:{ENCODED}".encode()).decode(),
    "pass+word",
    "word@0815",
    TOKEN,
)

SWEEP = """
prompt: Add a {animal} that nobody asked for.
image: photo.jpg
axes:
  animal: [newt, toad]
"""


def found_in(data: bytes) -> list[str]:
    """The spellings of a secret that are in there."""
    return [one for one in SPELLINGS if one.encode() in data]


def files_with_a_secret(folder: Path) -> list[tuple[str, list[str]]]:
    """The files, by name or content."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [(str(path), hits) for path in paths if (hits := found_in(str(path).encode() + path.read_bytes()))]


Case = tuple[Mapping[str, str], Sequence[Sequence[str]]]
"""An environment, and commands."""


def tell(cases: Mapping[str, Case]) -> dict[str, str]:
    """What a process that logs everything prints on each case, errors with their causes included."""
    script = Path(__file__).with_name("telling.py")
    ended = subprocess.run(
        [sys.executable, str(script), json.dumps(cases)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=580,
    )
    assert 0 == ended.returncode, ended.stdout[-3000:]
    parts = re.split(r"^=== (.*)\n", ended.stdout, flags=re.MULTILINE)
    told = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert list(cases) == list(told)
    return told


def lines_with_a_secret(told: Mapping[str, str]) -> dict[str, list[str]]:
    """By case, so that a failure shows them."""
    found = {
        case: [line for line in text.splitlines() if found_in(line.encode())] for case, text in told.items()
    }
    return {case: lines for case, lines in found.items() if lines}


@pytest.fixture
def folder(workdir: Path, photo_file: Path) -> Path:
    """Where a person keeps a sweep, its photograph, and the lab's home."""
    (workdir / "photo.jpg").write_bytes(photo_file.read_bytes())
    (workdir / "sweep.yaml").write_text(SWEEP)
    return workdir


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


RUN = ["run", "sweep.yaml", "--sandbox", "--yes", "--no-measure"]
COMMANDS = (["doctor"], RUN, ["list"])


@pytest.fixture
def home(folder: Path) -> dict[str, str]:
    """The setting for a lab's home in the folder."""
    return {"KONTEXT_LAB_HOME": str(folder / "lab-home")}


@pytest.mark.slow
def test_a_signed_server_is_used_and_its_password_is_nowhere(
    server: str, folder: Path, home: dict[str, str]
) -> None:
    """In no output, no log line and no file of a sweep that is run, looked at, reported and recovered."""
    with guard(server, "ann", PASSWORD) as port:
        setting = {"MLFLOW_TRACKING_URI": f"http://ann:{ENCODED}@127.0.0.1:{port}", **home}
        more = (["show", "last"], ["report", "last", "--out", "page.html"], ["recover"])
        told = tell({"right": (setting, (*COMMANDS, *more))})
    assert {} == lines_with_a_secret(told)
    assert "2 done" in told["right"]
    assert f"http://ann:***@127.0.0.1:{port}" in told["right"]
    assert [] == files_with_a_secret(folder)


SERVERS = {
    "wrong password": "http://ann:{password}@127.0.0.1:{refusing}",
    "away": "http://ann:{password}@127.0.0.1:{closed}",
    "unknown host": "http://ann:{password}@nowhere.invalid:5000",
    "no such port": "http://ann:{password}@127.0.0.1:99999",
    "no port at all": "http://ann:{password}@127.0.0.1:port",
    "slash in the password": "http://ann:marked/pass+word@0815@127.0.0.1:{refusing}",
    "token as a name": "http://{token}@127.0.0.1:{refusing}",
    "token in the query": "http://127.0.0.1:{refusing}/?token={token}",
    "unknown scheme": "htps://ann:{password}@127.0.0.1:{refusing}",
    "no scheme": "ann:{password}@127.0.0.1:{refusing}",
    "folder": "file://ann:{password}@host/mlruns",
    "bucket": "s3://ann:{password}@bucket",
    "blank at the end": "http://ann:{password}@127.0.0.1:{refusing} ",
}

BESIDE = {
    "password beside": {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": PASSWORD},
    "token beside": {"MLFLOW_TRACKING_TOKEN": TOKEN},
}
"""Where MLflow takes them from variables of their own."""


@pytest.mark.slow
def test_no_failure_of_a_server_names_the_password(
    server: str, folder: Path, home: dict[str, str], closed_port: int
) -> None:
    """Neither lines, nor logs at every level, nor tracebacks, arguments and pickles of errors, nor files."""
    with guard(server, "ann", "another") as refusing:
        places = {"password": ENCODED, "token": TOKEN, "refusing": refusing, "closed": closed_port}
        uris = {case: {"MLFLOW_TRACKING_URI": uri.format(**places)} for case, uri in SERVERS.items()}
        uris |= {
            case: {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{refusing}", **more}
            for case, more in BESIDE.items()
        }
        told = tell({case: (uri | home, (*COMMANDS, ["ui"])) for case, uri in uris.items()})
    assert {} == lines_with_a_secret(told)
    assert [] == [case for case, text in told.items() if "raised" not in text]
    assert "refused" in told["wrong password"]
    assert [] == files_with_a_secret(folder)


DATABASES = {
    "right": ("", ""),
    "password in the query": (f":{ENCODED}@", "@"),
    "unknown database": ("/DB?", "/missing?"),
    "unknown user": ("ann:", "eve:"),
    "away": ("?host=", "?host=/nonexistent"),
    "unknown host": ("@/", "@nowhere.invalid/"),
    "no such port": ("@/", "@:99999/"),
    "no port at all": ("@/", "@:port/"),
    "unknown dialect": ("postgresql+psycopg2", "postgresq"),
    "unknown driver": ("+psycopg2", "+nothing"),
    "no scheme": ("postgresql+psycopg2://", ""),
    "unknown option": ("?host", "?hosts"),
    "password as it is": (ENCODED, PASSWORD),
    "blank before": ("postgresql", " postgresql"),
}


@pytest.mark.slow
def test_no_failure_of_a_database_names_the_password(
    postgres: SimpleNamespace, migrated_postgres: str, folder: Path, home: dict[str, str]
) -> None:
    """The same, with PostgreSQL, of which a sweep is tracked as well."""
    postgres.psql(f"CREATE DATABASE guarded TEMPLATE {migrated_postgres};")
    postgres.psql("CREATE ROLE ann SUPERUSER LOGIN;")
    uri = postgres.uri("guarded").replace("postgres:marked-password-0815", f"ann:{ENCODED}")
    uris = {case: uri.replace(old.replace("DB", "guarded"), new, 1) for case, (old, new) in DATABASES.items()}
    uris["password in the query"] += f"&password={ENCODED}&sslpassword={TOKEN}"
    told = tell({case: ({"MLFLOW_TRACKING_URI": uri} | home, COMMANDS) for case, uri in uris.items()})
    assert {} == lines_with_a_secret(told)
    good = [case for case, text in told.items() if "2 done" in text]
    assert ["right", "password in the query"] == good
    assert [] == files_with_a_secret(folder)


PROXIES = {
    "refusing": "http://ann:{password}@127.0.0.1:{refusing}",
    "away": "http://ann:{password}@127.0.0.1:{closed}",
    "unknown host": "http://ann:{password}@nowhere.invalid:3128",
    "no such port": "http://ann:{password}@127.0.0.1:99999",
    "no scheme": "ann:{password}@127.0.0.1:{refusing}",
    "socks": "socks5://ann:{password}@127.0.0.1:{closed}",
}


@pytest.mark.slow
def test_no_failure_of_a_proxy_names_the_password(
    folder: Path, home: dict[str, str], store_uri: str, closed_port: int
) -> None:
    """References and the service are out of reach, and nobody says by which password or by which signature."""
    commands = [["doctor"], ["run", "sweep.yaml", "--yes"]]
    for scheme in ("http", "https"):
        text = f"prompt: x\nimage: '{scheme}://pictures.invalid/x.png?X-Amz-Signature={TOKEN}'\n"
        (folder / f"{scheme}.yaml").write_text(text)
        commands.append(["run", f"{scheme}.yaml", "--sandbox", "--yes"])
    cases = {}
    with guard("", "ann", "another") as refusing:
        for case, proxy in PROXIES.items():
            address = proxy.format(password=ENCODED, refusing=refusing, closed=closed_port)
            setting = {"http_proxy": address, "https_proxy": address, "AIMLAPI_API_KEY": TOKEN, **home}
            for scheme in ("http", "https"):
                there = {"AIMLAPI_BASE_URL": f"{scheme}://service.invalid"}
                cases[f"{case}, {scheme}"] = (setting | there, commands)
        told = tell(cases)
    assert {} == lines_with_a_secret(told)
    assert [] == [case for case, text in told.items() if "pictures.invalid" not in text]
    own = {folder / "http.yaml", folder / "https.yaml"}
    assert [] == [found for found in files_with_a_secret(folder) if Path(found[0]) not in own]


SERVICES = {
    "password": f"http://ann:{ENCODED}@service.invalid",
    "token in the query": f"http://service.invalid?api_key={TOKEN}",
    "unknown scheme": f"ftp://ann:{ENCODED}@service.invalid",
    "no port": f"http://ann:{ENCODED}@service.invalid:x",
}


@pytest.mark.slow
def test_no_address_of_a_service_is_repeated_with_a_secret(
    folder: Path, home: dict[str, str], store_uri: str
) -> None:
    """An address that can't be used is refused without what it holds."""
    key = {"AIMLAPI_API_KEY": "k" * 20, **home}
    commands = (["doctor"], ["run", "sweep.yaml", "--yes"])
    told = tell({case: ({"AIMLAPI_BASE_URL": url, **key}, commands) for case, url in SERVICES.items()})
    assert {} == lines_with_a_secret(told)
    assert [] == [case for case, text in told.items() if "base URL" not in text]


def test_the_pages_of_a_store_are_opened_without_a_word_on_the_command_line(
    folder: Path, postgres_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user of a machine can read command lines, so the store's address goes another way."""
    from kontext_lab.cli import servers

    seen: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(servers.os, "execve", lambda _, *given: seen.append(given))
    monkeypatch.setattr(servers.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0))
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "of a person")
    servers.ui.callback(1)
    ((command, environment),) = seen
    assert "marked-password" not in str(command)
    assert postgres_uri == environment["MLFLOW_BACKEND_STORE_URI"]


def test_a_tag_of_mlflow_s_own_context_holds_no_token(
    store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow tags runs with the address of the repository a script lies in, and with what a setting says."""
    address = f"https://host.invalid/x.git?private_token={TOKEN}"
    monkeypatch.setattr(
        tracker_module.registry, "resolve_tags", lambda: {"mlflow.source.git.repoURL": address}
    )
    assert {"mlflow.source.git.repoURL": "https://host.invalid/x.git?private_token=***"} == Tracker()._context


@pytest.mark.slow
def test_24_cells_on_a_server_bring_no_line_of_mlflow_s(server: str, folder: Path) -> None:
    """The bar has the terminal for itself; what a person has set for MLflow's lines stays set."""
    script = (
        "import mlflow, kontext_lab as kl\n"
        "sweep = kl.Sweep('Add a newt to server.', 'photo.jpg', axes={'seed': '1-24'})\n"
        "with kl.Lab('sandbox', measure=False) as lab:\n    print(lab.run(sweep).counts)\n"
        "print('own')\nmlflow.start_run()\nmlflow.end_run()\n"
    )
    setting = {"MLFLOW_TRACKING_URI": server, "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "false"}
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **setting},
        capture_output=True,
        text=True,
        check=True,
    )
    ours, _, own = ended.stdout.partition("own")
    assert "24" in ours
    assert "View" not in ours + ended.stderr
    assert "View run" in own


def test_a_notebook_s_own_run_is_told_of_after_a_sweep(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """MLflow's lines are kept from our calls alone."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    with kl.Lab("sandbox", measure=False) as lab, mlflow.start_run():
        lab.edit("photo.jpg", "Add a quiet newt.")
        assert "View" not in capsys.readouterr().out
    assert "View run" in capsys.readouterr().out
    assert "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT" not in os.environ


@pytest.mark.slow
def test_an_error_holds_no_secret_whatever_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every class of the tree redacts its words, its body and what a person gave."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:{ENCODED}@host")
    words = " ".join((*SPELLINGS, f"http://h/?token={TOKEN}"))
    for name in kl.errors.__all__:
        kind = getattr(kl.errors, name)
        if isinstance(kind, type) and issubclass(kind, kl.KontextLabError):
            error = kind(words, 400, None, words) if issubclass(kind, kl.errors.ServiceError) else kind(words)
            shown = repr(error) + str(error) + str(vars(error)) + "".join(traceback.format_exception(error))
            assert PASSWORD not in shown, name
            assert ENCODED not in shown, name
            assert f"token={TOKEN}" not in shown, name


@pytest.fixture
def signed_address(photo_file: Path) -> Iterator[str]:
    """An address with a signature, at which the photograph lies; its host asks for none."""
    handler = partial(QuietHandler, directory=str(photo_file.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/{photo_file.name}?X-Amz-Signature={TOKEN}&st={PASSWORD}"
        running.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.slow
def test_a_reference_s_signature_is_nowhere_but_in_the_person_s_own_file(
    signed_address: str, folder: Path, home: dict[str, str], store_uri: str
) -> None:
    """In no output, no log line, no run, no page and no file of the lab."""
    (folder / "sweep.yaml").write_text(f"prompt: Add a newt.\nimage: '{signed_address}'\nseed: 1-2\n")
    told = tell(
        {"signed": (home, (RUN, ["show", "last", "--json"], ["report", "last", "--out", "page.html"]))}
    )
    assert {} == lines_with_a_secret(told)
    assert "2 done" in told["signed"]
    assert [str(folder / "sweep.yaml")] == [path for path, _ in files_with_a_secret(folder)]


def test_a_signature_is_not_in_the_journal_while_a_sweep_runs(
    signed_address: str, folder: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal holds the picture in the address's place."""
    monkeypatch.setenv("KONTEXT_LAB_HOME", str(folder / "lab-home"))
    seen: list[object] = []

    def look(_: kl.CellResult) -> None:
        seen.append(files_with_a_secret(folder / "lab-home"))

    sweep = kl.Sweep("Add a newt.", signed_address, axes={"seed": [1, 2]})
    with kl.Lab("sandbox", measure=False) as lab:
        lab.start(sweep, observers=[look]).wait()
    assert seen
    assert not any(seen)


@pytest.mark.slow
def test_a_sweep_outlives_its_signature(signed_address: str, folder: Path, store_uri: str) -> None:
    """Loaded from the store it needs the address no more: it goes on, and what was paid for is reused."""
    with kl.Lab("sandbox", measure=False) as lab:
        first = lab.run(kl.Sweep("Add a newt.", signed_address, seed=1, name="signed"), progress=False)
        loaded = lab.load_sweep("signed")
        again = lab.run(loaded, progress=False)
        longer = lab.run(loaded.replace(seed="1-2"), progress=False)
    assert [None] == [one.url for one in loaded.references]
    assert [cell.fingerprint for cell in first] == [cell.fingerprint for cell in again]
    assert 0.0 == again.spent
    assert [True, False] == [bool(cell.reused_from) for cell in longer]


def test_a_person_s_own_file_keeps_what_the_person_wrote(signed_address: str, folder: Path) -> None:
    """A sweep saved as YAML has the whole address, since it is what the person gave."""
    file = kl.Sweep("Add a newt.", signed_address).to_yaml("mine.yaml")
    assert [signed_address] == [one.url for one in kl.Sweep.from_yaml(file).references]


def test_a_reference_shows_its_address_without_what_opens_it(signed_address: str) -> None:
    """Neither its repr, nor what it was made of, nor a request's log form holds the query's values."""
    sweep = kl.Sweep("Add a newt.", signed_address.replace("://", f"://ann:{ENCODED}@"))
    (reference,) = sweep.references
    shown = f"{reference!r} {reference.source} {reference.address} {sweep!r} {sweep.cells[0].request!r}"
    assert [] == found_in(shown.encode())
    assert [] == found_in(str(sweep.cells[0].request.logged_payload()).encode())


@pytest.mark.slow
def test_code_that_makes_a_sweep_again_takes_its_reference_from_the_run(
    signed_address: str, folder: Path, store_uri: str
) -> None:
    """A notebook keeps the code, so it holds no signature; before there is a run there is no such code."""
    with kl.Lab("sandbox", measure=False) as lab:
        results = lab.run(kl.Sweep("Add a newt.", signed_address, seed=1, name="signed"), progress=False)
        code = sweep_code(kl.Sweep("Add a newt.", results[0].request.images[0]), run_id=results.run_id)
    assert [] == found_in(code.encode())
    assert f"lab.load_sweep({results.run_id!r})" in code
    with pytest.raises(kl.errors.SweepError, match="run the sweep first"):
        sweep_code(kl.Sweep("Add a newt.", signed_address))
