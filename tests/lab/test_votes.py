"""Pairs of pictures, votes on them in MLflow, and the scores that come of them."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.errors import ConfigError, NotFound
from kontext_lab.panel.pairs import by_value, pairs, rankable
from kontext_lab.results import CellResult, Output, Results, State
from kontext_lab.sandbox import Sandbox
from kontext_lab.statistics import Vote

Make = Callable[..., kl.Sweep]


def by_hand(prompt: Any = "Add a bird.", **fields: Any) -> Results:
    """Results whose every output is another picture, by name only: pairs look at no bytes."""
    if "image" not in fields.get("axes", {}):
        fields["image"] = kl.sample("coffee")
    made = []
    for cell in kl.Sweep(prompt, **fields).cells:
        result = CellResult.from_cell(cell, "sandbox", f"f{cell.index}")
        result.state = State.DONE
        result.outputs = [
            Output(result, number, sha256=f"{cell.index}-{number}", format="png")
            for number in range(1, cell.request.pictures + 1)
        ]
        made.append(result)
    return Results(made)


@pytest.fixture
def three(lab: kl.Lab, make_sweep: Make) -> Results:
    """Three finished cells of one picture each."""
    axes = {"guidance_scale": [2, 5, 8]}
    return lab.run(make_sweep(name="three", prompt="Add a bird.", axes=axes), progress=False)


def ids(results: Results) -> list[str]:
    """What votes call the pictures."""
    return [cell.output.sha256 for cell in results]


# Pairs.


def test_pairs_differ_in_one_axis_alone() -> None:
    """At the same seed and everything else; every two values meet once in each."""
    results = by_hand(axes={"guidance_scale": [2, 5, 8], "seed": [1, 2], "aspect_ratio": ["1:1", "16:9"]})
    found = pairs(results, "guidance_scale")
    assert 3 * 2 * 2 == len(found)
    for match in found:
        one, two = match.left.params, match.right.params
        assert {"guidance_scale"} == {key for key in one if one[key] != two[key]}
    assert {("2", "5"), ("2", "8"), ("5", "8")} == {match.labels for match in found}


def test_pairs_of_several_outputs_have_one_number() -> None:
    """The first picture of a request is held against the first of another."""
    found = pairs(by_hand(axes={"guidance_scale": [2, 5]}, num_images=3), "guidance_scale")
    assert [(1, 1), (2, 2), (3, 3)] == [(match.left.number, match.right.number) for match in found]


def test_the_output_may_be_the_axis() -> None:
    """Pictures of one request against each other."""
    results = by_hand(axes={"seed": [1, 2]}, num_images=2)
    assert ["seed", "output"] == list(rankable(results))
    assert [True, True] == [match.left.cell is match.right.cell for match in pairs(results, "output")]


def test_words_change_the_prompt_and_are_one_axis() -> None:
    """The prompt follows its words."""
    results = by_hand("Add a {animal}.", axes={"animal": ["bird", "crab"], "seed": [1, 2]})
    assert {"animal": 2, "seed": 2} == {axis: len(found) for axis, found in rankable(results).items()}


def test_words_inside_several_prompts() -> None:
    """Prompts are held against each other at the same word, words within the same prompt."""
    prompts = {"plain": "Add a {animal}.", "keep": "Add a {animal}, keep the rest."}
    results = by_hand(None, axes={"prompt": prompts, "animal": ["bird", "crab"]})
    assert [("plain", "keep")] * 2 == [match.labels for match in pairs(results, "prompt")]
    assert [("bird", "crab")] * 2 == [match.labels for match in pairs(results, "animal")]


def test_parameters_that_vary_together_are_one_axis() -> None:
    """Values that stand in one line of a paired axis are never apart."""
    results = by_hand(axes={"aspect_ratio+guidance_scale": [("1:1", 2), ("16:9", 6)], "seed": [1, 2]})
    assert {"aspect_ratio": 2, "seed": 2} == {axis: len(found) for axis, found in rankable(results).items()}


def test_seeds_never_go_along() -> None:
    """Two cells that differ in seed and guidance are no pair, also where there are no others."""
    results = by_hand(axes={"guidance_scale": [2, 5], "seed": [1, 2]})
    diagonal = Results([results[0], results[3]])
    assert {} == rankable(diagonal)


def test_references_never_go_along() -> None:
    """Pictures of different photographs are no pair in any other axis."""
    photos = {"cup": kl.sample("coffee"), "man": kl.sample("astronaut")}
    results = by_hand(axes={"image": photos, "guidance_scale": [2, 5]})
    assert {"image": 2, "guidance_scale": 2} == {
        axis: len(found) for axis, found in rankable(results).items()
    }
    assert all(
        match.left.params["image"] == match.right.params["image"]
        for match in pairs(results, "guidance_scale")
    )


def test_simulated_pictures_meet_no_real_ones() -> None:
    """Pairs are of one service."""
    results = by_hand(axes={"guidance_scale": [2, 5]})
    results[1].service = "https://api.aimlapi.com"
    assert [] == pairs(results, "guidance_scale")


def test_what_is_no_picture_is_in_no_pair() -> None:
    """Moderated and failed cells are left out."""
    results = by_hand(axes={"guidance_scale": [2, 5, 8, 9]})
    results[0].outputs[0].reason = "moderated"
    results[1].outputs = []
    results[1].state = State.FAILED
    assert [("8", "9")] == [match.labels for match in pairs(results, "guidance_scale")]


def test_the_very_same_picture_twice_is_no_pair() -> None:
    """There is nothing to choose."""
    results = by_hand(axes={"guidance_scale": [2, 5, 8]})
    results[1].outputs[0].sha256 = results[0].outputs[0].sha256
    assert [("2", "8")] == [match.labels for match in pairs(results, "guidance_scale")]


@pytest.mark.parametrize("results", [Results([]), by_hand(), by_hand(axes={"seed": [1]})])
def test_one_cell_has_no_pairs(results: Results) -> None:
    """Nor have none."""
    assert {} == rankable(results)


def test_an_axis_that_is_not_there() -> None:
    """Says what there is."""
    with pytest.raises(NotFound, match="wing: no cell has such a parameter, there are"):
        pairs(by_hand(axes={"seed": [1, 2]}), "wing")


def test_thirty_values_with_seeds_are_paired_quickly() -> None:
    """1305 pairs in less than a second of processor time."""
    results = by_hand(axes={"guidance_scale": [1 + at / 10 for at in range(30)], "seed": [1, 2, 3]})
    began = time.thread_time()
    found = rankable(results)
    assert time.thread_time() - began < 1
    assert {"guidance_scale": 1305, "seed": 90} == {axis: len(matches) for axis, matches in found.items()}


def test_values_are_scored_over_seeds() -> None:
    """Every vote on a pair counts for the values of the two, whichever was on the left; others are passed over."""
    matches = pairs(by_hand(axes={"guidance_scale": [2, 5], "seed": [1, 2, 3]}), "guidance_scale")
    given = [Vote(one.right.sha256, one.left.sha256, "left") for one in matches]
    found = by_value(matches, [*given, Vote("x", "y", "left")])
    assert (["5", "2"], {"5": 3, "2": 3}) == (list(found.means), found.votes)


# Votes in the store.


def test_a_vote_is_a_file_on_the_sweep(lab: kl.Lab, three: Results, store_uri: str) -> None:
    """With who, what, when, and which cells, for whoever opens it in MLflow."""
    vote = lab.vote(three[0], three[1], "left", "Anna K.")
    client = MlflowClient(store_uri)
    (file,) = client.list_artifacts(three.run_id, "votes")
    facts = json.loads(Path(client.download_artifacts(three.run_id, file.path)).read_text("utf-8"))
    assert (f"votes/{vote.given_at:%Y%m%dT%H%M%S}-Anna-K-{vote.key}.json", "left", "Anna K.", "g2", "g5") == (
        file.path,
        *(facts[name] for name in ("choice", "rater", "left_cell", "right_cell")),
    )


def test_votes_are_read_back(lab: kl.Lab, three: Results) -> None:
    """In another process' eyes as well: of everybody, the oldest first, to the microsecond."""
    given = [
        lab.vote(three[0], three[1], "left", "anna"),
        lab.vote(three[2].output, three[1].output, "both good", "bert"),
        lab.vote(three[2], three[0], "both bad"),
    ]
    with kl.Lab("sandbox", quiet=True) as other:
        assert given == other.votes(other.load("three"))


