"""One API call's parameters: fields, limits, what is sent, what it costs, and its fingerprint.

Written from the service's contract. Pure: it knows pictures only as references, opens no connection, and
shares nothing with the sandbox, which states the same contract in its own words.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Literal, cast

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from kontext_lab.errors import SweepError, shown
from kontext_lab.images import Reference, load_reference

__all__ = [
    "ALLOWED",
    "ASPECT_RATIOS",
    "CONTROL",
    "DEFAULT",
    "FIELDS",
    "MATCH_INPUT",
    "MODELS",
    "SIZES",
    "EditRequest",
    "Model",
    "check_field",
    "decimal_text",
    "find_model",
    "nearest_size",
    "plain",
]

DEFAULT = "default"
"""How a field that is left to the service is logged."""

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

_TALL = (
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
)
TRAINED_SIZES = (*_TALL, (1024, 1024), *((width, height) for height, width in _TALL))
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
"""What each field takes, in words for an error line."""

CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
"""Characters that no store, file or terminal takes well: control characters and halves of surrogate pairs."""

LONGEST_INTEGER = 14_000
"""In bits. Python writes integers of up to 4300 digits as text; the service knows no upper limit for seeds."""


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


def _prompt(value: object) -> object:
    value = plain(value)
    if not isinstance(value, str) or not value.strip() or CONTROL.search(value):
        raise ValueError("not the text of a prompt")
    return value


def _full_model_id(value: object) -> object:
    value = _stripped(value)
    if not isinstance(value, str):
        return value
    if len(value) > 200 or len(value.split()) != 1 or CONTROL.search(value):
        raise ValueError("not a model id")
    known = find_model(value)
    return known.id if known else value


def _number(value: object) -> object:
    value = _stripped(value)
    if isinstance(value, bool | bytes | bytearray):
        raise ValueError("no number")
    if isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
        raise ValueError("too long to be written down")
    return value


def _text(value: object) -> object:
    value = _number(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _lower(value: object) -> object:
    value = _stripped(value)
    if not isinstance(value, str):
        return value
    return "jpeg" if value.lower() == "jpg" else value.lower()


def _ratio(value: object) -> object:
    value = _unset(value)
    return MATCH_INPUT if value is None else value


def _stripped(value: object) -> object:
    value = plain(value)
    return value.strip() if isinstance(value, str) else value


def _references(value: object) -> tuple[Reference, ...]:
    given = value if isinstance(value, list | tuple) else (value,)
    if len(given) > 4:
        raise SweepError(f"images: {len(given)} references, allowed is {ALLOWED['images']}")
    return tuple(load_reference(one) for one in given)


def _unset(value: object) -> object:
    value = _stripped(value)
    return None if isinstance(value, str) and value.lower() in (DEFAULT, "") else value


_Number = BeforeValidator(_number)
_Optional = BeforeValidator(_unset)


class EditRequest(BaseModel):
    """One API call's parameters, validated and frozen.

    A field that is None is left out of the request: the service decides, and it is logged as `default`.
    Wrong values raise a SweepError that names the field, the value and what is allowed.

    Attributes:
        prompt: what to change, 1 to 4000 characters.
        images: 1 to 4 references, combined in this one request; `image=` takes a single one.
        model: a full model id, or `pro` or `max`.
        guidance_scale: 1 to 20; None leaves it to the service (its upstream uses 3.5).
        seed: a whole number from 1; 1 unless given, so that a request is repeatable.
        aspect_ratio: one of the nine, or `match_input`: follow the first reference.
        safety_tolerance: "1" (strictest) to "6".
        output_format: `jpeg` or `png`.
        num_images: pictures per request, 1 to 4.
        repeat: tells otherwise equal requests apart; enters the fingerprint, is not sent.
        price: US dollars per picture where the table's price doesn't hold, or knows no such model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    prompt: Annotated[str, BeforeValidator(_prompt), Field(max_length=4000)]
    images: Annotated[tuple[Reference, ...], BeforeValidator(_references), Field(min_length=1, max_length=4)]
    model: Annotated[str, BeforeValidator(_full_model_id), Field(min_length=1)] = MODELS[0].id
    guidance_scale: Annotated[Annotated[float, Field(ge=1, le=20)] | None, _Number, _Optional] = None
    seed: Annotated[int, _Number, Field(ge=1)] = 1
    aspect_ratio: Annotated[
        Literal["match_input", "21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"],
        BeforeValidator(_ratio),
    ] = "match_input"
    safety_tolerance: Annotated[
        Literal["1", "2", "3", "4", "5", "6"] | None, BeforeValidator(_text), _Optional
    ] = None
    output_format: Annotated[Literal["jpeg", "png"] | None, BeforeValidator(_lower), _Optional] = None
    num_images: Annotated[Annotated[int, Field(ge=1, le=4)] | None, _Number, _Optional] = None
    repeat: Annotated[int, _Number, Field(ge=1)] = 1
    price: Annotated[Annotated[float, Field(ge=0, allow_inf_nan=False)] | None, _Number, _Optional] = None

    def __init__(self, **fields: Any) -> None:
        if "image" in fields:
            if "images" in fields:
                raise SweepError("image and images are both given: use images=[…] for several in one request")
            fields["images"] = (fields.pop("image"),)
        fields = {name: value for name, value in fields.items() if value is not None}
        if "images" in fields:
            # Read here, since pydantic would put its own words in place of what is wrong with a picture.
            fields["images"] = _references(fields["images"])
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise SweepError(_in_words(error)) from None

    @model_validator(mode="after")
    def _has_price(self) -> EditRequest:
        if self.price is None and find_model(self.model) is None:
            names = ", ".join(model.short for model in MODELS)
            raise ValueError(
                f"model: {shown(self.model)} is not in the table ({names}); "
                "give its price in dollars per picture, price=…"
            )
        return self

    @property
    def pictures(self) -> int:
        """How many pictures are asked for."""
        return self.num_images or 1

    @property
    def price_per_picture(self) -> float:
        """US dollars per picture, by the request's own price or the table."""
        return self.price if self.price is not None else cast(Model, find_model(self.model)).price

    @property
    def cost(self) -> float:
        """What the request is expected to cost, in US dollars."""
        return round(self.price_per_picture * self.pictures, 6)

    @property
    def expected_size(self) -> tuple[int, int]:
        """(width, height) the output should have; (0, 0) while a URL is not fetched."""
        if self.aspect_ratio != MATCH_INPUT:
            return SIZES[self.aspect_ratio]
        width, height = self.images[0].original_size
        return nearest_size(width, height) if height else (0, 0)

    def params(self) -> dict[str, Any]:
        """Every field as a plain value for logs and frames; what is left to the service as `default`."""
        values = {name: getattr(self, name) for name in FIELDS}
        found = {name: DEFAULT if value is None else value for name, value in values.items()}
        found["image"] = " + ".join(reference.name for reference in self.images)
        if self.repeat != 1:
            found["repeat"] = self.repeat
        return found

    def payload(self) -> dict[str, Any]:
        """The JSON body to send: known keys only, without those left to the service."""
        uris = [reference.uri for reference in self.images]
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": self.prompt,
            "image_url": uris[0] if len(uris) == 1 else uris,
            "seed": self.seed,
        }
        if self.aspect_ratio != MATCH_INPUT:
            body["aspect_ratio"] = self.aspect_ratio
        for name in ("guidance_scale", "safety_tolerance", "output_format", "num_images"):
            if (value := getattr(self, name)) is not None:
                body[name] = value
        return body

    def logged_payload(self) -> dict[str, Any]:
        """The body as it is logged: every reference as its digest, no picture data."""
        body = self.payload()
        body["image_url"] = [reference.url or f"sha256:{reference.digest}" for reference in self.images]
        return body

    def fingerprint(self, service: str) -> str:
        """Hex sha256 that says "the same request to the same service".

        Defaults the service documents (one JPEG, tolerance 2) and the same value written out are equal. The
        recipe is pinned by tests: a change of it would make people pay again for what they have.

        Args:
            service: `sandbox`, or the origin of the service's base URL.

        Raises:
            SweepError: a reference by URL was not fetched yet.
        """
        if not all(reference.resolved for reference in self.images):
            raise SweepError("a reference by URL has no fingerprint before it was fetched")
        facts = {
            "recipe": 1,
            "service": service,
            "model": self.model,
            "prompt": self.prompt,
            "references": [reference.digest for reference in self.images],
            "guidance_scale": DEFAULT if self.guidance_scale is None else decimal_text(self.guidance_scale),
            "seed": str(self.seed),
            "aspect_ratio": self.aspect_ratio,
            "safety_tolerance": self.safety_tolerance or "2",
            "output_format": self.output_format or "jpeg",
            "num_images": str(self.pictures),
            "repeat": str(self.repeat),
        }
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def check_field(name: str, value: Any) -> Any:
    """One field's value as the request would hold it: text read as a number, short names expanded.

    Raises:
        SweepError: the value is not allowed; names field, value and what is.
    """
    try:
        return _adapter(name).validate_python(value)
    except ValidationError:
        raise SweepError(f"{name}: {_short(name, value)}, allowed is {ALLOWED[name]}") from None


def _in_words(error: ValidationError) -> str:
    """The first complaint as one line: field, value, what is allowed."""
    first = error.errors()[0]
    if first["type"] == "value_error" and not first["loc"]:
        return str(first["ctx"]["error"])
    name = str(first["loc"][0])
    if first["type"] == "missing":
        return f"{name}: is missing, allowed is {ALLOWED[name]}"
    if first["type"] == "extra_forbidden":
        known = ", ".join((*FIELDS, "images", "repeat", "price"))
        return f"{name}: is no field of a request; fields are {known}"
    return f"{name}: {_short(name, first['input'])}, allowed is {ALLOWED[name]}"


def _short(name: str, value: object) -> str:
    if name == "prompt" and isinstance(value, str) and len(value) > 80:
        return f"{len(value)} characters"
    if name == "images" and isinstance(value, list | tuple):
        return f"{len(value)} references"
    return shown(value)


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    info = EditRequest.model_fields[name]
    annotated: Any = Annotated[info.annotation, *info.metadata]
    return TypeAdapter(annotated, config=ConfigDict(arbitrary_types_allowed=True))
