"""Colours of what is sent: every mode, with what describes its colours, its transparency and its orientation."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from skimage.color import rgb2lab

from kontext_lab.errors import ImageError
from kontext_lab.images import examine, load_reference, picture_of, thumbnail

SRGB = np.array(
    ((0.4360747, 0.3850649, 0.1430804), (0.2225045, 0.7168786, 0.0606169), (0.0139322, 0.0971045, 0.7141733))
)
"""Red, green and blue of sRGB as XYZ under D50, as published by B. Lindbloom."""


def icc(space: str, gamma: float, colours: np.ndarray = SRGB) -> bytes:
    """A version 2 profile: a gamma, and primaries for RGB."""
    xyz = lambda column: b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(one * 65536) for one in column))  # noqa: E731
    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    tags = {"wtpt": xyz((0.9642, 1, 0.8249))}
    if space == "GRAY":
        tags["kTRC"] = curve
    else:
        tags |= {f"{letter}XYZ": xyz(colours[:, at]) for at, letter in enumerate("rgb")}
        tags |= {f"{letter}TRC": curve for letter in "rgb"}
    return packed(space, b"XYZ ", tags)


def packed(space: str, pcs: bytes, tags: dict[str, bytes]) -> bytes:
    """A version 2 profile of these tags."""
    at, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name.encode(), at + len(body), len(content))
        body += content
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x",
        at + len(body), 0x02400000, b"prtr" if space == "CMYK" else b"mntr", space.ljust(4).encode(), pcs, b"acsp", 63190, 65536, 54061,
    )  # fmt: skip
    return head + table + body


def cmyk_icc() -> bytes:
    """A profile of an ideal printer: each ink takes one primary away, black takes all."""
    corners = np.array([[c, m, y, k] for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)])
    lab = rgb2lab((1 - corners[:, :3]) * (1 - corners[:, 3:]) * (0.8, 0.6, 0.4))  # on yellowish paper
    table = np.clip(
        np.rint(np.stack((lab[:, 0] * 2.55, lab[:, 1] + 128, lab[:, 2] + 128), 1)), 0, 255
    ).astype(np.uint8)
    line = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + struct.pack(">9i", *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    return packed("CMYK", b"Lab ", {"A2B0": lut + line * 4 + table.tobytes() + line * 3})


def encoded(values: Any) -> Any:
    """Linear light from 0 to 1 as sRGB from 0 to 255, by the standard's formula."""
    values = np.asarray(values, float)
    return 255 * np.where(
        values <= 0.0031308, 12.92 * values, 1.055 * np.maximum(values, 1e-9) ** (1 / 2.4) - 0.055
    )


