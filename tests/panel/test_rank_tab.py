"""Blind pairs in the tab Rank and by `kl.rank`, without a browser."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from panel_driver import drive, parts, ranking_parts

import kontext_lab as kl
from kontext_lab.errors import ConfigError, NotFound
from kontext_lab.panel import Panel
from kontext_lab.panel.pairs import Match, VoteSession, pairs, rankable, score_table
from kontext_lab.panel.rank_tab import Rank, Ranking
from kontext_lab.results import CellResult, Output, Results, State
from kontext_lab.sandbox import Sandbox
from kontext_lab.statistics import Vote

AXES = {"guidance_scale": [2, 5, 8], "seed": [1, 2]}


def words(markup: str) -> str:
    """What a person reads of it."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup)).strip()


def text(widget: Any) -> str:
    """Everything that can be read in a widget and what is in it."""
    traits = ("value", "description", "message", "left_label", "right_label", "alt", "tooltip")
    found = (getattr(one, name, "") for one in parts(widget) for name in traits)
    return " ".join(words(one) for one in found if isinstance(one, str))


@pytest.fixture
def six(sandbox_lab: kl.Lab, photo_file: Path) -> Results:
    """Three guidance scales by two seeds, simulated."""
    return sandbox_lab.run(kl.Sweep("Add a bird.", photo_file, axes=AXES, name="six"), progress=False)


@pytest.fixture
def ranking(six: Results, sandbox_lab: kl.Lab) -> Iterator[Ranking]:
    """The tab by itself, a pair on show."""
    made = kl.rank(six, axis="guidance_scale", lab=sandbox_lab, rater="anna")
    made.wait(20)
    ranking_parts(made)[0]._pause = 0.0
    yield made
    made.wait(20)


def answered(ranking: Ranking, *choices: Any) -> list[Vote]:
    """Votes one after the other, as soon as each pair is on show."""
    given = []
    for choice in choices:
        assert ranking_parts(ranking)[1].wait(
            lambda: ranking_parts(ranking)[0].on_show == ranking_parts(ranking)[0].votes.current, 10
        )
        given.append(ranking.vote(choice))
    return given


def by_hand(**axes: list[Any]) -> list[Match]:
    """Pairs of the first of some axes, of pictures that are there by name only."""
    made = []
    for cell in kl.Sweep("Add a bird.", kl.sample("coffee"), axes=axes).cells:
        result = CellResult.from_cell(cell, "sandbox", f"f{cell.index}")
        result.state = State.DONE
        result.outputs = [Output(result, 1, sha256=f"p{cell.index}", format="png")]
        made.append(result)
    return pairs(Results(made), next(iter(axes)))


# The order of pairs.


def test_a_vote_session_goes_through_all_pairs_before_one_comes_again() -> None:
    """The one that is fetched ahead is never the one that is asked about."""
    matches = by_hand(guidance_scale=[2, 5, 8], seed=[1, 2])
    session = VoteSession("anna", Random(1))
    session.put({"guidance_scale": matches}, [])
    asked = []
    for _ in matches:
        assert session.current is not None
        assert session.following is None or session.following.pair != session.current.pair
        asked.append(session.give("left")[1].pair)
    assert {match.pair for match in matches} == set(asked)
    assert (6, 6) == session.progress


def test_what_was_fetched_ahead_comes_next() -> None:
    """Else it would be fetched for nothing."""
    session = VoteSession(rng=Random(2))
    session.put({"guidance_scale": by_hand(guidance_scale=[2, 5, 8])}, [])
    ahead = session.following
    session.give("both bad")
    assert ahead == session.current


def test_a_single_pair_is_asked_about_again() -> None:
    """There is none to fetch ahead."""
    session = VoteSession()
    session.put({"guidance_scale": by_hand(guidance_scale=[2, 5])}, [])
    assert session.following is None
    session.give("left")
    assert session.current is not None


def test_results_that_grow_leave_the_pair_on_show() -> None:
    """Nobody's pair changes under his eyes."""
    few, many = by_hand(guidance_scale=[2, 5]), by_hand(guidance_scale=[2, 5, 8])
    session = VoteSession()
    session.put({"guidance_scale": few}, [])
    before = session.current
    session.put({"guidance_scale": many}, [])
    assert (before, (0, 3)) == (session.current, session.progress)


