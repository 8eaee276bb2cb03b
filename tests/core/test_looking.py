"""Any picture as pixels to look at: upright, RGB, see-through parts on white."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kontext_lab.errors import ImageError, OutputUnavailable
from kontext_lab.images import Reference, load_reference, picture_of


@pytest.fixture
def picture(photo: np.ndarray) -> Image.Image:
    """A photograph, 300x200."""
    return Image.fromarray(photo)


@pytest.fixture
def file(picture: Image.Image, tmp_path: Path) -> Path:
    """The photograph as a PNG."""
    file = tmp_path / "photo.png"
    picture.save(file)
    return file


KINDS = {
    "path": lambda file: file,
    "text": str,
    "bytes": Path.read_bytes,
    "bytearray": lambda file: bytearray(file.read_bytes()),
    "memoryview": lambda file: memoryview(file.read_bytes()),
    "pil": Image.open,
    "uint8": lambda file: np.asarray(Image.open(file)),
    "float": lambda file: np.asarray(Image.open(file)) / 255,
    "reference": load_reference,
    "output": lambda file: SimpleNamespace(bytes=file.read_bytes(), origin=None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_picture_is_given_as_its_pixels_are_the_same(
    kind: str, file: Path, photo: np.ndarray
) -> None:
    """Nothing is scaled or encoded on the way."""
    assert np.array_equal(photo, np.asarray(picture_of(KINDS[kind](file))))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I", "F"])
def test_every_mode_becomes_rgb(mode: str, picture: Image.Image) -> None:
    """Eight bits a channel."""
    assert ("RGB", (300, 200)) == ((found := picture_of(picture.convert(mode))).mode, found.size)


def test_see_through_parts_lie_on_white(picture: Image.Image) -> None:
    """Not on black, as dropping the alpha would leave them."""
    clear = picture.convert("RGBA")
    clear.putalpha(0)
    assert (255, 255, 255) == picture_of(clear).getpixel((150, 100))


@pytest.mark.parametrize("kind", ["bytes", "path", "pil"])
def test_a_photograph_on_its_side_is_set_upright(kind: str, picture: Image.Image, tmp_path: Path) -> None:
    """As EXIF says."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.jpg"
    picture.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    assert (300, 200) == picture_of(KINDS[kind](turned)).size


def test_the_picture_that_was_given_stays_as_it_is(picture: Image.Image) -> None:
    """Looking changes nothing."""
    before = picture.convert("RGBA")
    picture_of(before)
    assert "RGBA" == before.mode


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "must be .*, not NoneType"),
        (7, "must be .*, not int"),
        (b"", "is empty"),
        (b"<html></html>", "is a web page"),
        (b"plain text", "is not a picture"),
        ("nowhere/at/all.png", "no file"),
        (np.zeros((4, 4, 7), np.uint8), "shape"),
        (np.full((4, 4, 3), np.nan), "floats must be from 0 to 1, not nan"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
    ],
    ids=["none", "number", "empty", "page", "text", "nowhere", "shape", "nan", "no pixels"],
)
def test_what_is_no_picture_says_what_it_is(given: Any, words: str) -> None:
    """In one line."""
    with pytest.raises(ImageError, match=words) as caught:
        picture_of(given)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    """It exists, and can't be read."""
    with pytest.raises(ImageError, match="can't be read"):
        picture_of(tmp_path)


def test_a_truncated_file_is_no_picture(file: Path) -> None:
    """Half of its pixels are not enough."""
    with pytest.raises(ImageError, match="damaged or truncated"):
        picture_of(file.read_bytes()[:2000])


def test_a_reference_by_url_that_was_not_fetched_has_no_picture() -> None:
    """No connection is opened for it."""
    with pytest.raises(ImageError, match="was not loaded"):
        picture_of(Reference("far away", "https://example.com/a.png", url="https://example.com/a.png"))


def test_an_output_without_a_picture_says_why() -> None:
    """Its own error comes through."""

    class Gone:
        origin = None

        @property
        def bytes(self) -> bytes:
            raise OutputUnavailable("output: it expired")

    with pytest.raises(OutputUnavailable, match="expired"):
        picture_of(Gone())
