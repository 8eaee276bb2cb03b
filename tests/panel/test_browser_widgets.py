"""The browser widgets as Python sees them: traits, messages, callbacks, and what never becomes state."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from kontext_lab.errors import ConfigError, SweepError
from kontext_lab.metrics import placed
from kontext_lab.panel.browser import (
    BoxField,
    Chart,
    KeyField,
    PageFrame,
    Upload,
    UploadField,
    ValuesField,
    Viewer,
)
from kontext_lab.panel.browser.widget import BrowserWidget


@pytest.fixture(
    params=[lambda: ValuesField("Seeds"), BoxField, UploadField, KeyField, Viewer, Chart, PageFrame]
)
def any_widget(request: pytest.FixtureRequest) -> BrowserWidget:
    """One of each."""
    return request.param()


def sent(widget: BrowserWidget, monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], list[bytes]]]:
    """What the widget sends from now on."""
    messages: list[tuple[dict[str, Any], list[bytes]]] = []
    monkeypatch.setattr(
        widget, "send", lambda content, buffers=None: messages.append((content, buffers or []))
    )
    return messages


def state(widget: BrowserWidget) -> str:
    """All that a saved notebook would keep of it."""
    return json.dumps(widget.get_state(), default=repr)


def commit(field: ValuesField, text: str, **more: str) -> None:
    """What the browser sends when text is committed."""
    field._handle_custom_msg({"type": "commit", "id": "1", "text": text, **more}, [])


def upload(field: UploadField, data: bytes, name: str = "a.png", piece: int = 4_000_000) -> None:
    """What the browser sends for one file."""
    field._handle_custom_msg(
        {"type": "begin", "id": "1", "name": name, "size": len(data), "note": "shrunk"}, []
    )
    for at in range(0, len(data), piece):
        field._handle_custom_msg({"type": "chunk", "id": "1", "at": at}, [memoryview(data[at : at + piece])])
    field._handle_custom_msg({"type": "end", "id": "1"}, [])


# All of them


def test_unknown_keyword_is_an_error(any_widget: BrowserWidget) -> None:
    """A misspelt trait is a TypeError when the widget is made."""
    label = ("x",) if isinstance(any_widget, ValuesField) else ()
    with pytest.raises(TypeError, match="has no placeholdr"):
        type(any_widget)(*label, placeholdr="y")


def test_script_and_style_are_there(any_widget: BrowserWidget) -> None:
    """Every widget carries a script with a default export, and a style."""
    assert "export default" in any_widget.get_state()["_esm"]
    assert "kl-" in any_widget.get_state()["_css"]


def test_nothing_is_fetched(any_widget: BrowserWidget) -> None:
    """No script or style names an address outside the page."""
    assert "http" not in any_widget.get_state()["_esm"].replace("http://www.w3.org", "")
    assert "url(" not in any_widget.get_state()["_css"].replace('url("data:', "")


def test_trouble_reaches_whoever_asked() -> None:
    """An exception in a callback of the owner goes to `on_trouble`."""
    seen: list[Exception] = []
    frame = PageFrame(watched_keys=["f"])
    frame.on_key(lambda _: 1 / 0)
    frame.on_trouble(seen.append)
    frame._handle_custom_msg({"type": "key", "key": "f"}, [])
    assert [ZeroDivisionError] == [type(error) for error in seen]


def test_trouble_nobody_asked_for_is_raised() -> None:
    """Without `on_trouble` the exception is raised, not swallowed."""
    frame = PageFrame(watched_keys=["f"])
    frame.on_key(lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        frame._handle_custom_msg({"type": "key", "key": "f"}, [])


# ValuesField


def test_values_are_a_tuple_without_duplicates() -> None:
    """Lists are taken; what is said twice stands there once."""
    assert ("1", "2") == ValuesField("Seeds", value=["1", "2", "1"]).value


def test_commit_appends_what_the_text_means() -> None:
    """Without `expand`, commas part the values, and those there already are dropped."""
    field = ValuesField("Seeds", value=["1"])
    commit(field, " 2, 1,3,")
    assert ("1", "2", "3") == field.value


def test_commit_without_commas_takes_the_text_whole() -> None:
    """Words may hold commas."""
    field = ValuesField("Animal", commas=False)
    commit(field, "a small, red bird")
    assert ("a small, red bird",) == field.value


def test_commit_uses_the_owners_meaning() -> None:
    """`expand` turns text into values."""
    field = ValuesField("Seeds", expand=lambda text: [str(seed) for seed in range(1, int(text) + 1)])
    commit(field, "3")
    assert ("1", "2", "3") == field.value


def test_refused_text_stays_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of ours is shown under the field; the text can be mended; the browser is told."""

    def refuse(text: str) -> list[str]:
        raise SweepError("seed: 2-x is no range")

    field = ValuesField("Seeds", value=["1"], expand=refuse)
    messages = sent(field, monkeypatch)
    commit(field, "2-x")
    assert ("seed: 2-x is no range", "2-x", ("1",)) == (field.error, field.pending, field.value)
    assert [({"type": "done", "id": "1", "ok": False}, [])] == messages


