"""Every mishap the sandbox can act out, alone and mixed: state, reason and money are those of the guide's table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.entities import Run

import kontext_lab as kl
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.sandbox import FAULTS, Fault, Sandbox

STOPS = {"unauthorized": "401", "out_of_credits": "403", "not_found": "404"}

REFUSED = {"bad_request": "400", "forbidden": "403", "blocked": "403", "too_large": "413"}

PASSING = {
    "rate_limited": "429", "rate_limited_wait": "429", "server_error": "500", "bad_gateway": "502",
    "unavailable": "503", "generation_timeout": "504",
}  # fmt: skip
"""Sent again; with the reason where they don't pass."""

LOST_BILLED = {"proxy_timeout", "proxy_524", "lost", "cut_after", "cut_after_close", "cut_middle"}
LOST_UNKNOWN = {"proxy_bad_gateway", "proxy_empty", "cut_before", "cut_before_close"}
LOST_FREE = {"lost_failed"}

BILLED_FOR_NOTHING = {
    "moderated": "moderated", "black": "moderated", "no_picture": "empty", "unreadable": "unreadable",
    "not_json": "unreadable", "missing_one": "empty", "missing_one_black": "moderated",
    "truncated": "corrupt", "download_cut": "corrupt", "corrupt": "corrupt", "html_picture": "corrupt",
    "expired": "expired", "expired_403": "expired", "expired_410": "expired",
    "download_redirect_loop": "expired", "download_huge": "corrupt", "download_endless": "corrupt",
}  # fmt: skip

HARMLESS = {
    "slow", "cut_late", "b64", "image_base64", "download_5xx", "download_redirect", "download_redirect_host",
    "download_slow",
}  # fmt: skip

OUTCOMES: dict[str, tuple[str, str]] = {
    **{name: ("failed", status) for name, status in {**STOPS, **REFUSED}.items()},
    **dict.fromkeys(PASSING, ("done", "")),
    **dict.fromkeys(LOST_BILLED | LOST_UNKNOWN, ("in_doubt", "lost")),
    **dict.fromkeys(LOST_FREE, ("done", "")),
    **{name: ("failed", reason) for name, reason in BILLED_FOR_NOTHING.items()},
    **dict.fromkeys(HARMLESS, ("done", "")),
}
"""How a cell ends that meets a fault once, by the fault's name."""


def quickly(name: str) -> Fault:
    """The preset without its waits."""
    fault = FAULTS[name]
    return replace(fault, seconds=0.05) if fault.kind in ("slow", "lost", "download_slow") else fault


def test_the_table_knows_every_fault() -> None:
    """A new preset of the sandbox needs a line here."""
    assert set(FAULTS) == set(OUTCOMES)


@pytest.mark.parametrize("name", FAULTS)
def test_a_single_fault_ends_as_the_table_says(
    name: str,
    lab: kl.Lab,
    photo_file: Path,
    quick: Pacing,
    tracked: Callable[..., list[Run]],
    *,
    api: Sandbox,
) -> None:
    """State, reason, MLflow's status, and what the tracker says was spent is what the service billed."""
    api.script([quickly(name)])
    results = lab.run(kl.Sweep("Add a bird.", photo_file, aspect_ratio="1:1"), progress=False, pacing=quick)
    (child,) = tracked()
    (parent,) = tracked("sweep")

    assert OUTCOMES[name] == (results[0].state, results[0].reason)
    assert OUTCOMES[name] == (child.data.tags["kontext.state"], child.data.tags["kontext.reason"])
    assert ("FINISHED" if results[0].state == "done" else "FAILED") == child.info.status
    assert api.bill == pytest.approx(child.data.metrics["cost/usd"])
    assert api.bill == pytest.approx(results.cost)
    assert ("KILLED" if name in STOPS else child.info.status) == parent.info.status


