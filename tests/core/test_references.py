"""References: whatever a person has becomes upright sRGB without metadata, or one clear line."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import pickle
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageCms, ImageDraw, ImageSequence
from PIL.PngImagePlugin import PngInfo

from kontext_lab.errors import ImageError
from kontext_lab.images import Reference, load_reference

MARKER = b"SECRET-MARKER"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>SECRET-MARKER</a></x:xmpmeta>'


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return buffer.getvalue()


def sent(given: Any, **options: Any) -> np.ndarray:
    """The pixels that are sent."""
    with Image.open(io.BytesIO(load_reference(given, **options).png)) as picture:
        assert (picture.mode, picture.info) == ("RGB", {})
        return np.asarray(picture)


def exif(orientation: int = 1) -> Image.Exif:
    """An orientation, and the marker in three places."""
    found = Image.Exif()
    found[0x0112] = orientation
    found[0x010F] = MARKER.decode()
    found[0x9286] = MARKER.decode()
    found.get_ifd(0x8825)[29] = MARKER.decode()  # GPSDateStamp: any text of the GPS block
    return found


def profile() -> bytes:
    """An sRGB colour profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """An RGB profile whose red and green primaries are exchanged: plainly not sRGB."""
    data = bytearray(profile())
    count = struct.unpack(">I", data[128:132])[0]
    tags = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data)


@pytest.fixture
def halves() -> Image.Image:
    """40x20: left half red, right half blue."""
    picture = Image.new("RGB", (40, 20), "red")
    ImageDraw.Draw(picture).rectangle((20, 0, 39, 19), fill="blue")
    return picture


# --- upright -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied(form: str, halves: Image.Image) -> None:
    """A picture taken with the camera turned is sent upright, and its size is that of the upright one."""
    made = load_reference(encoded(halves, form, exif=exif(6)))
    assert (made.original_size, made.sent_size) == ((20, 40), (20, 40))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(orientation: int, halves: Image.Image) -> None:
    """All eight orientations put the red half where a viewer shows it."""
    pixels = sent(encoded(halves, "PNG", exif=exif(orientation)))
    corner = {1: "red", 2: "blue", 3: "blue", 4: "red", 5: "red", 6: "red", 7: "blue", 8: "blue"}[orientation]
    assert pixels[2, 2].tolist() == {"red": [255, 0, 0], "blue": [0, 0, 255]}[corner]


def test_orientation_of_a_pil_image(halves: Image.Image, tmp_path: Path) -> None:
    """An opened PIL image is turned as well."""
    (tmp_path / "a.jpg").write_bytes(encoded(halves, "JPEG", exif=exif(8)))
    with Image.open(tmp_path / "a.jpg") as picture:
        assert load_reference(picture).original_size == (20, 40)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow says it; elsewhere it stays a warning
def test_broken_exif_is_ignored(halves: Image.Image) -> None:
    """A damaged EXIF block says nothing about the pixels."""
    data = encoded(halves, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert load_reference(data).original_size == (40, 20)


# --- metadata ------------------------------------------------------------------------------------------


def _png_with_text(picture: Image.Image) -> bytes:
    info = PngInfo()
    info.add_text("Comment", MARKER.decode())
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    info.add(b"prVt", MARKER)
    return encoded(picture, "PNG", pnginfo=info, exif=exif(), icc_profile=profile())


def _jpeg_with_thumbnail(picture: Image.Image) -> bytes:
    return encoded(picture, "JPEG", comment=MARKER, xmp=XMP, exif=exif(), icc_profile=profile()) + MARKER


def _heic(picture: Image.Image) -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    made = pillow_heif.from_pillow(picture)
    made.save(buffer, exif=exif().tobytes(), xmp=XMP)
    return buffer.getvalue()


WITH_METADATA: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg": _jpeg_with_thumbnail,
    "png": _png_with_text,
    "webp": lambda one: encoded(one, "WEBP", exif=exif(), xmp=XMP),
    "avif": lambda one: encoded(one, "AVIF", exif=exif(), xmp=XMP),
    "tiff": lambda one: encoded(
        one, "TIFF", exif=exif(), description=MARKER.decode(), artist=MARKER.decode()
    ),
    "gif": lambda one: encoded(one, "GIF", comment=MARKER),
    "heic": _heic,
}


