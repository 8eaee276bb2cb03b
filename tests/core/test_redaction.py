"""What is a secret in an address, and what is left of a text without any."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kontext_lab import redaction
from kontext_lab.cli.main import main
from kontext_lab.errors import ConfigError, shown
from kontext_lab.redaction import Redactor, get_logger, masked, redact_logs, redacted, remember, secrets_of

ADDRESSES = [
    ("postgresql://me:secret@db:5432/x", "postgresql://me:***@db:5432/x"),
    ("postgresql://me:se@cret@db/x", "postgresql://me:***@db/x"),
    ("postgresql://me:se/c?r#et@db/x", "postgresql://me:***@db/x"),
    ("postgresql://:secret@db/x", "postgresql://:***@db/x"),
    ("postgresql://db/x?user=me&password=secret&a=b", "postgresql://db/x?user=me&password=***&a=b"),
    ("postgresql://me:secret@/x?host=/a&sslpassword=b", "postgresql://me:***@/x?host=/a&sslpassword=***"),
    ("mssql+pyodbc:///?odbc_connect=PWD%3Dsecret%3B&a=b", "mssql+pyodbc:///?odbc_connect=***&a=b"),
    ("host=db user=me password=secret dbname=x", "host=db user=me password=*** dbname=x"),
    (r"host=db password='a \'b' dbname=x", "host=db password=*** dbname=x"),
    ("UID=me;PWD={se;cret}", "UID=me;PWD=***"),
    ("https://me:secret@host/mlflow", "https://me:***@host/mlflow"),
    ("http://me:se@cret@host/mlflow", "http://me:***@host/mlflow"),
    ("http://me:se/cret@host/mlflow", "http://me:***@host/mlflow"),
    ("HTTPS://me:secret@host", "HTTPS://me:***@host"),
    ("https://token@host/x", "https://***@host/x"),
    ("sftp://me:secret@host/x", "sftp://me:***@host/x"),
    ("me:secret@db/x", "me:***@db/x"),
    (
        "could not open 'mysql+pymysql://me:secret@db/x' at all",
        "could not open 'mysql+pymysql://me:***@db/x' at all",
    ),
    ("https://h/x?token=secret", "https://h/x?token=***"),
    ("https://h/x?a=1&access_token=secret&b=2", "https://h/x?a=1&access_token=***&b=2"),
    ("https://h/x?X-Amz-Signature=secret&X-Amz-Date=1", "https://h/x?X-Amz-Signature=***&X-Amz-Date=1"),
    ("https://h/x?sv=1&sig=secret%3D", "https://h/x?sv=1&sig=***"),
    ("https://h/x#access_token=secret", "https://h/x#access_token=***"),
    ('{"url": "https://h/x?a=1\\u0026key=secret"}', '{"url": "https://h/x?a=1\\u0026key=***"}'),
    ("https://h/?to=http%3A%2F%2Fme%3Asecret%40i%2F%3Ftoken%3Dsecret%26a%3Db", None),
    ('"GET /x.png?st=secret HTTP/1.1" 200', '"GET /x.png?*** HTTP/1.1" 200'),
    ("Max retries exceeded with url: /x?st=secret (Caused", "Max retries exceeded with url: /x?*** (Caused"),
    ("Authorization: Basic bWU6c2VjcmV0 and", "Authorization: Basic *** and"),
    ("{'Authorization': 'Bearer secret.x'}", "{'Authorization': 'Bearer ***'}"),
]

HARMLESS = [
    "postgresql://me@db/x",
    "sqlite:////home/me@work/my dir:a@b/mlflow.db",
    "http://host:5000",
    "http://host:5000/x@y?mail=a@b",
    "http://[::1]:5000/x@y",
    "https://h/x?w=800&h=600",
    "a prompt: 16:9, from 3:4 @ noon; keep the key",
    "guidance_scale: 30, allowed is a number from 1 to 20",
    "s3://bucket/path",
]


@pytest.mark.parametrize(("address", "safe"), ADDRESSES)
def test_an_address_is_shown_without_its_secrets(address: str, safe: str | None) -> None:
    """Userinfo, queries, settings of drivers, requests and headers, alone and inside a line."""
    assert "secret" not in masked(address)
    assert safe in (None, masked(address))
    assert masked(address) == masked(masked(address))


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_no_secret_stays(text: str) -> None:
    """Addresses without one, and sentences."""
    assert text == masked(text)


PASSWORDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Cs", "Cc")),
    min_size=8,
    max_size=30,
)


@settings(max_examples=60, deadline=5_000)
@given(password=PASSWORDS, scheme=st.sampled_from(["http", "https", "postgresql+psycopg2", "mysql"]))
def test_a_password_is_known_in_whatever_way_it_is_repeated(password: str, scheme: str) -> None:
    """As it was written, decoded, encoded, and as a Basic header."""
    encoded = quote(password, safe="")
    redactor = Redactor(*secrets_of(f"{scheme}://ann:{encoded}@host:5000/x"))
    basic = b64encode(f"ann:{password}".encode()).decode()
    for spelling in (password, encoded, re.sub("%..", lambda found: found[0].lower(), encoded), basic):
        assert "quoted: *** end" == redactor.text(f"quoted: {spelling} end")


@pytest.mark.parametrize(
    ("secret", "text", "safe"),
    [
        ("pw12", "at pw12, apw12 and pw123", "at ***, apw12 and pw123"),
        ("pw12", "%3Apw12%40", "%3A***%40"),
        ("longer-one", "alonger-oneb", "a***b"),
        ("abc", "abc", "abc"),
        ("", "abc", "abc"),
        ("sandbox", "the sandbox", "the sandbox"),
        ("größe/8z", "gr%C3%B6%C3%9Fe%2F8z or gr\\u00f6\\u00dfe/8z", "*** or ***"),
    ],
)
def test_a_short_secret_is_one_as_a_word_only(secret: str, text: str, safe: str) -> None:
    """Three characters are none, up to seven stand alone, and the sandbox's key is known to all."""
    assert safe == Redactor(secret).text(text)


