"""sweep.yaml: what is written is read back, what was typed stays, and what is no sweep is one line."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from kontext_lab.errors import ConfigError, ImageError, SweepError
from kontext_lab.images import Origin, load_reference
from kontext_lab.sweep import Sweep

GREY = np.full((4, 6, 3), 128, np.uint8)
RELAXED = settings(
    max_examples=60, deadline=10_000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def picture(workdir: Path) -> Path:
    """`a.png` in the working folder."""
    Image.fromarray(GREY).save(workdir / "a.png")
    return workdir / "a.png"


def read(text: str | bytes) -> Sweep:
    """A sweep out of a file of this content."""
    Path("sweep.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return Sweep.from_yaml("sweep.yaml")


def there_and_back(made: Sweep, **options: Any) -> Sweep:
    """The sweep written and read."""
    return Sweep.from_yaml(made.to_yaml("out/sweep.yaml", **options))


SWEEPS: dict[str, Callable[[], Sweep]] = {
    "boxes": lambda: Sweep(
        "Add a bird.", "a.png", protect={"face": (0.1, 0.2, 0.5, 0.75), "left edge": (0, 0, 1, 1)}
    ),
    "plain": lambda: Sweep("Add a bird.", "a.png"),
    "all fields": lambda: Sweep(
        "Add a bird.",
        "a.png",
        model="max",
        guidance_scale=2.5,
        seed=7,
        aspect_ratio="16:9",
        safety_tolerance=6,
        output_format="png",
        num_images=2,
        repeat=3,
        price=0.01,
        name="a: study",
        note="two\nlines: # no comment",
        max_megapixels=1.5,
    ),
    "numbers": lambda: Sweep(
        "x", "a.png", guidance_scale="2-8:0.5", seed="1-3", repeat=[1, 2], num_images="1-4"
    ),
    "small price": lambda: Sweep("x", "a.png", price=1e-07),
    "huge seed": lambda: Sweep("x", "a.png", seed=[10**30 + 1, 2**32 - 1]),
    "closed sets": lambda: Sweep(
        "x", "a.png", aspect_ratio="1:1,16:9,match_input", output_format="png,jpeg", model="pro,max"
    ),
    "default": lambda: Sweep("x", "a.png", guidance_scale=[None, 3], safety_tolerance=[None, 2]),
    "words": lambda: Sweep(
        "{a} {on}", "a.png", axes={"a": ["no", "007", "1:1", "", " x "], "on": [1, "~", "null"]}
    ),
    "prompts": lambda: Sweep(
        ["a: b", "- c", "{x} y", "# d", "line\nline\n", "'", '"', "\\"], "a.png", axes={"x": ["1"]}
    ),
    "json prompt": lambda: Sweep('{"a": [1, {"b": "c"}]}', "a.png"),
    "named": lambda: Sweep({"plain: 1": "a", "no": "b", "👩‍🔬": "c"}, "a.png", seed={"first": 1, "2": 2}),
    "long name": lambda: Sweep({"n" * 250: "a"}, "a.png"),
    "paired": lambda: Sweep(image="a.png", axes={"prompt+guidance_scale": [("a", 2), ("b", None)]}),
    "named pairs": lambda: Sweep(image="a.png", axes={"prompt+seed": {"one": ("a", 1), "two": ("b", 2)}}),
    "random": lambda: Sweep("x", "a.png", seed="random, random"),
    "long prompt": lambda: Sweep("word  " * 600, "a.png"),
    "path": lambda: Sweep("x", Path("a.png").absolute()),
    "named path": lambda: Sweep("x", load_reference("a.png", name="cup")),
    "url": lambda: Sweep("x", "https://h.example/a.png?x=1&y=2#z"),
    "bytes": lambda: Sweep("x", Path("a.png").read_bytes()),
    "array": lambda: Sweep("x", GREY),
    "PIL image": lambda: Sweep("x", Image.fromarray(GREY)),
    "scaled array": lambda: Sweep("x", np.zeros((60, 90, 3), np.uint8), max_megapixels=0.01),
    "scaled path": lambda: Sweep("x", "a.png", max_megapixels=0.01),
    "several references": lambda: Sweep("x", images=["a.png", GREY + 1, "https://h.example/a.png"]),
    "reference axis": lambda: Sweep(
        "x", axes={"image": ["a.png", GREY + 1, GREY + 2, "https://h.example/a.png"]}
    ),
    "named references": lambda: Sweep("x", axes={"image": {"day": "a.png", "night": GREY + 1}}),
    "images axis": lambda: Sweep("x", axes={"images": [["a.png"], ["a.png", GREY + 1]]}),
    "paired references": lambda: Sweep(axes={"image+prompt": [("a.png", "x"), (GREY + 1, "y")]}),
    "duplicates": lambda: Sweep("x", "a.png", seed=[1, 1, 2]),
    "odd reference names": lambda: Sweep(
        "x",
        images=[
            load_reference(GREY + n, name=name)
            for n, name in enumerate(["../../x", "a/b:c", "😀" * 90, "\n"])
        ],
    ),
}


@pytest.mark.parametrize("kind", SWEEPS)
@pytest.mark.parametrize("self_contained", [False, True])
def test_round_trip(kind: str, self_contained: bool) -> None:
    """What is written is read back to an equal sweep with equal requests."""
    made = SWEEPS[kind]()
    again = there_and_back(made, self_contained=self_contained)
    assert again == made
    assert [cell.title for cell in again.cells] == [cell.title for cell in made.cells]
    assert [cell.params for cell in again.cells] == [cell.params for cell in made.cells]


@pytest.mark.parametrize("kind", [kind for kind in SWEEPS if "url" not in kind and "reference" not in kind])
@pytest.mark.parametrize("self_contained", [False, True])
def test_round_trip_keeps_what_was_paid_for(kind: str, self_contained: bool) -> None:
    """The digest and every fingerprint are the same afterwards."""
    made = SWEEPS[kind]()
    again = there_and_back(made, self_contained=self_contained)
    assert again.digest("sandbox") == made.digest("sandbox")
    assert [cell.request.fingerprint("s") for cell in again.cells] == [
        cell.request.fingerprint("s") for cell in made.cells
    ]


@pytest.mark.parametrize("kind", SWEEPS)
def test_written_twice_is_the_same_file(kind: str) -> None:
    """Reading and writing changes nothing."""
    path = SWEEPS[kind]().to_yaml("out/sweep.yaml", self_contained=True)
    first = path.read_text(encoding="utf-8")
    assert (
        Sweep.from_yaml(path).to_yaml("out/sweep.yaml", self_contained=True).read_text(encoding="utf-8")
        == first
    )


def test_self_contained_can_be_moved(workdir: Path) -> None:
    """A self-contained sweep is whole in another folder, without the original file."""
    made = Sweep("x", "a.png")
    made.to_yaml("out/sweep.yaml", self_contained=True)
    Path("out").rename("moved")
    Path("a.png").unlink()
    assert Sweep.from_yaml("moved/sweep.yaml").digest("s") == made.digest("s")


@pytest.mark.parametrize(
    "prompts",
    [
        [f"{number} {'word, ' * 600}" for number in range(110)],
        [f"{number} {'a long word ' * 300}" for number in range(280)],
        ["[" * 100],
    ],
    ids=["many commas", "more than a megabyte", "brackets"],
)
def test_what_was_written_can_be_read_whatever_its_length(prompts: list[str]) -> None:
    """A sweep is found again in the journal and in the store although no person would write its file."""
    made = Sweep(prompts, "a.png")
    path = made.to_yaml("out/sweep.yaml", self_contained=True)
    assert made == Sweep.from_yaml(path, own=True)
    with pytest.raises(SweepError, match="for a sweep"):
        Sweep.from_yaml(path)


def test_changed_file_is_noticed() -> None:
    """A path that holds another picture by now is written as what the sweep holds."""
    made = Sweep("x", "a.png")
    Image.fromarray(GREY + 9).save("a.png")
    assert there_and_back(made).digest("s") == made.digest("s")


def test_written_beside_stays_in_its_folder() -> None:
    """Names of references never lead elsewhere."""
    SWEEPS["odd reference names"]().to_yaml("out/sweep.yaml")
    assert {path.name for path in Path().iterdir()} == {"a.png", "out"}
    assert {path.name for path in Path("out").iterdir()} == {"sweep.yaml", "sweep-references"}


def test_links_in_the_way(workdir: Path) -> None:
    """A folder reached by a link finds its references."""
    (workdir / "far" / "away").mkdir(parents=True)
    (workdir / "link").symlink_to(workdir / "far" / "away")
    made = Sweep("x", "a.png")
    assert Sweep.from_yaml(made.to_yaml("link/sweep.yaml")) == made


def test_relative_to_the_file(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are relative to the file, not to where the program runs."""
    (workdir / "sub").mkdir()
    (workdir / "sub" / "sweep.yaml").write_text("prompt: x\nimage: ../a.png\n")
    monkeypatch.chdir(workdir / "sub")
    here = Sweep.from_yaml("sweep.yaml")
    monkeypatch.chdir(workdir.parent)
    assert Sweep.from_yaml(workdir / "sub" / "sweep.yaml").digest("s") == here.digest("s")