@pytest.mark.parametrize("form", WITH_METADATA)
def test_no_metadata_is_sent(form: str, halves: Image.Image) -> None:
    """GPS, maker, comments, XMP, text chunks: present in the file, gone from what is sent and logged."""
    data = WITH_METADATA[form](halves)
    made = load_reference(data)
    assert (MARKER in data, MARKER in made.png, MARKER in base64.b64decode(made.uri.partition(",")[2])) == (
        True,
        False,
        False,
    )


@pytest.mark.parametrize("form", WITH_METADATA)
def test_only_pixels_are_sent(form: str, halves: Image.Image) -> None:
    """The PNG that is sent consists of header, pixels and end."""
    data, kinds = load_reference(WITH_METADATA[form](halves)).png, set()
    at = 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kinds.add(data[at + 4 : at + 8])
        at += 12 + length
    assert kinds == {b"IHDR", b"IDAT", b"IEND"}


def test_metadata_of_a_pil_image_is_not_sent(halves: Image.Image) -> None:
    """Nor is what a PIL image carries along."""
    with Image.open(io.BytesIO(_png_with_text(halves))) as picture:
        assert MARKER not in load_reference(picture).png


# --- colours -------------------------------------------------------------------------------------------


def test_alpha_on_white() -> None:
    """Transparent becomes white, half transparent half white."""
    picture = Image.new("RGBA", (2, 1))
    picture.putpixel((1, 0), (0, 0, 0, 128))
    assert sent(encoded(picture, "PNG")).tolist() == [[[255, 255, 255], [127, 127, 127]]]


def test_palette_with_transparency() -> None:
    """The transparent colour of a palette becomes white, the others keep theirs."""
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    assert sent(encoded(picture, "PNG", transparency=0)).tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_transparent_colour_of_rgb() -> None:
    """A PNG's transparent colour becomes white."""
    picture = Image.new("RGB", (2, 1), (10, 20, 30))
    picture.putpixel((1, 0), (1, 2, 3))
    data = encoded(picture, "PNG", transparency=(10, 20, 30))
    assert sent(data).tolist() == [[[255, 255, 255], [1, 2, 3]]]


def test_grey_with_alpha() -> None:
    """LA: alpha on white."""
    picture = Image.new("LA", (2, 1), (0, 0))
    picture.putpixel((1, 0), (100, 255))
    assert sent(encoded(picture, "PNG"))[0, :, 0].tolist() == [255, 100]


@pytest.mark.parametrize(
    ("mode", "value", "seen"),
    [("L", 77, 77), ("1", 1, 255), ("RGBX", (77, 77, 77, 0), 77), ("I;16", 77 * 257, 77)],
)
def test_grey_modes(mode: str, value: Any, seen: int) -> None:
    """Grey, one bit, 16 bits: the same shade as RGB."""
    assert sent(Image.new(mode, (3, 2), value))[0, 0].tolist() == [seen] * 3


def test_cmyk_jpeg() -> None:
    """A CMYK photograph from print becomes RGB, not its negative."""
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    pixel = sent(encoded(red, "JPEG", quality=95))[8, 8]
    assert (pixel[0] > 200, pixel[1] < 60, pixel[2] < 60) == (True, True, True)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey(form: str) -> None:
    """16 bits are scaled, not cut."""
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    assert np.abs(sent(encoded(Image.fromarray(ramp), form))[:, :, 0].ravel() - np.arange(256.0)).max() <= 1


def test_big_endian_16_bit_tiff() -> None:
    """The byte order of a TIFF doesn't matter."""
    picture = Image.new("I;16B", (4, 4), 0)
    picture.frombytes(struct.pack(">16H", *[30000] * 16))
    assert sent(picture)[0, 0, 0] == round(30000 / 257)


@pytest.mark.parametrize(("mode", "scale"), [("F", 1.0), ("F", 255.0), ("I", 65535)])
def test_32_bit_grey(mode: str, scale: float) -> None:
    """32-bit greys are read as 0…1, 0…255 or 16 bits, by what they hold."""
    ramp = (np.linspace(0, 1, 16).reshape(4, 4) * scale).astype(np.float32 if mode == "F" else np.int32)
    pixels = sent(Image.fromarray(ramp))[:, :, 0]
    assert (int(pixels.min()), int(pixels.max())) == (0, 255)


def test_lab() -> None:
    """A Lab picture becomes RGB."""
    assert sent(Image.new("LAB", (4, 4))).shape == (4, 4, 3)


def test_srgb_profile_changes_nothing(halves: Image.Image) -> None:
    """A file that says sRGB keeps its numbers."""
    assert (
        np.abs(sent(encoded(halves, "PNG", icc_profile=profile())).astype(int) - np.asarray(halves)).max()
        <= 1
    )


