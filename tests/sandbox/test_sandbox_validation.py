"""Every limit of the request, and both envelopes that say so."""

from __future__ import annotations

import base64
from typing import Any

import pytest

GIF_TEXT = base64.b64encode(b"GIF89a but no picture").decode()
PIXEL = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

REFUSED: list[tuple[str, Any, str]] = [
    ("model", ..., "invalid_type"),
    ("model", 3, "invalid_type"),
    ("prompt", ..., "invalid_type"),
    ("prompt", None, "invalid_type"),
    ("prompt", "x" * 4001, "too_big"),
    ("image_url", ..., "invalid_type"),
    ("image_url", 5, "invalid_type"),
    ("image_url", [], "too_small"),
    ("image_url", PIXEL, "invalid_string"),
    ("image_url", "ftp://127.0.0.1/a.png", "invalid_string"),
    ("image_url", "http:///a.png", "invalid_string"),
    ("image_url", "http://127.0.0.1:port/a.png", "invalid_string"),
    ("image_url", "data:image/png;base64", "invalid_string"),
    ("image_url", "data:image/png;base64,%%%", "invalid_string"),
    ("image_url", f"data:image/gif;base64,{GIF_TEXT}", "invalid_string"),
    ("image_url", "http://192.168.1.9/a.png", "invalid_string"),
    ("image_url", "http://127.0.0.1:9/a.png", "invalid_string"),
    ("num_images", 0, "too_small"),
    ("num_images", 5, "too_big"),
    ("num_images", 1.5, "invalid_type"),
    ("num_images", "2", "invalid_type"),
    ("num_images", True, "invalid_type"),
    ("seed", 0, "too_small"),
    ("seed", -1, "too_small"),
    ("seed", 1.5, "invalid_type"),
    ("seed", "1", "invalid_type"),
    ("seed", True, "invalid_type"),
    ("seed", None, "invalid_type"),
    ("guidance_scale", 0.99, "too_small"),
    ("guidance_scale", 20.01, "too_big"),
    ("guidance_scale", "3", "invalid_type"),
    ("guidance_scale", False, "invalid_type"),
    ("safety_tolerance", 2, "invalid_type"),
    ("safety_tolerance", "0", "invalid_enum_value"),
    ("safety_tolerance", "7", "invalid_enum_value"),
    ("output_format", "jpg", "invalid_enum_value"),
    ("output_format", "webp", "invalid_enum_value"),
    ("aspect_ratio", "16/9", "invalid_enum_value"),
    ("aspect_ratio", "5:4", "invalid_enum_value"),
    ("aspect_ratio", 1.5, "invalid_type"),
]
ACCEPTED: list[tuple[str, Any]] = [
    ("prompt", "x" * 4000),
    ("prompt", ""),
    ("seed", 2**40),
    ("seed", 7.0),
    ("guidance_scale", 1),
    ("guidance_scale", 20),
    ("safety_tolerance", "6"),
    ("image_url", f"data:image/gif;base64,{PIXEL}"),
]


@pytest.mark.parametrize(("field", "value", "code"), REFUSED, ids=lambda value: str(value)[:24])
def test_value_outside_the_contract_is_a_400_with_an_issue(shared, field, value, code):
    """Each value outside the contract's limits is refused with an issue that names field and rule."""
    answer = shared.post(**{field: value})
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["error"]["name"] == "BadRequestException"
    assert [(code, field)] == [(issue["code"], issue["path"][0]) for issue in problem["error"]["data"]]


@pytest.mark.parametrize(("field", "value"), ACCEPTED, ids=lambda value: str(value)[:24])
def test_value_on_the_limit_is_accepted(shared, field, value):
    """Values on the limits pass."""
    assert shared.post(**{field: value}).status_code == 200


def test_refused_requests_cost_nothing(client):
    """A 400 is not billed."""
    client.post(seed=0)
    assert client.box.bill == 0


