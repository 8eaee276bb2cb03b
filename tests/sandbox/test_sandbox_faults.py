"""Every fault does what it says, costs what it must and leaves the log's truth."""

from __future__ import annotations

import base64
import io
import time

import numpy as np
import pytest
import requests
from PIL import Image

from kontext_lab.sandbox import FAULTS, Fault

OWN_ERRORS = {
    "bad_request": 400,
    "unauthorized": 401,
    "out_of_credits": 403,
    "forbidden": 403,
    "not_found": 404,
    "too_large": 413,
    "rate_limited": 429,
    "rate_limited_wait": 429,
    "server_error": 500,
    "bad_gateway": 502,
    "unavailable": 503,
    "generation_timeout": 504,
}
PROXY_PAGES = {
    "blocked": (403, "text/plain", False),
    "proxy_timeout": (504, "text/html", True),
    "proxy_524": (524, "text/plain", True),
    "proxy_bad_gateway": (502, "text/html", False),
    "proxy_empty": (502, "text/plain", False),
}
CUTS = {
    "cut_before": (0.0, 0),
    "cut_before_close": (0.0, 0),
    "cut_after": (0.052, 1),
    "cut_after_close": (0.052, 1),
    "cut_middle": (0.052, 1),
    "cut_late": (0.052, 1),
}


def load(data: bytes) -> np.ndarray:
    """Decode a picture completely."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def rows(client) -> list[tuple[str, float]]:
    """Status and cost of the log's rows."""
    page = client.get("/v2/logs?period=1h").json()
    return [(row["status"], row["cost"]["usd"]) for row in page["data"]]


def first_url(client, *faults, **fields) -> str:
    """URL of the first picture of a request that meets these faults."""
    client.script(*faults)
    return client.post(**fields).json()["images"][0]["url"]


@pytest.mark.parametrize("envelope", ["new", "old"])
@pytest.mark.parametrize(("name", "status"), OWN_ERRORS.items())
def test_error_in_the_own_envelope_is_free(make_client, name, status, envelope):
    """An error of the service itself comes in its envelope, costs nothing and is logged as failed."""
    client = make_client(envelope=envelope, faults=[name])
    answer = client.post(headers={"X-Client-Request-Id": "abc"})
    body = answer.json()
    assert (status, status) == (answer.status_code, body["status" if envelope == "new" else "statusCode"])
    assert answer.headers["x-client-request-id"] == "abc"
    assert client.box.bill == 0
    assert rows(client) == [("failed", 0.0)]
    assert (name, status) == (client.box.calls[0].fault, client.box.calls[0].status)


def test_out_of_credits_names_its_kind(client):
    """The 403 for credits carries the service's kind; another 403 does not."""
    client.script("out_of_credits", "forbidden")
    assert client.post().json()["error"]["data"]["kind"] == "err_insufficent_credits"
    assert "data" not in client.post().json()["error"]


def test_retry_after_comes_only_if_asked_for(client):
    """A 429 has no Retry-After unless the fault has one."""
    client.script("rate_limited", "rate_limited_wait", Fault("error", status=429, retry_after="soon"))
    assert [client.post().headers.get("Retry-After") for _ in range(3)] == [None, "1", "soon"]


@pytest.mark.parametrize(("name", "expected"), PROXY_PAGES.items())
def test_proxy_page_has_no_envelope(client, name, expected):
    """A proxy's page has no envelope and no ids; some hide work that was billed."""
    status, kind, billed = expected
    client.script(name)
    answer = client.post()
    assert (status, kind) == (answer.status_code, answer.headers["Content-Type"].partition(";")[0])
    assert not answer.text.startswith("{")
    assert {"x-request-id", "x-inference-id", "x-aimlapi-usd-spent"}.isdisjoint(set(answer.headers))
    assert (0.052 if billed else 0) == client.box.bill
    assert ([("succeeded", 0.052)] if billed else []) == rows(client)


