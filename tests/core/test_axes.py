"""Axes: what people write for the values of a parameter."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kontext_lab.errors import SweepError, shown
from kontext_lab.sweep import MAX_CELLS, parse_axis
from kontext_lab.sweep.axes import SWEEPABLE, is_several, value_text

GREY = np.full((4, 6, 3), 128, np.uint8)


def values(key: str, given: Any) -> list[Any]:
    """The values of an axis over one key."""
    return [entry[0] for entry in parse_axis(key, given, max_megapixels=2).values]


@pytest.mark.parametrize(
    ("key", "given", "held"),
    [
        ("seed", "1,2,5", [1, 2, 5]),
        ("seed", "1-4", [1, 2, 3, 4]),
        ("seed", " 1 - 4 ", [1, 2, 3, 4]),
        ("seed", "1-4, 7", [1, 2, 3, 4, 7]),
        ("seed", "1-10:4", [1, 5, 9]),
        ("seed", "3", [3]),
        ("seed", "3-3", [3]),
        ("guidance_scale", "2-8:3", [2, 5, 8]),
        ("guidance_scale", "2-3:0.5", [2, 2.5, 3]),
        ("guidance_scale", "1-2:0.1", [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2]),
        ("guidance_scale", "2.5,default", [2.5, None]),
        ("guidance_scale", [None, 2], [None, 2]),
        ("num_images", "1-4", [1, 2, 3, 4]),
        ("repeat", "1-3", [1, 2, 3]),
        ("safety_tolerance", "1-3", ["1", "2", "3"]),
        ("safety_tolerance", [1, 2.0, "3"], ["1", "2", "3"]),
        ("aspect_ratio", "1:1, 16:9", ["1:1", "16:9"]),
        ("aspect_ratio", "match_input,1:1", ["match_input", "1:1"]),
        ("aspect_ratio", [None, "1:1"], ["match_input", "1:1"]),
        ("output_format", "jpg, PNG", ["jpeg", "png"]),
        ("model", "pro,max", ["flux/kontext-pro/image-to-image", "flux/kontext-max/image-to-image"]),
        ("seed", [1, "2", 3.0], [1, 2, 3]),
        ("seed", (1, 2), [1, 2]),
        ("seed", range(1, 4), [1, 2, 3]),
        ("seed", (n for n in (1, 2)), [1, 2]),
        ("seed", {1: "a", 2: "b"}.keys(), [1, 2]),
        ("seed", {"a": 1, "b": 2}.values(), [1, 2]),
        ("seed", np.arange(1, 4), [1, 2, 3]),
        ("seed", [np.int64(1), np.uint8(2)], [1, 2]),
        ("seed", np.array(3), [3]),
        ("seed", pd.Series([1, 2]), [1, 2]),
        ("seed", pd.Index([1.0, 2.0]), [1, 2]),
        ("seed", 5, [5]),
        ("guidance_scale", np.linspace(2, 8, 3), [2, 5, 8]),
        ("guidance_scale", np.array([2, 2.1, 2.2], np.float32), [2.0, 2.1, 2.2]),
        ("guidance_scale", [Decimal("2.5")], [2.5]),
        ("seed", [1, 1], [1, 1]),
        ("prompt", ["one", "two, three"], ["one", "two, three"]),
        ("prompt", np.array(["one", "two"]), ["one", "two"]),
        ("animal", ["bird", "", "a b"], ["bird", "", "a b"]),
        ("animal", [1, 2.5, np.int64(3), np.float32(2.1)], ["1", "2.5", "3", "2.1"]),
        ("animal", np.array(["x", "y"]), ["x", "y"]),
        ("animal", pd.Series(["x", "y"]), ["x", "y"]),
    ],
    ids=shown,
)
def test_values(key: str, given: Any, held: list[Any]) -> None:
    """Text, lists, ranges, generators, numpy's and pandas' values are read."""
    assert values(key, given) == held


def _without_end() -> Iterator[int]:
    return itertools.count(1)


@pytest.mark.parametrize(
    ("key", "given", "says"),
    [
        ("seed", [], "axis 'seed': has no values, give at least one"),
        ("seed", {}, "axis 'seed': has no values, give at least one"),
        ("seed", None, "axis 'seed': has no values"),
        ("seed", "", "axis 'seed': has no values"),
        ("seed", " ", "axis 'seed': has no values"),
        ("seed", np.array([]), "axis 'seed': has no values"),
        ("seed", "1,,2", "axis 'seed': '1,,2' has an empty place between commas"),
        ("seed", ",", "has an empty place"),
        ("seed", "4-1", "axis 'seed': '4-1' ends before it starts"),
        ("seed", "1-4:0", "axis 'seed': '1-4:0' has step 0"),
        ("seed", "1-999999999999", "'1-999999999999' has 999999999999 values, allowed are at most 10000"),
        ("guidance_scale", "1-20:0.000000000001", "has 19000000000001 values"),
        ("seed", ",".join(["1-9999"] * 1000), "axis 'seed': more than 10000 values"),
        ("seed", "1," * 500_000, "axis 'seed': more than 10000 values"),
        ("seed", _without_end(), "axis 'seed': more than 10000 values"),
        ("seed", range(1, 10**18), "axis 'seed': more than 10000 values"),
        ("seed", range(1, 10**30), "axis 'seed': more than 10000 values"),
        ("seed", {1, 2}, "axis 'seed': a set has no order, give a list"),
        ("seed", "-3-4", "axis 'seed', value 1: seed: '-3-4', allowed is a whole number from 1"),
        ("seed", "1–3", "axis 'seed', value 1: seed: '1–3', allowed is"),
        ("seed", "1-4-7", "seed: '1-4-7', allowed is"),
        ("seed", [1, 0], "axis 'seed', value 2: seed: 0, allowed is a whole number from 1"),
        ("seed", [1.5], "axis 'seed', value 1: seed: 1.5, allowed is"),
        ("seed", [True], "seed: True, allowed is"),
        ("seed", [None], "seed: None, allowed is"),
        ("seed", [[1, 2]], "seed: [1, 2], allowed is"),
        ("seed", [float("nan")], "seed: nan, allowed is"),
        ("seed", [pd.NA], "seed: <NA>, allowed is"),
        ("seed", pd.Series([1, None]), "axis 'seed', value 2: seed: nan, allowed is"),
        ("seed", np.array([[1, 2]]), "seed: array([1, 2]), allowed is"),
        ("seed", [10**5000], "seed: <int>, allowed is"),
        ("seed", b"1", "seed: b'1', allowed is"),
        ("seed", object, "seed: <class 'object'>, allowed is"),
        (
            "guidance_scale",
            "0.5,2",
            "axis 'guidance_scale', value 1: guidance_scale: '0.5', allowed is a number from 1 to 20",
        ),
        (
            "aspect_ratio",
            "1:1,16x9",
            "axis 'aspect_ratio', value 2: aspect_ratio: '16x9', allowed is match_input, 21:9",
        ),
        ("aspect_ratio", (16, 9), "aspect_ratio: 16, allowed is"),
        ("prompt", "text", "axis 'prompt': 'text' is text, give a list of values"),
        ("prompt", ["a", " "], "axis 'prompt', value 2: prompt: ' ', allowed is text"),
        ("prompt", [["a"], ["b"]], "axis 'prompt', value 1: prompt: ['a'], allowed is text"),
        ("prompt", [b"a"], "prompt: b'a', allowed is text"),
        ("prompt", ["a\0"], r"prompt: 'a\x00', allowed is text"),
        ("prompt", ["a\ud800"], r"prompt: 'a\ud800', allowed is text"),
        ("animal", "bird", "axis 'animal': 'bird' is text, give a list of values"),
        ("animal", [True], "axis 'animal', value 1: animal: True is not a word"),
        ("animal", [None], "animal: None is not a word"),
        ("animal", [float("nan")], "animal: nan is not a word"),
        ("animal", [float("inf")], "animal: inf is not a word"),
        ("animal", [b"x"], "animal: b'x' is not a word"),
        ("animal", [["x"]], "animal: ['x'] is not a word"),
        ("animal", [10**5000], "animal: <int> is not a word"),
        ("animal", ["\x1b[2J"], r"animal: '\x1b[2J' is not a word"),
        ("image", "x.png", "axis 'image': 'x.png' is text, give a list of values"),
        ("image", [[GREY]], "axis 'image', value 1: image: takes one reference"),
        ("image", ["missing.png"], "axis 'image', value 1: image: no file 'missing.png'"),
        ("image", [None], "axis 'image', value 1: image must be a path, URL"),
        ("images", [GREY], "axis 'images', value 1: images: takes a list of 1 to 4 references"),
        ("images", [[GREY] * 5], "axis 'images', value 1: images: 5 references, allowed is 1 to 4"),
        ("images", [[]], "axis 'images', value 1: images: 0 references, allowed is 1 to 4"),
        ("seed+", [(1,)], "joins different keys by +"),
        ("seed+seed", [(1, 2)], "joins different keys by +"),
        ("", [1], "joins different keys by +"),
        ("seed+guidance_scale", "1,2", "axis 'seed+guidance_scale': '1,2' is text"),
        (
            "seed+guidance_scale",
            [(1, 2), 3],
            "value 2: 3, needs 2 values, one for each of seed, guidance_scale",
        ),
        ("seed+guidance_scale", [(1, 2, 3)], "value 1: (1, 2, 3), needs 2 values"),
        ("prompt+animal", ["ab"], "value 1: 'ab', needs 2 values"),
        (
            "seed+guidance_scale",
            [(1, 99)],
            "axis 'seed+guidance_scale', value 1: guidance_scale: 99, allowed is",
        ),
        ("seed", {"a": 1, " a ": 2}, "axis 'seed': 'a' names two values"),
        ("seed", {1: 1, "1": 2}, "axis 'seed': '1' names two values"),
        ("seed", {"": 1}, "axis 'seed': '' names a value, allowed are 1 to 250 characters"),
        ("seed", {"x" * 251: 1}, "names a value, allowed are 1 to 250 characters"),
        ("seed", {"\ud800": 1}, "names a value"),
    ],
    ids=shown,
)
def test_refused(key: str, given: Any, says: str, workdir: Any) -> None:
    """One line that names the axis, the place and what is allowed."""
    with pytest.raises(SweepError) as caught:
        parse_axis(key, given, max_megapixels=2)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ({"plain": 1, "keep": 2}, ("plain", "keep")),
        ({1: 1, 2.5: 2}, ("1", "2.5")),
        ({" two\nlines ": 1}, ("two lines",)),
        ({"<b>&😀👩‍🔬": 1}, ("<b>&😀👩‍🔬",)),
    ],
)
def test_names(names: dict[Any, int], labels: tuple[str, ...]) -> None:
    """A mapping names the values; numbers and line breaks in names become text of one line."""
    assert parse_axis("seed", names, max_megapixels=2).labels == labels


def test_paired_values() -> None:
    """Keys joined by + vary together, blanks around them don't matter."""
    axis = parse_axis(" prompt + guidance_scale ", zip(["a", "b"], [2, 6], strict=True), max_megapixels=2)
    assert (axis.key, axis.values) == ("prompt+guidance_scale", (("a", 2.0), ("b", 6.0)))