def test_scores_are_metrics(lab: kl.Lab, three: Results, store_uri: str) -> None:
    """On the cells' runs, on the outputs at once, and on what is loaded; only where there are votes."""
    lab.vote(three[0], three[1], "right")
    found = lab.scores(three)
    expected = [
        {"rank/score": found.means[one], "rank/score_se": found.errors[one]} if one in found.means else {}
        for one in ids(three)
    ]
    logged = [MlflowClient(store_uri).get_run(cell.run_id).data.metrics for cell in three]
    assert expected == [cell.output.metrics for cell in three]
    assert expected == [cell.output.metrics for cell in lab.load("three")]
    assert expected == [{key: one[key] for key in one if "rank" in key} for one in logged]
    assert expected[1]["rank/score"] > 0 > expected[0]["rank/score"]


def test_scores_are_columns(lab: kl.Lab, three: Results) -> None:
    """So that whatever reads the table can use them."""
    lab.vote(three[0], three[1], "right")
    lab.scores(three)
    assert [True, True, False] == list(three.to_frame()["rank/score"].notna())


def test_a_later_score_takes_the_place(lab: kl.Lab, three: Results) -> None:
    """However soon it comes."""
    for choice in ("left", "right", "right", "right"):
        lab.vote(three[0], three[1], choice)
        found = lab.scores(three)
    assert found.means[ids(three)[0]] == lab.load("three")[0].output.metrics["rank/score"] < 0


