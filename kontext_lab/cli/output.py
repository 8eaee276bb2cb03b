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
    "STOPPED",
    "UNDELIVERED",
    "OutputGuard",
    "guard_output",
    "say",
    "say_json",
    "stopped_by",
]


READER_GONE = (errno.EPIPE, errno.EIO)
"""A pipe whose reader has seen enough, as of `| head`, and a terminal that was closed."""

REPLACED = "kontext_lab.replaced"
"""The name of the error handler that writes signs a stream has no code for as similar ones."""

_SIMILAR = {"≈": "~", "×": "x", "·": "-", "–": "-", "—": "-", "…": "...", "’": "'", "±": "+-", "→": "->"}


def say(what: object, *, err: bool = False, end: str = "\n") -> None:
    """Print lines on stdout or stderr; an escape sequence in them is shown and moves no cursor."""
    # Not click's echo: it takes ASCII for a mistake and writes UTF-8 in its place.
    stream = sys.stderr if err else sys.stdout
    stream.write(visible(str(what)) + end)
    stream.flush()


def say_json(what: object) -> None:
    """Print JSON on stdout; a sign that it has no code for is escaped, so that a reader gets the same text."""
    text = json.dumps(what, indent=2, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(what, indent=2)
    say(text)


class OutputGuard:
    """What became of a process's output.

    Attributes:
        lost: a part of it could not be written though somebody may read it, as on a full disk.
    """

    def __init__(self) -> None:
        self.lost = False


def guard_output() -> OutputGuard:
    """Let stdout and stderr fail without an error: what can't be shown must cost no picture and no exit code."""
    codecs.register_error(REPLACED, _replaced)
    _open_closed()
    output = OutputGuard()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        # Without a descriptor it is not the process's own, and Windows' console is no file.
        if os.name == "posix" and _has_descriptor(stream):
            guarded = io.TextIOWrapper(
                io.BufferedWriter(_Guarded(stream.fileno(), output)),
                encoding=stream.encoding,
                errors=_handler(stream),
                line_buffering=stream.line_buffering,
            )
            setattr(sys, name, guarded)
        else:
            stream.reconfigure(errors=_handler(stream))
    return output


def _open_closed() -> None:
    """Open standard streams that were closed: else the next file, such as the store, gets their descriptor."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number is this one
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # kept open: streams made of it come and go
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))


def _handler(stream: io.TextIOWrapper) -> str:
    """A stream's error handler, or ours in the place of one that fails: those of the C locale do, too."""
    found = stream.errors or "strict"
    return REPLACED if found in ("strict", "surrogateescape", "surrogatepass") else found


def _replaced(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # nothing is read by it
    part = error.object[error.start : error.end]
    return "".join(_SIMILAR.get(sign, "?") for sign in part), error.end


def _has_descriptor(stream: io.TextIOWrapper) -> bool:
    try:
        stream.fileno()
    except OSError:
        return False
    return True


class _Guarded(io.FileIO):
    """A descriptor whose failures are noted, not raised."""

    def __init__(self, descriptor: int, output: OutputGuard) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._output = output

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self._output.lost = self._output.lost or error.errno not in READER_GONE
            return len(memoryview(data).cast("B"))


OK, FAILED, BAD, STOPPED, UNDELIVERED, INTERRUPTED = 0, 1, 2, 3, 4, 130


def stopped_by(signal: int) -> int:
    """The code of a command that this signal stopped, as a shell has it: 129 SIGHUP, 130 SIGINT, 143 SIGTERM."""
    return 128 + signal
