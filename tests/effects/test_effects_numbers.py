"""The numbers of a study, against values worked out by hand or printed in the sources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from effects_making import PHOTO, noise, study

from kontext_lab.errors import ConfigError, listed
from kontext_lab.results import Results
from kontext_lab.statistics import effects_of, measured
from kontext_lab.statistics.intervals import (
    block_intervals,
    pairs_needed,
    rate_difference,
    trials_needed,
    wilson,
)
from kontext_lab.statistics.variance import decomposed


def steep(params: Mapping[str, Any]) -> float:
    """A value that grows with guidance, differs between seeds, and varies a little."""
    return 0.01 * params["guidance_scale"] + 0.1 * params["seed"] + noise(params, 0.005)


@pytest.fixture(scope="module")
def plain() -> Results:
    """Three guidance scales, four seeds, two ratios."""
    return study(steep, guidance_scale=[2, 5, 8], seed="1-4", aspect_ratio=["1:1", "16:9"])


def test_each_value_has_its_mean_and_spread(plain: Results) -> None:
    """Over seeds and the other axes."""
    found = effects_of(plain, "change/area").axis("guidance_scale").points[1]
    values = [output.metrics["change/area"] for output in plain.sel(guidance_scale=5).outputs]
    assert (8, "5", 5.0) == (found.n, found.label, found.number)
    assert pytest.approx((np.mean(values), np.std(values, ddof=1))) == (found.mean, found.spread)


def test_each_point_knows_its_outputs(plain: Results) -> None:
    """So that a point leads to its cells."""
    found = effects_of(plain, "change/area").axis("seed").points[2]
    assert plain.sel(seed=3).outputs == list(found.outputs)


def test_shares_are_the_textbooks(plain: Results) -> None:
    """SS_axis / SS_total, where every combination was measured equally often."""
    found = effects_of(plain, "change/area")
    everything = np.array([output.metrics["change/area"] for output in plain.outputs])
    total = ((everything - everything.mean()) ** 2).sum()
    between = sum(
        len(part) * (np.mean([one.metrics["change/area"] for one in part]) - everything.mean()) ** 2
        for part in (plain.sel(seed=seed).outputs for seed in (1, 2, 3, 4))
    )
    assert pytest.approx(between / total) == found.axis("seed").share


def test_shares_of_a_balanced_design_add_up(plain: Results) -> None:
    """With what is left they are everything."""
    found = effects_of(plain, "change/area")
    assert pytest.approx(1.0) == sum(axis.share or 0.0 for axis in found.axes) + (found.residual or 0.0)


def test_a_share_is_compared_with_chance(plain: Results) -> None:
    """What as many values would take of what is left; the F of an axis is its share over that."""
    found = effects_of(plain, "change/area")
    ratio, seed = found.axis("aspect_ratio"), found.axis("seed")
    assert pytest.approx((found.residual or 0.0) / 17) == ratio.by_chance
    assert (True, True) == (ratio.p > 0.05, seed.p < 1e-6)  # type: ignore[operator]


def test_axes_that_do_nothing_are_called_so_19_times_of_20() -> None:
    """In about one of twenty studies of noise p is below 0.05."""
    found = [
        effects_of(
            study(lambda p, n=n: noise({**p, "n": n}), guidance_scale=[2, 5, 8], seed="1-3"), "change/area"
        )
        for n in range(120)
    ]
    low = sum((one.axis("guidance_scale").p or 1.0) < 0.05 for one in found)
    assert 1 <= low <= 14


def test_the_numbers_repeat(plain: Results) -> None:
    """Resampling has a fixed seed."""
    assert effects_of(plain, "change/area") == effects_of(plain, "change/area")


def test_values_are_compared_within_the_same_seed() -> None:
    """Cells that are missing at one seed, which is far from the others, don't move a difference."""
    made = study(
        lambda p: 0.01 * p["guidance_scale"] + 10 * p["seed"],
        guidance_scale=[2, 5],
        seed="1-4",
        ends={7: "failed"},
    )
    found = effects_of(made, "change/area").axis("guidance_scale").difference("2", "5")
    assert (3, 3) == (found.pairs, found.blocks)
    assert pytest.approx((0.03, 0.03, 0.03)) == (found.mean, found.low, found.high)


def test_an_unbalanced_share_is_what_an_axis_adds() -> None:
    """Guidance does nothing here; that its cells are missing where the seed is high gives it no share."""
    made = study(
        lambda p: float(p["seed"]), guidance_scale=[2, 5], seed="1-4", ends={5: "failed", 7: "failed"}
    )
    found = effects_of(made, "change/area")
    assert pytest.approx((0.0, False), abs=1e-9) == (found.axis("guidance_scale").share, found.balanced)