def test_votes_on_their_way_count_once() -> None:
    """Before the store has them, and after; a vote that was taken back doesn't come again."""
    matches = {"guidance_scale": by_hand(guidance_scale=[2, 5, 8])}
    session = VoteSession()
    session.put(matches, [])
    first, _ = session.give("left")
    second, _ = session.give("left")
    session.put(matches, [first])
    assert [first, second] == session.votes
    session.undo()
    session.put(matches, [first, second])
    assert [first] == session.votes


def test_a_thousand_pairs_keep_nobody_waiting() -> None:
    """30 values and three seeds, 200 votes: the next pair is drawn in a twentieth of a second."""
    session = VoteSession()
    matches = by_hand(guidance_scale=[1 + at / 10 for at in range(30)], seed=[1, 2, 3])
    session.put({"guidance_scale": matches}, [])
    began = time.monotonic()
    for _ in range(200):
        session.give("left")
    assert ((200, 1305), True) == (session.progress, (time.monotonic() - began) / 200 < 0.05)


def test_nothing_to_vote_on() -> None:
    """Says so, and has nothing to take back."""
    session = VoteSession()
    session.put({}, [])
    assert (None, (0, 0)) == (session.current, session.progress)
    with pytest.raises(NotFound, match="there is no pair to vote on"):
        session.give("left")
    with pytest.raises(NotFound, match="there is no vote of yours to take back"):
        session.undo()


# The tab by itself.


def test_two_pictures_are_on_show(ranking: Ranking) -> None:
    """Exactly their bytes, and the next two are there already."""
    tab = ranking_parts(ranking)[0]
    assert tab.on_show is not None
    assert {"left": tab.on_show.left.bytes, "right": tab.on_show.right.bytes} == tab.viewer.pictures
    assert tab.votes.following in tab._loaded


@pytest.mark.slow
def test_it_is_blind(ranking: Ranking) -> None:
    """Nothing that can be read says what made which picture, also after a vote."""
    answered(ranking, "left", "right")
    ranking.wait(20)
    assert [] == re.findall(r"g[258]\b|\b[58]\b|s[12]\b|six", text(ranking_parts(ranking)[0]))
    assert "left · simulated" == ranking_parts(ranking)[0].viewer.left_label


@pytest.mark.slow
def test_simulated_pictures_say_so(ranking: Ranking) -> None:
    """In the tab, at both pictures, and with the scores."""
    tab = ranking_parts(ranking)[0]
    answered(ranking, "left")
    tab.shown.value = True
    ranking.wait(20)
    assert "Simulated pictures" in tab.simulated.text
    assert "right · simulated" == tab.viewer.right_label
    assert "1 vote; simulated pictures." in words(tab.table.value)


@pytest.mark.slow
def test_votes_are_in_the_store_at_once(ranking: Ranking, six: Results, store_uri: str) -> None:
    """With the rater's name; another process finds them."""
    given = answered(ranking, "left", "both good", "both bad")
    ranking_parts(ranking)[1].wait(lambda: not ranking_parts(ranking)[1]._working, 10)
    with kl.Lab("sandbox", quiet=True) as other:
        assert given == other.votes(other.load("six"))
    assert ["anna"] * 3 == [vote.rater for vote in given]


@pytest.mark.slow
def test_scores_are_recorded_at_a_pause(ranking: Ranking, sandbox_lab: kl.Lab) -> None:
    """Nobody asks for it."""
    answered(ranking, "left", "right", "left")
    ranking.wait(20)
    loaded = sandbox_lab.load("six")
    assert loaded.to_frame()["rank/score"].notna().sum() >= 2


@pytest.mark.slow
def test_a_vote_keeps_nobody_waiting(ranking: Ranking) -> None:
    """From a press to the next pair on show in less than 0.3 seconds."""
    tab, taken = ranking_parts(ranking)[0], []
    for _ in range(6):
        began, before = time.monotonic(), tab.on_show
        tab.press("left")
        assert ranking_parts(ranking)[1].wait(lambda before=before: tab.on_show not in (None, before), 10)  # type: ignore[misc]
        taken.append(time.monotonic() - began)
    assert max(taken) < 0.3


@pytest.mark.slow
def test_keys(ranking: Ranking) -> None:
    """The four arrows; others mean nothing."""
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "x"):
        ranking._frame._tell("key", key)
        ranking_parts(ranking)[1].wait(
            lambda: ranking_parts(ranking)[0].on_show == ranking_parts(ranking)[0].votes.current, 10
        )
    assert ["left", "right", "both good", "both bad"] == [vote.choice for vote in ranking.votes]