# --- what was typed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "held"),
    [
        ("aspect_ratio: [1:1, 16:9]", "aspect_ratio", ["1:1", "16:9"]),
        ("aspect_ratio: 1:1,16:9", "aspect_ratio", ["1:1", "16:9"]),
        ("axes:\n  animal: [on, no, yes, 007, 1:1, 1e3, 0x10, ~, null, true, 2020-01-01, .5, 1_000]", "animal",
         ["on", "no", "yes", "007", "1:1", "1e3", "0x10", "~", "null", "true", "2020-01-01", ".5", "1_000"]),
        ("seed: 1-3", "seed", [1, 2, 3]),
        ("seed: [1, 2]", "seed", [1, 2]),
        ("seed: 7", "seed", [7]),
        ("seed: 007", "seed", [7]),
        ("guidance_scale: 2-8:3", "guidance_scale", [2.0, 5.0, 8.0]),
        ("guidance_scale: [2, default]", "guidance_scale", [2.0, "default"]),
        ("safety_tolerance: 2", "safety_tolerance", ["2"]),
        ("safety_tolerance: [1, 6]", "safety_tolerance", ["1", "6"]),
        ("num_images: 2", "num_images", [2]),
        ("model: max", "model", ["flux/kontext-max/image-to-image"]),
        ("seed:", "seed", [1]),
        ("axes:", "seed", [1]),
    ],
)  # fmt: skip
def test_values_stay_what_was_typed(text: str, key: str, held: list[Any]) -> None:
    """No value turns into a truth value, a date, or a number of minutes."""
    prompt = "{animal}" if key == "animal" else "x"
    made = read(f"prompt: '{prompt}'\nimage: a.png\n{text}\n")
    assert [cell.params[key] for cell in made.cells] == held