def test_good_text_clears_what_was_wrong() -> None:
    """After a commit that worked, neither error nor pending text is left."""
    field = ValuesField("Seeds", error="no", pending="2")
    commit(field, "2")
    assert ("", "", ("2",)) == (field.error, field.pending, field.value)


def test_edited_value_keeps_its_place() -> None:
    """What an edited value became stands where it stood."""
    field = ValuesField("Seeds", value=["1", "2", "3"])
    commit(field, "7, 8", replaces="2")
    assert ("1", "7", "8", "3") == field.value


def test_remove() -> None:
    """A removed value is gone; removing it twice is no error."""
    field = ValuesField("Seeds", value=["1", "2"])
    for _ in range(2):
        field._handle_custom_msg({"type": "remove", "id": "1", "value": "1"}, [])
    assert ("2",) == field.value


def test_flush_commits_what_is_typed() -> None:
    """What stands in the input when Run is clicked counts."""
    field = ValuesField("Seeds", pending="4")
    assert field.flush()
    assert ("4",) == field.value


def test_action_button() -> None:
    """A click on an action's button reaches the owner by name."""
    names: list[str] = []
    field = ValuesField("Seeds", actions=["dice"], action_titles={"dice": "Draw a seed"})
    field.on_action(names.append)
    field._handle_custom_msg({"type": "action", "name": "dice"}, [])
    assert ["dice"] == names


def test_failing_meaning_still_answers_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in `expand` is raised, and the tag that was shown at once does not stay."""
    field = ValuesField("Seeds", expand=lambda _: [1 / 0])  # type: ignore[list-item]
    messages = sent(field, monkeypatch)
    with pytest.raises(ZeroDivisionError):
        commit(field, "1")
    assert [({"type": "done", "id": "1", "ok": False}, [])] == messages


# UploadField


def test_big_upload_arrives_whole() -> None:
    """12 MB in pieces of 4 MB are put together."""
    data = bytes(range(256)) * 46_875
    arrived: list[Upload] = []
    field = UploadField()
    field.on_upload(arrived.append)
    upload(field, data)
    assert [Upload("a.png", data, "shrunk")] == arrived
    assert ("", "") == (field.busy, field.error)


def test_upload_is_no_state() -> None:
    """Neither in the middle nor afterwards do bytes stand in what a notebook saves."""
    field = UploadField()
    field._handle_custom_msg({"type": "begin", "id": "1", "name": "a", "size": 9000, "note": ""}, [])
    field._handle_custom_msg({"type": "chunk", "id": "1", "at": 0}, [memoryview(b"marked-bytes" * 500)])
    assert "marked-bytes" not in state(field)


def test_upload_says_how_far_it_is() -> None:
    """`busy` tells the name and the part that has arrived."""
    field = UploadField()
    field._handle_custom_msg({"type": "begin", "id": "1", "name": "a.png", "size": 8_000_000, "note": ""}, [])
    field._handle_custom_msg({"type": "chunk", "id": "1", "at": 0}, [memoryview(bytes(4_000_000))])
    assert field.busy == "Uploading a.png, 4.0 of 8.0 MB"


def test_too_big_an_upload_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 32 MB are refused before they come, and the browser stops."""
    field = UploadField()
    messages = sent(field, monkeypatch)
    field._handle_custom_msg(
        {"type": "begin", "id": "1", "name": "a.png", "size": 33_000_000, "note": ""}, []
    )
    assert field.error == "'a.png' has 33 MB; up to 32 MB can be uploaded"
    assert [({"type": "refused", "id": "1"}, [])] == messages


@pytest.mark.parametrize("lost", [0, 1])
def test_upload_with_a_lost_piece_is_refused(lost: int) -> None:
    """A gap or a missing end is no upload."""
    arrived: list[Upload] = []
    field = UploadField()
    field.on_upload(arrived.append)
    field._handle_custom_msg({"type": "begin", "id": "1", "name": "a.png", "size": 8, "note": ""}, [])
    field._handle_custom_msg({"type": "chunk", "id": "1", "at": 4 * (1 - lost)}, [memoryview(b"abcd")])
    field._handle_custom_msg({"type": "end", "id": "1"}, [])
    assert [] == arrived
    assert "again" in field.error


def test_abandoned_uploads_are_forgotten() -> None:
    """Pages that were closed in the middle do not fill the memory."""
    field = UploadField()
    for number in range(9):
        field._handle_custom_msg({"type": "begin", "id": str(number), "name": "a", "size": 9, "note": ""}, [])
    assert 4 == len(field._arriving)


