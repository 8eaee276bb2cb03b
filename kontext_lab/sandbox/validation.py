"""Rules of the request body, written from the service's contract, with Zod-like issues for violations.

Pure: a decoded JSON value in, a `Generation` or a list of issues out. It must not know HTTP, pictures or the
client side of this project, whose own checks are written separately so that a mistake in one shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["FIELDS", "Generation", "Issue", "check_body", "reference_issue"]

Issue = dict[str, Any]
Check = Callable[[Any, list[Any], list[Issue]], Any]  # value, path, issues to extend; returns the value

ASPECT_RATIOS: Final = ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")
OUTPUT_FORMATS: Final = ("jpeg", "png")
SAFETY_TOLERANCES: Final = ("1", "2", "3", "4", "5", "6")
MAX_PROMPT: Final = 4000
MAX_REFERENCES: Final = 4
DEFAULT_GUIDANCE: Final = 3.5  # none stated in the schema; the upstream host uses it


@dataclass(frozen=True)
class Generation:
    """A valid request. The references at `image_urls` are not loaded yet."""

    model: str
    prompt: str
    image_urls: tuple[str, ...]
    num_images: int = 1
    seed: int | None = None
    guidance_scale: float = DEFAULT_GUIDANCE
    safety_tolerance: str = "2"
    output_format: str = "jpeg"
    aspect_ratio: str | None = None


def check_body(body: Any) -> tuple[Generation | None, list[Issue]]:
    """Check a decoded request body.

    Returns:
        The request and no issues, or None and every issue found. A model of the right type is accepted
        under any name: a missing model is another error (404, not 400).
    """
    if not isinstance(body, dict):
        return None, [_wrong_type(body, "object", [])]
    issues: list[Issue] = []
    values: dict[str, Any] = {}
    for field, check in _CHECKS.items():
        if field in body:
            values[field] = check(body[field], [field], issues)
        elif field in _REQUIRED:
            issues.append(
                _issue("invalid_type", [field], "Required", expected="string", received="undefined")
            )
    if issues:
        return None, issues
    values["image_urls"] = values.pop("image_url")
    return Generation(**values), []


def _text(maximum: int | None = None, options: Sequence[str] = ()) -> Check:
    expected = " | ".join(f"'{option}'" for option in options) or "string"

    def check(value: Any, path: list[Any], issues: list[Issue]) -> Any:
        if not isinstance(value, str):
            issues.append(_wrong_type(value, expected, path))
        elif maximum is not None and len(value) > maximum:
            message = f"String must contain at most {maximum} character(s)"
            issues.append(_limit("string", path, message, maximum=maximum))
        elif options and value not in options:
            message = f"Invalid enum value. Expected {expected}, received '{value}'"
            issues.append(_issue("invalid_enum_value", path, message, received=value, options=list(options)))
        return value

    return check


def _image_url(value: Any, path: list[Any], issues: list[Issue]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        return (_uri(value, path, issues),)
    if not value:
        issues.append(_limit("array", path, "Array must contain at least 1 element(s)", minimum=1))
    if len(value) > MAX_REFERENCES:
        message = f"Array must contain at most {MAX_REFERENCES} element(s)"
        issues.append(_limit("array", path, message, maximum=MAX_REFERENCES))
    return tuple(_uri(item, [*path, index], issues) for index, item in enumerate(value))


def _uri(value: Any, path: list[Any], issues: list[Issue]) -> Any:
    """Accept http(s) URLs with a host and data: URIs; bare base64 is neither."""
    if not isinstance(value, str):
        issues.append(_wrong_type(value, "string", path))
        return value
    if value[:5].lower() == "data:":
        valid = "," in value
    else:
        try:
            parts = urlsplit(value)
            _ = parts.port  # raises for a port that is no number
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", value)
        except ValueError:
            valid = False
    if not valid:
        issues.append(_issue("invalid_string", path, "Invalid url", validation="url"))
    return value


def _number(low: int, high: int | None, *, whole: bool) -> Check:
    """Return a check of a JSON number; 2.0 is the whole number 2, since JSON knows one type of number."""

    def check(value: Any, path: list[Any], issues: list[Issue]) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            issues.append(_wrong_type(value, "number", path))
        elif value < low:
            message = f"Number must be greater than or equal to {low}"
            issues.append(_limit("number", path, message, minimum=low))
        elif high is not None and value > high:
            message = f"Number must be less than or equal to {high}"
            issues.append(_limit("number", path, message, maximum=high))
        elif not whole:
            return float(value)
        elif value != value // 1:
            issues.append(_wrong_type(value, "integer", path, received="float"))
        else:
            return int(value)
        return value

    return check


_CHECKS: Final[dict[str, Check]] = {
    "model": _text(),
    "prompt": _text(MAX_PROMPT),
    "image_url": _image_url,
    "num_images": _number(1, 4, whole=True),
    "seed": _number(1, None, whole=True),
    "guidance_scale": _number(1, 20, whole=False),
    "safety_tolerance": _text(options=SAFETY_TOLERANCES),
    "output_format": _text(options=OUTPUT_FORMATS),
    "aspect_ratio": _text(options=ASPECT_RATIOS),
}
_REQUIRED: Final = ("model", "prompt", "image_url")
FIELDS: Final = tuple(_CHECKS)
_TYPE_NAMES: Final = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def _issue(code: str, path: list[Any], message: str, **details: Any) -> Issue:
    return {"code": code, **details, "path": path, "message": message}


def _wrong_type(value: Any, expected: str, path: list[Any], received: str | None = None) -> Issue:
    received = received or _TYPE_NAMES.get(type(value), "null")
    message = f"Expected {expected}, received {received}"
    return _issue("invalid_type", path, message, expected=expected, received=received)


def _limit(kind: str, path: list[Any], message: str, **bound: int) -> Issue:
    code = "too_big" if "maximum" in bound else "too_small"
    return _issue(code, path, message, **bound, type=kind, inclusive=True, exact=False)


def reference_issue(index: int, single: bool, message: str) -> Issue:
    """Build the issue of a reference whose URI is valid but leads to no usable picture."""
    path: list[Any] = ["image_url"] if single else ["image_url", index]
    return _issue("invalid_string", path, message, validation="url")
