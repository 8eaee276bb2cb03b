"""Pictures of a page: each once, small enough, nothing but pixels."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from kontext_lab.reports.album import Album

NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (900, 1200, 3), dtype=np.uint8))


def within(picture: Image.Image):
    """A loader, as outputs have one."""

    def load(box: int) -> Image.Image:
        small = picture.copy()
        small.thumbnail((box, box))
        return small

    return load


def decoded(uri: str) -> Image.Image:
    """The picture in a `data:` address."""
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_equal_pictures_are_held_once() -> None:
    """A reference that all cells share is in the page once."""
    album = Album(2)
    places = [album.add("same", within(NOISE), "noise", "reference") for _ in range(3)]

    assert [0, 0, 0] == places
    assert 1 == len(album.pictures)


def test_a_smooth_picture_keeps_its_pixels() -> None:
    """Where there is room, a picture is as large as a closer look needs it."""
    album = Album(1)
    album.add("one", within(Image.new("RGB", (1200, 900), "teal")), "", "output")

    assert (1024, 768) == (album.pictures[0].width, album.pictures[0].height)


@pytest.mark.parametrize("count", [10, 144])
def test_the_worst_pictures_stay_within_the_room(count: int) -> None:
    """Pure noise, the worst there is, takes no more than its share."""
    room = 12_000_000
    album = Album(count, room)
    album.add("one", within(NOISE), "", "output")

    assert len(album.pictures[0].uri) <= room / count + 100


def test_a_noisy_picture_takes_nothing_from_its_neighbours() -> None:
    """After a picture that had to become small, a smooth one is as large as ever."""
    album = Album(144)
    album.add("smooth", within(Image.new("RGB", (1200, 900), "teal")), "", "output")
    album.add("noisy", within(NOISE), "", "output")
    album.add("other", within(Image.new("RGB", (1200, 900), "navy")), "", "output")

    assert [1024, 1024] == [album.pictures[0].width, album.pictures[2].width]
    assert 1024 > album.pictures[1].width


def test_metadata_stays_behind() -> None:
    """Neither exif nor a colour profile of what was loaded is in the page."""
    picture = Image.new("RGB", (64, 64), "teal")
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=exif, icc_profile=b"x" * 200)
    album = Album(1)
    album.add("one", lambda _: Image.open(io.BytesIO(buffer.getvalue())), "", "output")

    found = decoded(album.pictures[0].uri)
    assert (0, None) == (len(found.getexif()), found.info.get("icc_profile"))