def test_other_profile_is_converted(halves: Image.Image) -> None:
    """Numbers of another colour space become sRGB's: here its red is our green."""
    pixel = sent(encoded(halves, "PNG", icc_profile=swapped_profile()))[2, 2]
    assert (int(pixel[0]) < 60, int(pixel[1]) > 200) == (True, True)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "CMYK", "P", "1"])
def test_broken_profile_is_ignored(mode: str) -> None:
    """A damaged profile says nothing: the numbers are taken as sRGB."""
    picture = Image.new(mode, (4, 4))
    picture.info["icc_profile"] = profile()[:200]
    assert sent(picture).shape == (4, 4, 3)


# --- formats -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP", "PPM", "TGA", "JPEG2000"]
)
def test_formats(form: str, halves: Image.Image) -> None:
    """Every bitmap Pillow reads is read, in the right colours."""
    pixels = sent(encoded(halves, form)).astype(int)
    assert np.abs(pixels[10, 5] - [255, 0, 0]).max() < 40
    assert np.abs(pixels[10, 35] - [0, 0, 255]).max() < 40


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_first_frame(form: str) -> None:
    """Of an animation the first frame is sent."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data)) as opened:
        assert len(list(ImageSequence.Iterator(opened))) == 3
    assert np.abs(sent(data)[8, 8].astype(int) - [255, 0, 0]).max() < 10


def test_heic(halves: Image.Image) -> None:
    """HEIC is read with the extra, upright and in colour."""
    pixels = sent(_heic(halves)).astype(int)
    assert pixels.shape == (20, 40, 3)
    assert np.abs(pixels[10, 5] - [255, 0, 0]).max() < 40


def test_heic_without_the_extra(halves: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the error names the line that installs it."""
    data = _heic(halves)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    # Libraries that read pictures for others register it with Pillow when they are imported.
    monkeypatch.setattr(Image, "ID", [form for form in Image.ID if form != "HEIF"])
    with pytest.raises(ImageError, match=r'HEIC needs the extra "heic": pip install "kontext-lab\[heic\]"'):
        load_reference(data)


def test_truncated_heic(halves: Image.Image) -> None:
    """A damaged HEIC is an ImageError."""
    with pytest.raises(ImageError, match="damaged or truncated"):
        load_reference(_heic(halves)[:-100])


# --- size ----------------------------------------------------------------------------------------------


def test_small_pictures_keep_their_size(photo: np.ndarray) -> None:
    """Up to two megapixels nothing is scaled: the pixels are the picture's own."""
    assert np.array_equal(sent(photo), photo)


def test_large_pictures_are_scaled() -> None:
    """Above two megapixels they are, ratio kept; original and sent size are recorded."""
    made = load_reference(np.zeros((3000, 4000), np.uint8))
    assert (made.original_size, made.sent_size) == ((4000, 3000), (1632, 1224))


def test_limit_is_a_setting() -> None:
    """The limit can be set."""
    assert load_reference(np.zeros((300, 400), np.uint8), max_megapixels=0.03).sent_size == (200, 150)


def test_exactly_two_megapixels_are_not_scaled() -> None:
    """The limit itself is allowed."""
    assert load_reference(np.zeros((1000, 2000), np.uint8)).sent_size == (2000, 1000)


def test_thin_pictures_keep_a_pixel() -> None:
    """No side vanishes."""
    assert min(load_reference(np.zeros((1, 10_000), np.uint8), max_megapixels=0.001).sent_size) == 1


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_limit_that_can_not_be(limit: float) -> None:
    """A limit of nothing is refused."""
    with pytest.raises(ImageError, match="max_megapixels"):
        load_reference(np.zeros((4, 4), np.uint8), max_megapixels=limit)


# --- what can't be read --------------------------------------------------------------------------------


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A few bytes that claim to be a square of this side."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + _chunk(b"IDAT", zlib.compress(b"\0" * 100)) + _chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [50_000, 12_000, 10_001])
def test_bombs(side: int) -> None:
    """A small file that claims a huge picture is refused before it is decoded."""
    with pytest.raises(ImageError, match=r"megapixels"):
        load_reference(bomb(side))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF"])
