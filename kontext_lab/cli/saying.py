"""Everything the commands print goes through here: names and messages are data, also to a terminal."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

import click

from kontext_lab.errors import visible

__all__ = ["Output", "guard_output", "say"]

READER_GONE = (errno.EPIPE, errno.EIO)
"""A pipe whose reader has seen enough, as of `| head`, and a terminal that was closed."""


def say(what: object, *, err: bool = False, end: str = "\n") -> None:
    """Print lines, or JSON, on stdout or stderr; an escape sequence in them is shown and moves no cursor."""
    click.echo(visible(str(what)) + end, nl=False, err=err)


class Output:
    """What became of a process's output.

    Attributes:
        lost: a part of it could not be written though somebody may read it, as on a full disk.
    """

    def __init__(self) -> None:
        self.lost = False


def guard_output() -> Output:
    """Let stdout and stderr fail without an error: what can't be shown must cost no picture and no exit code."""
    output = Output()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # Without a descriptor it is not the process's own, and Windows' console is no file.
        if isinstance(stream, io.TextIOWrapper) and os.name == "posix" and _has_descriptor(stream):
            guarded = io.TextIOWrapper(
                io.BufferedWriter(_Guarded(stream.fileno(), output)),
                encoding=stream.encoding,
                errors="replace" if stream.errors == "strict" else stream.errors,
                line_buffering=stream.line_buffering,
            )
            setattr(sys, name, guarded)
    return output


def _has_descriptor(stream: io.TextIOWrapper) -> bool:
    try:
        stream.fileno()
    except OSError:
        return False
    return True


class _Guarded(io.FileIO):
    """A descriptor whose failures are noted, not raised."""

    def __init__(self, descriptor: int, output: Output) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._output = output

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self._output.lost = self._output.lost or error.errno not in READER_GONE
            return len(memoryview(data).cast("B"))