def test_values_are_compared_within_the_same_reference() -> None:
    """With one seed, photographs are the blocks."""
    other = PHOTO.copy()
    other[:20] = 30
    made = study(
        lambda p: 0.01 * p["guidance_scale"] + (5.0 if p["image"] == "dark" else 0.0),
        axes={"image": {"light": PHOTO, "dark": other}, "guidance_scale": [2, 5]},
    )
    found = effects_of(made, "change/area").axis("guidance_scale")
    assert (("image",), 2) == (found.blocked_by, found.differences[0].blocks)
    assert pytest.approx((0.03, 0.03)) == (found.differences[0].low, found.differences[0].high)


def test_pictures_of_two_services_are_never_matched() -> None:
    """A simulated picture is no pair of a real one."""
    real = study(lambda p: 1.0 + noise(p), guidance_scale=2, seed="1-3")
    sandbox = study(lambda p: 2.0 + noise(p), guidance_scale=5, seed="1-3", service="sandbox")
    assert () == effects_of(real + sandbox, "change/area").axis("guidance_scale").differences


def test_one_block_has_no_interval() -> None:
    """There is nothing to resample."""
    found = effects_of(study(noise, guidance_scale=[2, 5], aspect_ratio=["1:1", "16:9"]), "change/area")
    point, apart = found.axis("guidance_scale").points[0], found.axis("guidance_scale").differences[0]
    assert (None, None, None) == (point.low, apart.low, apart.more_seeds)


def test_intervals_hold_what_their_docstring_says() -> None:
    """Over three blocks in about 3 of 4 cases, over ten in 9 of 10."""
    rng = np.random.default_rng(0)
    held = {}
    for blocks in (3, 10):
        values = rng.normal(0, 1, (800, blocks))
        bounds = block_intervals(values, np.ones_like(values))
        held[blocks] = np.mean([one is not None and one[0] <= 0 <= one[1] for one in bounds])
    assert pytest.approx({3: 0.75, 10: 0.9}, abs=0.04) == held


def test_rows_with_few_blocks_have_no_interval() -> None:
    """Others of the same table have one."""
    sums, counts = np.array([[1.0, 2.0, 4.0], [1.0, 0.0, 0.0]]), np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    first, second = block_intervals(sums, counts)
    assert (True, None) == (first is not None and 1 <= first[0] < first[1] <= 4, second)


def test_wilson_is_as_printed() -> None:
    """15 of 148, Newcombe's example of 1998: 0.0624 to 0.1605."""
    assert pytest.approx((0.0624, 0.1605), abs=5e-5) == wilson(15, 148)


def test_rate_difference_is_as_printed() -> None:
    """56 of 70 less 48 of 80, Newcombe's example (a): 0.0524 to 0.3339."""
    assert pytest.approx((0.0524, 0.3339), abs=5e-5) == rate_difference((48, 80), (56, 70))


def test_trials_needed_for_two_rates() -> None:
    """0.5 against 0.6: 388 of each, as in Fleiss's tables without correction."""
    assert (388, None) == (trials_needed(0.5, 0.6), trials_needed(0.5, 0.5))


def test_pairs_needed_for_half_a_deviation() -> None:
    """A difference of half its standard deviation takes 34 pairs, as the noncentral t says."""
    values = np.array([-1.0, 1.0] * 10) / np.std([-1.0, 1.0] * 10, ddof=1) + 0.5
    assert 34 == pairs_needed(values)


def test_more_seeds_counts_those_there_are() -> None:
    """What is needed less what was tried."""
    made = study(
        lambda p: (
            0.5 * (p["guidance_scale"] == 5)
            + (1.0 if p["seed"] % 2 else -1.0) * (p["guidance_scale"] == 5) / 2
        ),
        guidance_scale=[2, 5],
        seed="1-4",
    )
    found = effects_of(made, "change/area").axis("guidance_scale").differences[0]
    needed = pairs_needed(np.array([1.0, 0.0, 1.0, 0.0]))
    assert (needed or 0) - 4 == found.more_seeds


def test_yes_no_values_are_rates() -> None:
    """With Wilson's intervals."""
    made = study(
        lambda p: float(p["seed"] > 2 or p["guidance_scale"] == 5),
        metric="verdict/rest_kept",
        guidance_scale=[2, 5],
        seed="1-4",
    )
    found = effects_of(made, "verdict/rest_kept")
    point = found.axis("guidance_scale").points[0]
    assert (True, 0.5, *(wilson(2, 4) or ())) == (found.is_rate, point.mean, point.low, point.high)


def test_a_share_of_area_is_no_rate() -> None:
    """Also where every picture is a new one, so that all of it changed."""
    assert not effects_of(study(lambda _: 1.0, seed="1-3"), "change/area").is_rate


