"""The contract between client and sandbox, in each of the three shapes an answer comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from client_calls import edit

from kontext_lab.client import KontextClient
from kontext_lab.images import load_reference
from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import Reason
from kontext_lab.sandbox import FAULTS, Sandbox

Make = Callable[..., EditRequest]


@pytest.fixture
def speaker(shaped_box: Sandbox, connect: Callable[..., KontextClient]) -> KontextClient:
    """A client of the sandbox in one shape."""
    return connect(shaped_box.url, read_timeout=20.0)


def test_every_field_is_sent_as_asked(
    speaker: KontextClient, shaped_box: Sandbox, make_request: Make
) -> None:
    """Each field of a request reaches the service with its value and type."""
    fields = {
        "prompt": 'Füge "einen Vogel" hinzu\n🐦',
        "model": "flux/kontext-max/image-to-image",
        "guidance_scale": 4.5,
        "seed": 3959063143,
        "aspect_ratio": "16:9",
        "safety_tolerance": "5",
        "output_format": "png",
        "num_images": 2,
    }
    edit(speaker, make_request(**fields))
    sent = dict(shaped_box.calls[0].body)
    sent.pop("image_url")
    assert fields == sent


def test_only_known_keys_are_sent(speaker: KontextClient, shaped_box: Sandbox, make_request: Make) -> None:
    """A request holds no key the service does not know."""
    edit(speaker, make_request(repeat=3, price=0.01))
    assert shaped_box.calls[0].unknown_keys == ()


def test_fields_left_to_the_service_are_not_sent(
    speaker: KontextClient, shaped_box: Sandbox, make_request: Make
) -> None:
    """match_input and unset fields leave their keys out."""
    edit(speaker, make_request(aspect_ratio="match_input"))
    assert {"model", "prompt", "image_url", "seed"} == set(shaped_box.calls[0].body)


def test_one_reference_arrives_exactly(
    speaker: KontextClient, shaped_box: Sandbox, plain_request: EditRequest
) -> None:
    """The service gets the very bytes of the prepared reference, as one data URI."""
    edit(speaker, plain_request)
    call = shaped_box.calls[0]
    assert (hashlib.sha256(plain_request.images[0].png).hexdigest(),) == call.references
    assert isinstance(call.body["image_url"], str)


def test_four_references_arrive_in_order(speaker: KontextClient, shaped_box: Sandbox) -> None:
    """Several references go into one request, in order."""
    pictures = [load_reference(_grey(level)) for level in (40, 80, 120, 160)]
    edit(speaker, EditRequest(prompt="Combine them.", images=pictures))
    assert tuple(hashlib.sha256(one.png).hexdigest() for one in pictures) == shaped_box.calls[0].references


def test_ids_are_echoed(speaker: KontextClient, shaped_box: Sandbox, plain_request: EditRequest) -> None:
    """The id sent along reaches the service and comes back."""
    answer = edit(speaker, plain_request, "kl-my:own.id_1")
    assert shaped_box.calls[0].client_request_id == "kl-my:own.id_1"
    assert answer.headers["x-client-request-id"] == "kl-my:own.id_1"


@pytest.mark.parametrize(("count", "output_format"), [(1, "jpeg"), (2, "png"), (4, "jpeg")])
def test_downloads_are_exact(
    speaker: KontextClient, shaped_box: Sandbox, make_request: Make, count: int, output_format: str
) -> None:
    """As many pictures as asked for, each with the bytes, digest, format and size the service made."""
    answer = edit(speaker, make_request(num_images=count, output_format=output_format))
    digests = tuple(hashlib.sha256(picture.data).hexdigest() for picture in answer.pictures)
    assert digests == shaped_box.calls[0].outputs == tuple(picture.sha256 for picture in answer.pictures)
    assert {(output_format, 1024, 1024, None)} == {
        (picture.format, picture.width, picture.height, picture.reason) for picture in answer.pictures
    }
    assert count == len(answer.pictures)


def test_the_cost_is_what_the_header_says(
    speaker: KontextClient, shaped_box: Sandbox, make_request: Make
) -> None:
    """The billed amount comes from the answer, not from the client's own price."""
    answer = edit(speaker, make_request(num_images=2, price=9.0))
    assert (pytest.approx(answer.cost_usd), answer.cost_source) == (0.104, "header")
    assert answer.cost_usd == pytest.approx(shaped_box.bill)


def test_the_seed_is_read_where_it_comes(speaker: KontextClient, shape: str, make_request: Make) -> None:
    """The current shape reports no seed, the others the one that was sent."""
    assert edit(speaker, make_request(seed=77)).seed == (None if shape == "current" else 77)


