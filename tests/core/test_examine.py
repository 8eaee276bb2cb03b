"""Received bytes: whole or not, black or not; thumbnails."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from kontext_lab.errors import ImageError
from kontext_lab.images import PREVIEW_BOX, examine, thumbnail


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def coffee() -> Image.Image:
    """A real photograph."""
    return Image.fromarray(photographs.coffee())


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "gif", "avif"])
def test_facts(form: str, coffee: Image.Image) -> None:
    """Format and size are read from the bytes."""
    found = examine(encoded(coffee, form.upper()))
    assert (found.format, found.width, found.height, found.black) == (form, 600, 400, False)


def test_preview(coffee: Image.Image) -> None:
    """A WebP of at most 512 pixels."""
    with Image.open(io.BytesIO(examine(encoded(coffee, "PNG")).preview)) as preview:
        assert (preview.format, max(preview.size)) == ("WEBP", PREVIEW_BOX)


def test_preview_of_a_small_picture() -> None:
    """Nothing is blown up."""
    with Image.open(io.BytesIO(examine(encoded(Image.new("RGB", (30, 20)), "PNG")).preview)) as preview:
        assert preview.size == (30, 20)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9, 0.99])
def test_truncated(form: str, share: float, coffee: Image.Image) -> None:
    """Whatever share of a file arrived, it is no whole picture."""
    whole = encoded(coffee, form)
    with pytest.raises(ImageError, match="the received picture is damaged"):
        examine(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("cut", [1, 2, 10, 100, 1000])
def test_truncated_jpeg_by_a_little(cut: int, coffee: Image.Image) -> None:
    """A JPEG whose last bytes are missing is damaged."""
    with pytest.raises(ImageError, match="damaged"):
        examine(encoded(coffee, "JPEG")[:-cut])


@pytest.mark.parametrize("body", [b"", b"<html>", b"not a picture", b"\x89PNG\r\n\x1a\n"])
def test_no_picture(body: bytes) -> None:
    """Something else than a picture is damaged."""
    with pytest.raises(ImageError, match="damaged"):
        examine(body)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_black(form: str) -> None:
    """What moderation leaves is black, also after JPEG's losses."""
    assert examine(encoded(Image.new("RGB", (64, 64)), form)).black


def test_black_with_noise() -> None:
    """Noise of a JPEG encoder on black stays black."""
    noise = np.random.default_rng(1).integers(0, 4, (64, 64, 3)).astype(np.uint8)
    assert examine(encoded(Image.fromarray(noise), "JPEG", quality=50)).black


def test_near_black(coffee: Image.Image) -> None:
    """A real picture of a dark night is no black picture."""
    night = Image.fromarray((np.asarray(coffee) // 16).astype(np.uint8))
    assert not examine(encoded(night, "JPEG", quality=95)).black


def test_one_lit_window() -> None:
    """One bright spot is enough."""
    night = np.zeros((64, 64, 3), np.uint8)
    night[30:34, 30:34] = 200
    assert not examine(encoded(Image.fromarray(night), "PNG")).black


def test_thumbnail_fits(coffee: Image.Image) -> None:
    """The longest side is the box, the ratio is kept."""
    assert thumbnail(encoded(coffee, "PNG"), 150).size == (150, 100)


def test_thumbnail_of_a_small_picture() -> None:
    """A picture smaller than the box keeps its size."""
    assert thumbnail(encoded(Image.new("L", (30, 20)), "PNG"), 150).size == (30, 20)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_thumbnail_is_rgb(mode: str) -> None:
    """Whatever the mode."""
    form = "JPEG" if mode == "CMYK" else "PNG"
    assert thumbnail(encoded(Image.new(mode, (30, 20)), form), 16).mode == "RGB"


def test_thumbnail_of_damaged_bytes(coffee: Image.Image) -> None:
    """Half a picture has none."""
    with pytest.raises(ImageError, match="damaged"):
        thumbnail(encoded(coffee, "JPEG")[:5000], 64)


def test_large_jpeg_decodes_reduced(coffee: Image.Image) -> None:
    """A small version of a large JPEG takes a fraction of decoding it."""
    large = encoded(coffee.resize((3600, 2400)), "JPEG")

    def seconds(action: object) -> float:
        begin = time.process_time()
        action()  # type: ignore[operator]
        return time.process_time() - begin

    def decode() -> None:
        with Image.open(io.BytesIO(large)) as picture:
            picture.load()

    full = min(seconds(decode) for _ in range(3))
    small = min(seconds(lambda: thumbnail(large, 128)) for _ in range(3))
    assert small < full / 1.5
