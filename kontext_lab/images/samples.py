"""Real photographs to try things on, shipped with scikit-image."""

from __future__ import annotations

from kontext_lab.errors import ConfigError
from kontext_lab.images import Reference, load_reference

__all__ = ["SAMPLES", "sample"]

SAMPLES = ("coffee", "chelsea", "astronaut", "rocket")


def sample(name: str) -> Reference:
    """A sample photograph as a reference.

    Args:
        name: `coffee`, `chelsea` (a cat), `astronaut` or `rocket`.

    Raises:
        ConfigError: no such sample.
    """
    if name not in SAMPLES:
        raise ConfigError(f"sample: {name!r}, allowed are {', '.join(SAMPLES)}")
    from skimage import data  # noqa: PLC0415 - scikit-image takes a while to import

    return load_reference(getattr(data, name)(), name=name)
