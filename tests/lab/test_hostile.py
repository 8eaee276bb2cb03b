"""Names, prompts and answers that mean harm: they stay data, in pages, terminals, files and the journal."""

from __future__ import annotations

import json
import pickle
import sys
import traceback
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

import kontext_lab as kl
from kontext_lab.cli.main import run_command
from kontext_lab.images import load_reference
from kontext_lab.journal import AttemptFolder, Intent, Journal, SweepFacts
from kontext_lab.request.attempt import RawAnswer
from kontext_lab.sandbox import Sandbox

sys.path.append(str(Path(__file__).parents[1] / "client"))
from raw_server import Peer, RawServer  # the client's tests have the server

EVIL = """<script>alert(1)</script>"'><img src=x onerror=alert(2)> ![a](http://h.example/b.png)"""
KEY = "marked-key-4711"


class Elements(HTMLParser):
    """Which elements and attributes a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(name for name, _ in attrs)}


def answering(
    status: int, body: bytes, heads: list[str] | None = None, picture: bytes = b""
) -> Callable[[Peer], None]:
    """A service that answers every request for a picture in one way."""

    def act(peer: Peer) -> None:
        head = peer.read_request()
        if heads is not None:
            heads.append(head)
        other = (200, picture if "/a.png" in head else b"{}")
        peer.answer(*((status, body) if head.startswith("POST") else other))

    return act


@pytest.fixture
def evil_sweep(photo_file: Path) -> kl.Sweep:
    """HTML wherever a person can write."""
    return kl.Sweep(
        f"Add a {{animal}}. {EVIL}",
        load_reference(photo_file, name=EVIL),
        axes={"animal": {EVIL: EVIL, "b": "bird"}},
        name=EVIL,
        note=EVIL,
        aspect_ratio="1:1",
    )


@pytest.mark.slow
def test_no_view_holds_markup(lab: kl.Lab, evil_sweep: kl.Sweep, api: Sandbox) -> None:
    """A browser finds only our own elements in what notebooks show."""
    plan = lab.plan(evil_sweep)
    api.script(["bad_request"])
    results = lab.run(evil_sweep, progress=False)
    loaded = lab.load("last")
    good = next(cell for cell in loaded if cell.outputs)
    found = lab.find(good.output)
    views = [plan, results, loaded, *results, *loaded, good.output, *found, lab.spending()]
    assert len(found) == 1
    for view in views:
        own = {"div", "b", "br", "ul", "li", "img", "alt", "src", "table", "tr", "th", "td"}
        assert set() == Elements(view._repr_html_()).found - own
        assert "<script" not in view._repr_html_()


def test_a_note_in_mlflow_is_text(lab: kl.Lab, evil_sweep: kl.Sweep, store_uri: str) -> None:
    """MLflow shows a run's note as markdown: names in it are neither HTML nor links nor pictures."""
    run_id = lab.run(evil_sweep, progress=False).run_id
    note = MlflowClient(store_uri).get_run(run_id).data.tags["mlflow.note.content"]
    assert set() == Elements(note).found
    assert r"!\[a\](http" in note
    assert "![a]" not in note


