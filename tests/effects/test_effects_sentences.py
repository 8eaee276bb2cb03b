"""What is said of a study: findings, and what can't be told. Never NaN, never a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from effects_making import noise, study

from kontext_lab.results import Results
from kontext_lab.statistics import effects_of
from kontext_lab.statistics.formatting import number_words, percent
from kontext_lab.statistics.inert_axes import idle_pairs, idle_words


def steep(params: Mapping[str, Any]) -> float:
    """Guidance does much, the seed little."""
    return 0.01 * params["guidance_scale"] + 0.004 * params["seed"] + noise(params, 0.002)


def said(results: Results, metric: str = "change/area", **more: Any) -> str:
    """All sentences as one text."""
    return " ".join(effects_of(results, metric, **more).sentences)


def test_the_first_sentence_says_who_explains_what() -> None:
    """The largest share first."""
    first = effects_of(study(steep, seed="1-5", guidance_scale=[2, 5, 8]), "change/area").sentences[0]
    assert first.startswith("guidance_scale explains 9")
    assert "% of change/area; seed " in first


def test_what_chance_would_do_is_said() -> None:
    """An axis without an effect explains something as well."""
    assert "(within chance)" in said(study(noise, seed="1-5", guidance_scale=[2, 5, 8]))


def test_the_ends_of_a_scale_are_compared() -> None:
    """With the interval, and over how many seeds."""
    words = said(
        study(
            lambda p: 0.01 * p["guidance_scale"] + noise({"s": p["seed"]}),
            seed="1-5",
            guidance_scale=[2, 5, 8],
        )
    )
    assert (
        "change/area is 0.06 higher at guidance_scale 8 than at 2: 95 % interval 0.06 to 0.06, "
        "5 matched pairs over 5 seeds." in words
    )


def test_a_difference_that_may_be_nothing_says_how_many_seeds_it_takes() -> None:
    """If it is as large as it looks."""
    words = said(study(noise, seed="1-4", guidance_scale=[2, 8]))
    assert "so it may be noise; about " in words
    assert " more seeds would confirm a difference of this size." in words


def test_the_largest_of_many_differences_is_called_so() -> None:
    """Who looks at ten finds one."""
    words = said(study(noise, seed="1-5", aspect_ratio=["1:1", "16:9", "9:16", "3:2", "2:3"]))
    assert ", the largest of 10 differences: 95 % interval" in words


def test_rates_are_in_points() -> None:
    """Per cent of outputs, not of a mean."""
    made = study(
        lambda p: float(p["guidance_scale"] == 8),
        metric="verdict/rest_kept",
        seed="1-6",
        guidance_scale=[2, 8],
    )
    assert "verdict/rest_kept is 100 points higher at guidance_scale 8 than at 2" in said(
        made, "verdict/rest_kept"
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"seed": "1-3", "guidance_scale": [2, 5]}, "3 seeds are no proof"),
        (
            {"guidance_scale": [2, 5], "aspect_ratio": ["1:1", "16:9"]},
            'There is only one seed: seed="1-5" would show how much the results depend on it.',
        ),
        (
            {"guidance_scale": [2, 5]},
            "can't be estimated without replicates: every combination has a single picture",
        ),
        ({"seed": "1-5", "guidance_scale": [2, 5], "ends": {3: "failed"}}, "Not balanced: "),
        (
            {"seed": "1-12", "guidance_scale": [2, 5], "ends": {3: "failed", 4: "moderated"}},
            "2 of 24 cells have no value: ",
        ),
        ({"seed": "1-5"}, "Only seed varies, so there are no settings to compare."),
        (
            {"axes": {"aspect_ratio+guidance_scale": [("1:1", 2), ("16:9", 6)], "seed": [1, 2]}},
            "always vary together",
        ),
    ],
    ids=["three seeds", "one seed", "no replicates", "unbalanced", "missing", "only seeds", "together"],
)
def test_what_cannot_be_told_is_said(fields: dict[str, Any], words: str) -> None:
    """Each limit in a sentence of its own."""
    assert words in said(study(noise, **fields))


def test_five_balanced_seeds_have_no_limits() -> None:
    """Then nothing is said against them."""
    words = said(study(steep, seed="1-5", guidance_scale=[2, 5, 8]))
    assert [] == [limit for limit in ("no proof", "balanced", "no value") if limit in words]


def test_simulated_pictures_are_called_so_in_every_sentence() -> None:
    """A sentence is quoted alone."""
    made = study(steep, service="sandbox", seed="1-3", guidance_scale=[2, 5, 8], ends={0: "moderated"})
    sentences = effects_of(made, "change/area", interaction=("seed", "guidance_scale")).sentences
    assert (True, 7) == (all(one.startswith("Simulated: ") for one in sentences), len(sentences))


def test_partly_simulated_results_say_how_many() -> None:
    """Where sweeps of both were put together."""
    both = study(noise, seed="1-3") + study(noise, seed="4-9", service="sandbox")
    assert effects_of(both, "change/area").sentences[0].startswith("Partly simulated (6 of 9): ")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (
            study(lambda _: 0.25),
            "Nothing varies: change/area is 0.25, and there is nothing to compare it with.",
        ),
        (
            study(),
            "change/area was not measured yet: call lab.measure(results) to measure the existing pictures.",
        ),
        (study(seed="1-3", ends=dict.fromkeys(range(3), "failed")), "3 of 3 cells have no value: 3 failed."),
        (
            study(seed="1-3", ends=dict.fromkeys(range(3), "moderated")),
            "3 of 3 cells have no value: 3 moderated.",
        ),
        (
            study(lambda _: 0.25, seed="1-3"),
            "change/area is 0.25 in all 3 cells: there is no difference to explain.",
        ),
        (
            study(lambda p: 0.5 if p["seed"] == 1 else None, seed="1-3"),
            "2 of 3 cells have no value: 2 not measured.",
        ),
        (
            study(noise, guidance_scale=[2, 5], seed="1-3", ends={1: "failed", 3: "failed", 5: "moderated"}),
            "guidance_scale: only one value of it was measured.",
        ),
        (Results([]), "There are no cells, so change/area has no values."),
    ],
    ids=[
        "one cell",
        "not measured",
        "all failed",
        "all moderated",
        "constant",
        "one value",
        "one level",
        "no cells",
    ],
)
def test_where_there_is_little_that_is_said(made: Results, words: str) -> None:
    """One clear sentence; no NaN anywhere."""
    sentences = effects_of(made, "change/area").sentences
    assert words in sentences
    assert "nan" not in " ".join(sentences).lower()


def test_nobody_judged_yet_is_said() -> None:
    """A verdict is not measured."""
    assert "verdict/rest_kept: no picture has a verdict yet." in said(study(seed="1-3"), "verdict/rest_kept")


def test_an_idle_axis_is_noticed() -> None:
    """All its matched pairs are the same, byte for byte."""
    made = study(seed=[1, 2], safety_tolerance=[1, 2], shade=lambda p: p["seed"])
    assert {"safety_tolerance": 2} == idle_pairs(made)
    assert idle_words("safety_tolerance", 2) == (
        "safety_tolerance changes nothing: in 2 matched pairs the pictures are the same, byte for byte."
    )


def test_one_different_pair_is_enough_to_be_no_idle_axis() -> None:
    """Whatever the others are."""
    made = study(
        seed=[1, 2, 3],
        safety_tolerance=[1, 2],
        shade=lambda p: 10 * p["seed"] + (p["seed"] == 3) * int(p["safety_tolerance"]),
    )
    assert {} == idle_pairs(made)


def test_one_equal_pair_is_no_proof() -> None:
    """It may be an accident."""
    assert {} == idle_pairs(study(safety_tolerance=[1, 2], shade=lambda _: 7))


def test_idle_axes_are_seen_while_a_sweep_runs() -> None:
    """Cells without a picture count for nothing."""
    made = study(
        seed="1-4",
        safety_tolerance=[1, 2],
        shade=lambda p: p["seed"],
        ends=dict.fromkeys(range(4, 8), "cancelled"),
    )
    assert ["safety_tolerance"] == list(idle_pairs(made))


def test_an_idle_axis_is_among_the_sentences() -> None:
    """Of whatever was measured."""
    made = study(noise, seed=[1, 2], safety_tolerance=[1, 2], shade=lambda p: p["seed"])
    assert "safety_tolerance changes nothing" in said(made)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.06134, "0.0613"),
        (34.21, "34.2"),
        (1234.5, "1234"),
        (-0.5, "−0.5"),
        (0.0, "0"),
        (-0.0, "0"),
        (1e-9, "1.00e-09"),
        (1e20, "1.00e+20"),
    ],
)
def test_numbers_have_three_digits(value: float, words: str) -> None:
    """And no exponent where it can be helped."""
    assert words == number_words(value)


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0 %"), (0.001, "under 1 %"), (0.614, "61 %"), (0.999, "over 99 %"), (1.0, "100 %")],
)
def test_per_cent_never_rounds_something_to_nothing(share: float, words: str) -> None:
    """Nor something to all."""
    assert words == percent(share)


def test_scores_say_that_they_come_of_pairs() -> None:
    """An axis that nobody compared explains 0 % of them, which means nothing."""
    made = study(lambda p: float(p["guidance_scale"]), metric="rank/score", seed="1-3", guidance_scale=[2, 5])
    assert "they say nothing about an axis for which no pair was shown" in said(made, "rank/score")
