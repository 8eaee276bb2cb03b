"""Answers of a working service: shapes, headers, money, log, models, records."""

from __future__ import annotations

import hashlib
import re
import time

import pytest


def test_legacy_shape(client):
    """Shape A lists images with sizes, one seed, a flag per image and the prompt."""
    body = client.post(num_images=2, seed=9).json()
    assert {"images", "timings", "seed", "has_nsfw_concepts", "prompt"} == set(body)
    keys = {"url", "content_type", "width", "height", "file_name", "file_size"}
    assert [keys, keys] == [set(item) for item in body["images"]]
    assert (body["seed"], body["has_nsfw_concepts"]) == (9, [False, False])


def test_hybrid_shape_lists_the_same_pictures_twice(make_client):
    """Shape B is shape A with `data` and usage."""
    body = make_client(shape="hybrid").post().json()
    assert body["images"] == body["data"]
    assert body["meta"]["usage"] == {"credits_used": 104000, "usd_spent": 0.052}


def test_current_shape_has_urls_and_usage_only(make_client):
    """Shape C knows neither seed nor flags nor sizes."""
    body = make_client(shape="current").post().json()
    assert {"data", "meta"} == set(body)
    assert {"url", "b64_json"} == set(body["data"][0])
    assert body["meta"]["usage"] == {"credits_used": 104000, "usd_spent": 0.052}


def test_headers_of_a_success(client):
    """A success carries ids, the echo, the cost and the mark of simulation."""
    answer = client.post(headers={"X-Client-Request-Id": "a.B_1:2-3"}, num_images=3)
    headers = answer.headers
    call = client.box.calls[0]
    assert (call.request_id, call.inference_id) == (headers["x-request-id"], headers["x-inference-id"])
    assert "a.B_1:2-3" == headers["x-client-request-id"] == call.client_request_id
    assert (headers["x-aimlapi-credits-used"], headers["x-aimlapi-usd-spent"]) == ("312000", "0.156000000")
    assert headers["x-kontext-sandbox"] == "simulated"


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v2/billing", "/v1/nothing", "/outputs/none.png", "/sandbox/bill"]
)
def test_every_answer_says_that_it_is_simulated(shared, path):
    """The header that marks the sandbox is on every address, errors included."""
    assert shared.get(path, key=not path.startswith("/outputs")).headers["x-kontext-sandbox"] == "simulated"


def test_drawn_seed_is_returned(client):
    """Without a seed one is drawn, within 32 bits, and returned."""
    assert 1 <= client.post(seed=...).json()["seed"] < 2**32


@pytest.mark.parametrize(
    ("model", "count", "usd"),
    [("flux/kontext-pro/image-to-image", 1, 0.052), ("flux/kontext-max/image-to-image", 2, 0.208)],
)
def test_bill_counts_pictures_by_model(client, model, count, usd):
    """Pictures cost by model and number."""
    client.post(model=model, num_images=count)
    assert usd == client.box.bill == client.box.calls[0].billed_usd


def test_bill_stays_exact(client):
    """Many small amounts add up without rounding errors."""
    for seed in range(1, 8):
        client.post(seed=seed)
    assert client.box.bill == 0.364


def test_prices_are_a_setting(make_client):
    """Other prices are charged and shown; a model without one does not exist."""
    client = make_client(prices={"flux/kontext-pro/image-to-image": 0.04})
    client.post()
    assert client.box.bill == 0.04
    assert client.post(model="flux/kontext-max/image-to-image").status_code == 404


def test_balance_shrinks(client):
    """GET /v2/billing shows what is left."""
    client.post()
    assert client.get("/v2/billing").json() == {"current_balance": 99.948, "currency": "USD"}


@pytest.mark.parametrize("path", ["/v2/billing", "/v2/logs?period=1h"])
def test_account_addresses_want_a_key(shared, path):
    """Balance and log are for key holders."""
    assert shared.get(path, key=False).status_code == 401


