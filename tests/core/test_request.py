"""EditRequest: limits, what is sent, what is logged, what it costs."""

from __future__ import annotations

import base64
import json
import pickle
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kontext_lab.errors import ImageError, SweepError, shown
from kontext_lab.request import (
    ALLOWED,
    FIELDS,
    MODELS,
    SIZES,
    EditRequest,
    check_field,
    decimal_text,
    find_model,
    nearest_size,
)

GREY = np.full((6, 8, 3), 128, np.uint8)
PRO = "flux/kontext-pro/image-to-image"
MAX = "flux/kontext-max/image-to-image"


def request(**fields: Any) -> EditRequest:
    """One that has what is not given."""
    return EditRequest(**{"prompt": "Add a bird.", "image": GREY, **fields})


TAKEN: list[tuple[str, Any, Any]] = [
    ("prompt", "x", "x"),
    ("prompt", "x" * 4000, "x" * 4000),
    ("prompt", "Füge 😀 hinzu\n\tund 動物", "Füge 😀 hinzu\n\tund 動物"),
    ("prompt", np.str_("x"), "x"),
    ("model", "pro", PRO),
    ("model", "max", MAX),
    ("model", MAX, MAX),
    ("model", " pro ", PRO),
    ("guidance_scale", 1, 1.0),
    ("guidance_scale", 20, 20.0),
    ("guidance_scale", "2.5", 2.5),
    ("guidance_scale", " 2 ", 2.0),
    ("guidance_scale", np.float32(2.1), 2.1),
    ("guidance_scale", np.float16(2.1), 2.1),
    ("guidance_scale", np.float64(2.1), 2.1),
    ("guidance_scale", np.int64(3), 3.0),
    ("guidance_scale", np.array(3), 3.0),
    ("guidance_scale", Decimal("2.5"), 2.5),
    ("guidance_scale", None, None),
    ("guidance_scale", "default", None),
    ("guidance_scale", "", None),
    ("seed", 1, 1),
    ("seed", "7", 7),
    ("seed", 7.0, 7),
    ("seed", np.int64(7), 7),
    ("seed", np.uint8(7), 7),
    ("seed", 2**32 - 1, 2**32 - 1),
    ("seed", 10**30 + 1, 10**30 + 1),
    ("seed", None, 1),
    ("aspect_ratio", "16:9", "16:9"),
    ("aspect_ratio", " 9:21 ", "9:21"),
    ("aspect_ratio", "match_input", "match_input"),
    ("aspect_ratio", None, "match_input"),
    ("aspect_ratio", "", "match_input"),
    ("safety_tolerance", "1", "1"),
    ("safety_tolerance", 6, "6"),
    ("safety_tolerance", 2.0, "2"),
    ("safety_tolerance", np.int64(2), "2"),
    ("safety_tolerance", None, None),
    ("output_format", "jpeg", "jpeg"),
    ("output_format", "PNG", "png"),
    ("output_format", "jpg", "jpeg"),
    ("output_format", None, None),
    ("num_images", 1, 1),
    ("num_images", 4, 4),
    ("num_images", "2", 2),
    ("num_images", np.int32(2), 2),
    ("num_images", None, None),
    ("repeat", 1, 1),
    ("repeat", "3", 3),
    ("price", 0, 0.0),
    ("price", "0.1", 0.1),
    ("price", None, None),
]

NOT_A_NUMBER: list[Any] = [
    True,
    False,
    np.bool_(True),
    "two",
    b"2",
    float("nan"),
    float("inf"),
    "nan",
    "1-3",
    [2],
    (2,),
    {"a": 2},
    {2},
    np.array([2, 3]),
    pd.NA,
    pd.NaT,
    pd.Series([2]),
    2j,
    object(),
    10**5000,
]

REFUSED: list[tuple[str, Any]] = [
    *(
        (name, value)
        for name in ("guidance_scale", "seed", "num_images", "repeat", "price", "safety_tolerance")
        for value in NOT_A_NUMBER
    ),
    ("prompt", ""),
    ("prompt", " \n"),
    ("prompt", "x" * 4001),
    ("prompt", b"x"),
    ("prompt", 3),
    ("prompt", ["x"]),
    ("prompt", float("nan")),
    ("prompt", pd.NA),
    ("prompt", "a\0b"),
    ("prompt", "a\x1b[31m"),
    ("prompt", "a\ud800"),
    ("model", ""),
    ("model", 3),
    ("model", "two words"),
    ("model", "x\ny"),
    ("model", "x" * 201),
    ("guidance_scale", 0.999),
    ("guidance_scale", 20.001),
    ("guidance_scale", -1),
    ("guidance_scale", "9" * 5000),
    ("seed", 0),
    ("seed", -1),
    ("seed", 1.5),
    ("seed", "1.5"),
    ("seed", "9" * 5000),
    ("aspect_ratio", "16x9"),
    ("aspect_ratio", 1.7),
    ("aspect_ratio", 0),
    ("aspect_ratio", False),
    ("aspect_ratio", []),
    ("aspect_ratio", pd.NA),
    ("safety_tolerance", 0),
    ("safety_tolerance", 7),
    ("safety_tolerance", 1.5),
    ("safety_tolerance", "low"),
    ("output_format", "webp"),
    ("output_format", 3),
    ("output_format", pd.NA),
    ("num_images", 0),
    ("num_images", 5),
    ("num_images", 1.5),
    ("repeat", 0),
    ("price", -0.01),
]