@pytest.mark.parametrize(("name", "expected"), CUTS.items())
def test_cut_connection_gives_no_answer(client, name, expected):
    """A cut before the work is free, a cut after it is billed; neither delivers an answer."""
    usd, logged = expected
    client.script(name)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client.post()
    call = client.box.calls[0]
    assert (usd, usd, False) == (client.box.bill, call.billed_usd, call.delivered)
    assert logged == len(rows(client))


@pytest.mark.parametrize("name", ["cut_middle", "cut_late"])
def test_cut_in_the_middle_has_a_status_and_part_of_a_body(client, name):
    """The answer begins and breaks off."""
    client.script(name)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)) as caught:
        client.post()
    assert "IncompleteRead" in str(caught.value)
    assert client.box.calls[0].status == 200


def test_cut_before_does_no_work(client):
    """A connection cut before the work leaves no picture."""
    client.script("cut_before")
    with pytest.raises(requests.ConnectionError):
        client.post()
    assert (client.box.calls[0].outputs, client.box.calls[0].status) == ((), None)


def test_lost_answer_is_billed(client):
    """A lost answer never comes, though the work is done, billed and logged at once."""
    client.script("lost")
    with pytest.raises(requests.ReadTimeout):
        client.post(timeout=0.6)
    call = client.box.calls[0]
    assert (client.box.bill, call.delivered, call.status, len(call.outputs)) == (0.052, False, None, 1)
    assert rows(client) == [("succeeded", 0.052)]


def test_lost_answer_is_cut_in_the_end(client):
    """With `seconds` the sandbox gives up holding the connection before the client does."""
    client.script(Fault("lost", seconds=0.2))
    with pytest.raises(requests.ConnectionError):
        client.post(timeout=10)


def test_lost_failure_is_free(client):
    """Work that failed unheard of is logged as failed and costs nothing."""
    client.script(Fault("lost", billed=False, seconds=0.1))
    with pytest.raises(requests.ConnectionError):
        client.post()
    assert (client.box.bill, rows(client)) == (0, [("failed", 0.0)])


def test_lost_answer_holds_no_place(make_client):
    """While a lost answer is held, the account's place is free again."""
    client = make_client(concurrency=1, faults=["lost"])
    with pytest.raises(requests.ReadTimeout):
        client.post(timeout=0.5)
    assert client.post().status_code == 200


def test_unlogged_charge_never_shows(client):
    """A fault may keep a charge out of the log for good."""
    client.script(Fault("lost", logged=False, seconds=0.1))
    with pytest.raises(requests.ConnectionError):
        client.post()
    assert (client.box.bill, rows(client)) == (0.052, [])


def test_slow_answer_is_late_but_whole(client):
    """A slow answer takes its seconds and is then like any other."""
    client.script(Fault("slow", seconds=0.4))
    began = time.monotonic()
    assert client.post().status_code == 200
    assert time.monotonic() - began >= 0.4


def test_moderated_answer_is_flagged_black_and_billed(client):
    """Moderation leaves a flag and a black picture that is paid for."""
    client.script("moderated")
    answer = client.post(output_format="png")
    assert answer.json()["has_nsfw_concepts"] == [True]
    assert load(client.pictures(answer)[0]).max() == 0
    assert client.box.bill == 0.052


def test_moderated_answer_in_the_current_shape_has_no_flag(make_client):
    """Shape C cannot flag: only the black picture tells."""
    client = make_client(shape="current", faults=["moderated"])
    answer = client.post()
    assert "has_nsfw_concepts" not in answer.json()
    assert load(client.pictures(answer)[0]).max() < 3


def test_one_picture_of_several_may_be_moderated(client):
    """`picture` aims a fault at one picture of an answer."""
    client.script(Fault("moderated", picture=2))
    assert client.post(num_images=3).json()["has_nsfw_concepts"] == [False, True, False]


def test_black_picture_has_no_flag(client):
    """A black picture may come without any flag."""
    client.script("black")
    answer = client.post()
    assert answer.json()["has_nsfw_concepts"] == [False]
    assert load(client.pictures(answer)[0]).max() < 3