def test_paired_rows_of_an_array() -> None:
    """A table of numbers is a list of pairs."""
    axis = parse_axis("seed+guidance_scale", np.array([[1, 2], [3, 4]]), max_megapixels=2)
    assert axis.values == ((1, 2.0), (3, 4.0))


def test_random_seeds() -> None:
    """Drawn from the whole range the service uses, one by one, and written down as numbers."""
    drawn = values("seed", ["random"] * 50)
    assert len(set(drawn)) > 45
    assert all(isinstance(seed, int) and 1 <= seed < 2**32 for seed in drawn)


def test_random_seeds_as_text() -> None:
    """So are those of a text."""
    first, second, third = values("seed", "random, Random, 7")
    assert (first != second, third) == (True, 7)


def test_one_array_is_one_picture() -> None:
    """An array that is a picture isn't taken for a list of its rows."""
    assert len(values("image", GREY)) == 1


def test_stack_of_arrays() -> None:
    """A stack of pictures is an axis of them."""
    assert len(values("image", np.stack([GREY, GREY + 1]))) == 2


def test_references_of_one_name_are_told_apart() -> None:
    """Different pictures get different names, equal ones keep theirs: results are picked by them."""
    found = values("image", [GREY, GREY + 1, GREY, GREY + 2])
    assert [value_text("image", one) for one in found] == ["array", "array 2", "array", "array 3"]


