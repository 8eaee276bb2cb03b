"""Results made by hand, for figures of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from figures_making import finish
from PIL import Image
from skimage import data

from kontext_lab.images import examine
from kontext_lab.results import CellResult, Results
from kontext_lab.sweep import Sweep


@pytest.fixture(scope="session")
def coffee() -> Image.Image:
    """The reference: 3:2."""
    return Image.fromarray(data.coffee())


@pytest.fixture
def results(coffee: Image.Image) -> Callable[..., Results]:
    """Makes a sweep's results: `results(seed=[1, 2])`; `run=False` leaves all cells waiting."""

    def make(
        prompt: Any = "Add a bird.", *, run: bool = True, service: str = "sandbox", **fields: Any
    ) -> Results:
        fields.setdefault("image", None if "image" in fields.get("axes", {}) else coffee)
        sweep = Sweep(prompt=prompt, **fields)
        made = []
        for cell in sweep.cells:
            made.append(CellResult.from_cell(cell, service, cell.request.fingerprint(service)))
            if run:
                finish(made[-1], cell)
        return Results(made, name=sweep.name)

    return make


@pytest.fixture
def noisy(results: Callable[..., Results]) -> Callable[..., Results]:
    """Like `results`, with pictures of pure noise: the worst there is for a PNG."""

    def make(**fields: Any) -> Results:
        made = results(**fields)
        pixels = np.random.default_rng(1).integers(0, 255, (256, 256, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        preview = examine(buffer.getvalue()).preview
        for output in made.outputs:
            output.data, output.preview, output.format = buffer.getvalue(), preview, "png"
        return made

    return make
