"""Everything the commands print goes through here: names and messages are data, also to a terminal."""

from __future__ import annotations

import click

from kontext_lab.errors import visible

__all__ = ["say"]


def say(what: object, *, err: bool = False) -> None:
    """Print lines, or JSON, on stdout or stderr; an escape sequence in them is shown and moves no cursor."""
    click.echo(visible(str(what)), err=err)