def test_words_of_the_service_are_text(
    store_uri: str, evil_sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An error's message is escaped as well."""
    body = json.dumps({"requestId": "x", "statusCode": 400, "message": EVIL}).encode()
    monkeypatch.setenv("AIMLAPI_API_KEY", KEY)
    with RawServer(answering(400, body)) as server:
        monkeypatch.setenv("AIMLAPI_BASE_URL", server.url)
        with kl.Lab(home=tmp_path / "home") as lab:
            results = lab.run(evil_sweep, progress=False)
    assert EVIL[:20] in results[0].note
    assert {"div", "br"} == Elements(results[0]._repr_html_()).found


def test_no_command_obeys_a_name(
    lab: kl.Lab, photo_file: Path, store_uri: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Escape sequences that came into the store by another way are shown, not sent to the terminal."""
    results = lab.run(kl.Sweep("Add a bird.", photo_file, aspect_ratio="1:1"), progress=False)
    (tmp_path / "a.jpg").write_bytes(results[0].bytes)
    client, evil = MlflowClient(store_uri), "\x1b[31m\x9b2J\x1b]0;title\x07\r\u202e"
    client.update_run(results.run_id, name=f"{evil}name")
    for key in ("kontext.note", "kontext.reason"):
        client.set_tag(results[0].run_id, key, f"{evil}words")
    (tmp_path / "wrong.yaml").write_text('prompt: x\nimage: "\\e[31m.png"\n', encoding="utf-8")
    capfd.readouterr()
    for words in (
        *(["list"], ["list", "--json"], ["list", "--all"], ["show", "last"], ["show", "last", "--json"]),
        *(["costs"], ["costs", "--json"], ["find", str(tmp_path / "a.jpg")], ["show", evil], [evil]),
        *(["run", str(tmp_path / "wrong.yaml"), "--sandbox"], ["run", evil], ["export", evil, evil]),
    ):
        run_command(words)
        out, err = capfd.readouterr()
        assert set() == {
            one for one in out + err if one != "\n" and (ord(one) < 32 or one in "\x7f\x9b\u202e")
        }
        assert out + err
        assert "--json" not in words or json.loads(out)


def test_no_command_obeys_a_journal(
    tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither when a lab opens, nor when its journal is looked at or recovered."""
    monkeypatch.setenv("KONTEXT_LAB_HOME", str(tmp_path / "lab"))
    hostile_journal(tmp_path / "lab", "http://127.0.0.1:9", name="\x1b[31mred", experiment="\x9b2J")
    for words in (["doctor"], ["list"], ["recover"]):
        run_command(words)
        out, err = capfd.readouterr()
        assert not {"\x1b", "\x9b"} & set(out + err)
    assert "u001b[31mred" in out + err


BODIES = {
    "half a character": (200, b'{"images": [{"url": "\\ud83d"}], "x": "\\ud800"}'),
    "nested": (200, b'{"images": ' + b"[" * 970 + b"]" * 970 + b"}"),
    "nested too deeply": (200, b'{"images": ' + b"[" * 9000 + b"]" * 9000 + b"}"),
    "an address that is none": (200, b'{"images": [{"url": "http://a\\u009b31m\\u001b]0;x\\u0007/a.png"}]}'),
    "numbers without end": (
        200,
        b'{"images": [NaN, Infinity], "seed": 1e400, "meta": {"usage": {"usd_spent": 1e999}}}',
    ),
    "an error with half a character": (
        400,
        b'{"requestId": "x", "statusCode": 400, "message": "\\ud800\\u001b[31m"}',
    ),
    "an error nested deeply": (
        400,
        b'{"requestId": "x", "statusCode": 400, "message": [' + b"[" * 980 + b"]" * 981 + b"}",
    ),
}


@pytest.mark.parametrize("kind", BODIES)
def test_any_answer_is_recorded(
    kind: str, store_uri: str, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was answered reaches the store, and nothing of it stays in the journal for ever."""
    monkeypatch.setenv("AIMLAPI_API_KEY", KEY)
    with RawServer(answering(*BODIES[kind])) as server:
        monkeypatch.setenv("AIMLAPI_BASE_URL", server.url)
        with kl.Lab(home=tmp_path / "home") as lab:
            lab.run(kl.Sweep("Add a bird.", photo_file, aspect_ratio="1:1"), progress=False)
            assert ["failed"] == [str(cell.state) for cell in lab.load("last")]
            assert [] == lab.unfinished


NAMES = [
    "../../x",
    "CON",
    "a\x1b[31m\0b",
    "n" * 3000,
    "..",
    "\ud800",
    "=1+1",
    "😀" * 300,
    "a/b\\c:d",
    "\u202ex",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_no_name_leads_elsewhere(
    name: str, workdir: Path, migrated_store: Path, api: Sandbox, lab: kl.Lab
) -> None:
    """Files of pictures, exports, sweeps and artifacts stay in the folder that was given."""
    plain = np.full((40, 60, 3), 128, np.uint8)
    short = name[:200].replace("\x1b", "").replace("\0", "").replace("\ud800", "u")
    sweep = kl.Sweep(
        "Add {a}.",
        images=[load_reference(plain, name=name), load_reference(plain + 9, name=name)],
        axes={"a": {short: short, "plain": "b"}},
        name=short,
    )
    before = set(workdir.parent.rglob("*"))
    results = lab.run(sweep, progress=False)
    results.save(workdir / "out" / "saved")
    sweep.to_yaml(workdir / "out" / "one" / "sweep.yaml", self_contained=True)
    sweep.to_yaml(workdir / "out" / "two" / "sweep.yaml")
    run_command(["export", results.run_id, str(workdir / "out" / "exported")])
    new = [path for path in set(workdir.parent.rglob("*")) - before if path.is_file()]
    places = (
        "work/out/",
        "work/mlflow",
        "work/mlruns/",
        "work/mlartifacts/",
        "home/.local/share/kontext-lab/",
    )
    assert [] == [path for path in new if not str(path.relative_to(workdir.parent)).startswith(places)]
    assert 2 == len(list((workdir / "out" / "saved").glob("[12] *")))
    assert 2 == len(list((workdir / "out" / "exported").glob("[12] *")))
    assert not any("\x1b" in str(path) or len(path.name.encode()) > 255 for path in new)


# --- the key ---------------------------------------------------------------------------------------------


def hostile_journal(home: Path, address: str, **changes: str) -> None:
    """A sweep in the journal that was sent to some address: one request answered with a picture there, one not."""
    facts = {
        **{"name": "n", "digest": "d" * 64, "service": address, "base_url": address},
        **{"store": f"sqlite:///{Path.cwd() / 'mlflow.db'}", "experiment": "kontext-lab", **changes},
    }
    journal = Journal(home).sweep(SweepFacts(**facts))
    journal.begin(kl.Sweep("Add a bird.", np.full((40, 60, 3), 128, np.uint8), seed=[1, 2]))
    for place in (0, 1):
        attempt_folder: AttemptFolder = journal.intend(
            Intent(place, "t", f"kl-{place}", "f" * 64, 0.05, "2026-11-22T10:00:00+00:00")
        )
        attempt_folder.mark_sent("a process")
    body = json.dumps({"images": [{"url": f"{address}/a.png"}]}).encode()
    attempt_folder.keep_answer(RawAnswer(200, body, {}, 1.0))


@pytest.mark.parametrize("service", ["", "sandbox"])
def test_a_journal_sends_the_key_nowhere(
    service: str, lab: kl.Lab, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that names another address is recovered without the key, whatever it calls the service."""
    monkeypatch.setenv("KONTEXT_LAB_HOME", str(tmp_path / "lab"))
    heads: list[str] = []
    with RawServer(answering(200, b"{}", heads, photo_file.read_bytes())) as elsewhere:
        hostile_journal(tmp_path / "lab", elsewhere.url, service=service or elsewhere.url)
        lab.recover()
        with kl.Lab("api") as second:
            second.recover()
    assert {"/a.png", "/v2/logs"} == {head.split()[1].partition("?")[0] for head in heads}
    assert [] == [head for head in heads if KEY in head]
    assert [] == [head for head in heads if "Authorization" in head and "Bearer sandbox" not in head]


def test_what_pickles_holds_no_key(lab: kl.Lab, photo_file: Path, api: Sandbox) -> None:
    """Results, cells, worker and sweep pickle without it; lab and handle, which hold connections, don't pickle."""
    handle = lab.start(kl.Sweep("Add a bird.", photo_file, aspect_ratio="1:1"))
    results = handle.wait()
    for one in (
        lab,
        handle,
        lab.context.connection,
        results,
        results[0],
        results[0].output,
        lab.context.worker,
    ):
        try:
            data = pickle.dumps(one)
        except (TypeError, AttributeError):
            continue
        assert KEY.encode() not in data
    assert pickle.dumps(lab.context.worker)


def test_a_picture_of_a_hostile_name_is_found_by_command(
    lab: kl.Lab, workdir: Path, photo_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A file whose name is no text is read, and named without a traceback."""
    file = workdir / "a\x1b[31m\udce9.png"
    with Image.open(photo_file) as picture:
        picture.save(workdir / "plain.png")
    (workdir / "plain.png").rename(file)
    lab.run(kl.Sweep("Add a bird.", file, aspect_ratio="1:1"), progress=False)
    assert 1 == run_command(["find", str(file)])
    assert "\x1b" not in "".join(capfd.readouterr())


def test_a_lab_whose_settings_are_refused_can_be_shown() -> None:
    """A traceback that shows local variables does not break on it."""
    try:
        kl.Lab("sandbox", concurrency=0)
    except kl.KontextLabError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "<Lab: not opened>" in shown


def test_a_prompt_that_looks_nested_is_loaded_from_the_store(lab: kl.Lab, photo_file: Path) -> None:
    """A prompt is text: its brackets don't keep a sweep from being read again."""
    made = kl.Sweep("[" * 100, photo_file, aspect_ratio="1:1")
    lab.run(made, progress=False)
    assert made.cells[0].request.prompt == lab.load_sweep("last").cells[0].request.prompt