@pytest.mark.slow
def test_buttons(ranking: Ranking) -> None:
    """In the order they stand in."""
    for button in ranking_parts(ranking)[0].buttons:
        button.click()
        ranking_parts(ranking)[1].wait(
            lambda: ranking_parts(ranking)[0].on_show == ranking_parts(ranking)[0].votes.current, 10
        )
    assert ["left", "both good", "both bad", "right"] == [vote.choice for vote in ranking.votes]


def test_a_press_too_soon_is_for_no_pair(ranking: Ranking) -> None:
    """Impatient keys, or clicks that a busy kernel kept, are not counted for pictures nobody saw."""
    ranking_parts(ranking)[0]._pause = 0.3
    ranking_parts(ranking)[0]._since = time.monotonic()
    for _ in range(3):
        ranking_parts(ranking)[0].press_key("ArrowLeft")
    assert [] == ranking.votes


@pytest.mark.slow
def test_a_key_that_is_held_down_is_one_vote(ranking: Ranking) -> None:
    """However long: it comes again thirty times a second."""
    tab = ranking_parts(ranking)[0]
    tab._pause = 0.15
    time.sleep(0.2)
    for _ in range(12):
        tab.press_key("ArrowRight")
        ranking_parts(ranking)[1].wait(lambda: False, 0.03)
    assert 1 == len(ranking.votes)


@pytest.mark.slow
def test_undo(ranking: Ranking, sandbox_lab: kl.Lab, six: Results) -> None:
    """The vote is gone, here and in the store, and its pair is asked about again."""
    first, _ = answered(ranking, "left", "right")
    sides = ranking_parts(ranking)[0].votes._given[-1][1]
    ranking_parts(ranking)[0].undo_button.click()
    ranking.wait(20)
    assert (sides, [first], [first]) == (
        ranking_parts(ranking)[0].on_show,
        ranking.votes,
        sandbox_lab.votes(six),
    )


@pytest.mark.slow
def test_progress(ranking: Ranking) -> None:
    """Counts the pairs this rater has seen; somebody else begins anew."""
    tab = ranking_parts(ranking)[0]
    answered(ranking, "left", "right")
    before = tab.progress.text
    tab.rater.value = "bert"
    assert ("2 of 6 pairs", "0 of 6 pairs") == (before, tab.progress.text)


@pytest.mark.slow
def test_all_pairs_seen(ranking: Ranking) -> None:
    """Says so, and goes on."""
    answered(ranking, *["left"] * 7)
    assert (
        "6 of 6 pairs · all seen; more votes make the scores more certain"
        == ranking_parts(ranking)[0].progress.text
    )


@pytest.mark.slow
def test_scores_on_demand(ranking: Ranking) -> None:
    """A table with errors, and whether the first two can be told apart; hidden again with a second press."""
    tab = ranking_parts(ranking)[0]
    for _ in range(12):
        now = tab.votes.current
        assert now is not None
        best = max((now.left, now.right), key=lambda one: float(one.params["guidance_scale"]))
        answered(ranking, "left" if best is now.left else "right")
    tab.shown.value = True
    ranking.wait(20)
    read = words(tab.table.value)
    assert re.search(r"guidance_scale 8 is ahead of 5 by \d\.\d ± \d\.\d: (not )?told apart", read)
    assert re.search(
        r"guidance_scale score votes 8 \+\d\.\d\d ± \d\.\d\d \d+ 5 \S+ ± \d\.\d\d \d+ 2 −\d", read
    )
    tab.shown.value = False
    assert "" == tab.table.value


def test_another_axis(ranking: Ranking) -> None:
    """The axes that have pairs are offered; the other one has its own."""
    tab = ranking_parts(ranking)[0]
    assert ("guidance_scale", "seed") == tuple(tab.axis.options)
    tab.axis.value = "seed"
    ranking.wait(20)
    assert tab.on_show is not None
    assert tab.on_show.left.params["seed"] != tab.on_show.right.params["seed"]
    assert "0 of 3 pairs" == tab.progress.text


@pytest.mark.slow
def test_votes_of_earlier_days_are_there(
    ranking: Ranking, sandbox_lab: kl.Lab, six: Results, store_uri: str
) -> None:
    """A tab made anew goes on where the last one stopped."""
    given = answered(ranking, "left", "right")
    ranking.wait(20)
    again = kl.rank(sandbox_lab.load("six"), "guidance_scale", rater="anna")
    again.wait(20)
    assert (given, "2 of 6 pairs") == (again.votes, ranking_parts(again)[0].progress.text)


