"""Sample photographs, shipped with scikit-image."""

from __future__ import annotations

from kontext_lab.errors import ConfigError
from kontext_lab.images import Reference, load_reference

__all__ = ["SAMPLES", "sample"]

SAMPLES = ("coffee", "chelsea", "astronaut", "rocket")


def sample(name: str) -> Reference:
    """Load a sample photograph as a reference.

    Args:
        name: `coffee`, `chelsea` (a cat), `astronaut` or `rocket`.

    Raises:
        ConfigError: there is no such sample.

    Example:
        >>> coffee = kl.sample("coffee")
        >>> coffee.name, coffee.sent_size
        ('coffee', (600, 400))
        >>> sweep = kl.Sweep(prompt="Add a bird.", image=coffee, axes={"seed": "1-3"})
    """
    if name not in SAMPLES:
        raise ConfigError(f"sample: there is no sample {name!r}, choose from {', '.join(SAMPLES)}")
    from skimage import data  # noqa: PLC0415 - scikit-image takes a while to import

    return load_reference(getattr(data, name)(), name=name)