def test_every_output_has_its_own_score(lab: kl.Lab, make_sweep: Make) -> None:
    """Of several pictures of one request."""
    axes = {"guidance_scale": [2, 5]}
    results = lab.run(make_sweep(name="many", prompt="Add a bird.", axes=axes, num_images=2), progress=False)
    lab.vote(results[0].outputs[1], results[1].outputs[1], "left")
    lab.vote(results[0].outputs[0], results[1].outputs[0], "right")
    lab.scores(results)
    loaded = lab.load("many")
    assert [False, True, True, False] == [output.metrics["rank/score"] > 0 for output in loaded.outputs]


def test_taken_back(lab: kl.Lab, three: Results) -> None:
    """The vote counts no more, and the score it made is gone."""
    vote = lab.vote(three[0], three[1], "left")
    lab.scores(three)
    lab.withdraw_vote(vote, three[0], three[1])
    lab.scores(three)
    assert ([], [{}] * 3, [{}] * 3) == (
        lab.votes(three),
        [cell.output.metrics for cell in three],
        [cell.output.metrics for cell in lab.load("three")],
    )


def test_a_vote_on_others_is_not_taken_back(lab: kl.Lab, three: Results) -> None:
    """Whoever names other pictures is told."""
    vote = lab.vote(three[0], three[1], "left")
    with pytest.raises(NotFound, match="this vote was on other pictures"):
        lab.withdraw_vote(vote, three[0], three[2])
    assert [vote] == lab.votes(three)


def test_verdicts_and_scores_leave_each_other_alone(lab: kl.Lab, three: Results) -> None:
    """Both are on the output afterwards."""
    lab.set_verdict(three[0], "favourite", True)
    lab.vote(three[0], three[1], "left")
    lab.scores(three)
    lab.set_verdict(three[0], "rest kept", False)
    names = {"verdict/favourite", "verdict/rest_kept", "rank/score", "rank/score_se"}
    assert names == set(three[0].output.metrics) == set(lab.load("three")[0].output.metrics)