def test_used_up_balance_is_a_403_of_its_own_kind(make_client):
    """A request that the balance does not cover is refused and costs nothing."""
    client = make_client(balance=0.06)
    assert [client.post().status_code, (refused := client.post()).status_code] == [200, 403]
    assert refused.json()["error"]["data"]["kind"] == "err_insufficent_credits"
    assert refused.json()["message"].startswith("You've run out of credits")
    assert client.box.bill == 0.052


def test_balance_may_be_used_up_exactly(make_client):
    """The last cent can be spent."""
    assert make_client(balance=0.052).post().status_code == 200


def test_models_show_prices_only_when_asked(shared):
    """GET /v1/models needs no key, filters by id and shows prices on request."""
    name = "flux/kontext-max/image-to-image"
    plain = shared.get("/v1/models", key=False).json()
    priced = shared.get(f"/v1/models?id={name.upper()}&include=pricing", key=False).json()
    assert ["pricing" in entry for entry in plain["data"]] == [False, False]
    assert [name] == [entry["id"] for entry in priced["data"]]
    unit = priced["data"][0]["pricing"]["units"][0]
    assert (unit["name"], unit["price"], unit["per"]) == ("image", 0.104, 1)


def test_withdrawn_model_is_missing_from_the_models(shared):
    """An id that does not exist gives an empty list."""
    assert shared.get("/v1/models?id=gone", key=False).json()["data"] == []


def test_log_has_a_row_per_request_newest_first(client):
    """The log shows successes with their cost and failures for free."""
    client.post(headers={"X-Client-Request-Id": "one"})
    client.post(headers={"X-Client-Request-Id": "two"}, seed=0)
    rows = client.get("/v2/logs?period=1h").json()["data"]
    assert [(row["client_request_id"], row["status"], row["cost"]["usd"]) for row in rows] == [
        ("two", "failed", 0.0),
        ("one", "succeeded", 0.052),
    ]
    assert client.box.calls[0].inference_id == rows[1]["inference_id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", rows[0]["created"])


def test_log_pages(client):
    """Limit and offset walk through the log."""
    for number in range(5):
        client.post(headers={"X-Client-Request-Id": f"n{number}"}, seed=0)
    page = client.get("/v2/logs?period=1h&limit=2&offset=2").json()
    assert [row["client_request_id"] for row in page["data"]] == ["n2", "n1"]
    assert page["pagination"] == {"limit": 2, "offset": 2, "total": 5, "has_more": True}


def test_log_filters_by_status(client):
    """Status keeps what ended so; repeated values are alternatives."""
    client.post()
    client.post(seed=0)
    statuses = [
        [row["status"] for row in client.get(f"/v2/logs?period=1h&{query}").json()["data"]]
        for query in ("status=failed", "status=succeeded&status=failed")
    ]
    assert statuses == [["failed"], ["failed", "succeeded"]]


def test_log_window_may_be_two_instants(client):
    """Start and end bound the window."""
    client.post(seed=0)
    inside = client.get("/v2/logs?start=2020-01-01&end=2020-02-01").json()["pagination"]["total"]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    assert (inside, client.get(f"/v2/logs?start={before}&end={now}").json()["pagination"]["total"]) == (0, 1)


@pytest.mark.parametrize(
    "query",
    [
        "", "period=0h", "period=7w", "period=93d", "period=1h&start=2020-01-01&end=2020-01-02", "start=2020-01-01",
        "start=x&end=y", "start=2020-02-01&end=2020-01-01", "start=2020-01-01&end=2020-06-01", "period=1h&limit=0",
        "period=1h&limit=101", "period=1h&offset=-1", "period=1h&status=succeeded,failed",
    ],
)  # fmt: skip
def test_log_refuses_bad_questions(shared, query):
    """A missing or malformed window, page or status is a 400."""
    assert shared.get(f"/v2/logs?{query}").status_code == 400