@pytest.mark.parametrize("name", sorted(PASSING))
def test_what_does_not_pass_is_refused_for_good(
    name: str, lab: kl.Lab, api: Sandbox, photo_file: Path, quick: Pacing
) -> None:
    """After all attempts the cell failed with the status, nothing was billed, and a plain re-run sends it."""
    sweep = kl.Sweep("Add a bird.", photo_file, aspect_ratio="1:1")
    fault = replace(quickly(name), retry_after=None)
    api.script([fault] * quick.attempts)
    results = lab.run(sweep, progress=False, pacing=quick)
    attempts = quick.timeouts if name == "generation_timeout" else quick.attempts

    assert ("failed", PASSING[name]) == (results[0].state, results[0].reason)
    assert (attempts, 0) == (len(api.calls), api.bill)
    api.script([])
    assert lab.run(sweep, progress=False)[0].state == "done"


@pytest.mark.parametrize("name", sorted(BILLED_FOR_NOTHING))
def test_what_was_billed_for_nothing_is_not_bought_again_unasked(
    name: str, lab: kl.Lab, api: Sandbox, photo_file: Path, quick: Pacing
) -> None:
    """A plain re-run keeps the answer; `retry_failed` sends it."""
    sweep = kl.Sweep("Add a bird.", photo_file, aspect_ratio="1:1")
    api.script([quickly(name)])
    lab.run(sweep, progress=False, pacing=quick)
    again = lab.run(sweep, progress=False, pacing=quick)

    assert (1, OUTCOMES[name]) == (len(api.calls), (again[0].state, again[0].reason))
    assert lab.run(sweep, progress=False, pacing=quick, retry_failed=True)[0].state == "done"
    assert 2 == len(api.calls)


@pytest.mark.parametrize("name", ["missing_one", "missing_one_black"])
def test_a_cell_with_one_picture_of_two_is_done(
    name: str, lab: kl.Lab, api: Sandbox, photo_file: Path, quick: Pacing
) -> None:
    """Each output has its own reason; the cell says what is missing."""
    api.script([quickly(name)])
    sweep = kl.Sweep("Add a bird.", photo_file, aspect_ratio="1:1", num_images=2)
    cell = lab.run(sweep, progress=False, pacing=quick)[0]

    assert ("done", True, False) == (cell.state, cell.outputs[0].is_picture, cell.outputs[1].is_picture)
    assert "1 of 2 pictures" in cell.note


@pytest.mark.slow
def test_a_fifth_of_two_hundred_cells_meets_a_fault(
    store_uri: str,
    photo_file: Path,
    quick: Pacing,
    monkeypatch: pytest.MonkeyPatch,
    tracked: Callable[..., list[Run]],
) -> None:
    """Every cell ends as its last request's fault says, and the tracker's sum is the service's bill."""
    mixed = sorted(set(FAULTS) - set(STOPS) - {"lost", "lost_failed", "slow", "download_slow"})
    chances = dict.fromkeys(mixed, 0.2 / len(mixed))
    with Sandbox(faults=chances, seed=7) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        sweep = kl.Sweep(
            "Add a bird.", photo_file, axes={"seed": "1-50", "guidance_scale": "2,4,6,8"}, aspect_ratio="1:1"
        )
        with kl.Lab(concurrency=6, measure=False) as lab:
            results = lab.run(sweep, progress=False, pacing=quick)
        faults = {call.client_request_id: call.fault for call in box.calls}
        children = tracked()

        assert "" == results.stopped
        assert 200 == len(children)
        for child in children:
            tags = child.data.tags
            fault = faults[tags["kontext.request_id"]]
            expected = ("done", "") if fault is None else OUTCOMES[fault]
            assert expected == (tags["kontext.state"], tags["kontext.reason"]), (fault, tags["kontext.note"])
        assert box.bill == pytest.approx(sum(child.data.metrics["cost/usd"] for child in children))
        assert box.bill == pytest.approx(results.cost)
        assert {None, *mixed} >= set(faults.values())
        assert len({fault for fault in faults.values() if fault}) > 20
