"""What was spent, as the store knows it: real money, simulated money, and what is in doubt."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.cli.main import run_command
from kontext_lab.results import Spending, Spent
from kontext_lab.sandbox import Sandbox

REAL = "https://api.aimlapi.com"


def make_real(store_uri: str, results: kl.Results) -> None:
    """As if the real service had answered: the tag that says who did is changed."""
    client = MlflowClient(store_uri)
    for run_id in (results.run_id, *(cell.run_id for cell in results)):
        client.set_tag(run_id, "kontext.service", REAL)


def test_a_sweep(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], store_uri: str) -> None:
    """One row for a sweep of one model on one day, with what its cells cost together."""
    results = lab.run(make_sweep(name="siblings"), progress=False)
    make_real(store_uri, results)
    (row,) = lab.spending().rows
    assert ("siblings", results.run_id, REAL) == (row.sweep, row.run_id, row.service)
    assert (8, 8, results.cost, 0) == (row.cells, row.pictures, row.usd, row.in_doubt)
    assert datetime.now().astimezone().date() - row.day <= timedelta(days=1)


def test_simulated_money_stands_apart(
    lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], store_uri: str
) -> None:
    """Real and simulated dollars are never added."""
    simulated = lab.run(make_sweep(), progress=False)
    real = lab.run(make_sweep(seed=7, axes={"animal": ["bird"]}, name="real"), progress=False)
    make_real(store_uri, real)
    spending = lab.context.tracker.spending()
    assert (real.cost, simulated.cost) == (spending.total, spending.simulated)


@pytest.mark.slow
def test_copies_cost_nothing(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> None:
    """A sweep that reuses eight cells is counted with its own four only."""
    lab.run(make_sweep(name="short"), progress=False)
    longer = lab.run(make_sweep(name="longer").replace(seed=[1, 2, 3]), progress=False)
    rows = {row.sweep: row for row in lab.context.tracker.spending().rows}
    assert (8, 4) == (rows["short"].cells, rows["longer"].cells)
    assert longer.cost == rows["longer"].usd == rows["short"].usd / 2


def test_every_model_has_its_row(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> None:
    """A sweep over models is one row for each."""
    lab.run(make_sweep(axes={"model": ["pro", "max"], "animal": ["bird"]}), progress=False)
    assert {"flux/kontext-pro/image-to-image": 0.052, "flux/kontext-max/image-to-image": 0.104} == {
        row.model: pytest.approx(row.usd) for row in lab.context.tracker.spending().rows
    }


def test_what_is_in_doubt_is_counted_beside(
    api: Sandbox, lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], store_uri: str
) -> None:
    """A lost answer costs nothing for certain, and is told."""
    results = lab.run(make_sweep(axes={"animal": ["bird"]}, name="lost"), progress=False)
    make_real(store_uri, results)
    client = MlflowClient(store_uri)
    client.set_tag(results[0].run_id, "kontext.state", "in_doubt")
    client.log_metric(results[0].run_id, "cost/usd", 0.0)
    spending = lab.context.tracker.spending()
    assert (0.0, 1) == (spending.total, spending.in_doubt)
    assert "1 in doubt" in spending.summary


def test_every_experiment_counts(api: Sandbox, lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> None:
    """Money spent in one experiment is told in another."""
    lab.run(make_sweep(axes={"animal": ["bird"]}, name="here"), progress=False)
    with kl.Lab(experiment="another") as other:
        assert ["here"] == [row.sweep for row in other.context.tracker.spending().rows]


def test_page_by_page(
    lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells on later pages count as well."""
    results = lab.run(make_sweep(), progress=False)
    monkeypatch.setattr("kontext_lab.tracking.reading.PAGE", 3)
    assert results.cost == lab.context.tracker.spending().simulated


def test_nothing_spent(lab: kl.Lab) -> None:
    """An empty store has a table with its columns and no rows."""
    spending = lab.context.tracker.spending()
    assert (0.0, 0.0, 0) == (spending.total, spending.simulated, len(spending))
    assert ["day", "sweep", "run_id", "model"] == list(spending.to_frame().columns)[:4]


def test_command(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], capfd: pytest.CaptureFixture[str]) -> None:
    """`costs` says the sums and a line for each row; simulated money is called that."""
    lab.run(make_sweep(name="siblings"), progress=False)
    capfd.readouterr()
    code = run_command(["costs"])
    first, row = capfd.readouterr().out.splitlines()
    assert (0, True) == (code, first.startswith("$0.00 spent · $0.42 simulated (sandbox, free)"))
    assert "siblings  simulated" in row


def test_command_as_json(
    lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], capfd: pytest.CaptureFixture[str]
) -> None:
    """With --json the sums and every row are there for other programs."""
    results = lab.run(make_sweep(name="siblings"), progress=False)
    capfd.readouterr()
    run_command(["costs", "--json"])
    said = json.loads(capfd.readouterr().out)
    assert (0.0, results.cost, 0) == (said["total_usd"], said["simulated_usd"], said["in_doubt"])
    assert [("siblings", True, 8)] == [(row["sweep"], row["simulated"], row["cells"]) for row in said["rows"]]


def spent(day: int = 1, service: str = REAL, usd: float = 1.0, sweep: str = "a", in_doubt: int = 0) -> Spent:
    """A row."""
    return Spent(
        date(2026, 11, day), sweep, "f" * 32, "flux/kontext-pro/image-to-image", service, 2, 2, usd, in_doubt
    )


def test_sums_by_a_column() -> None:
    """Real dollars only, whatever they are summed by."""
    spending = Spending((spent(2), spent(1), spent(1, usd=0.5), spent(1, "sandbox", 9.0)))
    assert {date(2026, 11, 2): 1.0, date(2026, 11, 1): 1.5} == spending.by("day")


def test_names_are_text_in_a_notebook() -> None:
    """A sweep's name cannot put markup into a page."""
    shown = Spending((spent(sweep="<script>alert(1)</script>"),))._repr_html_()
    assert ("<script>" in shown, "&lt;script&gt;" in shown) == (False, True)


def test_long_tables_are_cut() -> None:
    """A notebook shows the latest rows and says how many more there are."""
    shown = Spending(tuple(spent() for _ in range(30)))
    assert ("… and 16 more rows" in shown._repr_html_(), "… and 10 more") == (True, list(shown.lines(20))[-1])


def test_frame_keeps_every_row() -> None:
    """The table holds all rows, real and simulated told apart."""
    frame = Spending((spent(), spent(service="sandbox"))).to_frame()
    assert [False, True] == list(frame["simulated"])
