"""Whatever comes from outside – a service, a damaged disk, a file's name – gives a value or an error of ours."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kontext_lab.client import ClientSettings, KontextClient
from kontext_lab.client.account import read_balance, read_logs, read_price
from kontext_lab.client.failures import read_envelope
from kontext_lab.errors import KontextLabError, visible
from kontext_lab.images import load_reference
from kontext_lab.journal import AttemptFolder, Journal
from kontext_lab.lab.unfinished import unfinished_line
from kontext_lab.redaction import Redactor
from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import RawAnswer
from kontext_lab.results.saving import FORMULA, csv_text
from kontext_lab.sweep.yaml_file import LONGEST_NAME, safe_name

QUICK = settings(max_examples=80, deadline=5_000)

REQUEST = EditRequest(prompt="x", image=load_reference(np.full((4, 6, 3), 128, np.uint8)), num_images=2)

NAMES = (
    *("data", "images", "url", "b64_json", "error", "message", "path", "requestId", "status", "title"),
    *("id", "pricing", "units", "variants", "name", "unit", "price", "per", "current_balance"),
    *("cost", "usd", "credits", "created", "client_request_id", "pagination", "has_more", "meta", "usage"),
)

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        # Port 9 of this machine refuses at once: nothing here reaches a network.
        [
            "m",
            "image",
            "http://127.0.0.1:9/a.png",
            "http://[",
            "file:///etc/passwd",
            "data:,x",
            "1e999",
            "\ud800",
        ]
    )
)

JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=14,
)

BODIES = st.binary(max_size=120) | JSON.map(lambda found: json.dumps(found).encode())

DEEP = [
    b'{"error": {"data": [{"message": "x", "path": %b}]}}' % (b"[" * n + b"]" * n) for n in (940, 990, 9000)
]


def test_every_depth_of_an_envelope_is_read() -> None:
    """Also just below the depth at which Python gives up."""
    for depth in range(850, 1010):
        nested = b"[" * depth + b"]" * depth
        for shape in (b'{"message": [%b]}', b'{"error": {"data": [{"message": "x", "path": %b}]}}'):
            assert isinstance(read_envelope(shape % nested).words, str)


@QUICK
@given(body=BODIES)
@example(body=DEEP[0])
@example(body=DEEP[1])
@example(body=DEEP[2])
def test_any_error_body_is_an_envelope(body: bytes) -> None:
    """What it says is one printable line."""
    words = read_envelope(body).words
    assert words.isprintable()
    assert len(words) <= 600


@QUICK
@given(body=BODIES)
@example(body=b'{"data": [{"id": "m", "pricing": {"units": [{"name": [1], "price": 1}]}}]}')
@example(
    body=b'{"data": [{"id": "m", "pricing": {"units": [{"unit": "image", "price": 1e308, "per": 1e-9}]}}]}'
)
def test_any_body_is_an_account_or_nothing(body: bytes) -> None:
    """Balance, price and log are finite numbers and rows, or None."""
    assert abs(read_balance(body) or 0.0) < 1e12
    assert 0.0 <= (read_price(body, "m") or 0.0) < float("inf")
    outcomes, _ = read_logs(body) or ({}, False)
    assert all(0.0 <= outcome.cost_usd < float("inf") for outcome in outcomes.values())


@settings(max_examples=60, deadline=10_000)
@given(body=BODIES, header=st.text(alphabet=st.characters(max_codepoint=255), max_size=12))
def test_any_answer_is_collected(body: bytes, header: str) -> None:
    """Whatever a service answers gives as many pictures as were asked for, at a finite cost."""
    client = KontextClient(
        ClientSettings(base_url="http://127.0.0.1:9", connect_timeout=0.2, read_timeout=0.5)
    )
    answer = client.collect(RawAnswer(200, body, {"x-aimlapi-usd-spent": header}), REQUEST)
    client.close()
    assert len(answer.pictures) >= 2
    assert 0.0 <= answer.cost_usd < float("inf")
    assert all(picture.note.isprintable() for picture in answer.pictures)


# --- the journal -----------------------------------------------------------------------------------------

INTENT = {
    "place": 0,
    "title": "t",
    "request_id": "kl-1",
    "fingerprint": "f",
    "price": 0.05,
    "when": "2026-11-22T10:00",
}
ANSWER = {"status": 200, "latency_s": 1.0, "headers": {"a": "b"}, "body": "{}"}
SWEEP = {
    **{"name": "n", "digest": "d", "service": "sandbox", "base_url": "http://127.0.0.1:9"},
    **{"store": "sqlite:////nowhere/x.db", "experiment": "e", "parent_id": "", "version": "0"},
}


def _changed(facts: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """A file as it should be, but for one of its facts."""
    odd = JSON | st.sampled_from(
        [float("inf"), -1, 10**400, "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"]
    )
    one = st.tuples(st.sampled_from(sorted(facts)), odd)
    return one.map(
        lambda change: json.dumps({**facts, change[0]: change[1]}).encode("utf-8", "surrogatepass")
    )


@settings(max_examples=120, deadline=5_000)
@given(
    intent=st.binary(max_size=60) | _changed(INTENT),
    answer=st.binary(max_size=60) | _changed(ANSWER),
    facts=st.binary(max_size=60) | _changed(SWEEP),
    sends=st.binary(max_size=60),
)
def test_any_files_are_a_journal(intent: bytes, answer: bytes, facts: bytes, sends: bytes) -> None:
    """What a damaged disk left is read as far as it makes sense, and is never an error of somebody else's."""
    with tempfile.TemporaryDirectory() as home:
        journal = Journal(Path(home))
        attempt_folder = journal.folder / "key name" / "00000 kl-1"
        (attempt_folder / "output-1").mkdir(parents=True)
        (attempt_folder / "output-0").write_bytes(answer)
        for file, data in {"intent.json": intent, "answer.json": answer}.items():
            (attempt_folder / file).write_bytes(data)
        for file, data in {"sweep.json": facts, "sends.txt": sends, "sweep.yaml": sends}.items():
            (attempt_folder.parent / file).write_bytes(data)
        for one in journal.unfinished():
            assert isinstance(unfinished_line(one), str)
            assert isinstance(one.sends, set)
            assert all(found.place >= 0 for found, _ in one.attempt_folders())
            with suppress(KontextLabError):
                one.sweep()


