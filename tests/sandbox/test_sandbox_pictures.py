"""The simulated pictures: sizes, sameness, and an edit that is local, placed by the seed, driven by guidance."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

RATIOS = {
    "21:9": (1568, 672),
    "16:9": (1392, 752),
    "4:3": (1184, 880),
    "3:2": (1248, 832),
    "1:1": (1024, 1024),
    "2:3": (832, 1248),
    "3:4": (880, 1184),
    "9:16": (752, 1392),
    "9:21": (672, 1568),
}
MATCHED = {
    (128, 96): (1184, 880),
    (600, 400): (1248, 832),
    (500, 500): (1024, 1024),
    (400, 600): (832, 1248),
    (300, 100): (1568, 672),
    (100, 300): (672, 1568),
    (128, 120): (1024, 1024),
    (130, 118): (1104, 944),
    (160, 90): (1392, 752),
    (83, 50): (1328, 800),
}
KINDS = [
    "Add a bird.",
    "Make the cup blue.",
    "Let a warm light shine.",
    "Remove the spoon.",
    "Give it a striped pattern.",
]
PIXELS = np.ndarray


def picture_of(client, **fields) -> tuple[PIXELS, str]:
    """Pixels and digest of the one picture made for these fields."""
    data = client.pictures(client.post(**fields))[0]
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")), hashlib.sha256(data).hexdigest()


def framed(client, size) -> PIXELS:
    """The reference as the service re-frames it, made without the sandbox's code (plain resize)."""
    data = io.BytesIO(base64.b64decode(client.reference.partition(",")[2]))
    with Image.open(data) as image:
        return np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))


def centre(mask: PIXELS) -> tuple[float, float]:
    """Middle of a mask as fractions."""
    rows, columns = np.nonzero(mask)
    return float(columns.mean() / mask.shape[1]), float(rows.mean() / mask.shape[0])


@pytest.mark.parametrize(("ratio", "size"), RATIOS.items())
def test_aspect_ratio_gives_its_size(shared, ratio, size):
    """Each of the nine ratios has its size, in the answer and in the bytes."""
    answer = shared.post(aspect_ratio=ratio)
    item = answer.json()["images"][0]
    with Image.open(io.BytesIO(shared.pictures(answer)[0])) as image:
        assert size == (item["width"], item["height"]) == image.size


@pytest.mark.parametrize(("reference", "size"), MATCHED.items())
def test_left_out_ratio_follows_the_first_reference(shared, make_uri, reference, size):
    """Without aspect_ratio the output takes the trained size nearest to the first reference's ratio."""
    item = shared.post(image_url=[make_uri(*reference), make_uri(64, 256)]).json()["images"][0]
    assert size == (item["width"], item["height"])


@pytest.mark.parametrize(("name", "form"), [("jpeg", "JPEG"), ("png", "PNG")])
def test_output_format_is_what_was_asked(shared, name, form):
    """The bytes, the media type and the name agree with output_format."""
    answer = shared.post(output_format=name)
    item = answer.json()["images"][0]
    download = shared.get(item["url"], key=False)
    with Image.open(io.BytesIO(download.content)) as image:
        image.load()
        assert form == image.format
    assert f"image/{name}" == item["content_type"] == download.headers["Content-Type"]
    assert item["url"].endswith(f".{name}")


def test_same_request_gives_the_same_bytes(make_client):
    """Two sandboxes make the same picture of the same request."""
    digests = {picture_of(make_client())[1] for _ in range(2)}
    assert len(digests) == 1


def test_same_request_gives_the_same_bytes_in_another_process(client):
    """Pictures do not depend on the process that makes them."""
    code = (
        "import json, sys, requests\n"
        "from kontext_lab.sandbox import Sandbox\n"
        "with Sandbox() as box:\n"
        "    s = requests.Session(); s.trust_env = False; s.headers['User-Agent'] = 't'\n"
        "    for body in json.load(sys.stdin):\n"
        "        s.post(box.url + '/v1/images/generations', json=body, headers={'Authorization': 'Bearer k'})\n"
        "    print(json.dumps([call.outputs for call in box.calls]))\n"
    )
    bodies = [client.body(prompt=prompt, num_images=2, image_url=[client.reference] * 2) for prompt in KINDS]
    for body in bodies:
        client.post(**body)
    there = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(bodies),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert [list(call.outputs) for call in client.box.calls] == json.loads(there.stdout)


@pytest.mark.parametrize("prompt", KINDS)
def test_rest_of_the_picture_stays_exactly(shared, make_uri, prompt):
    """Outside the ground truth and the mark a PNG is exactly the re-framed reference."""
    pixels, digest = picture_of(shared, prompt=prompt, output_format="png")
    outside = ~(shared.box.truth(digest) | shared.box.mark(digest))
    reference = framed(shared, (1184, 880))
    assert np.abs(pixels.astype(int) - reference)[outside].max() == 0


@pytest.mark.parametrize("prompt", KINDS)
def test_edit_is_local_and_visible(shared, make_uri, prompt):
    """The truth is a modest part of the picture, and every pixel in it differs visibly."""
    pixels, digest = picture_of(shared, prompt=prompt, output_format="png", guidance_scale=5)
    truth = shared.box.truth(digest)
    change = np.abs(pixels.astype(int) - framed(shared, (1184, 880))).max(axis=-1)
    assert 0.01 < truth.mean() < 0.35
    assert change[truth].min() > 2


def test_jpeg_differs_from_the_reference_only_by_noise(shared, make_uri):
    """Outside the edit a JPEG is the re-framed reference within its encoding noise."""
    pixels, digest = picture_of(shared)
    outside = ~(shared.box.truth(digest) | shared.box.mark(digest))
    difference = np.abs(pixels.astype(int) - framed(shared, (1184, 880)))
    assert difference[outside].mean() < 2