def test_answer_without_pictures_is_billed(client):
    """A 200 with an empty list is paid for."""
    client.script("no_picture")
    assert (client.post().json()["images"], client.box.bill) == ([], 0.052)


def test_unreadable_answer_is_billed(client):
    """A 200 of an unknown shape, or that is no JSON, is paid for."""
    client.script("unreadable", "not_json")
    assert {"result"} == set(client.post().json())
    assert client.post().text == "OK, your picture is ready"
    assert client.box.bill == 0.104


@pytest.mark.parametrize(("name", "field"), [("b64", "b64_json"), ("image_base64", "image_base64")])
def test_answer_may_carry_the_picture_itself(client, name, field):
    """The bytes may come in the answer, without a URL."""
    client.script(name)
    item = client.post().json()["images"][0]
    assert (item["url"], load(base64.b64decode(item[field])).shape) == (None, (880, 1184, 3))


def test_one_picture_may_be_missing(client):
    """Of several pictures one may be missing, or black; all are billed."""
    client.script("missing_one", "missing_one_black")
    assert len(client.post(num_images=3).json()["images"]) == 2
    pictures = client.pictures(client.post(num_images=3))
    assert [bool(load(data).max() < 3) for data in pictures] == [False, False, True]
    assert client.box.bill == 0.312


def test_truncated_picture_does_not_decode(client):
    """A truncated download is a proper HTTP answer with part of a picture."""
    data = client.get(first_url(client, "truncated"), key=False).content
    assert data.startswith(b"\xff\xd8")
    with pytest.raises(OSError, match="truncated"):
        load(data)


def test_cut_download_is_noticed(client):
    """A download whose connection breaks off is an error of the transport."""
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client.get(first_url(client, "download_cut"), key=False)


@pytest.mark.parametrize("form", ["jpeg", "png"])
def test_corrupt_picture_does_not_decode(client, form):
    """A corrupt picture has the right length and no readable content."""
    data = client.get(first_url(client, "corrupt", output_format=form), key=False).content
    with pytest.raises((OSError, SyntaxError)):
        load(data)


def test_html_may_come_instead_of_a_picture(client):
    """A page may come with status 200 where a picture should be."""
    answer = client.get(first_url(client, "html_picture"), key=False)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(("name", "status"), [("expired", 404), ("expired_403", 403), ("expired_410", 410)])
def test_url_may_be_expired_at_once(client, name, status):
    """A URL can be dead from the start."""
    assert status == client.get(first_url(client, name), key=False).status_code


def test_download_recovers_after_its_failures(client):
    """A failing download works after as many tries as the fault says."""
    url = first_url(client, "download_5xx")
    assert [client.get(url, key=False).status_code for _ in range(3)] == [503, 503, 200]


def test_download_may_be_redirected(client):
    """A redirect leads to the picture by another path."""
    answer = client.get(first_url(client, Fault("download_redirect", times=3)), key=False)
    assert (answer.status_code, len(answer.history)) == (200, 3)


def test_download_may_be_redirected_to_another_host(client):
    """A redirect may lead to another host name."""
    answer = client.get(first_url(client, "download_redirect_host"), key=False, allow_redirects=False)
    assert answer.headers["Location"].startswith("http://localhost:")


def test_redirects_may_have_no_end(client):
    """A loop of redirects is there to be refused."""
    with pytest.raises(requests.TooManyRedirects):
        client.get(first_url(client, "download_redirect_loop"), key=False)


def test_huge_download_announces_itself(client):
    """A huge download says so in Content-Length."""
    url = first_url(client, "download_huge")
    with client.session.get(url, stream=True, timeout=10) as answer:
        assert int(answer.headers["Content-Length"]) > 64 * 1024 * 1024


def test_endless_download_does_not_announce_itself(client):
    """An endless download has no length and goes on past 64 MiB."""
    url = first_url(client, "download_endless")
    with client.session.get(url, stream=True, timeout=10) as answer:
        assert "Content-Length" not in answer.headers
        size = 0
        for chunk in answer.iter_content(4 * 1024 * 1024):
            size += len(chunk)
            if size > 65 * 1024 * 1024:
                break
    assert size > 65 * 1024 * 1024


