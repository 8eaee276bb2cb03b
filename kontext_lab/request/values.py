"""Values as people give them – text, numpy and pandas numbers, short names – read into values of fields."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np
from pydantic import AfterValidator, BeforeValidator

from kontext_lab.errors import SweepError, shown
from kontext_lab.images import Reference, load_reference
from kontext_lab.request.tables import ALLOWED, DEFAULT, MATCH_INPUT, find_model

__all__ = [
    "CONTROL",
    "LONGEST_INTEGER",
    "Number",
    "OrDefault",
    "SixDigits",
    "decimal_text",
    "plain",
    "read_format",
    "read_model",
    "read_number",
    "read_prompt",
    "read_ratio",
    "read_references",
    "read_stripped",
    "read_text",
    "read_unset",
]

CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
"""Characters that stores, files and terminals mishandle: control characters and halves of surrogate pairs."""

LONGEST_INTEGER = 14_000
"""In bits. Python writes integers of up to 4300 digits as text; the service knows no upper limit for seeds."""


def decimal_text(value: float) -> str:
    """A number as plain decimal text: 2.0 and 2 give `2`, 1e-05 gives `0.00001`."""
    if isinstance(value, int):
        return str(int(value)) if value.bit_length() <= LONGEST_INTEGER else shown(value)
    return format(Decimal(repr(float(value))).normalize(), "f")


def plain(value: object) -> Any:
    """A numpy scalar as Python's own number or text: np.float32(2.1) gives 2.1, as it is printed."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.floating):
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def read_prompt(value: object) -> object:
    """A prompt: text that can be sent."""
    value = plain(value)
    if not isinstance(value, str) or not value.strip() or CONTROL.search(value):
        raise ValueError("not the text of a prompt")
    return value


def read_model(value: object) -> object:
    """A model by its full id; short names stand for one."""
    value = read_stripped(value)
    if not isinstance(value, str):
        return value
    if len(value) > 200 or len(value.split()) != 1 or CONTROL.search(value):
        raise ValueError("not a model id")
    known = find_model(value)
    return known.id if known else value


def read_number(value: object) -> object:
    """A number, also of numpy or pandas, but not a truth value."""
    value = read_stripped(value)
    if isinstance(value, bool | bytes | bytearray):
        raise ValueError("not a number")
    if isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
        raise ValueError("too long to be written down")
    return value


def read_text(value: object) -> object:
    """Text; whole numbers are written out."""
    value = read_number(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def read_format(value: object) -> object:
    """An output format in lower case; jpg is jpeg."""
    value = read_stripped(value)
    if not isinstance(value, str):
        return value
    return "jpeg" if value.lower() == "jpg" else value.lower()


def read_ratio(value: object) -> object:
    """An aspect ratio; no value means match_input."""
    value = read_unset(value)
    return MATCH_INPUT if value is None else value


def read_stripped(value: object) -> object:
    """Text without blanks around it."""
    value = plain(value)
    return value.strip() if isinstance(value, str) else value


def read_references(value: object) -> tuple[Reference, ...]:
    """References from one source, or from a list of them."""
    sources = value if isinstance(value, list | tuple) else (value,)
    if len(sources) > 4:
        raise SweepError(f"images: {len(sources)} references, allowed is {ALLOWED['images']}")
    return tuple(load_reference(source) for source in sources)


def read_unset(value: object) -> object:
    """A value, or None for a field left to the service."""
    value = read_stripped(value)
    return None if isinstance(value, str) and value.lower() in (DEFAULT, "") else value


Number = BeforeValidator(read_number)
OrDefault = BeforeValidator(read_unset)
SixDigits = AfterValidator(lambda value: float(f"{value:.6g}"))
"""Numbers are sent with six significant digits: arithmetic leaves more, which nobody means to pay for."""