def test_log_is_late(make_client):
    """With a log delay a charge shows up only afterwards."""
    client = make_client(log_delay=0.4)
    client.post()
    early = client.get("/v2/logs?period=1h").json()["pagination"]["total"]
    time.sleep(0.5)
    assert (early, client.get("/v2/logs?period=1h").json()["pagination"]["total"]) == (0, 1)


def test_record_of_a_call_has_no_key_and_no_picture(client):
    """The record keeps digests instead of pictures and never the key."""
    client.post(image_url=[client.reference, client.reference])
    call = client.box.calls[0]
    assert "authorization" not in call.headers
    assert "test-key" not in repr(call)
    assert [f"sha256:{digest}" for digest in call.references] == call.body["image_url"]


def test_record_names_what_was_delivered(client):
    """A call's outputs are the digests of the bytes that can be downloaded."""
    pictures = client.pictures(client.post(num_images=2))
    call = client.box.calls[0]
    assert tuple(hashlib.sha256(data).hexdigest() for data in pictures) == call.outputs
    assert (call.status, call.delivered, call.fault) == (200, True, None)
    assert call.received <= call.answered


def test_calls_are_in_order_of_arrival(client):
    """Calls are numbered as they came."""
    for seed in (5, 3, 4):
        client.post(seed=seed)
    assert [(call.number, call.body["seed"]) for call in client.box.calls] == [(1, 5), (2, 3), (3, 4)]


def test_output_expires(make_client):
    """After its lifetime a picture is gone, with a page instead of an envelope."""
    client = make_client(url_lifetime=0.0)
    answer = client.get(client.post().json()["images"][0]["url"], key=False)
    assert (answer.status_code, answer.headers["Content-Type"]) == (410, "text/html; charset=utf-8")


@pytest.mark.parametrize(("sent", "scheme"), [("Bearer test-key", "Bearer"), ("test-key", "")])
def test_picture_host_remembers_a_key(client, sent, scheme):
    """A key sent to the picture host is recorded, without the key itself; the picture is served."""
    url = client.post().json()["images"][0]["url"]
    assert client.get(url, headers={"Authorization": sent}).status_code == 200
    assert [leak.scheme for leak in client.box.key_leaks] == [scheme]
    assert "test-key" not in repr(client.box.key_leaks)


def test_key_is_remembered_even_if_the_agent_is_blocked(client):
    """A key that reached the picture host is recorded, whatever else was wrong."""
    url = client.post().json()["images"][0]["url"]
    client.get(url, key=True, headers={"User-Agent": "Python-urllib/3.11"})
    assert len(client.box.key_leaks) == 1


def test_picture_host_serves_without_a_key(client):
    """A download without a key is no leak."""
    assert len(client.pictures(client.post())) == 1
    assert client.box.key_leaks == []


def test_picture_host_blocks_urllib(client):
    """The picture host turns Python's urllib away, as the CDN does."""
    url = client.post().json()["images"][0]["url"]
    answer = client.get(url, key=False, headers={"User-Agent": "Python-urllib/3.11"})
    assert (answer.status_code, answer.text) == (403, "error code: 1010")
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_picture_host_serves_requests(client):
    """The picture host serves `requests` with its default agent."""
    url = client.post().json()["images"][0]["url"]
    assert client.get(url, key=False, headers={"User-Agent": "python-requests/2.32.3"}).status_code == 200


def test_control_addresses_tell_the_same_as_python(client):
    """/sandbox/calls and /sandbox/bill serve what the object knows, without a key."""
    client.post()
    calls = client.get("/sandbox/calls", key=False).json()
    bill = client.get("/sandbox/bill", key=False).json()
    assert [client.box.calls[0].inference_id] == [call["inference_id"] for call in calls]
    assert (bill["usd"], bill["credits"], bill["max_in_flight"]) == (0.052, 104000, 1)