def test_a_vote_that_can_not_be_recorded(ranking: Ranking, workdir: Path) -> None:
    """Is told in one line and counts no more."""
    (artifacts,) = {path.parent.parent.parent for path in workdir.rglob("sweep.yaml")}
    moved = artifacts.rename(artifacts.with_name("away"))
    artifacts.write_text("in the way")
    answered(ranking, "left")
    ranking.wait(20)
    tab = ranking_parts(ranking)[0]
    assert ([], "0 of") == (ranking.votes, tab.progress.text[:4])
    assert re.match(r"the vote can't be recorded in MLflow", tab.trouble.text)
    artifacts.unlink()
    moved.rename(artifacts)


@pytest.mark.slow
def test_a_picture_that_is_gone(six: Results, sandbox_lab: kl.Lab, workdir: Path) -> None:
    """Its pairs are told and left out; the others go on."""
    loaded = sandbox_lab.load("six")
    gone = loaded.cell(guidance_scale=2, seed=1)
    assert isinstance(gone, CellResult)
    for file in workdir.rglob(f"{gone.run_id}/**/outputs/*"):
        file.unlink()
    made = kl.rank(loaded, "guidance_scale", sandbox_lab)
    ranking_parts(made)[0]._pause = 0.0
    made.wait(20)
    for _ in range(8):
        answered(made, "left")
        made.wait(20)
    assert all(gone.output.sha256 not in vote.pair for vote in made.votes)
    assert "4 of 4 pairs" in ranking_parts(made)[0].progress.text
    assert "outputs/0" in ranking_parts(made)[0].trouble.text


@pytest.mark.parametrize("results", [Results([]), Results([CellResult("g2", {"seed": 1})])])
def test_nothing_to_rank(results: Results, store_uri: str) -> None:
    """Says what it needs, in place of pictures."""
    made = kl.rank(results)
    made.wait(20)
    assert ranking_parts(made)[0].empty.text.startswith(
        "Ranking needs two finished cells that differ in one axis"
    )
    assert "<Ranking: no axis, 0 of 0 pairs>" == repr(made)


def test_an_axis_without_pairs(six: Results, sandbox_lab: kl.Lab) -> None:
    """Says which there are, and shows one of those."""
    made = kl.rank(six, "aspect_ratio", sandbox_lab)
    made.wait(20)
    line = "aspect_ratio: no two finished pictures differ in it alone; there are guidance_scale, seed."
    assert (line, "guidance_scale") == (ranking_parts(made)[0].empty.text, ranking_parts(made)[0].axis.value)


@pytest.mark.parametrize(
    ("arguments", "error", "line"),
    [
        ({"results": [1]}, ConfigError, "results must be kl.Results, not list"),
        ({"lab": "sandbox"}, ConfigError, "lab must be a kl.Lab, not str"),
        ({"axis": 5}, ConfigError, "axis: 5, give the name of a parameter"),
        ({"axis": "wing"}, NotFound, "wing: no cell has such a parameter, there are"),
        ({"rater": "x" * 61}, ConfigError, "rater must be a name of up to 60 characters, not "),
        ({"rater": None}, ConfigError, "rater must be a name of up to 60 characters, not None"),
    ],
)
def test_arguments_that_can_not_be(arguments: dict[str, Any], error: type, line: str) -> None:
    """One clear line each."""
    results = Results([CellResult("g2", {"guidance_scale": 2})])
    with pytest.raises(error, match=line):
        kl.rank(**{"results": results, **arguments})


# The tab.


@pytest.fixture
def tab(panel: Panel, lab: kl.Lab, photo_file: Path) -> Callable[[], Rank]:
    """A panel with six finished cells; opens its tab Rank."""
    panel.load(kl.Sweep("Add a bird.", photo_file, axes=AXES, name="six"))
    panel.wait(20)
    panel.run()
    panel.wait(60)

    def opened() -> Rank:
        drive(panel).open_tab("Rank")
        panel.wait(20)
        tab = drive(panel).rank
        tab._pause = 0.0
        return tab

    return opened


def test_the_tab_asks_about_what_is_on_show(panel: Panel, tab: Callable[[], Rank]) -> None:
    """And is made when it is first opened."""
    before = drive(panel).has_made("rank")
    tab = tab()
    assert (False, True, "0 of 6 pairs") == (before, tab.on_show is not None, tab.progress.text)