def test_issue_of_a_number_names_its_limit(shared):
    """A too_big issue carries the maximum as Zod does."""
    issue = shared.post(guidance_scale=21).json()["error"]["data"][0]
    expected = {
        "code": "too_big",
        "maximum": 20,
        "type": "number",
        "inclusive": True,
        "exact": False,
        "path": ["guidance_scale"],
        "message": "Number must be less than or equal to 20",
    }
    assert expected == issue


def test_issue_of_a_closed_set_lists_the_options(shared):
    """An invalid_enum_value issue carries what was received and what would do."""
    issue = shared.post(output_format="bmp").json()["error"]["data"][0]
    assert (issue["received"], issue["options"]) == ("bmp", ["jpeg", "png"])
    assert issue["message"] == "Invalid enum value. Expected 'jpeg' | 'png', received 'bmp'"


def test_issue_of_a_missing_field_says_required(shared):
    """A missing field is an invalid_type issue with the message "Required"."""
    issue = shared.post(prompt=...).json()["error"]["data"][0]
    assert (issue["message"], issue["received"], issue["expected"]) == ("Required", "undefined", "string")


def test_all_issues_come_at_once(shared):
    """Every broken rule is reported, not just the first."""
    issues = shared.post(seed=0, num_images=9, prompt=...).json()["error"]["data"]
    assert {"seed", "num_images", "prompt"} == {issue["path"][0] for issue in issues}


def test_fifth_reference_is_refused(shared):
    """At most four references go into one request."""
    issues = shared.post(image_url=[shared.reference] * 5).json()["error"]["data"]
    assert [(issue["code"], issue["path"]) for issue in issues] == [("too_big", ["image_url"])]


def test_issue_names_the_reference_in_the_list(shared):
    """A bad reference in a list is named by its index."""
    issues = shared.post(image_url=[shared.reference, "nonsense"]).json()["error"]["data"]
    assert [issue["path"] for issue in issues] == [["image_url", 1]]


def test_old_envelope_lists_the_messages(make_client):
    """In the old envelope the issues are a list of messages."""
    client = make_client(envelope="old")
    problem = client.post(seed=0, aspect_ratio="x").json()
    assert problem["statusCode"] == 400
    assert problem["path"] == "/v1/images/generations"
    assert [message.partition(":")[0] for message in problem["message"]] == ["seed", "aspect_ratio"]


def test_new_envelope_is_problem_json(shared):
    """The new envelope has the contract's fields and media type."""
    answer = shared.post(seed=0)
    assert answer.headers["Content-Type"] == "application/problem+json"
    expected = {"title", "status", "message", "instance", "requestId", "timestamp", "error"}
    assert expected == set(answer.json())


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"seed": NaN}', b"[" * 100_000])
def test_body_that_is_no_json_is_a_400(shared, body):
    """A body that cannot be read as JSON is a 400 in the envelope."""
    url = f"{shared.box.url}/v1/images/generations"
    answer = shared.session.post(url, data=body, headers={"Authorization": "Bearer k"}, timeout=20)
    assert (answer.status_code, answer.json()["error"]["name"]) == (400, "BadRequestException")


def test_body_that_is_no_object_is_a_400(shared):
    """A JSON list is not a request."""
    url = f"{shared.box.url}/v1/images/generations"
    answer = shared.session.post(url, json=[1], headers={"Authorization": "Bearer k"}, timeout=20)
    assert answer.json()["error"]["data"][0]["code"] == "invalid_type"


def test_body_over_the_limit_is_a_413(shared):
    """A body over 25 MB is refused as too large, and the client sees the answer."""
    answer = shared.post(image_url="data:image/png;base64," + "A" * (26 * 1024 * 1024))
    assert answer.status_code == 413


def test_chunked_body_over_the_limit_is_a_413(shared):
    """The limit holds for a body whose length was not announced."""
    url = f"{shared.box.url}/v1/images/generations"
    blocks = (b"A" * 1024 * 1024 for _ in range(27))
    answer = shared.session.post(url, data=blocks, headers={"Authorization": "Bearer k"}, timeout=20)
    assert answer.status_code == 413


def test_unknown_keys_are_ignored_and_recorded(client):
    """An unknown key does not spoil a request, but the record names it."""
    assert client.post(width=512, steps=3).status_code == 200
    assert client.box.calls[0].unknown_keys == ("width", "steps")