@pytest.mark.parametrize("word", ["no", "on", "007", "1:1", "null", "~", "1e3", "2020-01-01"])
def test_prompts_and_names_stay_text(word: str) -> None:
    """Also where they look like something else."""
    made = read(f"prompt: {word}\nimage: a.png\nname: {word}\nnote: {word}\n")
    assert (made.cells[0].request.prompt, made.name, made.note) == (word, word, word)


@pytest.mark.parametrize(
    "text",
    [
        '{"prompt": "x", "image": "a.png", "seed": [1, 2]}',
        "prompt: x\r\nimage: a.png\r\nseed: 1-2\r\n",
        b"\xef\xbb\xbfprompt: x\nimage: a.png\nseed: 1,2\n",
        "%YAML 1.1\n---\nprompt: x\nimage: a.png\nseed: [1, 2]\n",
        "# a comment\nimage: {path: a.png}\nprompt: >-\n  x\nseed: {a: 1, b: 2}\n",
        "image: &it a.png\nprompt: x\naxes: {seed: [1, 2]}\n",
    ],
)
def test_spellings_of_a_file(text: str | bytes) -> None:
    """JSON, CRLF, a byte order mark, comments and anchors are read."""
    assert [cell.request.seed for cell in read(text).cells] == [1, 2]