def test_moderation_is_a_value() -> None:
    """1 where the service refused, 0 where a picture came, none where the request failed."""
    made = study(
        lambda _: 1.0, guidance_scale=[2, 5], seed="1-3", ends={0: "moderated", 2: "moderated", 5: "failed"}
    )
    found = effects_of(made, "moderated")
    points = [(point.mean, point.n) for point in found.axis("guidance_scale").points]
    assert ([(2 / 3, 3), (0.0, 2)], (("failed", 1),)) == (points, found.missing)


def test_what_was_measured_is_listed() -> None:
    """Moderation among it where it happened."""
    made = study(lambda _: 1.0, seed="1-3", ends={0: "moderated"})
    made[1].metrics["rank/score"] = 1.0
    assert ("change/area", "rank/score", "moderated") == measured(made)


def test_missing_values_are_counted() -> None:
    """By their reason."""
    made = study(
        lambda p: None if p["seed"] == 4 else 0.1 * p["seed"],
        seed="1-6",
        ends={0: "moderated", 1: "failed", 2: "in_doubt"},
    )
    made[5].outputs[0].metrics["change/area"] = math.inf
    expected = {"moderated": 1, "failed": 1, "in doubt": 1, "not measured": 1, "not finite": 1}
    found = effects_of(made, "change/area")
    assert (expected, 1, 6) == (dict(found.missing), found.n, found.units)


def test_a_value_of_a_cell_counts_once() -> None:
    """However many outputs the cell has."""
    made = study(num_images=3, seed="1-2")
    for cell in made:
        cell.metrics["rank/score"] = float(cell.params["seed"])
    found = effects_of(made, "rank/score")
    assert (2, "cell", ["seed"]) == (found.n, found.unit, [axis.name for axis in found.axes])


def test_outputs_of_a_cell_are_an_axis() -> None:
    """They only repeat a setting."""
    found = effects_of(study(noise, num_images=2, seed="1-2"), "change/area")
    assert ("output", {"seed": True, "output": True}) == (
        found.unit,
        {axis.name: axis.replicate for axis in found.axes},
    )


def test_values_that_go_together_are_one_axis() -> None:
    """What each of them does can't be told."""
    made = study(
        noise, axes={"prompt+guidance_scale": [("Add a bird.", 2), ("Add a crab.", 6)], "seed": [1, 2]}
    )
    found = effects_of(made, "change/area")
    labels = [point.label for point in found.axes[0].points]
    assert ("prompt+guidance_scale", ["Add a bird. · 2", "Add a crab. · 6"]) == (found.axes[0].name, labels)


def test_an_axis_that_follows_from_others_has_no_share() -> None:
    """Two ratios of three were tried with one format, the third with the other."""
    square = study(noise, aspect_ratio=["1:1", "16:9"], seed="1-3", output_format="png")
    tall = study(noise, aspect_ratio="9:16", seed="1-3", output_format="jpeg")
    found = effects_of(square + tall, "change/area")
    assert (("output_format",), None) == (found.apart, found.axis("output_format").share)


def test_a_word_that_one_prompt_has_is_judged_within_it() -> None:
    """Prompts are compared over all of its words."""
    made = study(
        lambda p: 1.0 if "how" in p else 0.5,
        prompt=["Add a bird.", "Add a bird {how}."],
        axes={"how": ["slowly", "fast"], "seed": [1, 2, 3]},
    )
    found = effects_of(made, "change/area")
    assert pytest.approx((1.0, 0.0, 0.5), abs=1e-9) == (
        found.axis("prompt").share,
        found.axis("how").share,
        found.axis("prompt").differences[0].mean,
    )


def test_a_prompt_is_one_value_whatever_fills_it() -> None:
    """Its words are axes of their own."""
    made = study(noise, prompt=["Add a {animal}.", "Put a {animal} here."], axes={"animal": ["bird", "crab"]})
    points = effects_of(made, "change/area").axis("prompt").points
    assert ["Add a {animal}.", "Put a {animal} here."] == [point.label for point in points]


def test_named_values_go_by_their_names() -> None:
    """With the whole text beside."""
    made = study(noise, axes={"prompt": {"plain": "Add a bird.", "keep": "Add a bird, keep the rest."}})
    points = effects_of(made, "change/area").axis("prompt").points
    assert [("plain", "Add a bird."), ("keep", "Add a bird, keep the rest.")] == [
        (point.label, point.full) for point in points
    ]


