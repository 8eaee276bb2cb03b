"""Results with measured values made by hand: what a value is, is a function of a cell's parameters."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from kontext_lab.images import examine
from kontext_lab.request.attempt import Answer, Attempt, Picture, Reason
from kontext_lab.results import CellResult, Results, State
from kontext_lab.sweep import Sweep

NOW = datetime(2025, 11, 1, tzinfo=UTC)
PHOTO = np.full((40, 60, 3), 120, dtype=np.uint8)
Value = Callable[[Mapping[str, Any]], float | None]


@cache
def picture(shade: int) -> Picture:
    """A small picture as a service would send it; equal shades are equal bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", (12, 8), (shade % 256, shade // 256 % 256, 90)).save(buffer, "PNG")
    found = examine(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return Picture(buffer.getvalue(), digest, found.format, found.width, found.height, found.preview)


def moderated() -> Picture:
    """A picture that moderation blackened."""
    black = picture(0)
    return Picture(black.data, black.sha256, "png", 12, 8, black.preview, Reason.MODERATED, "black picture")


def study(
    value: Value | None = None,
    *,
    metric: str = "change/area",
    shade: Callable[[Mapping[str, Any]], int] | None = None,
    ends: Mapping[int, str] | None = None,
    service: str = "https://api.example.com",
    prompt: Any = "Add a bird.",
    **fields: Any,
) -> Results:
    """A sweep that ran.

    Args:
        value: the measured value of an output with these parameters; None for no value.
        metric: its name.
        shade: which picture comes; None for a different one each time.
        ends: cells, by their place, that end without a picture: `moderated`, or a failure.
        service: what answered.
        prompt: of the sweep.
        **fields: further parameters and axes.
    """
    fields.setdefault("image", None if "image" in fields.get("axes", {}) else PHOTO)
    if any("prompt" in key.split("+") for key in fields.get("axes", {})):
        prompt = None
    sweep = Sweep(prompt=prompt, **fields)
    made = [CellResult.from_cell(one, service, one.request.fingerprint(service)) for one in sweep.cells]
    for at, (cell, planned) in enumerate(zip(made, sweep.cells, strict=True)):
        end = (ends or {}).get(at, "")
        if end == "moderated":
            pictures = (moderated(),) * planned.request.pictures
            cell.apply(Attempt("id", Answer(pictures, cost_usd=0.052)), NOW)
            continue
        if end:
            cell.end(State(end), "400")
            continue
        numbers = range(1, planned.request.pictures + 1)
        shades = [shade(cell.params) if shade else 1 + 4 * at + number for number in numbers]
        cell.apply(Attempt("id", Answer(tuple(picture(one) for one in shades), cost_usd=0.052)), NOW)
        for output in cell.outputs:
            found = value(output.params) if value is not None else None
            if found is not None:
                output.metrics[metric] = found
    return Results(made, name=sweep.name)


def noise(params: Mapping[str, Any], scale: float = 1.0) -> float:
    """A number that looks random, and is the same for the same parameters."""
    text = repr(sorted((key, str(one)) for key, one in params.items()))
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return float(np.random.default_rng(seed).normal(0, scale))
