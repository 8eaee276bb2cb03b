"""Picture files: one list of formats, one function that opens, and limits that come before the work."""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import struct
import threading
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, ImageFile

from kontext_lab.errors import ImageError
from kontext_lab.images import (
    conversion,
    examine,
    formats,
    load_reference,
    open_picture,
    picture_of,
    thumbnail,
)
from kontext_lab.images.formats import FORMATS

PACKAGE = Path(formats.__file__).parents[1]

WAYS: dict[str, Callable[[bytes], Any]] = {
    "reference": load_reference,
    "fetched reference": lambda data: load_reference("https://h.example/a").resolve(lambda _: data),
    "looked at": picture_of,
    "received": examine,
    "thumbnail": lambda data: thumbnail(data, 64),
}


def encoded(form: str, picture: Image.Image | None = None, **options: Any) -> bytes:
    """A picture, 200x100 where none is given, as a file's bytes."""
    picture = picture or Image.fromarray(np.random.default_rng(1).integers(0, 256, (100, 200, 3), np.uint8))
    buffer = io.BytesIO()
    if form == "HEIC":
        pillow_heif.from_pillow(picture).save(buffer, **options)
    else:
        picture.save(buffer, form, **options)
    return buffer.getvalue()


FILES = {form: encoded(form) for form in FORMATS}


# --- one door ------------------------------------------------------------------------------------------