@pytest.mark.parametrize("model", ["flux/kontext-pro/text-to-image", "nonsense", ""])
def test_unknown_model_is_a_404(shared, model):
    """A model that does not exist is a 404 in the envelope."""
    answer = shared.post(model=model)
    assert (answer.status_code, answer.json()["error"]["name"]) == (404, "NotFoundException")


def test_unknown_model_is_told_which_there_are(shared):
    """The 404 lists the models that the sandbox has."""
    message = shared.post(model="flux/kontext-pro/text-to-image").json()["message"]
    assert "flux/kontext-pro/image-to-image, flux/kontext-max/image-to-image" in message


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_scheme_of_the_key_is_read_in_any_case(shared, scheme):
    """The name of an authorization scheme knows no case."""
    assert shared.post(headers={"Authorization": f"{scheme} k"}).status_code == 200


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer  ", "Basic abc", "test-key"])
def test_missing_key_is_a_401(shared, authorization):
    """Without a bearer key there is nothing but a 401."""
    answer = shared.post(headers={"Authorization": authorization})
    assert (answer.status_code, answer.json()["error"]["name"]) == (401, "UnauthorizedException")
    assert answer.json()["message"].startswith("This request requires a valid API key.")


def test_only_listed_keys_are_accepted(make_client):
    """With `keys` set, another key is a 401."""
    client = make_client(keys={"good"})
    assert client.post().status_code == 401
    assert client.post(headers={"Authorization": "Bearer good"}).status_code == 200


@pytest.mark.parametrize("client_id", ["a b", "ü".encode().decode("latin-1"), "x" * 129, "a/b"])
def test_malformed_client_request_id_is_dropped(client, client_id):
    """A client request id outside the alphabet or too long is neither echoed nor logged, and the call is billed."""
    answer = client.post(headers={"X-Client-Request-Id": client_id})
    assert (answer.status_code, client.box.bill) == (200, 0.052)
    assert "x-client-request-id" not in answer.headers
    assert [None] == [row["client_request_id"] for row in client.get("/v2/logs?period=1h").json()["data"]]


@pytest.mark.parametrize("agent", ["python-requests/2.32.3", "Python-urllib/3.11", "curl/8.5.0", ""])
def test_service_answers_every_agent(shared, agent):
    """No user agent is turned away from the service's own addresses."""
    answers = (
        shared.post(headers={"User-Agent": agent}),
        shared.get("/v1/models", headers={"User-Agent": agent}),
        shared.get("/v2/billing", headers={"User-Agent": agent}),
    )
    assert [200, 200, 200] == [answer.status_code for answer in answers]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/nothing"), ("GET", "/v1/images/generations"), ("POST", "/v1/models")]
)
def test_unknown_path_is_a_404_in_the_envelope(shared, method, path):
    """An address that does not exist, or not for this method, answers in the envelope."""
    answer = shared.session.request(method, shared.box.url + path, timeout=20)
    assert (answer.status_code, answer.json()["error"]["name"]) == (404, "NotFoundException")
    assert f"Cannot {method} {path}" == answer.json()["message"]


def test_slash_at_the_end_changes_nothing(shared):
    """The service's address may end with a slash."""
    url = f"{shared.box.url}/v1/images/generations/"
    answer = shared.session.post(url, json=shared.body(), headers={"Authorization": "Bearer k"}, timeout=20)
    assert answer.status_code == 200


def test_references_may_be_fetched_from_this_machine(shared):
    """A loopback URL is fetched: an output can be the next reference."""
    url = shared.post().json()["images"][0]["url"]
    assert shared.post(image_url=[url, shared.reference]).status_code == 200


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
def test_every_reference_format_is_read(shared, make_uri, kind):
    """jpg, png, webp, gif and avif references are accepted."""
    assert shared.post(image_url=make_uri(kind=kind)).status_code == 200


def test_other_picture_formats_are_refused(shared, make_uri):
    """A format outside the contract's list is a 400."""
    assert shared.post(image_url=make_uri(kind="BMP")).status_code == 400