def test_several_references_in_one_request() -> None:
    """An `images` axis holds lists."""
    found = values("images", [[GREY], [GREY, GREY + 1], (GREY + 1, GREY)])
    assert [value_text("images", one) for one in found] == ["array", "array + array 2", "array 2 + array"]


@pytest.mark.parametrize(
    ("key", "given", "several"),
    [
        ("seed", 1, False),
        ("seed", "1", False),
        ("seed", "random", False),
        ("seed", "1-3", True),
        ("seed", "3-3", False),
        ("seed", [1], True),
        ("seed", range(1, 3), True),
        ("seed", np.int64(3), False),
        ("seed", np.array(3), False),
        ("seed", np.array([3]), True),
        ("seed", pd.Series([3]), True),
        ("seed", pd.NA, False),
        ("aspect_ratio", "16:9", False),
        ("aspect_ratio", "1:1,16:9", True),
        ("prompt", "one, two", False),
        ("prompt", ["one"], True),
        ("prompt", {"a": "one"}, True),
        ("prompt", b"one", False),
        ("image", GREY, False),
        ("image", ["a", "b"], False),
        ("images", ["a", "b"], False),
        ("price", [1, 2], False),
    ],
    ids=shown,
)
def test_is_several(key: str, given: Any, several: bool) -> None:
    """What makes an axis of a field's value."""
    assert is_several(key, given) == several


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("guidance_scale", 2.0, "2"),
        ("guidance_scale", None, "default"),
        ("guidance_scale", np.float64(2.5), "2.5"),
        ("guidance_scale", np.float32(2.1), "2.1"),
        ("seed", np.int64(3), "3"),
        ("seed", 10**30 + 1, str(10**30 + 1)),
        ("model", "flux/kontext-pro/image-to-image", "pro"),
        ("model", "x/y", "x/y"),
        ("animal", "bird", "bird"),
    ],
)
def test_value_text(key: str, value: Any, text: str) -> None:
    """How a value is written in labels, files and digests."""
    assert value_text(key, value) == text


