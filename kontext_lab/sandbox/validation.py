"""The request body's rules, written from the service's contract, with Zod-like issues for what breaks them.

Pure: a decoded JSON value in, a `Generation` or a list of issues out. It must not know HTTP, pictures or the
client side of this project, whose own checks are written separately so that a mistake in one shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["FIELDS", "Generation", "Issue", "check_body", "reference_issue"]

Issue = dict[str, Any]

ASPECT_RATIOS: Final = ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")
OUTPUT_FORMATS: Final = ("jpeg", "png")
SAFETY_TOLERANCES: Final = ("1", "2", "3", "4", "5", "6")
FIELDS: Final = (
    "model",
    "prompt",
    "image_url",
    "num_images",
    "seed",
    "guidance_scale",
    "safety_tolerance",
    "output_format",
    "aspect_ratio",
)
MAX_PROMPT: Final = 4000
MAX_REFERENCES: Final = 4
DEFAULT_GUIDANCE: Final = 3.5  # none stated in the schema; the upstream host uses it


@dataclass(frozen=True)
class Generation:
    """One valid request: what to make of which references. `image_urls` are not fetched yet."""

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
        whatever its name: whether it exists is a question of its own (404, not 400).
    """
    if not isinstance(body, dict):
        return None, [_wrong_type(body, "object", [])]
    issues: list[Issue] = []
    values: dict[str, Any] = {}
    for field, check in _CHECKS.items():
        if field in body:
            values[field], found = check(body[field], [field])
            issues += found
        elif field in _REQUIRED:
            issues.append(_required(field, _REQUIRED[field]))
    if issues:
        return None, issues
    values["image_urls"] = values.pop("image_url")
    return Generation(**values), []


def _string(value: Any, path: list[Any]) -> tuple[Any, list[Issue]]:
    return (value, []) if isinstance(value, str) else (None, [_wrong_type(value, "string", path)])


def _prompt(value: Any, path: list[Any]) -> tuple[Any, list[Issue]]:
    text, issues = _string(value, path)
    if text is not None and len(text) > MAX_PROMPT:
        issues = [
            _too_big("string", MAX_PROMPT, path, f"String must contain at most {MAX_PROMPT} character(s)")
        ]
    return text, issues


def _image_url(value: Any, path: list[Any]) -> tuple[Any, list[Issue]]:
    if not isinstance(value, list):
        url, issues = _uri(value, path)
        return (url,), issues
    issues = []
    if not value:
        issues.append(_too_small("array", 1, path, "Array must contain at least 1 element(s)"))
    if len(value) > MAX_REFERENCES:
        message = f"Array must contain at most {MAX_REFERENCES} element(s)"
        issues.append(_too_big("array", MAX_REFERENCES, path, message))
    urls = []
    for index, item in enumerate(value):
        url, found = _uri(item, [*path, index])
        urls.append(url)
        issues += found
    return tuple(urls), issues


def _uri(value: Any, path: list[Any]) -> tuple[Any, list[Issue]]:
    text, issues = _string(value, path)
    if text is not None and not _is_uri(text):
        issues = [_invalid_string("url", path, "Invalid url")]
    return text, issues


def _is_uri(text: str) -> bool:
    """Whether text is an http(s) URL with a host, or a data: URI; bare base64 is neither."""
    if text[:5].lower() == "data:":
        return "," in text
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", text)


def _number(value: Any, path: list[Any], low: float, high: float | None) -> tuple[Any, list[Issue]]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, [_wrong_type(value, "number", path)]
    if value < low:
        message = f"Number must be greater than or equal to {low:g}"
        return None, [_too_small("number", low, path, message)]
    if high is not None and value > high:
        return None, [_too_big("number", high, path, f"Number must be less than or equal to {high:g}")]
    return value, []


def _integer(value: Any, path: list[Any], low: int, high: int | None) -> tuple[Any, list[Issue]]:
    number, issues = _number(value, path, low, high)
    if isinstance(number, float):
        # JSON knows one number type: 2.0 is the integer 2.
        if not number.is_integer():
            return None, [_wrong_type(number, "integer", path, received="float")]
        number = int(number)
    return number, issues


def _guidance(value: Any, path: list[Any]) -> tuple[Any, list[Issue]]:
    number, issues = _number(value, path, 1, 20)
    return (None if number is None else float(number)), issues


def _seed(value: Any, path: list[Any]) -> tuple[Any, list[Issue]]:
    return _integer(value, path, 1, None)


def _num_images(value: Any, path: list[Any]) -> tuple[Any, list[Issue]]:
    return _integer(value, path, 1, 4)


def _choice(options: tuple[str, ...]) -> Any:
    expected = " | ".join(f"'{option}'" for option in options)

    def check(value: Any, path: list[Any]) -> tuple[Any, list[Issue]]:
        if not isinstance(value, str):
            return None, [_wrong_type(value, expected, path)]
        if value in options:
            return value, []
        issue = {
            "code": "invalid_enum_value",
            "received": value,
            "options": list(options),
            "path": path,
            "message": f"Invalid enum value. Expected {expected}, received '{value}'",
        }
        return None, [issue]

    return check


_CHECKS: Final = {
    "model": _string,
    "prompt": _prompt,
    "image_url": _image_url,
    "num_images": _num_images,
    "seed": _seed,
    "guidance_scale": _guidance,
    "safety_tolerance": _choice(SAFETY_TOLERANCES),
    "output_format": _choice(OUTPUT_FORMATS),
    "aspect_ratio": _choice(ASPECT_RATIOS),
}
_REQUIRED: Final = {"model": "string", "prompt": "string", "image_url": "string"}


def _type_name(value: Any) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return "null" if value is None else names.get(type(value), "unknown")


def _wrong_type(value: Any, expected: str, path: list[Any], received: str | None = None) -> Issue:
    received = received or _type_name(value)
    message = f"Expected {expected}, received {received}"
    return {
        "code": "invalid_type",
        "expected": expected,
        "received": received,
        "path": path,
        "message": message,
    }


def _required(field: str, expected: str) -> Issue:
    return {
        "code": "invalid_type",
        "expected": expected,
        "received": "undefined",
        "path": [field],
        "message": "Required",
    }


def _limit(kind: str, path: list[Any], message: str) -> Issue:
    return {"type": kind, "inclusive": True, "exact": False, "path": path, "message": message}


def _too_big(kind: str, maximum: float, path: list[Any], message: str) -> Issue:
    return {"code": "too_big", "maximum": maximum, **_limit(kind, path, message)}


def _too_small(kind: str, minimum: float, path: list[Any], message: str) -> Issue:
    return {"code": "too_small", "minimum": minimum, **_limit(kind, path, message)}


def _invalid_string(validation: str, path: list[Any], message: str) -> Issue:
    return {"code": "invalid_string", "validation": validation, "path": path, "message": message}


def reference_issue(index: int, single: bool, message: str) -> Issue:
    """The issue with a reference that is a proper URI but no usable picture."""
    path: list[Any] = ["image_url"] if single else ["image_url", index]
    return _invalid_string("url", path, message)