def test_people_who_vote_at_once_lose_nothing(lab: kl.Lab, three: Results) -> None:
    """Four at a time, in three labs, ten votes each."""
    labs = [lab, kl.Lab("sandbox", quiet=True), kl.Lab("sandbox", quiet=True)]
    keys: list[str] = []

    def votes(number: int) -> None:
        for _ in range(10):
            keys.append(labs[number % 3].vote(three[0], three[1], "left", "anna").key)

    threads = [threading.Thread(target=votes, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (40, sorted(keys)) == (len(keys), sorted(vote.key for vote in lab.votes(three)))


def test_a_vote_that_was_cut_off_costs_itself_alone(lab: kl.Lab, three: Results, workdir: Path) -> None:
    """As a kill leaves it: empty, half written, or no text at all."""
    vote = lab.vote(three[0], three[1], "left")
    (folder,) = workdir.rglob("votes")
    whole = next(folder.glob("*.json")).read_bytes()
    for at, text in enumerate((b"", whole[: len(whole) // 2], b"\xff\xfe", b"[]")):
        (folder / f"20990101T00000{at}-x.json").write_bytes(text)
    assert [vote] == lab.votes(lab.load("three"))


def test_votes_hold_for_copies(lab: kl.Lab, three: Results, make_sweep: Make) -> None:
    """A longer sweep that reuses pictures knows what was said of them, and their scores."""
    vote = lab.vote(three[0], three[1], "left")
    lab.scores(three)
    axes = {"guidance_scale": [2, 5, 8, 9]}
    longer = lab.run(make_sweep(name="longer", prompt="Add a bird.", axes=axes), progress=False)
    further = lab.vote(longer[2], longer[3], "right")
    scored = [True, True, False, False] == ["rank/score" in cell.output.metrics for cell in longer]
    lab.scores(longer)
    assert ([vote, further], True) == (lab.votes(longer), scored)
    assert [True] * 4 == ["rank/score" in cell.output.metrics for cell in lab.load("longer")]


def test_votes_between_sweeps_are_known_to_both(lab: kl.Lab, three: Results, make_sweep: Make) -> None:
    """Once for the two together, and each sweep's scores hold them."""
    other = lab.run(make_sweep(name="other", prompt="Add a crab.", axes={}, guidance_scale=2), progress=False)
    vote = lab.vote(three[0], other[0], "right")
    found = lab.scores(three + other)
    assert [vote] == lab.votes(three + other)
    assert found.means == lab.scores(lab.load("other")).means == lab.scores(lab.load("three")).means


def test_votes_on_others_are_not_told(lab: kl.Lab, three: Results) -> None:
    """Of a part of a sweep only what is about that part."""
    lab.vote(three[0], three[1], "left")
    assert [] == lab.votes(three.sel(guidance_scale=[5, 8]))


def test_a_new_picture_has_no_votes(lab: kl.Lab, three: Results) -> None:
    """A vote was on the very bytes: what takes their place begins anew."""
    lab.vote(three[0], three[1], "left")
    three[0].outputs[0].sha256 = "0" * 64
    assert [] == lab.votes(three)


@pytest.mark.parametrize(
    ("choice", "error", "line"),
    [
        (
            "neither",
            ConfigError,
            "vote: choice must be one of left, right, both good, both bad, not 'neither'",
        ),
        (None, ConfigError, "vote: choice must be one of left, right, both good, both bad, not None"),
    ],
)
def test_no_such_choice(lab: kl.Lab, three: Results, choice: Any, error: type, line: str) -> None:
    """Nothing is recorded."""
    with pytest.raises(error, match=line):
        lab.vote(three[0], three[1], choice)
    assert [] == lab.votes(three)


def test_a_picture_against_itself(lab: kl.Lab, three: Results) -> None:
    """Is no vote."""
    with pytest.raises(ConfigError, match="a vote needs two pictures"):
        lab.vote(three[0], three[0], "left")


def test_something_else_than_pictures(lab: kl.Lab, three: Results) -> None:
    """Says what is allowed."""
    with pytest.raises(
        ConfigError, match=r"expected a cell, such as results\[0\], or an output of it, not str"
    ):
        lab.vote(three[0], "g5", "left")  # type: ignore[arg-type]


def test_no_picture(lab: kl.Lab, three: Results) -> None:
    """A cell that is none has nothing to vote on."""
    waiting = CellResult("g9", {})
    with pytest.raises(NotFound, match="g9: there is no picture to vote on, the cell is waiting"):
        lab.vote(three[0], waiting, "left")


def test_pictures_that_are_not_tracked(lab: kl.Lab) -> None:
    """A vote needs a run to lie on."""
    results = by_hand(axes={"guidance_scale": [2, 5]})
    with pytest.raises(NotFound, match=r"g2: is not in MLflow \(yet\), the cell is done"):
        lab.vote(results[0], results[1], "left")
    assert ([], {}) == (lab.votes(results), lab.scores(results).means)


def test_pictures_of_another_store(lab: kl.Lab) -> None:
    """Says that it is the wrong lab."""
    results = by_hand(axes={"guidance_scale": [2, 5]})
    for cell, run_id in zip(results, ("a" * 32, "b" * 32), strict=True):
        cell.run_id = run_id
    with pytest.raises(NotFound, match=r"g2: is not in sqlite:.*, give the lab that ran it"):
        lab.vote(results[0], results[1], "left")


def test_a_sweep_whose_run_was_deleted(lab: kl.Lab, three: Results, store_uri: str) -> None:
    """Has no votes any more, and no traceback."""
    lab.vote(three[0], three[1], "left")
    MlflowClient(store_uri).delete_run(three.run_id)
    assert [] == lab.votes(three)


def test_many_votes_are_read_quickly(lab: kl.Lab, three: Results, workdir: Path) -> None:
    """500 in less than a second."""
    lab.vote(three[0], three[1], "left")
    (folder,) = workdir.rglob("votes")
    one, two = ids(three)[:2]
    for at in range(500):
        (folder / f"2025-{at}.json").write_text(Vote(one, two, "left").to_json())
    began = time.monotonic()
    assert 501 == len(lab.votes(three))
    assert time.monotonic() - began < 1


def test_a_vote_is_written_quickly(lab: kl.Lab, three: Results) -> None:
    """Well under 0.3 seconds each."""
    lab.vote(three[0], three[1], "left")
    began = time.monotonic()
    for one, two in itertools.islice(itertools.cycle(itertools.combinations(three, 2)), 12):
        lab.vote(one, two, "left")
    assert (time.monotonic() - began) / 12 < 0.3


def test_the_service_is_never_asked(api: Sandbox, lab: kl.Lab, three: Results) -> None:
    """All of it needs the store alone."""
    before = len(api.calls)
    lab.vote(three[0], three[1], "left")
    lab.scores(lab.load("three"))
    assert before == len(api.calls)