AXIS_TEXT = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="0123456789-:,. e+٣default", max_size=60),
    st.from_regex(r"\A[0-9]{1,13}(\.[0-9]{1,3})?-[0-9]{1,13}(:[0-9]{1,3})?(,[0-9]{1,4}){0,5}\Z"),
)


@settings(max_examples=150, deadline=5000)
@given(key=st.sampled_from([key for key in SWEEPABLE if key not in ("image", "images")]), text=AXIS_TEXT)
def test_any_text_is_an_axis_or_a_sweep_error(key: str, text: str) -> None:
    """No text does anything else, and none takes long."""
    begin = time.monotonic()
    try:
        assert 1 <= len(parse_axis(key, text, max_megapixels=2)) <= MAX_CELLS
    except SweepError as error:
        assert str(error).startswith("axis ")  # noqa: PT017 - either outcome is allowed
    assert time.monotonic() - begin < 3


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=5000)
@given(key=st.sampled_from([*SWEEPABLE, "animal", "seed+guidance_scale", "+", ""]), given_value=JUNK)
def test_any_value_is_an_axis_or_a_sweep_error(key: str, given_value: Any) -> None:
    """Nested, mixed, empty: an axis or one clear line."""
    try:
        assert len(parse_axis(key, given_value, max_megapixels=2)) >= 1
    except SweepError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is allowed