def _opens(path: Path) -> list[int]:
    """The lines of a module in which it opens pictures by itself."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            whose = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
            if (whose, node.attr) == ("Image", "open") or node.attr in ("imread", "open_heif", "read_heif"):
                found.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and {"imread", "open_heif"} & {
            name.name for name in node.names
        }:
            found.append(node.lineno)
    return found


def test_every_picture_is_opened_by_one_function() -> None:
    """Nothing but the sandbox, which shares no code with the rest, opens a picture in another way."""
    modules = {str(path.relative_to(PACKAGE)): _opens(path) for path in PACKAGE.rglob("*.py")}
    sandbox = {f"sandbox/{name}.py" for name in ("fetched_references", "hosting", "objects")}
    assert sandbox == {name for name, lines in modules.items() if lines}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_of_the_list_is_opened(form: str) -> None:
    """In full, and under its name."""
    opened = open_picture(FILES[form])
    assert (form, (200, 100), (200, 100)) == (opened.format, opened.size, opened.picture.size)


def test_what_others_registered_with_pillow_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that a library of the notebook added never sees the bytes."""
    asked: list[bytes] = []
    monkeypatch.setattr(Image, "ID", [*Image.ID, "OWN"])
    accept = lambda begin: not asked.append(begin)  # noqa: E731
    monkeypatch.setitem(Image.OPEN, "OWN", (ImageFile.ImageFile, accept))
    with pytest.raises(ImageError):
        picture_of(b"something of one's own")
    assert [] == asked


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "before", [b"", b"\xc5\xd0\xd3\xc6" + struct.pack("<6I", 30, 200, 0, 0, 0, 0) + b"\xff\xff"]
)
def test_no_program_is_started_for_a_drawing(
    way: str, before: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostScript runs in Ghostscript: neither a person's file nor what the service sent reaches it."""
    started = tmp_path / "started"
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\necho \"$@\" >> '{started}'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    drawing = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 20\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(ImageError, match=r"is a PostScript drawing \(EPS\)"):
        WAYS[way](before + drawing)
    assert not started.exists()


def boxes(brand: bytes, *others: bytes) -> bytes:
    """The beginning of a file made of boxes."""
    body = brand + bytes(4) + b"".join(others)
    return struct.pack(">I", len(body) + 8) + b"ftyp" + body + bytes(40)


def raw_tiff(maker: str, *, dng: bool = False) -> bytes:
    """A TIFF as cameras write it: a thumbnail first, the picture inside."""
    buffer = io.BytesIO()
    tags = [(271, "s", 0, maker, True)] + ([(50706, "B", 4, bytes((1, 4, 0, 0)), True)] if dng else [])
    with tifffile.TiffWriter(buffer) as file:
        file.write(
            np.zeros((12, 16, 3), np.uint8), subifds=1, subfiletype=1, extratags=tags, photometric="rgb"
        )
        file.write(np.zeros((120, 160), np.uint16), photometric="minisblack")
    return buffer.getvalue()


OTHERS = {
    "CR2": (b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), "a Canon raw file (CR2); export it as JPEG or PNG"),
    "CR3": (boxes(b"crx ", b"crx ", b"isom"), "a Canon raw file (CR3); export it as JPEG or PNG"),
    "NEF": (raw_tiff("NIKON CORPORATION"), "a camera's raw file (Nikon); export"),
    "ARW": (raw_tiff("SONY"), "a camera's raw file (Sony); export"),
    "DNG": (raw_tiff("Google", dng=True), "a camera's raw file (DNG); export"),
    "RAF": (b"FUJIFILMCCD-RAW 0201" + bytes(100), "a Fujifilm raw file (RAF)"),
    "ORF": (b"IIRO\x08\0\0\0" + bytes(100), "an Olympus raw file (ORF)"),
    "RW2": (b"IIU\0\x18\0\0\0" + bytes(100), "a Panasonic raw file (RW2)"),
    "MOV": (boxes(b"qt  "), "a film (QuickTime); save one picture of it"),
    "old MOV": (struct.pack(">I", 900) + b"moov" + bytes(100), "a film (QuickTime)"),
    "MP4": (boxes(b"isom", b"mp41"), "a film (MP4); save one picture of it"),
    "3GP": (boxes(b"3gp5"), "a film (MP4)"),
    "MKV": (b"\x1aE\xdf\xa3" + bytes(100), "a film (WebM or Matroska)"),
    "AVI": (b"RIFF\x24\0\0\0AVI LIST" + bytes(100), "a film (AVI)"),
    "JXL": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), "a JPEG XL picture; export it"),
    "bare JXL": (b"\xff\x0a" + bytes(100), "a JPEG XL picture"),
    "PSD": (b"8BPS\0\1" + bytes(100), "a Photoshop file (PSD); export it"),
    "XCF": (b"gimp xcf file\0" + bytes(100), "a GIMP file (XCF)"),
    "EXR": (b"\x76\x2f\x31\x01" + bytes(100), "an OpenEXR picture"),
    "DICOM": (bytes(128) + b"DICM" + bytes(100), "a DICOM file"),
    "SVG": (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a -->\n<svg xmlns="">', "an SVG drawing; export it"),
    "page": (b"<!DOCTYPE html><html>", "a web page"),
    "PDF": (b"%PDF-1.7\n" + bytes(100), "a PDF document; export the page as PNG"),
    "WMF": (b"\xd7\xcd\xc6\x9a" + bytes(100), "a Windows drawing (WMF)"),
    "EMF": (b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(100), "a Windows drawing (EMF)"),
    "ICO": (encoded("ICO", Image.new("RGB", (32, 32))), "a Windows icon"),
    "ZIP": (b"PK\x03\x04" + bytes(100), "a ZIP archive; unpack it"),
    "beside": (b"\0\5\x16\7\0\2\0\0" + bytes(100), "what macOS notes beside a file"),
    "LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid",
        "a Git LFS pointer; fetch the file with git lfs pull",
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_read_is_named_as_what_it_is(kind: str, way: str) -> None:
    """In one line with the way out, whatever its name ends with."""
    data, words = OTHERS[kind]
    with pytest.raises(ImageError) as caught:
        WAYS[way](data)
    # The way out is a person's: what the service sent can't be exported anew.
    own = way not in ("received", "thumbnail")
    assert f"is {words if own else words.partition('; ')[0]}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (boxes(b"mif1", b"mif1", b"avif", b"miaf"), "AVIF"),
        (boxes(b"avis", b"avif", b"msf1"), "AVIF"),
        (boxes(b"mif1", b"mif1", b"heic"), "HEIC"),
        (boxes(b"heix"), "HEIC"),
        (boxes(b"msf1", b"hevc"), "HEIC"),
    ],
)
def test_files_of_boxes_are_told_apart_by_all_their_brands(data: bytes, form: str) -> None:
    """The first is shared by several formats."""
    assert form == formats._format(data)