def halves(left: Any, right: Any, mode: str, size: tuple[int, int] = (40, 20)) -> Image.Image:
    """A picture whose left and right half have a value each."""
    picture = Image.new(mode, size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    return picture


def palette(**info: Any) -> Image.Image:
    """Halves of a palette's colours 1 and 2."""
    picture = halves(1, 2, "P")
    picture.putpalette([0, 0, 0, 50, 120, 200, 255, 0, 255])
    picture.info |= info
    return picture


def grey16(**info: Any) -> Image.Image:
    """Halves of 16 bits: 0.2 and 0.7 of white."""
    values = np.full((20, 40), 13107, np.uint16)
    values[:, 20:] = 45875
    picture = Image.fromarray(values)
    picture.info |= info
    return picture


BLUE, PINK, WHITE = (50, 120, 200), (255, 0, 255), (255, 255, 255)
MODES: dict[str, tuple[Image.Image, Any, Any, float]] = {
    # picture, numbers of the left and of the right half (0-255), opacity of the right one
    "1": (halves(0, 1, "1"), 0, 255, 1),
    "L": (halves(50, 180, "L"), 50, 180, 1),
    "L, key": (halves(50, 180, "L"), 50, 180, 0),
    "LA": (halves((50, 255), (180, 128), "LA"), 50, 180, 128 / 255),
    "I;16": (grey16(), 51, 178.5, 1),
    "I;16, key": (grey16(), 51, 178.5, 0),
    "P": (palette(), BLUE, PINK, 1),
    "P, key": (palette(), BLUE, PINK, 0),
    "P, alpha": (palette(), BLUE, PINK, 128 / 255),
    "RGB": (halves(BLUE, PINK, "RGB"), BLUE, PINK, 1),
    "RGB, key": (halves(BLUE, PINK, "RGB"), BLUE, PINK, 0),
    "RGBA": (halves((*BLUE, 255), (*PINK, 128), "RGBA"), BLUE, PINK, 128 / 255),
}
TRANSPARENT = {"L, key": 180, "I;16, key": 45875, "P, key": 2, "P, alpha": b"\xff\xff\x80", "RGB, key": PINK}

chunk = struct.Struct(">I").pack
LINEAR = (b"gAMA", chunk(100_000))
CORNERS = (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
DESCRIBED: dict[str, tuple[list[tuple[bytes, bytes]], str, float | None]] = {
    # chunks, a profile ("srgb" or "linear" or none), gamma of what is meant (None: sRGB's)
    "nothing": ([], "", None),
    "sRGB profile": ([], "srgb", None),
    "linear profile": ([], "linear", 1),
    "gAMA": ([LINEAR], "", 1),
    "gAMA 1/2.2": ([(b"gAMA", chunk(45455))], "", None),
    "gAMA 1/1.8": ([(b"gAMA", chunk(55556))], "", 1.8),
    "gAMA 0": ([(b"gAMA", chunk(0))], "", None),
    "gAMA and cHRM": ([LINEAR, CORNERS], "", 1),
    "cHRM of nothing": ([(b"cHRM", bytes(32))], "", None),
    "cHRM of sRGB": ([CORNERS], "", None),
    "sRGB before gAMA": ([LINEAR, (b"sRGB", b"\0")], "", None),
    "profile before gAMA": ([LINEAR], "srgb", None),
    "profile before sRGB": ([(b"sRGB", b"\0")], "linear", 1),
    "cICP before profile": ([(b"cICP", bytes((1, 8, 0, 1)))], "srgb", 1),
    "cICP of sRGB before gAMA": ([(b"cICP", bytes((1, 13, 0, 1))), LINEAR], "", None),
    "cICP of no known code": ([(b"cICP", bytes((2, 2, 0, 1)))], "", None),
}


def as_png(mode: str, described: str, orientation: int = 1) -> bytes:
    """The file of a mode."""
    chunks, profile, _ = DESCRIBED[described]
    info, options = PngInfo(), {}
    for name, content in chunks:
        info.add(name, content)
    if mode in TRANSPARENT:
        options["transparency"] = TRANSPARENT[mode]
    if profile:
        space = "GRAY" if MODES[mode][0].mode in ("1", "L", "LA", "I;16") else "RGB"
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        # A grey picture may carry a profile of colours: its curve is what counts.
        options["icc_profile"] = srgb if profile == "srgb" else icc(space, 1)
    if orientation != 1:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    buffer = io.BytesIO()
    MODES[mode][0].save(buffer, "PNG", pnginfo=info, **options)
    return buffer.getvalue()


def expected(mode: str, described: str) -> list[list[float]]:
    """Left and right half as they are meant to look, on white."""
    _, left, right, opacity = MODES[mode]
    gamma = DESCRIBED[described][2]
    found = []
    for numbers, share in ((left, 1), (right, opacity)):
        colour = np.broadcast_to(np.asarray(numbers, float), 3)
        colour = colour if gamma is None else encoded((colour / 255) ** gamma)
        found.append((share * colour + (1 - share) * 255).tolist())
    return found


WAYS: dict[str, Callable[[bytes], Image.Image]] = {
    "sent": lambda data: Image.open(io.BytesIO(load_reference(data).png)),
    "sent from a PIL image": lambda data: Image.open(
        io.BytesIO(load_reference(Image.open(io.BytesIO(data))).png)
    ),
    "looked at": picture_of,
    "thumbnail": lambda data: thumbnail(data, 40),
    "preview": lambda data: Image.open(io.BytesIO(examine(data).preview)),
}
CASES = [
    (mode, described, way)
    for mode in MODES
    for described in DESCRIBED
    for way in WAYS
    # Codes stand in no PIL image; and all ways lead through the same conversion.
    if (way == "sent" or described == "linear profile" or ("PIL" in way and "cICP" not in described))
]


@pytest.mark.parametrize(("mode", "described", "way"), CASES)
def test_a_picture_looks_as_it_is_meant_to(mode: str, described: str, way: str) -> None:
    """Its profile or gamma counts, in the order of the standard, before what is transparent is laid on white."""
    pixels = np.asarray(WAYS[way](as_png(mode, described)).convert("RGB")).astype(float)
    tolerance = 6 if way == "preview" else 1.6  # WebP loses something
    assert np.abs(pixels[10, 5] - expected(mode, described)[0]).max() <= tolerance
    assert np.abs(pixels[10, 34] - expected(mode, described)[1]).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_set_upright(mode: str, orientation: int) -> None:
    """Turned, its colours and what is transparent stay."""
    pixels = np.asarray(picture_of(as_png(mode, "linear profile", orientation))).astype(float)
    assert ((20, 40) if orientation < 5 else (40, 20)) == pixels.shape[:2]
    first = {1: 0, 2: 1, 3: 1, 4: 0, 5: 0, 6: 0, 7: 1, 8: 1}[orientation]
    assert np.abs(pixels[2, 2] - expected(mode, "linear profile")[first]).max() <= 1.6


@pytest.mark.parametrize(
    ("depth", "row", "key", "seen"),
    [(1, 0b01010101, 1, [0, 255]), (2, 0b01_10_01_10, 2, [85, 255]), (4, 0x5A, 0xA, [85, 255])],
)
def test_a_transparent_grey_of_few_bits(depth: int, row: int, key: int, seen: list[int], png: Any) -> None:
    """It is named in the bits of the file, whatever its pixels become."""
    data = png(2, 1, depth, 0, bytes((0, row)), (b"tRNS", struct.pack(">H", key)))
    assert seen == np.asarray(picture_of(data))[0, :, 0].tolist()


def test_a_transparent_colour_of_16_bits(png: Any) -> None:
    """Pixels become 8 bits, and so does it."""
    row = struct.pack(">x6H", 0x1001, 0x2002, 0x3003, 0x4004, 0x5005, 0x6006)
    data = png(2, 1, 16, 2, row, (b"tRNS", struct.pack(">3H", 0x4004, 0x5005, 0x6006)))
    assert [[0x10, 0x20, 0x30], [255] * 3] == np.asarray(picture_of(data))[0].tolist()


@pytest.fixture
def png() -> Callable[..., bytes]:
    """A PNG made by hand."""
    import zlib

    def made(
        width: int, height: int, depth: int, kind: int, rows: bytes, *chunks: tuple[bytes, bytes]
    ) -> bytes:
        head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
        parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
        written = (chunk(len(body)) + name + body + chunk(zlib.crc32(name + body)) for name, body in parts)
        return b"\x89PNG\r\n\x1a\n" + b"".join(written)

    return made


@pytest.mark.parametrize("mode", ["PA", "La", "RGBa"])
def test_modes_that_no_png_has(mode: str) -> None:
    """A palette with alpha, and colours multiplied by their alpha."""
    given = halves((*BLUE, 255), (*PINK, 0), "RGBA")
    picture = {
        "PA": lambda: given.quantize(8).convert("PA"),
        "La": lambda: given.convert("LA").convert("La"),
        "RGBa": lambda: given.convert("RGBa"),
    }[mode]()
    assert mode == picture.mode
    assert [255] * 3 == np.asarray(picture_of(picture))[10, 34].tolist()


def test_a_palette_with_alpha_keeps_its_profile() -> None:
    """Its colours are converted."""
    picture = palette().convert("PA")
    picture.info["icc_profile"] = icc("RGB", 1)
    assert np.abs(np.asarray(picture_of(picture))[10, 5] - encoded(np.array(BLUE) / 255)).max() <= 1.6


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBX"])
def test_other_modes_keep_their_profile(mode: str) -> None:
    """Whatever they are stored as, the numbers of the profile are red, green and blue."""
    picture = Image.new("RGB", (8, 8), BLUE).convert(mode)
    picture.info["icc_profile"] = icc("RGB", 1)
    assert np.abs(np.asarray(picture_of(picture))[4, 4] - encoded(np.array(BLUE) / 255)).max() <= 4


@pytest.mark.parametrize("ink", [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255)])
@pytest.mark.parametrize("form", ["TIFF", "JPEG"])
def test_inks_by_their_profile(ink: tuple[int, ...], form: str) -> None:
    """A printer's profile decides, also for a JPEG, which holds its inks inverted."""
    buffer = io.BytesIO()
    Image.new("CMYK", (16, 16), ink).save(
        buffer, form, icc_profile=cmyk_icc(), **({"quality": 98} if form == "JPEG" else {})
    )
    share = (1 - np.array(ink[:3]) / 255) * (1 - ink[3] / 255)
    paper = share * (0.8, 0.6, 0.4)
    # Relative to the paper, whose colour is white then: only the order of the channels is certain.
    found = np.asarray(picture_of(buffer.getvalue()))[8, 8] / 255
    assert np.array_equal(paper > 0.05, found > 0.1)


def test_lab() -> None:
    """A Lab TIFF looks as its numbers say."""
    data = tiff(np.full((8, 8, 3), (153, 40, 256 - 40), np.uint8), photometric="cielab")  # signed bytes
    cubes = np.array([76 / 116 + 40 / 500, 76 / 116, 76 / 116 + 40 / 200]) ** 3
    wanted = encoded(np.linalg.solve(SRGB, cubes * (0.9642, 1, 0.8249)))
    assert np.abs(np.asarray(picture_of(data))[4, 4] - wanted).max() <= 3


def test_a_profile_of_another_kind_of_colours_is_ignored() -> None:
    """A grey profile says nothing about a colour picture."""
    picture = Image.new("RGB", (8, 8), BLUE)
    picture.info["icc_profile"] = icc("GRAY", 1)
    assert list(BLUE) == np.asarray(picture_of(picture))[4, 4].tolist()


def test_wide_colours_by_chromaticities(png: Any) -> None:
    """A PNG with cHRM of Display P3: the same as with a profile of these primaries."""
    p3 = np.array(
        (
            (0.5151187, 0.2919778, 0.1571035),
            (0.2411892, 0.6922441, 0.0665668),
            (-0.0010505, 0.0418791, 0.7840713),
        )
    )
    corners = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
    by_chunk = picture_of(png(1, 1, 8, 2, bytes((0, *BLUE)), corners, (b"gAMA", chunk(100_000))))
    described = Image.new("RGB", (1, 1), BLUE)
    described.info["icc_profile"] = icc("RGB", 1, p3)
    assert np.abs(np.asarray(by_chunk).astype(int) - np.asarray(picture_of(described))).max() <= 1


@pytest.mark.parametrize("form", ["AVIF", "HEIC"])
def test_wide_colours_by_codes(form: str) -> None:
    """Where there is no profile, the codes for primaries and curve count: a red of Display P3 is beyond sRGB's."""
    import pillow_heif

    buffer = io.BytesIO()
    picture = Image.new("RGB", (64, 64), (200, 60, 60))
    if form == "HEIC":
        pillow_heif.from_pillow(picture).save(
            buffer, color_primaries=12, transfer_characteristic=13, quality=-1, chroma=444
        )
    else:
        picture.save(buffer, "AVIF", quality=100, subsampling="4:4:4")
    data = buffer.getvalue()
    at = data.find(b"colrnclx")
    assert at > 0
    data = data[: at + 8] + struct.pack(">HH", 12, 13) + data[at + 12 :]
    red, green, _ = np.asarray(picture_of(data))[32, 32].astype(int)
    assert (red > 208, green < 56) == (True, True)


def test_equal_pixels_of_another_gamma_are_another_reference() -> None:
    """A PIL image that looks different has another digest."""
    plain = halves(50, 180, "L")
    linear = plain.copy()
    linear.info["gamma"] = 1.0
    assert load_reference(plain).digest != load_reference(linear).digest


# --- values without a fixed white ----------------------------------------------------------------------


def tiff(values: Any, **options: Any) -> bytes:
    """A TIFF of these values."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.asarray(values), **options)
    return buffer.getvalue()


def ramp(top: float, kind: Any = np.float32, bottom: float = 0) -> np.ndarray:
    """200 values from bottom to top."""
    return np.linspace(bottom, top, 200).reshape(10, 20).astype(kind)


def with_one(values: np.ndarray, value: float) -> np.ndarray:
    """The values, one of them replaced."""
    changed = values.copy()
    changed[0, 0] = value
    return changed


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        (ramp(1), 127.5),
        (with_one(ramp(1), 1.02), 127.5),
        (with_one(ramp(1), 40_000), 127.5),
        (with_one(ramp(1), -0.1), 127.5),
        (with_one(ramp(1), np.nan), 127.5),
        (with_one(ramp(1), np.inf), 127.5),
        (with_one(ramp(1), -np.inf), 127.5),
        (ramp(0.1), 12.75),
        (ramp(255), 127.5),
        (with_one(ramp(255), 260), 127.5),
        (ramp(65535), 127.5),
        (ramp(65535, np.int32), 127.5),
        (ramp(255, np.int32), 127.5),
        (ramp(32767, np.int16), 63.75),
        (np.zeros((10, 20), np.float32), 0),
    ],
)
def test_32_bit_values_are_read_by_what_nearly_all_are(values: np.ndarray, mean: float) -> None:
    """A few outliers, and what is no number, don't make the rest black."""
    assert abs(np.asarray(picture_of(tiff(values))).mean() - mean) < 2


def test_what_is_no_number_is_transparent() -> None:
    """It lies on white, as everything see-through does."""
    assert [255, 255, 255] == np.asarray(picture_of(tiff(with_one(ramp(1), np.nan))))[0, 0].tolist()


@pytest.mark.parametrize(
    "values",
    [
        ramp(3),
        ramp(1, bottom=-1),
        ramp(4000, np.int32),
        ramp(1e6),
        ramp(2**31 - 1, np.int32),
        np.full((10, 20), np.nan, np.float32),
        np.full((10, 20), -np.inf, np.float32),
    ],
    ids=["light", "tensor", "12 bits", "beyond", "31 bits", "nan", "inf"],
)
def test_32_bit_values_that_say_nothing_are_refused(values: np.ndarray) -> None:
    """Nothing is guessed that would come out black or white, and be paid for."""
    with pytest.raises(
        ImageError, match=r"32-bit values from .* don't say what is white; save it with 8 or 16 bits"
    ):
        load_reference(tiff(values))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), "32, 32, 32 bits"),
        (np.zeros((4, 4), np.float64), "64 bits"),
        (np.zeros((4, 4), np.float16), "16 bits"),
    ],
)
def test_tiffs_whose_values_nobody_reads_are_named(values: np.ndarray, words: str) -> None:
    """With the way out, not as damaged."""
    options = {"photometric": "rgb"} if values.ndim == 3 else {}
    with pytest.raises(
        ImageError, match=rf"is a TIFF of a kind that can't be read \({words}\); save it with 8 bits"
    ):
        load_reference(tiff(values, **options))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_a_negative_stays_no_negative(kind: Any, photometric: str) -> None:
    """A TIFF says whether zero is black or white."""
    top = np.iinfo(kind).max
    found = np.asarray(picture_of(tiff(ramp(top, kind), photometric=photometric)))[:, :, 0]
    assert (0, 255) == (
        (found[0, 0], found[-1, -1]) if photometric == "minisblack" else (found[-1, -1], found[0, 0])
    )
