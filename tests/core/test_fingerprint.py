"""Fingerprints: equal spellings, different requests, and values pinned so that nobody pays twice."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kontext_lab.errors import SweepError
from kontext_lab.images import Origin, conversion, load_reference, reference
from kontext_lab.request import EditRequest
from kontext_lab.results import CellResult, Output

# A 2x1 bitmap (red, blue) written by hand: no encoder's version is in it.
BMP = (
    b"BM" + (62).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    + (40).to_bytes(4, "little") + (2).to_bytes(4, "little") + (1).to_bytes(4, "little")
    + (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + bytes(24)
    + b"\x00\x00\xff" + b"\xff\x00\x00" + bytes(2)
)  # fmt: skip
OTHER = BMP.replace(b"\x00\x00\xff\xff\x00\x00", b"\x00\xff\x00\xff\x00\x00")
SERVICE = "https://api.aimlapi.com"
ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


def fingerprint(service: str = SERVICE, **fields: Any) -> str:
    """Of a request that has what is not given."""
    if "images" not in fields:
        fields.setdefault("image", BMP)
    return EditRequest(**{"prompt": "Add a bird.", **fields}).fingerprint(service)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The bitmap as a file."""
    path = tmp_path / "tiny.bmp"
    path.write_bytes(BMP)
    return path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"guidance_scale": 2}, {"guidance_scale": 2.0}),
        ({"guidance_scale": 2}, {"guidance_scale": "2"}),
        ({"guidance_scale": 2}, {"guidance_scale": np.float32(2)}),
        ({"guidance_scale": 2.1}, {"guidance_scale": np.float32(2.1)}),
        ({}, {"guidance_scale": None}),
        ({}, {"guidance_scale": "default"}),
        ({}, {"seed": 1}),
        ({}, {"seed": None}),
        ({"seed": 7}, {"seed": np.int64(7)}),
        ({"seed": 7}, {"seed": "7"}),
        ({}, {"num_images": None}),
        ({}, {"num_images": 1}),
        ({}, {"safety_tolerance": None}),
        ({}, {"safety_tolerance": "2"}),
        ({}, {"safety_tolerance": 2}),
        ({}, {"output_format": None}),
        ({}, {"output_format": "jpeg"}),
        ({}, {"output_format": "JPG"}),
        ({}, {"aspect_ratio": None}),
        ({}, {"aspect_ratio": "match_input"}),
        ({}, {"repeat": 1}),
        ({}, {"model": "pro"}),
        ({}, {"model": "flux/kontext-pro/image-to-image"}),
        ({}, {"price": 0.04}),
        ({}, {"images": [BMP]}),
        ({}, {"image": bytearray(BMP)}),
        ({}, {"image": "data:image/bmp;base64," + base64.b64encode(BMP).decode()}),
        ({}, {"image": "DATA:;base64,\n" + base64.encodebytes(BMP).decode()}),
        ({}, {"image": load_reference(BMP, name="another name")}),
    ],
)
def test_equal_spellings(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The same request, written differently, is paid for once."""
    assert fingerprint(**one) == fingerprint(**other)


@pytest.mark.parametrize("spell", [str, Path, lambda path: path.as_uri(), lambda path: path.read_bytes()])
def test_equal_spellings_of_a_file(spell: Any, file: Path) -> None:
    """A file by path, as text, by file URL and by its bytes are one reference."""
    assert fingerprint(image=spell(file)) == fingerprint()


def test_output_with_the_same_bytes(file: Path) -> None:
    """An earlier output counts as its exact bytes."""
    output = Output(CellResult("a", {}, run_id="run"), 1, sha256="00", format="bmp", data=BMP)
    assert fingerprint(image=output) == fingerprint()
    assert load_reference(output).origin == Origin("run", 1, "00")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"images": [BMP, OTHER]}, {"images": [OTHER, BMP]}),
        ({"images": [BMP, BMP]}, {"images": [BMP]}),
        ({}, {"image": OTHER}),
        ({}, {"guidance_scale": 3.5}),
        ({"guidance_scale": 2}, {"guidance_scale": 2.0001}),
        ({}, {"seed": 2}),
        ({"seed": 10**30}, {"seed": 10**30 + 1}),
        ({}, {"repeat": 2}),
        ({}, {"service": "sandbox"}),
        ({}, {"prompt": "Add a bird"}),
        ({"prompt": "a b"}, {"prompt": "a  b"}),
        ({}, {"model": "max"}),
        ({}, {"aspect_ratio": "1:1"}),
        ({}, {"safety_tolerance": "3"}),
        ({}, {"output_format": "png"}),
        ({}, {"num_images": 2}),
    ],
)
def test_different_requests(one: dict[str, Any], other: dict[str, Any]) -> None:
    """What may change the picture changes the fingerprint."""
    assert fingerprint(**one) != fingerprint(**other)


def test_pil_image_is_not_its_file(file: Path) -> None:
    """Decoded pixels and a file's bytes are different references."""
    with Image.open(file) as picture:
        assert fingerprint(image=picture) != fingerprint()


def test_all_fields_make_different_fingerprints() -> None:
    """No two of many requests collide."""
    made = [
        fingerprint(guidance_scale=g, seed=s, aspect_ratio=r)
        for g in (1, 2, 3)
        for s in (1, 2, 3)
        for r in (None, "1:1", "16:9")
    ]
    assert len(set(made)) == 27


GOLDEN = [
    ({}, "0f26fa37c83c1dbdbbca35109ec56536ceeae7f937f805182f5e4f1adcb90f59"),
    (
        {
            "prompt": "Füge einen 🐦 hinzu",
            "model": "max",
            "guidance_scale": 2.5,
            "seed": 3959063143,
            "aspect_ratio": "16:9",
            "safety_tolerance": "6",
            "output_format": "png",
            "num_images": 4,
            "repeat": 3,
        },
        "d8d01571becaf35319ef535a40e34dff37402f6110345d701092ff90c9318e07",
    ),
    ({"images": [BMP, OTHER]}, "69fe7f3ebab461fb639c60e5caa54a530fb244b83e3130e9b82831b25667346a"),
    ({"image": ARRAY}, "05eea8859bf1bcab0f3081970ebae23a72b1bdf0bb8d19e0053654ff5e52b33b"),
    ({"service": "sandbox"}, "166b4ec0153b519a28d102914e22df12ccccfac7de04f4d2788937646f42ac49"),
]


@pytest.mark.parametrize(("fields", "pinned"), GOLDEN)
def test_pinned_fingerprints(fields: dict[str, Any], pinned: str) -> None:
    """These never change: whoever paid for such a request finds it again."""
    assert fingerprint(**fields) == pinned


PINNED_REFERENCES = [
    ("bytes", BMP, 2.0, "601a16c5984241489f6f67df5b96c79b8805dc45e404eb041d5c970e87e75cb2"),
    ("array", ARRAY, 2.0, "4641a40bea351b3f20a53f5f7082b73a1fe7ddddbf7d901ce4192dad2cd5ae3d"),
    ("grey array", ARRAY[:, :, 0], 2.0, "0cba6c169ed5b1ca20b6f4b83a612b2ac112f4397f29431f9fec8c1654a83570"),
    ("float array", ARRAY / 255.0, 2.0, "4641a40bea351b3f20a53f5f7082b73a1fe7ddddbf7d901ce4192dad2cd5ae3d"),
    (
        "bool array",
        ARRAY[:, :, 0] > 9,
        2.0,
        "df7f41333215f6cc3c0d6163f226c2e78b807a832592ca356d07e2bf942a791e",
    ),
    (
        "16-bit array",
        ARRAY.astype(np.uint16) * 257,
        2.0,
        "4641a40bea351b3f20a53f5f7082b73a1fe7ddddbf7d901ce4192dad2cd5ae3d",
    ),
    (
        "scaled array",
        np.zeros((200, 300, 3), np.uint8),
        0.03,
        "65ccd2db89bdf785171f046dbafc84f09271f58d36e44ab282f19a7f84679170",
    ),
]


@pytest.mark.parametrize(
    ("given", "megapixels", "pinned"),
    [row[1:] for row in PINNED_REFERENCES],
    ids=[r[0] for r in PINNED_REFERENCES],
)
def test_pinned_reference_digests(given: Any, megapixels: float, pinned: str) -> None:
    """A digest is of what was given and the preparation that took effect."""
    assert load_reference(given, max_megapixels=megapixels).digest == pinned


def test_encoder_does_not_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another PNG encoder changes what is sent and not the digest."""
    before = load_reference(BMP)
    monkeypatch.setattr(reference, "clean_png", lambda _: b"another encoder")
    after = load_reference(BMP)
    assert (before.png == after.png, before.digest) == (False, after.digest)


def test_encoder_does_not_enter_for_scaled_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it for arrays that are scaled down."""
    big = np.zeros((200, 300, 3), np.uint8)
    before = load_reference(big, max_megapixels=0.01).digest
    monkeypatch.setattr(reference, "clean_png", lambda _: b"another encoder")
    assert load_reference(big, max_megapixels=0.01).digest == before


def test_preparation_that_takes_effect_enters() -> None:
    """The same picture sent at another size is another reference."""
    big = np.zeros((200, 300, 3), np.uint8)
    digests = {load_reference(big, max_megapixels=limit).digest for limit in (2, 1, 0.03, 0.01)}
    assert len(digests) == 3


def test_scaled_size_is_part_of_the_recipe() -> None:
    """Pinned: the size a 4000x3000 photograph is sent at."""
    assert conversion.scaled_size((4000, 3000), 2.0) == (1632, 1224)


def test_name_and_origin_do_not_enter() -> None:
    """What a reference is called doesn't matter."""
    assert load_reference(BMP, name="a").digest == load_reference(BMP, name="b").digest


def test_transparent_colour_of_a_palette_enters() -> None:
    """Two palette images that differ only in what is transparent look different, and are."""
    one, other = Image.new("P", (4, 4)), Image.new("P", (4, 4))
    other.info["transparency"] = 0
    assert load_reference(one).digest != load_reference(other).digest


def test_kept_digest() -> None:
    """A reference read back from where it was logged keeps the digest it was first given."""
    assert load_reference(OTHER, digest="ab" * 32).digest == "ab" * 32


def test_url_has_no_fingerprint_before_it_is_fetched() -> None:
    """Nobody pays for a picture nobody has seen."""
    with pytest.raises(SweepError, match="before it was fetched"):
        fingerprint(image="https://h.example/a.png")


def test_url_is_its_content() -> None:
    """The same picture behind two URLs is one reference; another picture behind the same URL is another."""
    one, moved, changed = (
        load_reference(url).resolve(lambda _, data=data: data).digest
        for url, data in [
            ("https://h.example/a.bmp", BMP),
            ("https://h.example/b.bmp", BMP),
            ("https://h.example/a.bmp", OTHER),
        ]
    )
    assert (one == moved, one == changed) == (True, False)