def test_unreadable_upload_is_said_in_the_widget() -> None:
    """An error of ours in `on_upload` stands in the widget."""

    def unreadable(arrived: Upload) -> None:
        raise SweepError(f"{arrived.name}: no picture")

    field = UploadField()
    field.on_upload(unreadable)
    upload(field, b"abc")
    assert "a.png: no picture" == field.error


def test_upload_repr_is_short() -> None:
    """The bytes are not printed."""
    assert "bytes" not in repr(Upload("a", b"bytes"))


# KeyField


def test_key_reaches_the_owner_only() -> None:
    """The key comes to `on_key`; neither state nor repr knows it."""
    keys: list[str] = []
    field = KeyField()
    field.on_key(keys.append)
    field._handle_custom_msg({"type": "key", "key": " marked-key "}, [])
    assert ["marked-key"] == keys
    assert "marked-key" not in state(field) + repr(field) + repr(vars(field))


def test_key_is_cut_out_of_errors() -> None:
    """A refusal that quotes the key is shown without it."""

    def refuse(key: str) -> None:
        raise ConfigError(f"{key!r} is no key")

    field = KeyField()
    field.on_key(refuse)
    field._handle_custom_msg({"type": "key", "key": "marked-key"}, [])
    assert "'…' is no key" == field.status


def test_empty_key_is_nothing() -> None:
    """Blanks are not taken for a key."""
    keys: list[str] = []
    field = KeyField()
    field.on_key(keys.append)
    field._handle_custom_msg({"type": "key", "key": "  "}, [])
    assert [] == keys


# Viewer


def test_pictures_are_no_state() -> None:
    """Bytes are kept in Python only."""
    viewer = Viewer()
    viewer.show(b"marked-left", b"marked-right", left_label="before", alt="a bird")
    assert "marked" not in state(viewer)
    assert {"left": b"marked-left", "right": b"marked-right"} == viewer.pictures


def test_pictures_go_to_the_view_that_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent before a view is ready; then to that view."""
    viewer = Viewer()
    messages = sent(viewer, monkeypatch)
    viewer.show(b"1", b"2")
    assert [] == messages
    viewer._handle_custom_msg({"type": "ready", "view": "v1"}, [])
    content = {"type": "pictures", "version": 1, "view": "v1", "layers": ["left", "right"], "frame": None}
    assert [(content, [b"1", b"2"])] == messages


def test_two_pictures_bring_their_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size, each picture's place in it, and what stripes mean; one picture alone has none."""
    viewer = Viewer()
    messages = sent(viewer, monkeypatch)
    viewer._handle_custom_msg({"type": "ready", "view": "v1"}, [])
    placement = placed(
        (300, 200), (100, 100), np.diag([1.5, 1, 1]) + np.array([[0, 0, -0.25], [0] * 3, [0] * 3])
    )
    viewer.show(b"1", b"2", placement=placement)
    assert {
        "size": (150, 100),
        "left": (150, 0, 0, 100, 0, 0),
        "right": (100, 0, 0, 100, 25, 0),
        "note": "striped: not part of this picture",
    } == messages[-1][0]["frame"]
    viewer.show(None, b"2", placement=placement)
    assert messages[-1][0]["frame"] is None


def test_new_pictures_go_to_all_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a view there, `show` sends at once; one picture alone is fine."""
    viewer = Viewer()
    messages = sent(viewer, monkeypatch)
    viewer._handle_custom_msg({"type": "ready", "view": "v1"}, [])
    viewer.show(None, b"2")
    content = {"type": "pictures", "version": 1, "view": None, "layers": ["right"], "frame": None}
    assert (content, [b"2"]) == messages[-1]


def test_clear_shows_a_text() -> None:
    """`clear` drops the pictures; `show` drops the text."""
    viewer = Viewer()
    viewer.show(b"1", b"2")
    viewer.clear("Waiting for its turn")
    assert ({}, "Waiting for its turn") == (viewer.pictures, viewer.message)
    viewer.show(None, b"2")
    assert "" == viewer.message


# PageFrame


def test_only_asked_for_keys_arrive() -> None:
    """A key that is not in `watched_keys` any more is dropped."""
    keys: list[str] = []
    frame = PageFrame(watched_keys=["ArrowLeft", "1"])
    frame.on_key(keys.append)
    for key in ("1", "x", "ArrowLeft"):
        frame._handle_custom_msg({"type": "key", "key": key}, [])
    assert ["1", "ArrowLeft"] == keys


def test_copy_is_answered() -> None:
    """The browser says whether it could copy."""
    answers: list[bool] = []
    frame = PageFrame()
    frame.on_copied(answers.append)
    frame.copy("text")
    frame._handle_custom_msg({"type": "copied", "ok": False}, [])
    assert [False] == answers


def test_download_travels_as_a_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's bytes are a buffer of a message, not part of the state."""
    frame = PageFrame()
    messages = sent(frame, monkeypatch)
    frame.download("a.png", b"bytes", "image/png")
    assert [({"type": "download", "name": "a.png", "mime": "image/png"}, [b"bytes"])] == messages
