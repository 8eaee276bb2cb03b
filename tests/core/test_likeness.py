"""The same picture saved again or resized, and pictures that only look alike."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from PIL import Image, ImageDraw
from skimage import data as photographs

from kontext_lab.images import SAME_PICTURE, bits_apart, examine, perceptual_hash, squares_apart

NAMES = ("coffee", "chelsea", "astronaut", "rocket")


def photograph(name: str) -> Image.Image:
    """A real photograph, about as large as an output."""
    picture = Image.fromarray(getattr(photographs, name)())
    return picture.resize((1248, round(1248 * picture.height / picture.width)), Image.Resampling.LANCZOS)


def saved(picture: Image.Image, form: str, **options: object) -> Image.Image:
    """A picture encoded and decoded again."""
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return Image.open(buffer).convert("RGB")


def shrunk(picture: Image.Image, longest: int) -> Image.Image:
    """A smaller copy."""
    small = picture.copy()
    small.thumbnail((longest, longest))
    return small


COPIES = {
    "quality 30": lambda picture: saved(picture, "JPEG", quality=30),
    "quality 60": lambda picture: saved(picture, "JPEG", quality=60),
    "quality 90": lambda picture: saved(picture, "JPEG", quality=90),
    "webp": lambda picture: saved(picture, "WEBP", quality=50),
    "a quarter": lambda picture: shrunk(picture, picture.width // 4),
    "a quarter, quality 60": lambda picture: saved(shrunk(picture, picture.width // 4), "JPEG", quality=60),
    "512 pixels": lambda picture: saved(shrunk(picture, 512), "JPEG", quality=75),
    "doubled": lambda picture: picture.resize((picture.width * 2, picture.height * 2)),
}


@pytest.mark.parametrize("copy", list(COPIES))
@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_the_same_picture(name: str, copy: str) -> None:
    """Neither its hash nor its squares are far from the original's preview."""
    original = photograph(name)
    buffer = io.BytesIO()
    original.save(buffer, format="PNG")
    seen = examine(buffer.getvalue())
    again = shrunk(COPIES[copy](original), 512)
    worst, _ = squares_apart(again, Image.open(io.BytesIO(seen.preview)))
    bits = bits_apart(seen.phash, perceptual_hash(again))
    assert (True, True) == (worst <= SAME_PICTURE, bits is not None and bits < 24)


@pytest.mark.parametrize("name", NAMES)
def test_a_small_edit_is_another_picture(name: str) -> None:
    """A disc of a thirtieth of the width is enough."""
    original = shrunk(photograph(name), 512)
    edited = original.copy()
    ImageDraw.Draw(edited).ellipse((300, 200, 317, 217), fill="red")
    assert squares_apart(original, edited)[0] > SAME_PICTURE


def test_other_photographs_are_far_apart() -> None:
    """No two different photographs are within reach of each other's hash."""
    hashes = [perceptual_hash(photograph(name)) for name in NAMES]
    apart = [bits_apart(one, other) for one in hashes for other in hashes if one is not other]
    assert min(bits for bits in apart if bits is not None) > 64


def test_another_ratio_is_another_picture() -> None:
    """What was stretched or cropped is not compared square by square."""
    assert (1.0, 1.0) == squares_apart(Image.new("RGB", (100, 100)), Image.new("RGB", (120, 100)))


@pytest.mark.parametrize("other", ["", "00", "zz" * 32])
def test_hashes_that_cannot_be_compared(other: str) -> None:
    """A missing hash, one of another length and nonsense are no distance away, but none."""
    assert bits_apart("00" * 32, other) is None


def test_a_black_picture_has_no_hash() -> None:
    """All black pictures are alike: nothing is found by that."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, format="PNG")
    assert examine(buffer.getvalue()).phash == ""


def test_examining_needs_no_scipy() -> None:
    """Importing it would take half a second before the first picture."""
    code = (
        "import io, sys; from PIL import Image; from kontext_lab.images import examine; b = io.BytesIO();"
        "Image.new('RGB', (64, 64), 'red').save(b, format='PNG'); examine(b.getvalue());"
        "print(sorted(n for n in sys.modules if n.split('.')[0] in ('scipy', 'pywt')))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