def test_own_digest() -> None:
    """A reference that was prepared before keeps the digest it was given."""
    made = read(f"prompt: x\nimage: {{path: a.png, digest: {'ab' * 32}, name: cup}}\n")
    assert (made.references[0].digest, made.references[0].name) == ("ab" * 32, "cup")


def test_origin_there_and_back(workdir: Path) -> None:
    """A reference that is a tracked output still is one after the sweep was written and read."""
    origin = Origin("0f" * 16, 2)
    made = Sweep("x", GREY).with_references(lambda one: replace(one, origin=origin))
    made.to_yaml("made.yaml", self_contained=True)
    assert [origin] == [one.origin for one in Sweep.from_yaml("made.yaml").references]


# --- what is no sweep ----------------------------------------------------------------------------------

LAUGHS = "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)

BROKEN: list[tuple[str | bytes, str]] = [
    ("", "holds no sweep"),
    ("# nothing\n", "holds no sweep"),
    ("- a\n- b\n", "holds no sweep"),
    ("hello", "holds no sweep"),
    ("prompt: a\nprompt: b\nimage: a.png\n", 'line 2: found duplicate key "prompt"'),
    ("prompt: x\nimage: a.png\naxes:\n  seed: [1]\n  seed: [2]\n", "line 5: found duplicate key"),
    ("prompt: a\n\timage: a.png\n", "line 2: found character '\\t'"),
    ("prompt: [a\n", "line 2: expected ',' or ']'"),
    ("prompt: Add: a bird\nimage: a.png\n", "line 1: mapping values are not allowed here. Text that holds ': '"),
    ("prompt: {animal} runs\nimage: a.png\n", "begins with { [ @ * & ! % needs quotes around it"),
    ("prompt: {animal}\nimage: a.png\n", "prompt: { begins a mapping in YAML"),
    ("prompt: *x\nimage: a.png\n", "line 1: found undefined alias 'x'"),
    ("a: 1\n---\nb: 2\n", "line 2: but found another document"),
    ("%YAML 9.9\n---\nprompt: x\n", "incompatible YAML document"),
    (b"\xff\xfe\x00\x01", "is not text in UTF-8"),
    ("prompt: x\n".encode("utf-16"), "is not text in UTF-8"),
    (b"prompt: a\x00b\n", "is not YAML: unacceptable character"),
    (b'prompt: "a\\0b"\nimage: a.png\n', r"prompt: 'a\x00b', allowed is text"),
    (b'prompt: "a\\UFFFFFFFF"\nimage: a.png\n', "is not YAML"),
    ("prompt: " + "x" * 1_000_000, "is larger than 1000 kB"),
    ("prompt: " + "x" * 5000 + "\nimage: a.png\n", "prompt: 5000 characters, allowed is text"),
    ("seed: [" + "1," * 90_000 + "]\n", "has more than 60000 lines and values"),
    ("prompt: " + "[" * 100_000, "is nested too deeply"),
    ("- " * 100_000, "is nested too deeply"),
    ("a: &a [x, x, x, x, x, x, x, x, x]\n" + LAUGHS, "a: is not a field of a sweep"),
    (
        "prompt: x\nimage: a.png\naxes:\n  seed: &a [x, x, x]\n" + LAUGHS.replace("\n", "\n  ").join(("  ", "")),
        "axis 'seed', value 1: seed: 'x', allowed is",
    ),
    ("note: &a [x, x, x, x, x, x, x, x, x]\nprompt: x\n" + LAUGHS + "image: *j\n", "image: takes one reference"),
    ("prompt: x\naxes:\n  image: &a [x, x, x]\n" + LAUGHS.replace("\n", "\n  ").join(("  ", "")), "image: no file 'x'"),
    ("prompt: x\nimage: a.png\nseed: 1-1000000000\n", "axis 'seed': '1-1000000000' has 1000000000 values, allowed are at most 10000"),
    ("prompt: x\nimage: a.png\nseed: 1-999999999999\nrepeat: 1-999999999999\n", "values, allowed are at most 10000"),
    ("prompt: x\nimage: a.png\nguidance_scale: 1-20:0.000000000001\n", "values, allowed are at most 10000"),
    ("prompt: x\nimage: a.png\nseed: " + "1-9000," * 5000 + "1\n", "more than 10000 values"),
    ("prompt: x\nimage: a.png\nseed: 1-10000\nrepeat: 1-10000\n", "10000 × 10000 make 100000000 cells"),
    ("prompt: x\nimage: a.png\nseed: 1-10000\nrepeat: 1-10000\nguidance_scale: 1-20:0.01\n", "cells, allowed are at most 10000"),
    ("prompt: x\naxes:\n  image: [" + "a.png, " * 10_001 + "]\n", "more than 10000 values"),
    ("prompt: &a [*a]\nimage: a.png\n", "prompt: None, allowed is text"),
    ("self: 3\nprompt: x\nimage: a.png\n", "self: is not a field of a sweep"),
    ("strength: 3\nprompt: x\nimage: a.png\n", "strength: is not a field of a sweep"),
    ("? [a, b]\n: 3\nprompt: x\nimage: a.png\n", "is not a field of a sweep"),
    ("? {a: b}\n: 3\n", "line 1: found unhashable key"),
    ("prompt: x\nimage: a.png\naxes: [seed]\n", "axes: ['seed'], allowed is a mapping"),
    ("prompt: x\nimage: a.png\naxes:\n  seed:\n", "axis 'seed': has no values"),
    ("prompt: x\nimage: a.png\nseed: [1-4, 7]\n", "axis 'seed', value 1: seed: '1-4', allowed is a whole number"),
    ("prompt: x\nimage: a.png\nguidance_scale: null\n", "guidance_scale: 'null', allowed is a number from 1 to 20"),
    ("prompt: x\nimage: a.png\nname: [x]\n", "name: ['x'], allowed is one line"),
    ("prompt: x\nimage: a.png\nmax_megapixels: many\n", "max_megapixels: 'many', allowed is a number"),
    ("prompt: x\nimage: a.png\nmax_megapixels: -1\n", "max_megapixels: '-1', allowed is a number"),
    ("prompt: x\nimage: a.png\nmax_megapixels: nan\n", "max_megapixels: 'nan', allowed is a number"),
    ("prompt: x\nimage: missing.png\n", "image: no file 'missing.png'"),
    ("prompt: x\nimage: .\n", "Is a directory"),
    ("prompt: x\nimage: ~nobody-of-this-name/a.png\n", "can't be read"),
    ("prompt: x\nimage: [a.png]\n", "image: takes one reference"),
    ("prompt: x\nimage: {path: [a.png]}\n", "image: {'path': ['a.png']}, allowed are path or url, digest, name and origin"),
    ("prompt: x\nimage: {path: a.png, url: b}\n", "allowed are path or url"),
    ("prompt: x\nimage: {file: a.png}\n", "allowed are path or url"),
    ("prompt: x\nimage: {url: a.png}\n", "image: 'a.png' is not an http or https URL"),
    ("prompt: x\nimage: {path: a.png, origin: '../../etc'}\n", "image: origin must be a run's id, a slash and an output's number, not '../../etc'"),
    ("prompt: x\nimage: {path: a.png, origin: abc/0}\n", "image: origin must be a run's id, a slash and an output's number, not 'abc/0'"),
    ("prompt: x\nimage: {path: a.png, digest: abc}\n", "image: digest must be 64 hexadecimal digits, not 'abc'"),
    ("prompt: x\nimage: data:image/png;base64,AAAA\n", "is not a picture"),
    ("prompt: x\nimage: ftp://h.example/a.png\n", "no file"),
    ("prompt: x\nimages: a.png\n", "images: takes a list"),
    ("prompt: x\nimages: [a.png, a.png, a.png, a.png, a.png]\n", "images: 5 references"),
    ("prompt: x\naxes:\n  image: [[a.png]]\n", "axis 'image', value 1: image: takes one reference"),
    ("prompt: x\naxes:\n  image+seed: [{a: b}]\n", "needs 2 values, one for each of image, seed"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_sweep(text: str | bytes, says: str) -> None:
    """One line that begins with the file, within seconds."""
    begin = time.monotonic()
    with pytest.raises(SweepError) as caught:
        read(text)
    assert says in str(caught.value)
    assert str(caught.value).startswith("sweep.yaml: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert time.monotonic() - begin < 10


def test_reference_errors_keep_their_class() -> None:
    """A reference that can't be read is an ImageError, here too."""
    with pytest.raises(ImageError, match=r"^sweep\.yaml: image: no file"):
        read("prompt: x\nimage: missing.png\n")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing.yaml", "missing.yaml: no such file"),
        (".", ".: is not a file"),
        ("a.png/sweep.yaml", "can't be read: Not a directory"),
        ("a\0b", "can't be read"),
        ("x" * 400, "can't be read: File name too long"),
        ("prompt: x\nimage: a.png\n", r"'prompt: x\nimage: a.png\n': no such file"),
        (os.devnull, "is not a file"),
    ],
)
def test_files_that_can_not_be_read(path: str, says: str) -> None:
    """The file is named, in one line."""
    with pytest.raises(SweepError) as caught:
        Sweep.from_yaml(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", [None, 3, "~nobody-of-this-name/sweep.yaml"])
def test_what_is_no_path(path: Any) -> None:
    """Something else than a path is refused as such."""
    with pytest.raises(ConfigError, match="is not a path"):
        Sweep.from_yaml(path)
    with pytest.raises(ConfigError, match="is not a path"):
        Sweep("x", GREY).to_yaml(path)


def test_file_that_can_not_be_written() -> None:
    """Neither can a file be written below another file."""
    with pytest.raises(ConfigError, match=r"^a\.png/sweep\.yaml: can't be written"):
        Sweep("x", GREY).to_yaml("a.png/sweep.yaml")


# --- properties ----------------------------------------------------------------------------------------

YAML_ISH = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="abc:-[]{},&*!|>'\"%@`#? \n\t\\0123", max_size=120),
    st.builds(
        "prompt: {}\nimage: a.png\n{}: {}\n".format,
        st.text(max_size=20),
        st.sampled_from(
            ["seed", "axes", "image", "name", "max_megapixels", "images", "model", "price", "note"]
        ),
        st.text(alphabet="abc:-[]{},&*!|>'\"%@`#? \n\t\\0123", max_size=60),
    ),
)