@pytest.mark.parametrize("name", redaction.SECRET_NAMES)
def test_secrets_of_the_environment_are_known(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever text they turn up in."""
    monkeypatch.setenv(name, "hunter-4711")
    assert "it said *** twice" == redacted("it said hunter-4711 twice")


def test_a_proxy_s_password_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any variable that holds an address is looked at."""
    monkeypatch.setenv("all_proxy", "socks5h://ann:hunter%2F4711@proxy:1080")
    assert "***" == redacted("hunter/4711")


def test_a_password_given_otherwise_is_known_once_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a store which a program names itself."""
    monkeypatch.setattr(redaction, "_remembered", set())
    assert "hunter-815" == redacted("hunter-815")
    remember("postgresql://ann:hunter-815@db/x")
    assert "***" == redacted("hunter-815")


def test_an_error_line_shows_no_half_of_a_password() -> None:
    """What a person gave is redacted before it is cut to a line's length."""
    for long in (10, 60, 75, 200, 5000):
        address = f"http://{'u' * long}:{'marked' * 20}@host/x"
        for value in (address, {"url": address}, [address]):
            assert "marked" not in str(ConfigError(f"store: {shown(value)}")), long


@pytest.fixture
def lines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a handler makes of the records of the test's own logger."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:hunter-4711@host")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    log = logging.getLogger(request.node.name)
    log.addHandler(handler)
    yield stream
    log.removeHandler(handler)


def test_a_logger_of_ours_tells_no_secret(request: pytest.FixtureRequest, lines: io.StringIO) -> None:
    """Neither in its words and arguments, nor in the traceback of somebody's error and its causes."""
    log = get_logger(request.node.name)
    try:
        try:
            raise OSError("http://ann:hunter-4711@host is away")
        except OSError as error:
            raise ValueError("hunter-4711") from error
    except ValueError:
        log.warning("it failed at %s", "http://ann:hunter-4711@host", exc_info=True)
    said = lines.getvalue()
    assert "hunter" not in said
    assert "it failed at http://ann:***@host" in said
    assert "ValueError: ***" in said
    assert "OSError: http://ann:***@host is away" in said


def test_a_record_without_a_secret_is_left_alone(request: pytest.FixtureRequest) -> None:
    """Handlers that look at arguments and exceptions find them."""
    records: list[logging.LogRecord] = []
    log = get_logger(request.node.name)
    log.addFilter(lambda record: records.append(record) or True)
    error = ValueError("x")
    log.warning("cell %d", 3, exc_info=error)
    assert ("cell %d", (3,), error) == (records[0].msg, records[0].args, records[0].exc_info[1])


def test_a_record_that_can_t_be_written_goes_on_to_its_handler(
    request: pytest.FixtureRequest, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which says what is wrong with it, as for anybody's."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    get_logger(request.node.name).warning("%d cells", "many")
    assert "" == lines.getvalue()


def test_long_texts_take_no_time() -> None:
    """A megabyte of whatever confuses patterns is looked through in seconds."""
    for piece in ("@a", "http://", "?token", "%3A%2F%2F%3A", "=token", "with url: /?", "password ="):
        assert masked(piece * (500_000 // len(piece)))


def test_the_environment_is_read_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that is set later is known from then on, and one that is gone no longer."""
    monkeypatch.setenv("PGPASSWORD", "hunter-4711")
    assert "***" == redacted("hunter-4711")
    monkeypatch.delenv("PGPASSWORD")
    assert "PGPASSWORD" not in os.environ
    assert "hunter-4711" == redacted("hunter-4711")


def test_children_of_a_logger_with_a_handler_tell_no_secret(
    request: pytest.FixtureRequest, lines: io.StringIO
) -> None:
    """As those of MLflow, which brings its own handler."""
    redact_logs(request.node.name)
    logging.getLogger(f"{request.node.name}.child").warning("at http://ann:hunter-4711@host")
    assert "at http://ann:***@host\n" == lines.getvalue()


def test_the_command_line_lets_no_library_tell_a_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even one that nobody has thought of: what no handler takes is printed by the last one."""
    monkeypatch.setattr(sys, "argv", ["kontext-lab", "--version"])
    with pytest.raises(SystemExit):
        main()
    capsys.readouterr()
    said = ("anybody", logging.WARNING, "x.py", 1, "at http://ann:hunter@host", None, None)
    logging.lastResort.handle(logging.LogRecord(*said))
    assert "at http://ann:***@host\n" == capsys.readouterr().err
