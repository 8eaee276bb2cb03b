"""Results made by hand, and a report read as a browser's parser reads it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kontext_lab.errors import RequestRefused
from kontext_lab.images import examine
from kontext_lab.request.attempt import Answer, Attempt, Picture, Reason
from kontext_lab.results import CellResult, Results
from kontext_lab.sweep import Sweep

NOW = datetime(2025, 11, 1, 12, tzinfo=UTC)

RED, BLUE = (200, 30, 30), (30, 60, 190)


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A picture of one colour."""
    return Image.new("RGB", size, colour)


@cache
def received(seed: int, size: tuple[int, int] = (192, 128)) -> Picture:
    """A PNG as a service would send it: smooth, and different for every seed."""
    ramp = np.linspace(0, 120, size[0], dtype=np.uint8)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = ramp, 60 + seed * 37 % 180, seed * 83 % 250
    return picture_of(Image.fromarray(pixels))


def picture_of(image: Image.Image, reason: Reason | None = None, note: str = "") -> Picture:
    """A received picture, examined."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    found = examine(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return Picture(
        buffer.getvalue(), digest, found.format, found.width, found.height, found.preview, reason, note
    )


def study(
    prompt: Any = "Add a bird.", *, service: str = "sandbox", name: str | None = None, **fields: Any
) -> Results:
    """A sweep whose cells have all ended well; the reference is red."""
    if "image" not in fields.get("axes", {}):
        fields.setdefault("image", flat(RED))
    sweep = Sweep(prompt=prompt, name=name, **fields)
    cells = []
    for cell in sweep.cells:
        made = CellResult.from_cell(cell, service, cell.request.fingerprint(service))
        pictures = tuple(received(cell.index * 4 + number) for number in range(cell.request.pictures))
        made.apply(Attempt("id", Answer(pictures, cost_usd=0.04, latency_s=3.0)), NOW)
        cells.append(made)
    return Results(cells, name=sweep.name)


def moderate(cell: CellResult) -> None:
    """Let a cell end without a picture, but billed."""
    black = picture_of(Image.new("RGB", (64, 64)), Reason.MODERATED, "a black picture came")
    cell.apply(Attempt("id", Answer((black,), cost_usd=0.04)), NOW)


def refuse(cell: CellResult, why: str = "prompt is refused") -> None:
    """Let a cell end refused."""
    cell.outputs = []
    cell.cost = 0.0
    cell.apply(Attempt("id", error=RequestRefused(why, 400)), NOW)


@dataclass
class Shown(HTMLParser):
    """What a page consists of.

    Attributes:
        source: the page as text.
        tags: every element's name, in order.
        texts: what stands between them, but for scripts and styles.
        images: attributes of every picture.
        data: the block the page's script works on.
    """

    source: str
    tags: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    images: list[Mapping[str, str | None]] = field(default_factory=list)
    metas: list[Mapping[str, str | None]] = field(default_factory=list)
    data: Any = None
    _inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if tag == "img":
            self.images.append(given)
        if tag == "meta":
            self.metas.append(given)
        if tag in ("script", "style"):
            self._inside = "data" if given.get("id") == "data" else tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "data":
            self.data = json.loads(data)
        elif not self._inside:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All text in a line."""
        return " ".join(" ".join(self.texts).split())

    @property
    def cards(self) -> list[dict[str, Any]]:
        """What the script knows of every output."""
        return list(self.data["cards"])

    def picture(self, place: int) -> Image.Image:
        """A picture of the album, decoded."""
        (found,) = [image for image in self.images if image.get("id") == f"picture-{place}"]
        data = base64.b64decode((found["src"] or "").partition(",")[2])
        return Image.open(io.BytesIO(data))

    @property
    def pixels(self) -> list[tuple[int, ...]]:
        """The mean colour of every picture, effects included."""
        found = [base64.b64decode((image["src"] or "").partition(",")[2]) for image in self.images]
        return [
            tuple(
                np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
                .reshape(-1, 3)
                .mean(0)
                .round()
                .astype(int)
            )
            for data in found
        ]


def read(path: Path) -> Shown:
    """A written report."""
    return Shown(path.read_text(encoding="utf-8"))
