"""The request itself: values as people give them, validated fields, what is sent, its cost and its fingerprint."""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, cast

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from kontext_lab.errors import SweepError, meant, shown
from kontext_lab.images import Reference, load_reference
from kontext_lab.request.tables import (
    ALLOWED,
    DEFAULT,
    FIELDS,
    MATCH_INPUT,
    MODELS,
    SIZES,
    Model,
    find_model,
    nearest_size,
)

__all__ = ["CONTROL", "LONGEST_INTEGER", "EditRequest", "check_field", "decimal_text", "plain"]

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


def _read_prompt(value: object) -> object:
    """A prompt: text that can be sent."""
    value = plain(value)
    if not isinstance(value, str) or not value.strip() or CONTROL.search(value):
        raise ValueError("not the text of a prompt")
    return value


def _read_model(value: object) -> object:
    """A model by its full id; short names stand for one."""
    value = _read_stripped(value)
    if not isinstance(value, str):
        return value
    if len(value) > 200 or len(value.split()) != 1 or CONTROL.search(value):
        raise ValueError("not a model id")
    known = find_model(value)
    return known.id if known else value


def _read_number(value: object) -> object:
    """A number, also of numpy or pandas, but not a truth value."""
    value = _read_stripped(value)
    if isinstance(value, bool | bytes | bytearray):
        raise ValueError("not a number")
    if isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
        raise ValueError("too long to be written down")
    return value


