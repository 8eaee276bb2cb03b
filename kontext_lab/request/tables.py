"""The service's contract as plain data: fields and their values, sizes, models and list prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = [
    "ALLOWED",
    "ASPECT_RATIOS",
    "DEFAULT",
    "FIELDS",
    "MATCH_INPUT",
    "MODELS",
    "SIZES",
    "Model",
    "find_model",
    "nearest_size",
]

DEFAULT = "default"
"""Logged value of a field that is left to the service."""

MATCH_INPUT = "match_input"
"""The aspect ratio that is sent by leaving the field out: the output follows the first reference."""

SIZES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "21:9": (1568, 672),
        "16:9": (1392, 752),
        "4:3": (1184, 880),
        "3:2": (1248, 832),
        "1:1": (1024, 1024),
        "2:3": (832, 1248),
        "3:4": (880, 1184),
        "9:16": (752, 1392),
        "9:21": (672, 1568),
    }
)
"""Output (width, height) in pixels of each aspect ratio. 16:9 really is 1.851."""

ASPECT_RATIOS = tuple(SIZES)

_SHORT = (672, 688, 720, 752, 800, 832, 880, 944)
_LONG = (1568, 1504, 1456, 1392, 1328, 1248, 1184, 1104)
TRAINED_SIZES = (*zip(_SHORT, _LONG, strict=True), (1024, 1024), *zip(_LONG, _SHORT, strict=True))
"""The 17 sizes the model was trained on; match_input takes the nearest ratio among them."""

FIELDS = (
    "model",
    "prompt",
    "guidance_scale",
    "seed",
    "aspect_ratio",
    "safety_tolerance",
    "output_format",
    "num_images",
)
"""The request fields besides the references, in the order they are logged and shown."""

ALLOWED: Mapping[str, str] = MappingProxyType(
    {
        "model": "pro, max, or a full model id",
        "prompt": "text of 1 to 4000 characters, none of them control characters",
        "images": "1 to 4 references",
        "guidance_scale": "a number from 1 to 20",
        "seed": "a whole number from 1",
        "aspect_ratio": f"{MATCH_INPUT}, {', '.join(ASPECT_RATIOS)}",
        "safety_tolerance": "1 (strictest) to 6",
        "output_format": "jpeg or png",
        "num_images": "1 to 4",
        "repeat": "a whole number from 1",
        "price": "US dollars per picture, 0 or more",
    }
)
"""Allowed values of each field, in words for an error line."""


@dataclass(frozen=True)
class Model:
    """One row of the model table.

    Attributes:
        id: what is sent.
        short: what people type.
        price: list price in US dollars per picture; the service's own word overrides it.
        concurrency: how many requests at once are polite.
        ignored: fields the model is known to ignore, with what is known.
    """

    id: str
    short: str
    price: float
    concurrency: int
    ignored: Mapping[str, str] = field(default_factory=dict)


_TOLERANCE = "values above 2 may do nothing when references are given"

MODELS = (
    Model("flux/kontext-pro/image-to-image", "pro", 0.052, 8, {"safety_tolerance": _TOLERANCE}),
    Model("flux/kontext-max/image-to-image", "max", 0.104, 4, {"safety_tolerance": _TOLERANCE}),
)


def find_model(name: str) -> Model | None:
    """The table's row for a full id or short name, or None for a model it doesn't know."""
    return next((model for model in MODELS if name in (model.id, model.short)), None)


def nearest_size(width: int, height: int) -> tuple[int, int]:
    """The trained output size (width, height) whose ratio is nearest to that of a reference."""
    return min(TRAINED_SIZES, key=lambda size: (abs(width / height - size[0] / size[1]), size))