def test_the_sandbox_is_recognised(speaker: KontextClient, plain_request: EditRequest) -> None:
    """An answer of the sandbox says so, and the client knows from then on."""
    assert speaker.simulated is None
    assert edit(speaker, plain_request).simulated
    assert speaker.simulated


@pytest.mark.parametrize("preset", ["b64", "image_base64"])
def test_inline_pictures_are_exact(
    speaker: KontextClient, shaped_box: Sandbox, make_request: Make, preset: str
) -> None:
    """Pictures inside the answer are taken as they are, and stay out of the logged text."""
    shaped_box.script([preset])
    answer = edit(speaker, make_request(num_images=2))
    assert tuple(picture.sha256 for picture in answer.pictures) == shaped_box.calls[0].outputs
    assert all(f"sha256:{picture.sha256}" in answer.raw for picture in answer.pictures)
    assert len(answer.raw) < 5000


OUTCOMES = {
    "slow": [None, None],
    "cut_late": [None, None],
    "moderated": [Reason.MODERATED, Reason.MODERATED],
    "no_picture": [Reason.EMPTY, Reason.EMPTY],
    "black": [Reason.MODERATED, Reason.MODERATED],
    "unreadable": [Reason.UNREADABLE, Reason.UNREADABLE],
    "not_json": [Reason.UNREADABLE, Reason.UNREADABLE],
    "missing_one": [None, Reason.EMPTY],
    "missing_one_black": [None, Reason.MODERATED],
    "truncated": [Reason.CORRUPT, Reason.CORRUPT],
    "download_cut": [Reason.CORRUPT, Reason.CORRUPT],
    "corrupt": [Reason.CORRUPT, Reason.CORRUPT],
    "html_picture": [Reason.CORRUPT, Reason.CORRUPT],
    "expired": [Reason.EXPIRED, Reason.EXPIRED],
    "expired_403": [Reason.EXPIRED, Reason.EXPIRED],
    "expired_410": [Reason.EXPIRED, Reason.EXPIRED],
    "download_5xx": [Reason.EXPIRED, Reason.EXPIRED],
    "download_redirect": [None, None],
    "download_redirect_host": [None, None],
    "download_redirect_loop": [Reason.EXPIRED, Reason.EXPIRED],
    "download_huge": [Reason.CORRUPT, Reason.CORRUPT],
    "download_endless": [Reason.CORRUPT, Reason.CORRUPT],
    "download_slow": [None, None],
}


def _by_download(preset: str) -> bool:
    """Whether a fault strikes after the answer, so that its shape cannot matter."""
    return (
        FAULTS[preset].kind.startswith(("download_", "truncated", "corrupt", "expired")) or "slow" in preset
    )


@pytest.mark.parametrize(
    ("shape", "preset"),
    [
        (shape, preset)
        for preset in OUTCOMES
        for shape in ("legacy", "hybrid", "current")
        if shape == "legacy" or not _by_download(preset)
    ],
    indirect=["shape"],
)
def test_a_billed_answer_is_an_outcome_not_an_error(
    shaped_box: Sandbox, connect: Callable[..., KontextClient], make_request: Make, preset: str
) -> None:
    """Whatever is wrong with an answer's pictures is a reason of each picture; the cost is counted."""
    client = connect(shaped_box.url, read_timeout=20.0, max_output_bytes=2_000_000)
    # The slow ones wait for a second by themselves, which tells nothing more.
    shaped_box.script([replace(FAULTS[preset], seconds=0.1) if "slow" in preset else preset])
    answer = edit(client, make_request(num_images=2))
    assert OUTCOMES[preset] == [picture.reason for picture in answer.pictures]
    assert all(picture.note for picture in answer.pictures if picture.reason)
    assert pytest.approx(0.104) == answer.cost_usd
    assert shaped_box.key_leaks == []


def test_moderation_without_flags_shows_as_black(
    speaker: KontextClient, shaped_box: Sandbox, make_request: Make
) -> None:
    """Where a shape has no flags, the black picture tells; its bytes are kept."""
    shaped_box.script(["moderated"])
    picture = edit(speaker, make_request()).pictures[0]
    assert picture.reason == Reason.MODERATED
    assert picture.data


def test_a_download_may_be_asked_for_again(
    speaker: KontextClient, shaped_box: Sandbox, plain_request: EditRequest
) -> None:
    """The same raw answer can be collected again until the host recovers, without a second paid request."""
    shaped_box.script(["download_5xx"])
    raw = speaker.post(plain_request, "kl-1")
    reasons = [speaker.collect(raw, plain_request).reason for _ in range(3)]
    assert reasons == [Reason.EXPIRED, Reason.EXPIRED, None]
    assert len(shaped_box.calls) == 1


def _grey(level: int) -> np.ndarray:
    return np.full((32, 40, 3), level, np.uint8)