def test_truncated_files(form: str, photo: np.ndarray) -> None:
    """Half a file is no picture."""
    data = encoded(Image.fromarray(photo), form)
    with pytest.raises(ImageError, match="damaged or truncated"):
        load_reference(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"<!doctype html><p>no", "is a web page"),
        (b"\n <svg/>", "is an SVG drawing"),
        (b"just text", "is not a picture"),
        (b"%PDF-1.7", "is a PDF document"),
        (bytes(1000), "is not a picture"),
    ],
)
def test_bytes_that_are_no_picture(data: bytes, says: str) -> None:
    """The error says what came instead."""
    with pytest.raises(ImageError, match=says):
        load_reference(data)


def test_damaged_files_are_only_ever_image_errors(photo: np.ndarray) -> None:
    """Flipped bytes give a picture or an ImageError, in every format."""
    rng = np.random.default_rng(3)
    small = Image.fromarray(photo).resize((30, 20))
    for form in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP", "TGA", "ICO", "JPEG2000"):
        data = encoded(small, form)
        for _ in range(25):
            broken = bytearray(data)
            for at in rng.integers(0, len(data), 6):
                broken[at] = rng.integers(256)
            with contextlib.suppress(ImageError):
                load_reference(bytes(broken))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("missing.png", "no file 'missing.png'"),
        (Path("missing.png"), "no file 'missing.png'"),
        (".", "can't be read: Is a directory"),
        ("", "not empty text"),
        ("  ", "not empty text"),
        ("a\0b.png", "can't be read"),
        ("a\ud800.png", "can't be read"),
        ("x" * 5000, "can't be read"),
        ("~nobody-of-this-name/a.png", "can't be read"),
        (r"C:\pictures\cat.png", "no file"),
        (base64.b64encode(bomb(10)).decode(), "is bare base64, write data:image/png;base64, before it"),
        ("/9j/" + "A" * 500, "is bare base64"),
        ("ftp://h.example/a.png", "URL must begin with http:// or https://, not ftp://"),
        ("s3://bucket/a.png", "URL must begin with http:// or https://, not s3://"),
        ("http://", "names no host"),
        ("https:///a.png", "names no host"),
        ("http://[", "is no address"),
        ("http://h.example:99999/a.png", "is no address"),
        ("http://h.example:port/a.png", "is no address"),
        ("http://h.example/a b.png", "write a blank as %20"),
        ("http://h.example/a\nb.png", "write a blank as %20"),
        ("data:image/png;base64", "needs a comma"),
        ("data:,", "is empty"),
        ("data:text/plain,hello", "is not a picture"),
        ("data:image/png;base64,%%%", "base64 is damaged"),
        ("data:image/png;base64,é", "base64 is damaged"),
        (None, "image must be a path, URL, data: URI, bytes, PIL image, array or Output, not NoneType"),
        (True, "not bool"),
        (3, "not int"),
        (float("nan"), "not float"),
        (pd.NA, "not NAType"),
        (["a.png"], "not list"),
        ({"path": "a.png"}, "not dict"),
        (io.BytesIO(b"x"), "not BytesIO"),
        (Image.new("RGB", (0, 4)), "has no pixels"),
        (pd.Series(["a.png"]), "shape"),
    ],
)
def test_what_is_no_reference(given: Any, says: str, workdir: Path) -> None:
    """One clear line for whatever else a person may pass."""
    with pytest.raises(ImageError) as caught:
        load_reference(given)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_truncated_pil_image(photo: np.ndarray, tmp_path: Path) -> None:
    """A lazily opened picture that can't be decoded is an ImageError."""
    (tmp_path / "a.jpg").write_bytes(encoded(Image.fromarray(photo), "JPEG")[:-2000])
    with Image.open(tmp_path / "a.jpg") as picture, pytest.raises(ImageError, match="can't be decoded"):
        load_reference(picture)


def test_closed_pil_image() -> None:
    """So is one that was closed."""
    picture = Image.new("RGB", (4, 4))
    picture.close()
    with pytest.raises(ImageError, match="can't be decoded"):
        load_reference(picture)


@pytest.fixture
def unreadable_file(workdir: Path) -> Iterator[str]:
    """A file without permission, beside the test, which runs as a user to whom that applies: root reads every file."""
    (workdir / "a.png").touch(mode=0)
    workdir.chmod(0o755)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield "a.png"
    os.seteuid(user)


@pytest.mark.skipif(os.name != "posix", reason="permissions of a POSIX system")
def test_unreadable_file(unreadable_file: str) -> None:
    """A file without permission is named with the system's reason."""
    with pytest.raises(ImageError, match="Permission denied"):
        load_reference(unreadable_file)