def test_values_stand_in_their_order() -> None:
    """Numbers by size, others as they appeared."""
    made = study(noise, axes={"guidance_scale": [8, 2, 5], "aspect_ratio": ["9:16", "1:1"]})
    found = effects_of(made, "change/area")
    order = [[point.label for point in axis.points] for axis in found.axes]
    assert [["2", "5", "8"], ["9:16", "1:1"]] == order


def test_seeds_have_no_scale() -> None:
    """Their numbers mean nothing."""
    found = effects_of(study(noise, seed="1-3", guidance_scale=[2, 5]), "change/area")
    assert {"guidance_scale": True, "seed": False} == {axis.name: axis.numeric for axis in found.axes}


def test_interaction_is_a_table_of_means() -> None:
    """Rows by columns, with how many each is of."""
    made = study(
        lambda p: p["guidance_scale"] * (2 if p["aspect_ratio"] == "1:1" else 1),
        guidance_scale=[2, 5],
        aspect_ratio=["1:1", "16:9"],
        seed="1-2",
        ends={0: "failed"},
    )
    found = effects_of(made, "change/area", interaction=("aspect_ratio", "guidance_scale")).interaction
    assert found is not None
    assert (("1:1", "16:9"), ("2", "5")) == (found.row_labels, found.column_labels)
    assert (((4.0, 10.0), (2.0, 5.0)), ((1, 2), (2, 2))) == (found.means, found.counts)


def test_interplay_is_what_the_sum_of_both_leaves() -> None:
    """All of it where neither axis does anything by itself."""
    made = study(
        lambda p: float((p["guidance_scale"] == 2) != (p["aspect_ratio"] == "1:1")) * 2,
        guidance_scale=[2, 5],
        aspect_ratio=["1:1", "16:9"],
        seed="1-3",
    )
    found = effects_of(made, "change/area", interaction=["guidance_scale", "aspect_ratio"])
    assert found.interaction is not None
    assert pytest.approx((1.0, 0.0, 0.0)) == (
        found.interaction.share,
        found.axis("guidance_scale").share,
        found.interaction.p,
    )


def test_seed_sensitivity_is_the_spread_at_the_same_settings() -> None:
    """Guidance, which moves everything, is no part of it."""
    made = study(lambda p: 10 * p["guidance_scale"] + p["seed"], guidance_scale=[2, 5, 8], seed="1-3")
    found = effects_of(made, "change/area").seed
    assert found is not None
    assert pytest.approx((1.0, 3, 3)) == (found.spread, found.settings, found.seeds)


def test_the_p_value_of_nothing_is_one() -> None:
    """Rounding may leave an axis that explains nothing a hair below zero: its p-value is still a number."""
    rng = np.random.default_rng(0)
    codes = list(np.indices((3, 2, 3)).reshape(3, -1))
    found = [decomposed(rng.integers(0, 2, 18).astype(float), codes)[0] for _ in range(100)]
    assert all(0 <= share.p <= 1 for shares in found for share in shares if share.p is not None)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            "guidance_scale",
            "interaction: must be two of the axes that vary (guidance_scale, seed, aspect_ratio), not 'guidance_scale'",
        ),
        (
            ("guidance_scale", "model"),
            "must be two of the axes that vary (guidance_scale, seed, aspect_ratio), but 'model' does not vary here",
        ),
        (("seed", "seed"), "is one axis"),
    ],
)
def test_wrong_interactions_are_named(plain: Results, wanted: Any, words: str) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigError) as caught:
        effects_of(plain, "change/area", interaction=wanted)
    assert words in str(caught.value)


def test_an_unknown_metric_names_those_there_are(plain: Results) -> None:
    """One clear line."""
    with pytest.raises(ConfigError) as caught:
        effects_of(plain, "change/aera")
    assert "metric: 'change/aera' was not measured; there are change/area" == str(caught.value)


def test_of_very_many_metrics_the_nearest_are_named() -> None:
    """A metric of one's own may return a thousand values: the line stays one that can be read."""
    names = [*(f"mine/{place}" for place in range(1000)), "change/area"]
    assert listed(names, "change/aera").startswith("change/area, mine/0, mine/1, ")
    assert listed(names, "change/aera").endswith(" and 981 more")


@pytest.mark.parametrize("metric", [None, 3, ""])
def test_what_is_no_metric_is_said(plain: Results, metric: Any) -> None:
    """Before anything is computed."""
    with pytest.raises(ConfigError, match="is not the name of a measured value"):
        effects_of(plain, metric)


def test_a_large_study_takes_a_moment() -> None:
    """30 guidance scales and 30 seeds, each compared with each, in seconds at most."""
    found = effects_of(
        study(noise, guidance_scale=[1 + n / 4 for n in range(30)], seed="1-30"), "change/area"
    )
    assert (900, 435) == (found.n, len(found.axis("guidance_scale").differences))
