"""All figures that can be painted, by the word that asks for them. Data only."""

from __future__ import annotations

from typing import Final

from kontext_lab.sandbox.animals import ANIMALS
from kontext_lab.sandbox.shapes import Shape
from kontext_lab.sandbox.things import THINGS

__all__ = ["SHAPES"]

SHAPES: Final[dict[str, Shape]] = ANIMALS | THINGS
