"""What tests of the command line have in common."""

from __future__ import annotations

from typing import NamedTuple


class Said(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str