# --- limits come first ---------------------------------------------------------------------------------


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 10,000 pixels are decoded: every picture of these tests has twice as many."""
    for module in (formats, conversion):
        monkeypatch.setattr(module, "BOMB_PIXELS", 10_000)


@pytest.fixture
def nothing_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever decodes pixels fails the test."""

    def load(*_: Any) -> None:
        pytest.fail("pixels are decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    monkeypatch.setattr(pillow_heif.heif.BaseImage, "load", load)


@pytest.mark.usefixtures("limit", "nothing_decodes")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", [form for form in FORMATS if form != "JPEG"])
def test_a_picture_beyond_the_limit_is_refused_by_its_header(form: str, way: str) -> None:
    """Nothing of it is decoded."""
    with pytest.raises(ImageError, match=r"has 200x100 pixels, at most [\d.]+ megapixels are read"):
        WAYS[way](FILES[form])


@pytest.mark.usefixtures("limit", "nothing_decodes")
def test_a_progressive_jpeg_beyond_the_limit_is_refused() -> None:
    """It is held in memory whole before it can be scaled."""
    with pytest.raises(ImageError, match="or as baseline JPEG"):
        load_reference(encoded("JPEG", progressive=True))


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_beyond_the_limit_is_scaled_while_it_is_read(orientation: int) -> None:
    """Its own size is still told."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_picture(encoded("JPEG", exif=exif))
    sizes = [(200, 100), (100, 50)]
    assert (sizes if orientation == 1 else [size[::-1] for size in sizes]) == [
        opened.size,
        opened.picture.size,
    ]


@pytest.mark.usefixtures("limit")
def test_a_heic_beyond_the_limit_is_read_from_its_thumbnail() -> None:
    """Where it has one that is large enough."""
    heif = pillow_heif.from_pillow(Image.open(io.BytesIO(encoded("PNG"))))
    heif[0].info["thumbnails"] = [128]
    buffer = io.BytesIO()
    heif.save(buffer)
    opened = open_picture(buffer.getvalue())
    assert ((200, 100), (128, 64)) == (opened.size, opened.picture.size)


def test_a_scaled_reference_is_sent_at_the_size_that_was_asked_for() -> None:
    """Where it is scaled while it is read, the rest is done afterwards; both sizes are the file's."""
    made = load_reference(encoded("JPEG", Image.new("RGB", (1600, 800))), max_megapixels=0.02)
    assert ((1600, 800), (200, 100)) == (made.original_size, made.sent_size)


def test_what_is_scaled_while_it_is_read_looks_the_same(photo: np.ndarray) -> None:
    """A reference from a large JPEG differs from one of all its pixels by no more than JPEG itself does."""
    large = Image.fromarray(photo).resize((2400, 1600), Image.Resampling.BICUBIC)
    data = encoded("JPEG", large, quality=95)
    whole = Image.open(io.BytesIO(data)).resize((300, 200), Image.Resampling.LANCZOS)
    sent = picture_of(load_reference(data, max_megapixels=0.06))
    assert np.abs(np.asarray(sent).astype(int) - np.asarray(whole)).mean() < 1


@pytest.mark.usefixtures("limit", "nothing_decodes")
@pytest.mark.parametrize("look", [load_reference, picture_of])
def test_an_opened_picture_is_measured_before_it_is_decoded(look: Callable[[Any], Any]) -> None:
    """Pillow decodes what it opened only when it is asked to."""
    with Image.open(io.BytesIO(FILES["PNG"])) as picture, pytest.raises(ImageError, match="200x100 pixels"):
        look(picture)


@pytest.mark.parametrize("look", [load_reference, picture_of])
@pytest.mark.parametrize(
    ("shape", "says"), [((20_000, 20_000, 3), "megapixels"), ((9, 9, 9, 9), "shape"), ((5,), "shape")]
)
def test_an_array_is_measured_before_it_is_read(
    shape: tuple[int, ...], says: str, look: Callable[[Any], Any]
) -> None:
    """It may lie on a disk."""

    class Stored:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            pytest.fail("it is read")

    Stored.shape = shape  # type: ignore[attr-defined]
    with pytest.raises(ImageError, match=says):
        look(Stored())


@pytest.mark.parametrize("look", [load_reference, picture_of])
def test_bytes_are_counted_before_they_are_copied(look: Callable[[Any], Any]) -> None:
    """4 GiB that nobody touched stay untouched."""
    with pytest.raises(ImageError, match=r"Has 4,294,967,296 bytes, more than the limit of"):
        look(memoryview(np.zeros(2**32, np.uint8)))


@pytest.mark.parametrize("head", ["data:image/png;base64,", "data:image/png,"])
def test_a_data_uri_is_counted_before_it_is_decoded(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the letters it has."""
    for name in (
        "base64.b64decode",
        "kontext_lab.images.reference.unquote",
        "kontext_lab.images.reference.unquote_to_bytes",
    ):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("it is decoded"))
    with pytest.raises(ImageError, match="the data: URI can't be read: Has"):
        load_reference(head + "A" * 45_000_000)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_data_uri_just_within_the_limit_is_read(wrapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line breaks and percent signs don't count."""
    data = encoded("PNG")
    monkeypatch.setattr("kontext_lab.images.reference.MAX_REFERENCE_BYTES", len(data))
    monkeypatch.setattr("kontext_lab.images.reference.clean_png", lambda _: b"")
    text = base64.b64encode(data).decode()
    if wrapped:
        text = (
            "\r\n".join(text[at : at + 60] for at in range(0, len(text), 60))
            .replace("+", "%2B")
            .replace("=", "%3D")
        )
    assert load_reference("data:;base64," + text).original_size == (200, 100)


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_what_a_png_says_is_unpacked_within_limits(name: bytes) -> None:
    """A text or a profile of 100 MB in a small file takes little memory, whatever becomes of the picture."""
    packed = zlib.compress(bytes(100_000_000))
    body = b"a\0\1\0\0\0" + packed if name == b"iTXt" else b"a\0\0" + packed
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    plain = FILES["PNG"]
    tracemalloc.start()
    with contextlib.suppress(ImageError):
        picture_of(plain[:33] + chunk + plain[33:])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_of_an_animation_one_frame_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are."""
    frames = [Image.new("RGB", (64, 64), (at, 0, 0)) for at in range(1, 40)]
    data = encoded("GIF", frames[0], save_all=True, append_images=frames[1:])
    seen: list[int] = []
    reader = getattr(__import__("PIL.GifImagePlugin").GifImagePlugin, "GifImageFile")  # noqa: B009
    seek = reader._seek
    monkeypatch.setattr(
        reader, "_seek", lambda self, frame, *more: (seen.append(frame), seek(self, frame, *more))[1]
    )
    picture_of(data)
    assert {0} == set(seen)


# --- threads -------------------------------------------------------------------------------------------


def test_opening_leaves_the_filters_of_warnings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads share them."""
    monkeypatch.setattr(warnings, "catch_warnings", lambda *_, **__: pytest.fail("filters are exchanged"))
    for form in FORMATS:
        open_picture(FILES[form])


def test_pictures_are_opened_in_threads() -> None:
    """Side by side, every one comes out as it does alone."""
    files = [encoded(form) for form in ("JPEG", "PNG", "WEBP", "AVIF", "HEIC", "TIFF")]
    alone = [np.asarray(picture_of(data)) for data in files]
    wrong: list[int] = []
    end = time.monotonic() + 1

    def work(at: int) -> None:
        while time.monotonic() < end:
            at = (at + 1) % len(files)
            if not np.array_equal(alone[at], np.asarray(picture_of(files[at]))):
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [] == wrong