def test_slow_download_is_late_but_whole(client):
    """A slow download takes its seconds."""
    url = first_url(client, Fault("download_slow", seconds=0.3))
    began = time.monotonic()
    assert client.get(url, key=False).status_code == 200
    assert time.monotonic() - began >= 0.3


def test_download_faults_are_billed(client):
    """What happens to the download does not change the bill."""
    client.script("expired", "corrupt", "truncated")
    for _ in range(3):
        client.post()
    assert client.box.bill == 0.156


def test_outputs_are_recorded_undamaged(client):
    """The record names the picture as made, whatever was downloaded."""
    client.script("corrupt", None)
    client.post()
    client.post()
    first, second = client.box.calls
    assert first.outputs == second.outputs


def test_script_is_dealt_in_order_of_arrival(client):
    """The script meets the next requests one by one and then runs out."""
    client.script("rate_limited", None, Fault("error", status=503))
    assert [client.post().status_code for _ in range(4)] == [429, 200, 503, 200]
    assert [call.fault for call in client.box.calls] == ["rate_limited", None, "unavailable", None]


def test_probabilities_are_repeatable(make_client):
    """The same seed deals the same faults, another seed others."""
    dealt = []
    for seed in (1, 1, 2):
        client = make_client(faults={"rate_limited": 0.5, "unavailable": 0.2}, seed=seed)
        dealt.append([client.post().status_code for _ in range(16)])
    assert dealt[0] == dealt[1] != dealt[2]
    assert {200, 429, 503} == set(dealt[0] + dealt[2])


def test_faults_can_be_set_over_http(client):
    """/sandbox/faults takes a script or probabilities and shows what is to come."""
    url = f"{client.box.url}/sandbox/faults"
    client.session.post(url, json=["lost", None, {"kind": "error", "status": 429}], timeout=10)
    assert client.get(url).json()["script"] == [{"kind": "lost"}, None, {"kind": "error", "status": 429}]
    client.session.post(url, json={"unavailable": 1}, timeout=10)
    client.session.post(url, json=[], timeout=10)
    assert client.post().status_code == 503
    client.session.delete(url, timeout=10)
    assert client.post().status_code == 200


@pytest.mark.parametrize(
    "body", [3, ["nonsense"], [{"kind": "error"}], {"lost": 2}, {"lost": "x"}, [{"a": 1}]]
)
def test_bad_faults_are_refused_over_http(shared, body):
    """Nonsense faults are a 400 that says why."""
    answer = shared.session.post(f"{shared.box.url}/sandbox/faults", json=body, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "nonsense"}, {"kind": "error"}, {"kind": "error", "status": 200}, {"kind": "lost", "status": 500},
        {"kind": "slow", "seconds": -1}, {"kind": "lost", "where": "middle"}, {"kind": "expired", "times": 0},
        {"kind": "error", "status": 500, "envelope": "xml"}, {"kind": "black", "picture": 0},
    ],
)  # fmt: skip
def test_impossible_faults_are_refused(fields):
    """A fault is checked when it is made."""
    with pytest.raises(ValueError, match=r"\w"):
        Fault(**fields)


@pytest.mark.parametrize("name", FAULTS)
def test_every_preset_strikes_and_leaves_the_sandbox_working(client, name):
    """After any preset the next request is served as usual."""
    client.script(name)
    lost = FAULTS[name].kind == "lost"
    try:
        client.post(timeout=0.8 if lost else 20, num_images=2)
    except requests.RequestException:
        assert FAULTS[name].kind in ("lost", "cut_before", "cut_after")
    assert client.post().status_code == 200
    assert [name, None] == [call.fault for call in client.box.calls]


@pytest.mark.parametrize("name", FAULTS)
def test_every_preset_survives_json(name):
    """A preset can be sent to a sandbox in another process."""
    assert Fault(**FAULTS[name].to_json()) == FAULTS[name]