# --- arrays --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros((4, 6), np.uint8), (4, 6, 3)),
        (np.zeros((4, 6, 1), np.uint8), (4, 6, 3)),
        (np.zeros((4, 6, 3), np.uint8), (4, 6, 3)),
        (np.zeros((4, 6, 4), np.uint8), (4, 6, 3)),
        (np.zeros((4, 6, 3), np.uint16), (4, 6, 3)),
        (np.zeros((4, 6), bool), (4, 6, 3)),
        (np.zeros((4, 6, 3), np.float16), (4, 6, 3)),
        (np.zeros((4, 6, 3), np.float32), (4, 6, 3)),
        (np.zeros((4, 6, 3), np.float64)[::-1, ::2], (4, 3, 3)),
        (np.asfortranarray(np.zeros((4, 6, 3), np.uint8)), (4, 6, 3)),
    ],
)
def test_arrays(array: np.ndarray, shape: tuple[int, ...]) -> None:
    """H×W, H×W×1, ×3, ×4; uint8, uint16, bool, float."""
    assert sent(array).shape == shape


def test_float_arrays_are_scaled() -> None:
    """0…1 becomes 0…255."""
    assert sent(np.array([[0.0, 0.5, 1.0]]))[0, :, 0].tolist() == [0, 128, 255]


def test_objects_with_an_array_inside() -> None:
    """A tensor of another library is read through `__array__`."""

    class Tensor:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return np.full((2, 3, 3), 9, np.uint8)

    assert sent(Tensor())[0, 0, 0] == 9


def test_objects_whose_array_fails() -> None:
    """A tensor that can't be read is an ImageError with its reason."""

    class Tensor:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            raise RuntimeError("lives on another device")

    with pytest.raises(ImageError, match="Tensor can't be read as an array: lives on another device"):
        load_reference(Tensor())


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros(4), "shape must be H×W, H×W×1, H×W×3 or H×W×4, not (4,)"),
        (np.zeros((2, 4, 4, 3)), "shape must be H×W, H×W×1, H×W×3 or H×W×4, not (2, 4, 4, 3)"),
        (np.zeros((4, 4, 2), np.uint8), "shape must be H×W, H×W×1, H×W×3 or H×W×4, not (4, 4, 2)"),
        (np.zeros((3, 4, 5), np.uint8), "shape must be H×W, H×W×1, H×W×3 or H×W×4, not (3, 4, 5)"),
        (np.zeros((0, 4, 3), np.uint8), "shape must be H×W, H×W×1, H×W×3 or H×W×4, not (0, 4, 3)"),
        (np.zeros((4, 4), np.int64), "values must be bool, uint8, uint16 or float from 0 to 1, not int64"),
        (
            np.zeros((4, 4), complex),
            "values must be bool, uint8, uint16 or float from 0 to 1, not complex128",
        ),
        (np.array([["a"]]), "values must be bool, uint8, uint16 or float from 0 to 1, not <U1"),
        (np.array([[None]]), "values must be bool, uint8, uint16 or float from 0 to 1, not object"),
        (np.full((4, 4), 200.0), "floats must be from 0 to 1, not 200 to 200"),
        (np.full((4, 4), -0.1), "floats must be from 0 to 1, not -0.1"),
        (np.full((4, 4), np.nan), "floats must be from 0 to 1, not nan"),
        (np.full((4, 4), np.inf), "floats must be from 0 to 1, not inf"),
        (np.broadcast_to(np.uint8(0), (20_000, 6000)), "at most 100 megapixels"),
    ],
)
def test_refused_arrays(array: np.ndarray, says: str) -> None:
    """Other shapes, types and ranges are refused with what is allowed."""
    with pytest.raises(ImageError) as caught:
        load_reference(array)
    assert says in str(caught.value)


# --- names, sources and URLs ---------------------------------------------------------------------------


def test_name_is_the_file_s(photo_file: Path) -> None:
    """A path gives its name and says where it lies."""
    made = load_reference(photo_file)
    assert (made.name, made.source) == ("coffee", str(photo_file))


def test_relative_path_becomes_absolute(workdir: Path, photo_file: Path) -> None:
    """The source stays true in another folder."""
    (workdir / "a b ü😀.jpg").write_bytes(photo_file.read_bytes())
    made = load_reference("a b ü😀.jpg")
    assert (made.name, made.source) == ("a b ü😀", str(workdir / "a b ü😀.jpg"))