def _read_text(value: object) -> object:
    """Text; whole numbers are written out."""
    value = _read_number(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _read_format(value: object) -> object:
    """An output format in lower case; jpg is jpeg."""
    value = _read_stripped(value)
    if not isinstance(value, str):
        return value
    return "jpeg" if value.lower() == "jpg" else value.lower()


def _read_ratio(value: object) -> object:
    """An aspect ratio; no value means match_input."""
    value = _read_unset(value)
    return MATCH_INPUT if value is None else value


def _read_stripped(value: object) -> object:
    """Text without blanks around it."""
    value = plain(value)
    return value.strip() if isinstance(value, str) else value


def _read_references(value: object) -> tuple[Reference, ...]:
    """References from one source, or from a list of them."""
    sources = value if isinstance(value, list | tuple) else (value,)
    if len(sources) > 4:
        raise SweepError(f"images: {len(sources)} references, allowed is {ALLOWED['images']}")
    return tuple(load_reference(source) for source in sources)


def _read_unset(value: object) -> object:
    """A value, or None for a field left to the service."""
    value = _read_stripped(value)
    return None if isinstance(value, str) and value.lower() in (DEFAULT, "") else value


_Number = BeforeValidator(_read_number)
_OrDefault = BeforeValidator(_read_unset)
_SixDigits = AfterValidator(lambda value: float(f"{value:.6g}"))
"""Numbers are sent with six significant digits: arithmetic leaves more, which nobody means to pay for."""


class EditRequest(BaseModel):
    """One API call's parameters, validated and frozen.

    A field that is None is left out of the request: the service decides, and the log says `default`. A wrong value
    raises a SweepError that names the field, the value and the allowed ones.

    Attributes:
        prompt: the edit in words, 1 to 4000 characters.
        images: 1 to 4 references, combined in this one request; `image=` takes a single one.
        model: a full model id, or `pro` or `max`.
        guidance_scale: 1 to 20, rounded to 6 significant digits; None leaves it to the service (its upstream uses 3.5).
        seed: a whole number from 1; by default 1, so that a request is repeatable.
        aspect_ratio: one of the nine, or `match_input`: follow the first reference.
        safety_tolerance: "1" (strictest) to "6".
        output_format: `jpeg` or `png`.
        num_images: pictures per request, 1 to 4.
        repeat: distinguishes otherwise equal requests; enters the fingerprint, is not sent.
        price: US dollars per picture, for a model that is not in the table or has another price.

    Example:
        >>> request = kl.EditRequest(
        ...     prompt="Add a bird.", image=kl.sample("coffee"), seed=3, aspect_ratio="16:9"
        ... )
        >>> request.cost, request.expected_size
        (0.052, (1392, 752))
        >>> len(request.fingerprint("sandbox"))
        64
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    prompt: Annotated[str, BeforeValidator(_read_prompt), Field(max_length=4000)]
    images: Annotated[
        tuple[Reference, ...], BeforeValidator(_read_references), Field(min_length=1, max_length=4)
    ]
    model: Annotated[str, BeforeValidator(_read_model), Field(min_length=1)] = MODELS[0].id
    guidance_scale: Annotated[
        Annotated[float, _SixDigits, Field(ge=1, le=20)] | None, _Number, _OrDefault
    ] = None
    seed: Annotated[int, _Number, Field(ge=1)] = 1
    aspect_ratio: Annotated[
        Literal["match_input", "21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"],
        BeforeValidator(_read_ratio),
    ] = "match_input"
    safety_tolerance: Annotated[
        Literal["1", "2", "3", "4", "5", "6"] | None, BeforeValidator(_read_text), _OrDefault
    ] = None
    output_format: Annotated[Literal["jpeg", "png"] | None, BeforeValidator(_read_format), _OrDefault] = None
    num_images: Annotated[Annotated[int, Field(ge=1, le=4)] | None, _Number, _OrDefault] = None
    repeat: Annotated[int, _Number, Field(ge=1)] = 1
    price: Annotated[Annotated[float, Field(ge=0, allow_inf_nan=False)] | None, _Number, _OrDefault] = None

    def __init__(self, **fields: Any) -> None:
        if "image" in fields:
            if "images" in fields:
                raise SweepError("image and images are both given: use images=[…] for several in one request")
            fields["images"] = (fields.pop("image"),)
        fields = {name: value for name, value in fields.items() if value is not None}
        if "images" in fields:
            # Read here, since pydantic would replace the message about a bad picture by its own.
            fields["images"] = _read_references(fields["images"])
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise SweepError(_in_words(error)) from None

    @model_validator(mode="after")
    def _has_price(self) -> EditRequest:
        if self.price is None and find_model(self.model) is None:
            names = ", ".join(model.short for model in MODELS)
            known = [name for model in MODELS for name in (model.short, model.id)]
            raise ValueError(
                f"model: {shown(self.model)} is not in the table ({names}); {meant(self.model, known)}"
                "give its price in dollars per picture, price=…"
            )
        return self

    @property
    def pictures(self) -> int:
        """Number of pictures asked for."""
        return self.num_images or 1

    @property
    def price_per_picture(self) -> float:
        """US dollars per picture, by the request's own price or the table."""
        return self.price if self.price is not None else cast(Model, find_model(self.model)).price

    @property
    def cost(self) -> float:
        """Expected cost in US dollars."""
        return round(self.price_per_picture * self.pictures, 6)

    @property
    def expected_size(self) -> tuple[int, int]:
        """Expected (width, height) of the output in pixels; (0, 0) before a reference by URL is fetched."""
        if self.aspect_ratio != MATCH_INPUT:
            return SIZES[self.aspect_ratio]
        width, height = self.images[0].original_size
        return nearest_size(width, height) if height else (0, 0)

    def params(self) -> dict[str, Any]:
        """Every field as a plain value for logs and frames; `default` for a field left to the service."""
        values = {name: getattr(self, name) for name in FIELDS}
        params = {name: DEFAULT if value is None else value for name, value in values.items()}
        params["image"] = " + ".join(reference.name for reference in self.images)
        if self.repeat != 1:
            params["repeat"] = self.repeat
        return params

    def payload(self) -> dict[str, Any]:
        """The JSON body to send, without the fields left to the service."""
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
        """The body for logs: every reference as its digest, no picture data."""
        body = self.payload()
        body["image_url"] = [reference.address or f"sha256:{reference.digest}" for reference in self.images]
        return body

    def fingerprint(self, service: str) -> str:
        """Hex sha256 that identifies a request to a service.

        A default that the service documents (one JPEG, tolerance 2) equals the same value written out. Tests pin the
        recipe: a change of it would make people pay again for pictures they have.

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
    """One field's value as a request holds it: text read as a number, short names expanded.

    Raises:
        SweepError: names field, value and the allowed values.
    """
    try:
        return _adapter(name).validate_python(value)
    except ValidationError:
        raise SweepError(f"{name}: {_short(name, value)}, allowed is {ALLOWED[name]}") from None


def _in_words(error: ValidationError) -> str:
    """The first mistake as one line: field, value, allowed values."""
    first = error.errors()[0]
    if first["type"] == "value_error" and not first["loc"]:
        return str(first["ctx"]["error"])
    name = str(first["loc"][0])
    if first["type"] == "missing":
        return f"{name}: is missing, allowed is {ALLOWED[name]}"
    if first["type"] == "extra_forbidden":
        known = ", ".join((*FIELDS, "images", "repeat", "price"))
        return (
            f"{name}: is not a field of a request; {meant(name, EditRequest.model_fields)}fields are {known}"
        )
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