@QUICK
@given(data=st.binary(max_size=60) | _changed(ANSWER))
def test_any_kept_answer_is_an_answer_or_none(data: bytes) -> None:
    """An answer's file is an answer or nothing; a folder in a picture's place is no picture."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "answer.json").write_bytes(data)
        (Path(folder) / "output-0").mkdir()
        attempt_folder = AttemptFolder(folder)
        assert attempt_folder.answer is None or isinstance(attempt_folder.answer.status, int)
        assert {} == attempt_folder.outputs


@QUICK
@given(data=_changed(INTENT))
def test_any_intent_has_a_moment(data: bytes) -> None:
    """A moment that can be compared and counted from, whatever the file says."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "intent.json").write_bytes(data)
        intent = AttemptFolder(folder).intent
    if intent is not None:
        assert intent.moment - timedelta(days=1) < intent.moment.astimezone(UTC)
        assert isinstance(datetime.now(UTC) - intent.moment, timedelta)


# --- names, tables, keys ---------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.text(
    alphabet="\x00\x07\x1b\x85\x9b\u202e\ud800./\\:=+-@＝\t\r\n aA", max_size=12
)


@QUICK
@given(text=TEXT)
def test_nothing_visible_moves_a_cursor(text: str) -> None:
    """No control character is left, and what has none stays as it is."""
    shown = visible(text)
    assert all(one.isprintable() or one in "\n\t" or ord(one) > 0x9F for one in shown)
    assert shown == visible(shown)


@QUICK
@given(text=TEXT)
@example(text="CON")
@example(text="../../etc/passwd")
@example(text="😀" * 90)
def test_any_text_is_a_safe_file_name(text: str) -> None:
    """It stays in its folder, and the file can be written."""
    name = safe_name(text)
    assert name == Path(name).name
    assert len(name.encode()) <= LONGEST_NAME
    assert not any(one in name for one in "/\\:\0\n\r\x1b")


@QUICK
@given(text=TEXT)
def test_any_name_of_a_reference_is_printable(text: str) -> None:
    """Its label goes into tables, tags and titles: one line that can be written as UTF-8."""
    name = load_reference(REQUEST.images[0].png, name=text).name
    assert name.encode()
    assert len(name.splitlines()) <= 1


@QUICK
@given(
    text=st.builds(
        "{}{}".format, st.sampled_from(("", *FORMULA)), TEXT.map(lambda one: one.replace("\ud800", ""))
    )
)
def test_no_cell_of_a_table_is_a_formula(text: str) -> None:
    """A spreadsheet takes no cell for one, and no header either."""
    table = pd.DataFrame([{"prompt": text, "=a": 1, "b": -2.5}])
    head, cells = csv.reader(io.StringIO(csv_text(table), newline=""))
    assert not any(cell.startswith(FORMULA) for cell in (*head, cells[0]))


@pytest.mark.parametrize("before", ["", "https://host/?key=", '{"key": "'])
@QUICK
@given(
    key=st.text(
        alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"),
        min_size=8,
        max_size=40,
    ),
    data=st.data(),
)
def test_any_spelling_of_a_key_is_blackened(before: str, key: str, data: st.DataObject) -> None:
    """As it stands, and with any of its characters written as JSON or URLs may write them."""
    spelled = ""
    for one in key:
        code = f"{ord(one):02x}"
        spelled += data.draw(
            st.sampled_from([one, f"\\u00{code}", f"\\u00{code.upper()}", f"%{code}", "\\" + one])
        )
    redactor = Redactor(key)
    assert f"{before}*** after" == redactor.text(f"{before}{spelled} after")
    assert f"{before}*** after".encode() == redactor.body(f"{before}{spelled} after".encode())