def test_home(photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~ is the home folder."""
    monkeypatch.setenv("HOME", str(photo_file.parent))
    assert load_reference("~/coffee.jpg").name == "coffee"


def test_file_url(photo_file: Path) -> None:
    """A file URL is a path."""
    assert load_reference(photo_file.as_uri()).source == str(photo_file)


def test_given_name(photo_file: Path) -> None:
    """A name given replaces the file's."""
    assert load_reference(photo_file, name="cup").name == "cup"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h.example/dir/cat.png", "cat"),
        ("https://h.example/cat.png?size=3&x=1#top", "cat"),
        ("https://h.example/my%20cat.png", "my cat"),
        ("https://h.example/", "h.example"),
        ("https://h.example", "h.example"),
        ("HTTPS://h.example/cat", "cat"),
        ("  https://h.example/cat.png\n", "cat"),
    ],
)
def test_url(url: str, name: str) -> None:
    """A URL is sent as it is, named by its path, and not fetched."""
    made = load_reference(url)
    assert (made.url, made.uri, made.name, made.resolved) == (url.strip(), url.strip(), name, False)


def test_url_is_fetched_once(photo_file: Path) -> None:
    """Fetching freezes the picture; the URL is still what is sent."""
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return photo_file.read_bytes()

    made = load_reference("https://h.example/a.jpg").resolve(fetch)
    assert made.resolve(fetch) is made
    assert (asked, made.uri) == (["https://h.example/a.jpg"], "https://h.example/a.jpg")
    assert (made.original_size, made.sent_size, made.resolved) == ((300, 200), (300, 200), True)


def test_url_that_serves_no_picture() -> None:
    """The error names the URL."""
    with pytest.raises(ImageError, match=r"^https://h\.example/a: is a web page"):
        load_reference("https://h.example/a").resolve(lambda _: b"<html>")


def test_reference_of_a_reference(photo_file: Path) -> None:
    """A Reference is taken as it is, or renamed."""
    made = load_reference(photo_file)
    assert load_reference(made) is made
    assert load_reference(made, name="cup").digest == made.digest


def test_uri_holds_the_png(photo: np.ndarray) -> None:
    """What is sent is a data: URI of the picture as it is logged."""
    made = load_reference(photo)
    assert base64.b64decode(made.uri.removeprefix("data:image/png;base64,")) == made.png


def test_repr_is_short(photo: np.ndarray) -> None:
    """No picture data is printed."""
    assert len(repr(load_reference(photo))) < 400


def test_source_holds_no_picture() -> None:
    """A data: URI is named, not repeated."""
    uri = load_reference(np.zeros((4, 4), np.uint8)).uri
    assert load_reference(uri).source == "data: URI"


def test_pickles(photo: np.ndarray) -> None:
    """A reference reaches other processes whole."""
    made = load_reference(photo)
    copy: Reference = pickle.loads(pickle.dumps(made))
    assert (copy, copy.png) == (made, made.png)


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: f"data:image/png;base64,{text}",
        lambda text: f"DATA:IMAGE/PNG;BASE64,{text}",
        lambda text: f"data:;base64,{text}",
        lambda text: f"data:image/png;charset=utf-8;base64,{text}",
        lambda text: f" data:image/png;base64,{text}\n",
        lambda text: f"data:image/png;base64,{text.rstrip('=')}",
        lambda text: (
            "data:image/png;base64," + text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
        ),
        lambda text: (
            "data:image/png;base64," + "\r\n".join(text[at : at + 60] for at in range(0, len(text), 60))
        ),
        lambda text: "data:image/png," + "".join(f"%{byte:02x}" for byte in base64.b64decode(text)),
    ],
)
def test_data_uris(spell: Callable[[str], str]) -> None:
    """Case, parameters, line breaks, percent signs and missing padding don't matter."""
    data = encoded(Image.new("RGB", (3, 2), (250, 251, 252)), "PNG")
    assert load_reference(spell(base64.b64encode(data).decode())).digest == load_reference(data).digest


@pytest.mark.parametrize("digest", ["", "zz" * 32, "AB" * 32, "ab" * 31, "ab" * 32 + "\n"])
def test_digest_that_can_not_be(digest: str) -> None:
    """A digest given has to be one."""
    with pytest.raises(ImageError, match="64 hexadecimal digits"):
        load_reference(np.zeros((4, 4), np.uint8), digest=digest)


def test_digest_in_another_process(photo_file: Path) -> None:
    """Two processes see one picture."""
    code = f"from kontext_lab.images import load_reference; print(load_reference({str(photo_file)!r}).digest)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == load_reference(photo_file).digest