@pytest.mark.slow
def test_arrow_keys_vote_in_the_tab_alone(panel: Panel, tab: Callable[[], Rank]) -> None:
    """In the tab Grid they walk through the grid."""
    tab = tab()
    drive(panel).press_key("ArrowLeft")
    drive(panel).open_tab("Grid")
    drive(panel).press_key("ArrowRight")
    panel.wait(20)
    assert ["left"] == [vote.choice for vote in tab.votes.votes]
    assert panel.selection is not None


@pytest.mark.slow
def test_keys_of_the_grid_mean_nothing_in_the_tab(panel: Panel, tab: Callable[[], Rank]) -> None:
    """1 and 0 judge what is picked in the tab Grid, which can't be seen from here."""
    tab = tab()
    drive(panel).press_key("1")
    panel.wait(20)
    assert ([], {}) == (tab.votes.votes, panel.results[0].output.metrics)


@pytest.mark.slow
def test_coming_back_finds_the_same_pair(panel: Panel, tab: Callable[[], Rank]) -> None:
    """Opening the tab reads the votes anew, and leaves the pair."""
    before = tab().on_show
    drive(panel).open_tab("Grid")
    assert before == tab().on_show is not None


@pytest.mark.slow
def test_other_results_have_other_pairs(panel: Panel, tab: Callable[[], Rank], photo_file: Path) -> None:
    """While the tab is open."""
    tab = tab()
    tab.vote("left")
    panel.load(kl.Sweep("Add a crab.", photo_file, axes={"seed": [1, 2]}, name="two"))
    panel.wait(20)
    panel.run()
    panel.wait(60)
    assert (("seed",), "0 of 1 pairs", True) == (
        tuple(tab.axis.options),
        tab.progress.text,
        tab.undo_button.disabled,
    )


def test_an_empty_panel_says_what_ranking_needs(panel: Panel, api: Sandbox) -> None:
    """In place of pictures."""
    drive(panel).open_tab("Rank")
    panel.wait(20)
    assert drive(panel).rank.empty.text.startswith("Ranking needs two finished cells")


# What votes say.


def test_standings_without_votes() -> None:
    """A sentence, no table."""
    assert "No votes on this axis yet." == words(
        score_table("seed", by_hand(seed=[1, 2]), [], simulated=False)
    )


def test_standings_of_bad_pictures() -> None:
    """Votes that count for nothing are named."""
    matches = by_hand(seed=[1, 2])
    given = [Vote(*matches[0].ids, "both bad")]
    expected = "No scores yet: 1 vote, all both bad, which say nothing about which is better."
    assert expected == words(score_table("seed", matches, given, simulated=False))


def test_standings_of_what_was_not_compared() -> None:
    """Values that never met are in groups, and nobody leads."""
    matches = by_hand(guidance_scale=[2, 4, 6, 8])
    wanted = [match for match in matches if match.labels in (("2", "4"), ("6", "8"))]
    read = words(
        score_table("guidance_scale", matches, [Vote(*one.ids, "left") for one in wanted], simulated=False)
    )
    assert "Not all values of guidance_scale were compared yet" in read
    assert "group" in read
    assert "ahead" not in read


def test_standings_of_thirty_values() -> None:
    """One row a value; pictures are cut off after forty."""
    matches = by_hand(guidance_scale=[1 + at / 10 for at in range(30)], seed=[1, 2])
    near = [one for one in matches if float(one.labels[1]) - float(one.labels[0]) < 0.15]
    found = score_table("guidance_scale", matches, [Vote(*one.ids, "left") for one in near], simulated=False)
    first, second = found.split("<details>")
    assert (31, 41, True) == (first.count("<tr>"), second.count("<tr>"), "and 20 more" in second)


def test_names_are_text() -> None:
    """What people called a value is never markup."""
    matches = [Match(one.left, one.right, ("<b>a</b>", "<script>")) for one in by_hand(guidance_scale=[2, 5])]
    found = score_table("<i>", matches, [Vote(*matches[0].ids, "left")], simulated=False)
    assert not any(tag in found for tag in ("<b>", "<script>", "<i>"))


def test_never_nan() -> None:
    """Whatever was voted."""
    matches = by_hand(guidance_scale=[2, 5, 8])
    for choices in itertools.product(("left", "right", "both good", "both bad"), repeat=3):
        given = [Vote(*one.ids, choice) for one, choice in zip(matches, choices, strict=True)]
        assert "nan" not in score_table("guidance_scale", matches, given, simulated=True).lower()


def test_axes_on_offer_have_pairs(six: Results) -> None:
    """No others."""
    assert {"guidance_scale": 6, "seed": 3} == {axis: len(found) for axis, found in rankable(six).items()}
