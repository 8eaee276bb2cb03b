"""Output and exit codes of the commands; escape sequences in names and messages are shown, not executed."""

from __future__ import annotations

import codecs
import errno
import io
import json
import os
import sys
from typing import Any

from kontext_lab.errors import visible

__all__ = [
    "BAD",
    "FAILED",
    "INTERRUPTED",
    "OK",
    "SIGNALLED",
    "STOPPED",
    "UNDELIVERED",
    "GuardedFile",
    "counted",
    "guard_output",
    "say",
    "say_json",
]


OK, FAILED, BAD, STOPPED, UNDELIVERED, INTERRUPTED = 0, 1, 2, 3, 4, 130
# Plus the number of the signal that stopped a command, as in a shell: 129 SIGHUP, 130 SIGINT, 143 SIGTERM.
SIGNALLED = 128
READER_GONE = (errno.EPIPE, errno.EIO)  # a pipe's reader has ended, as of `| head`; a terminal was closed
REPLACED = "kontext_lab.replaced"  # writes similar characters for those a stream can't encode

_SIMILAR = {"≈": "~", "×": "x", "·": "-", "–": "-", "—": "-", "…": "...", "’": "'", "±": "+-", "→": "->"}


def say(what: object, *, err: bool = False, end: str = "\n") -> None:
    """Print lines on stdout or stderr; escape sequences in them are shown and move no cursor."""
    # Not click's echo: it takes ASCII for a mistake and writes UTF-8 instead.
    stream = sys.stderr if err else sys.stdout
    stream.write(visible(str(what)) + end)
    stream.flush()


def say_json(what: object) -> None:
    """Print JSON on stdout; characters that stdout can't encode are escaped, so that a reader gets the same text."""
    text = json.dumps(what, indent=2, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(what, indent=2)
    say(text)


def counted(number: int, one: str, several: str) -> str:
    """A number with its word, such as `1 picture is` or `3 pictures are`."""
    return f"{number} {one if number == 1 else several}"


def guard_output() -> list[GuardedFile]:
    """Let stdout and stderr fail without an error: a failing terminal must cost no picture and no exit code."""
    codecs.register_error(REPLACED, _replaced)
    _open_closed()
    files = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        # The C locale's own error handlers fail, too, on some characters.
        lenient = stream.errors not in (None, "strict", "surrogateescape", "surrogatepass")
        errors = (stream.errors or REPLACED) if lenient else REPLACED
        try:
            descriptor = stream.fileno()
        except OSError:
            descriptor = None
        # Without a descriptor it is not the process's own stream, and Windows' console is no file.
        if os.name == "posix" and descriptor is not None:
            files.append(GuardedFile(descriptor, "w", closefd=False))
            guarded = io.TextIOWrapper(
                io.BufferedWriter(files[-1]),
                encoding=stream.encoding,
                errors=errors,
                line_buffering=stream.line_buffering,
            )
            setattr(sys, name, guarded)
        else:
            stream.reconfigure(errors=errors)
    return files


def _open_closed() -> None:
    """Open closed standard streams: otherwise the next file, such as the store, gets their descriptor."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number is this one
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # kept open: it outlives the streams made of it
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that a stream can't encode by similar ones."""
    assert isinstance(error, UnicodeEncodeError)  # it serves writing only
    part = error.object[error.start : error.end]
    return "".join(_SIMILAR.get(sign, "?") for sign in part), error.end


class GuardedFile(io.FileIO):
    """A descriptor whose failures are recorded, not raised.

    Attributes:
        lost: True if a part could not be written though somebody may read it, as on a full disk.
    """

    lost = False

    def write(self, data: Any) -> int:
        """Write, and count what was lost as written."""
        try:
            return super().write(data)
        except OSError as error:
            self.lost = self.lost or error.errno not in READER_GONE
            return len(memoryview(data).cast("B"))