@pytest.mark.parametrize(("name", "given", "held"), TAKEN, ids=shown)
def test_value_is_taken(name: str, given: Any, held: Any) -> None:
    """Values at the limits, numbers as text and numpy's own are taken."""
    assert getattr(request(**{name: given}), name) == held


@pytest.mark.parametrize(("name", "given", "held"), TAKEN, ids=shown)
def test_request_with_it_can_be_sent_and_logged(name: str, given: Any, held: Any) -> None:
    """Whatever is taken makes a body, a fingerprint and parameters."""
    made = request(**{name: given})
    assert json.loads(json.dumps(made.payload())) == made.payload()
    assert json.loads(json.dumps(made.params())) == made.params()
    assert len(made.fingerprint("sandbox")) == 64


@pytest.mark.parametrize(("name", "given"), REFUSED, ids=shown)
def test_value_is_refused(name: str, given: Any) -> None:
    """The error is one short line that names the field and what is allowed."""
    with pytest.raises(SweepError) as caught:
        request(**{name: given})
    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    assert text.endswith(f"allowed is {ALLOWED[name]}")
    assert "\n" not in text
    assert len(text) < 250


@pytest.mark.parametrize(("name", "given"), REFUSED, ids=shown)
def test_check_field_agrees(name: str, given: Any) -> None:
    """A single field is checked by the same rules."""
    with pytest.raises(SweepError, match=f"^{name}: "):
        check_field(name, given)


def test_error_names_the_value() -> None:
    """Field, value and what is allowed, in that order."""
    with pytest.raises(SweepError) as caught:
        request(guidance_scale=21)
    assert str(caught.value) == "guidance_scale: 21, allowed is a number from 1 to 20"


def test_long_prompt_is_counted_not_printed() -> None:
    """A prompt that is too long is named by its length."""
    with pytest.raises(SweepError, match=r"^prompt: 4001 characters, "):
        request(prompt="x" * 4001)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_up_to_four_references(count: int) -> None:
    """One to four references go into a request."""
    assert len(EditRequest(prompt="x", images=[GREY] * count).images) == count


@pytest.mark.parametrize("count", [0, 5])
def test_other_numbers_of_references(count: int) -> None:
    """None and five are refused by number."""
    with pytest.raises(SweepError) as caught:
        EditRequest(prompt="x", images=[GREY] * count)
    assert str(caught.value) == f"images: {count} references, allowed is 1 to 4 references"


def test_unreadable_reference_says_why() -> None:
    """The picture's own error is raised, not one about their number."""
    with pytest.raises(ImageError, match=r"no file 'nope\.png'"):
        request(image="nope.png")


def test_image_and_images() -> None:
    """Both at once are refused."""
    with pytest.raises(SweepError, match="both given"):
        request(images=[GREY])


@pytest.mark.parametrize("missing", ["prompt", "image"])
def test_missing(missing: str) -> None:
    """Prompt and reference are needed."""
    with pytest.raises(SweepError, match="is missing"):
        EditRequest(**{name: value for name, value in (("prompt", "x"), ("image", GREY)) if name != missing})


def test_unknown_field() -> None:
    """A field the service doesn't know is refused, with the known ones."""
    with pytest.raises(SweepError, match="strength: is not a field of a request; fields are model, prompt"):
        request(strength=0.5)


def test_unknown_model_needs_a_price() -> None:
    """A model outside the table has no price of its own."""
    with pytest.raises(
        SweepError, match=r"model: 'flux/next' is not in the table \(pro, max\); give its price"
    ):
        request(model="flux/next")


def test_unknown_model_with_a_price() -> None:
    """With a price given it costs that."""
    assert request(model="flux/next", price=0.2, num_images=3).cost == 0.6


@pytest.mark.parametrize(("model", "cost"), [("pro", 0.052), ("max", 0.104)])
def test_price_by_the_table(model: str, cost: float) -> None:
    """The list price per picture."""
    assert request(model=model).cost == cost