def test_crop_keeps_the_middle(shared, make_uri):
    """A ratio far from the reference's crops it around the middle instead of squeezing it."""
    pixels, digest = picture_of(shared, aspect_ratio="9:16", output_format="png")
    outside = ~(shared.box.truth(digest) | shared.box.mark(digest))
    reference = framed(shared, (round(1392 * 96 / 72), 1392))
    left = (reference.shape[1] - 752) // 2
    difference = np.abs(pixels.astype(int) - reference[:, left : left + 752])
    assert difference[outside].mean() < 1


def test_seed_moves_the_edit(shared):
    """Seeds that follow each other put the edit into clearly different places."""
    places = [centre(shared.box.truth(picture_of(shared, seed=seed)[1])) for seed in (1, 2, 3)]
    for first, second in ((0, 1), (1, 2), (0, 2)):
        distance = np.hypot(places[first][0] - places[second][0], places[first][1] - places[second][1])
        assert distance > 0.08


def test_variants_of_one_request_differ_in_place(shared):
    """The pictures of one request are different edits."""
    answer = shared.post(num_images=4)
    digests = [hashlib.sha256(data).hexdigest() for data in shared.pictures(answer)]
    assert len({centre(shared.box.truth(digest)) for digest in digests}) == 4


@pytest.mark.parametrize("prompt", KINDS)
def test_guidance_drives_the_strength(shared, make_uri, prompt):
    """The mean change inside the truth grows with guidance."""
    means = []
    for guidance in (1, 2, 5, 10, 20):
        pixels, digest = picture_of(shared, prompt=prompt, guidance_scale=guidance, output_format="png")
        change = np.abs(pixels.astype(int) - framed(shared, (1184, 880)))
        means.append(float(change[shared.box.truth(digest)].mean()))
    assert sorted(means) == means
    assert 1.3 * means[0] < means[-1]


def test_one_word_makes_a_visible_difference(shared):
    """Prompts that differ in one word give clearly different pictures in the same place."""
    bird, bird_digest = picture_of(shared, prompt="Add a bird.", output_format="png")
    crab, crab_digest = picture_of(shared, prompt="Add a crab.", output_format="png")
    either = shared.box.truth(bird_digest) | shared.box.truth(crab_digest)
    assert np.abs(bird.astype(int) - crab)[either].mean() > 20


def test_colour_word_colours_the_figure(shared):
    """A colour in the prompt becomes the figure's colour."""
    redness = []
    for colour in ("red", "blue"):
        pixels, digest = picture_of(
            shared, prompt=f"Add a {colour} balloon.", output_format="png", guidance_scale=8
        )
        mean = pixels[shared.box.truth(digest)].mean(axis=0)
        redness.append(mean[0] - mean[2])
    assert redness[0] > redness[1] + 40


def test_every_further_reference_is_visible(shared, make_uri):
    """Each of up to four references adds edited pixels of its own."""
    areas = []
    for count in (1, 2, 3, 4):
        references = [shared.reference, *(make_uri(80, 60, shift=number) for number in range(1, count))]
        digest = picture_of(shared, image_url=references)[1]
        areas.append(int(shared.box.truth(digest).sum()))
    assert all(more > fewer + 10_000 for fewer, more in itertools.pairwise(areas))


def test_further_reference_matters_for_the_bytes(shared, make_uri):
    """Another second reference makes another picture."""
    digests = {
        picture_of(shared, image_url=[shared.reference, make_uri(80, 60, shift=n)])[1] for n in (1.0, 2.0)
    }
    assert len(digests) == 2


def test_mark_lies_in_the_lower_right_corner(shared):
    """The mark is a small region in a corner, outside the truth."""
    digest = picture_of(shared)[1]
    mark = shared.box.mark(digest)
    x, y = centre(mark)
    assert 0 < mark.mean() < 0.01
    assert (x > 0.85, y > 0.9) == (True, True)
    assert not (mark & shared.box.truth(digest)).any()


def test_unknown_digest_has_no_truth(shared):
    """Pictures that were not made here have no truth."""
    with pytest.raises(KeyError):
        shared.box.truth("0" * 64)
    assert shared.get(f"/sandbox/truth/{'0' * 64}.png", key=False).status_code == 404


@pytest.mark.parametrize("which", ["truth", "mark"])
def test_masks_are_served_as_png(shared, which):
    """The masks can be had over HTTP."""
    digest = picture_of(shared)[1]
    answer = shared.get(f"/sandbox/{which}/{digest}.png", key=False)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert np.array_equal(np.asarray(image) > 0, getattr(shared.box, which)(digest))


def test_upright_reference_is_used(shared, make_uri):
    """A reference whose orientation is only noted in its EXIF data is turned upright."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (120, 80), "teal").save(buffer, "JPEG", exif=exif)
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    item = shared.post(image_url=uri).json()["images"][0]
    assert (item["width"], item["height"]) == (832, 1248)


def test_transparent_reference_lies_on_white(shared):
    """Transparency becomes white."""
    buffer = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(buffer, "PNG")
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    pixels, digest = picture_of(shared, image_url=uri, output_format="png")
    outside = ~(shared.box.truth(digest) | shared.box.mark(digest))
    assert pixels[outside].min() == 255


@pytest.mark.parametrize("size", [(1, 1), (400, 2), (2, 400), (33, 47)])
@pytest.mark.parametrize("prompt", KINDS)
def test_odd_references_make_pictures_too(shared, make_uri, prompt, size):
    """Tiny and extreme references work, as the first and as a further one."""
    uri = make_uri(*size)
    assert shared.post(prompt=prompt, image_url=[uri, uri, uri, uri]).status_code == 200
