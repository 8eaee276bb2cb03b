"""What a lab's results bring for change maps: from a run and from the store, held small, measured once."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

import kontext_lab as kl
from kontext_lab.errors import ConfigError
from kontext_lab.figures import plan_grid
from kontext_lab.lab import change_maps
from kontext_lab.lab.change_maps import ChangeMapCache, ChangeMaps
from kontext_lab.lab.measurer import comparison_of
from kontext_lab.results import Results

MakeSweep = Callable[..., kl.Sweep]


@pytest.fixture
def results(lab: kl.Lab, make_sweep: MakeSweep) -> Results:
    """Two cells, done and not measured."""
    sweep = make_sweep(axes={"seed": [1, 2], "animal": ["bird"]})
    return lab.run(sweep, progress=False, measure=False)


def test_a_run_s_results_show_what_changed(results: Results) -> None:
    """With the maps that a lab makes."""
    figure = kl.grid(results, show="change")
    assert not any(words.get_text() in ("not compared", "no reference") for words in figure.axes[0].texts)


def test_loaded_results_find_their_references(lab: kl.Lab, results: Results) -> None:
    """They don't know them until something is to be shown."""
    loaded = lab.load(results.name)
    before = [cell.request for cell in loaded]
    kl.grid(loaded, show="reference")
    assert [None, None] == before
    assert all(tile.reference is not None for tile in plan_grid(loaded, show="reference").tiles)


def test_cells_by_their_runs_find_theirs(lab: kl.Lab, results: Results) -> None:
    """Of any sweep."""
    picked = lab.load_cells([results[1].run_id])
    kl.grid(picked, show="change")
    assert picked[0].request is not None


def test_what_was_measured_is_measured_once(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redraw is free."""
    asked = []
    monkeypatch.setattr(change_maps, "comparison_of", lambda output: asked.append(1) or comparison_of(output))
    results.comparison_source = ChangeMaps(held=ChangeMapCache())
    for _ in range(3):
        kl.grid(results, show="change")
    assert 2 == len(asked)


def test_a_held_map_is_as_it_was(results: Results) -> None:
    """To a quarter of a Lab unit; what changed at all stays more than nothing."""
    exact = comparison_of(results[0].output)
    found = ChangeMapCache().put("one", exact)
    shown = np.minimum(exact.change_map, 63.75)
    assert np.abs(found.change_map - shown).max() <= 0.25
    assert np.array_equal(exact.change_map > 0, found.change_map > 0)
    assert np.array_equal(exact.seen, found.seen)
    assert exact.regions == found.regions


def test_what_is_held_stays_small(results: Results) -> None:
    """The longest unused goes first."""
    one = comparison_of(results[0].output)
    held = ChangeMapCache(most=60_000)
    for key in range(50):
        held.put(key, one)
    assert 1 <= len(held) < 50
    assert (None, True) == (held.get(0), held.get(49) is not None)


def test_references_that_are_gone_are_said(results: Results) -> None:
    """One line, as everywhere."""
    results[0].request = None
    with pytest.raises(ConfigError, match="its references are not at hand"):
        ChangeMaps().comparison(results[0].output)


def test_results_still_pickle(lab: kl.Lab, results: Results) -> None:
    """Without the open store."""
    loaded = lab.load(results.name)
    copy = pickle.loads(pickle.dumps(loaded))
    kl.grid(copy, show="change")
    assert [cell.title for cell in results] == [cell.title for cell in copy]