def test_own_price_wins() -> None:
    """A price given replaces the table's."""
    assert request(price=0.01).price_per_picture == 0.01


def test_cost_counts_pictures() -> None:
    """Charged per picture."""
    assert request(num_images=4).cost == 0.208


def test_find_model() -> None:
    """By id, by short name, or not at all."""
    assert [find_model(name) for name in ("pro", PRO, "x")] == [MODELS[0], MODELS[0], None]


def test_frozen() -> None:
    """A request doesn't change once it is made."""
    with pytest.raises(ValueError, match="frozen"):
        request().seed = 3  # type: ignore[misc]


def test_pickles() -> None:
    """A request reaches other processes whole."""
    made = request(seed=3)
    assert pickle.loads(pickle.dumps(made)) == made


def test_payload_of_a_bare_request() -> None:
    """What is left to the service is left out."""
    assert set(request().payload()) == {"model", "prompt", "image_url", "seed"}


def test_payload_of_a_full_request() -> None:
    """Known keys only; repeat and price are ours."""
    body = request(
        model="max",
        guidance_scale=3,
        seed=5,
        aspect_ratio="16:9",
        safety_tolerance=2,
        output_format="png",
        num_images=2,
        repeat=3,
        price=1,
    ).payload()
    uri = body.pop("image_url")
    assert body == {
        "model": MAX,
        "prompt": "Add a bird.",
        "seed": 5,
        "aspect_ratio": "16:9",
        "guidance_scale": 3.0,
        "safety_tolerance": "2",
        "output_format": "png",
        "num_images": 2,
    }
    assert base64.b64decode(uri.removeprefix("data:image/png;base64,"))[1:4] == b"PNG"


def test_single_reference_is_a_string() -> None:
    """One reference: a string."""
    assert isinstance(request().payload()["image_url"], str)


def test_several_references_are_an_array() -> None:
    """Several references: an array, in order."""
    made = EditRequest(prompt="x", images=["https://h.example/a.png", "https://h.example/b.png"])
    assert made.payload()["image_url"] == ["https://h.example/a.png", "https://h.example/b.png"]


def test_logged_payload_holds_no_picture() -> None:
    """References are logged as digests."""
    made = request()
    assert made.logged_payload()["image_url"] == [f"sha256:{made.images[0].digest}"]


def test_params_of_a_bare_request() -> None:
    """Every field is logged, what is left to the service as `default`."""
    assert request().params() == {
        "model": PRO,
        "prompt": "Add a bird.",
        "guidance_scale": "default",
        "seed": 1,
        "aspect_ratio": "match_input",
        "safety_tolerance": "default",
        "output_format": "default",
        "num_images": "default",
        "image": "array",
    }


def test_params_name_every_field() -> None:
    """No field is missing in the log."""
    assert set(FIELDS) < set(request().params())


@pytest.mark.parametrize(("ratio", "size"), SIZES.items())
def test_expected_size(ratio: str, size: tuple[int, int]) -> None:
    """The contract's table of sizes."""
    assert request(aspect_ratio=ratio).expected_size == size


def test_expected_sizes_by_the_contract() -> None:
    """The five documented sizes, written out."""
    assert [SIZES[ratio] for ratio in ("21:9", "16:9", "4:3", "1:1", "9:16")] == [
        (1568, 672),
        (1392, 752),
        (1184, 880),
        (1024, 1024),
        (752, 1392),
    ]


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ((1024, 768), (1184, 880)),
        ((500, 500), (1024, 1024)),
        ((4000, 100), (1568, 672)),
        ((100, 4000), (672, 1568)),
        ((1920, 1080), (1392, 752)),
    ],
)
def test_nearest_size(given: tuple[int, int], size: tuple[int, int]) -> None:
    """Match input takes the trained size with the nearest ratio."""
    assert nearest_size(*given) == size


def test_match_input_follows_the_first_reference() -> None:
    """A 1024x768 reference comes back as 1184x880, whatever the second one is."""
    first, second = np.zeros((768, 1024), np.uint8), np.zeros((900, 300), np.uint8)
    assert EditRequest(prompt="x", images=[first, second]).expected_size == (1184, 880)


def test_expected_size_before_a_url_is_fetched() -> None:
    """Unknown while the reference is."""
    assert request(image="https://h.example/a.png").expected_size == (0, 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2"),
        (2, "2"),
        (1e-05, "0.00001"),
        (10**30 + 1, str(10**30 + 1)),
        (np.float64(3.5), "3.5"),
        (100.0, "100"),
        (0.1, "0.1"),
    ],
)
def test_decimal_text(value: float, text: str) -> None:
    """Numbers as plain decimal text, all their digits kept."""
    assert decimal_text(value) == text