def test_an_anchor_used_again_is_no_noise(workdir: Path, photo_file: Path) -> None:
    """An anchor of the same name twice is legal: no warning, and the later one counts."""
    text = f'prompt: &a Add a bird.\nnote: &a hello\nname: *a\nimage: "{photo_file}"\n'
    (workdir / "sweep.yaml").write_text(text)

    assert "hello" == Sweep.from_yaml(workdir / "sweep.yaml").name


@RELAXED
@given(text=YAML_ISH)
def test_any_text_is_a_sweep_or_a_sweep_error(text: str) -> None:
    """Nothing typed into a file gives anything else, within a bounded time."""
    begin = time.monotonic()
    try:
        assert len(read(text.encode("utf-8", "surrogatepass"))) >= 1
    except SweepError as error:
        assert str(error).startswith("sweep.yaml: ")  # noqa: PT017 - either outcome is allowed
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is allowed
    assert time.monotonic() - begin < 5


@RELAXED
@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_sweep_or_a_sweep_error(data: bytes) -> None:
    """Nor do bytes."""
    try:
        assert len(read(data)) >= 1
    except SweepError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is allowed


@RELAXED
@given(
    prompt=st.text(min_size=1, max_size=150),
    words=st.lists(st.text(max_size=30), min_size=1, max_size=4),
    names=st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=4),
    note=st.text(max_size=60),
)
def test_any_text_survives_the_round_trip(prompt: str, words: list[str], names: list[str], note: str) -> None:
    """Whatever a sweep takes as prompts, words, names and notes is read back as it was."""
    seeds = {name: seed for seed, name in enumerate(names, 1)}
    try:
        made = Sweep([prompt, "Add {word}."], "a.png", note=note, seed=seeds, axes={"word": words})
    except SweepError:
        return
    again = there_and_back(made)
    assert again == made
    assert [cell.request.prompt for cell in again.cells] == [cell.request.prompt for cell in made.cells]
