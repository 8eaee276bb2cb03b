"""`kl.Lab`: plan, run, load and compare sweeps with one service and one store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from kontext_lab.client.keys import Secret
from kontext_lab.errors import SweepError
from kontext_lab.images import MAX_MEGAPIXELS, Reference, load_reference
from kontext_lab.lab import lookup, verdicts
from kontext_lab.lab.change_maps import ChangeMaps
from kontext_lab.lab.context import LabContext, Metric
from kontext_lab.lab.launch import make_plan, prepare_run
from kontext_lab.lab.measurer import check_metrics, measure
from kontext_lab.lab.options import UNSET, Reuse, RunOptions, SkipOrResend, Unset, given_options
from kontext_lab.lab.plan import Plan
from kontext_lab.lab.progress import follow, notify
from kontext_lab.lab.recovery import Recovery
from kontext_lab.lab.service import wants_sandbox
from kontext_lab.lab.unfinished import UnfinishedSweep, list_unfinished, recover_all, tell_unfinished, watch
from kontext_lab.results import CellResult, Output, Results, Spending
from kontext_lab.runner import Handle, Observer, Pacing
from kontext_lab.statistics import Choice, Scores, Vote
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import SweepRun, hide

__all__ = ["Lab", "with_service"]


class Lab:
    """A bench for sweeps: plans and runs them, and finds them again.

    Nothing is opened before it is needed: the store at the first plan or load, the service likewise.

    Args:
        service: `auto` uses the API where the environment has a key, else the sandbox, and says so; `api`;
            `sandbox`: simulated pictures, free.
        tracking_uri: MLflow's store; None for the one that MLflow has set.
        experiment: its name; None for the notebook's, the environment's, else `kontext-lab`.
        concurrency: requests at once, 1 to 64.
        budget: US dollars each call of `run` may spend; None for no limit.
        reuse: `always` or `never`: whether a picture that was paid for is reused.
        in_doubt: `skip` or `resend`: the treatment of requests whose answer was lost.
        measure: measure pictures once they are in the store; the end of a sweep waits for it.
        metrics: callables `(references, output, request) -> {name: float}` of your own.
        criteria: names that verdicts are usually given on, besides `favourite`; see `set_verdict`.
        confirm_above: US dollars above which a person is asked.
        home: folder for what is not in the store yet; None for the environment's, else the user data folder.
        executor: runs the attempts of every sweep; None for threads.
        quiet: say nothing when the lab opens.

    Attributes:
        context: store, service, journal and settings, for tools that are built on a lab.

    Raises:
        ConfigError: a setting that is not allowed; names it and the allowed values.

    Example:
        >>> lab = kl.Lab("sandbox", quiet=True)
        >>> lab
        <Lab: sandbox (simulated pictures, free)>
        >>> lab.close()
    """

    def __init__(
        self,
        service: str = "auto",
        *,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        concurrency: int = 4,
        budget: float | None = None,
        reuse: Reuse = "always",
        in_doubt: SkipOrResend = "skip",
        measure: bool = True,
        metrics: Sequence[Metric] = (),
        criteria: Sequence[str] = ("follows prompt", "rest kept"),
        confirm_above: float = 1.0,
        home: str | os.PathLike[str] | None = None,
        executor: Executor | None = None,
        quiet: bool = False,
    ) -> None:
        options = RunOptions(
            budget, reuse, in_doubt, concurrency=concurrency, executor=executor, measure=measure
        )
        check_metrics(metrics)
        sandbox = wants_sandbox(service)
        self.context = LabContext(
            "sandbox" if sandbox else "api",
            options,
            tracking_uri=tracking_uri,
            experiment=experiment,
            home=home,
            metrics=metrics,
            criteria=criteria,
            confirm_above=confirm_above,
        )
        if sandbox and service == "auto" and not quiet:
            notify("No API key in the environment: using the sandbox – simulated pictures, free.")
        if not sandbox:
            _ = self.context.connection  # a missing or unusable key is an error at once
        if not quiet:
            tell_unfinished(self.context)

    def plan(
        self,
        sweep: Sweep,
        *,
        fetch: bool = True,
        budget: float | Unset | None = UNSET,
        reuse: Reuse | Unset = UNSET,
        in_doubt: SkipOrResend | Unset = UNSET,
        missing: SkipOrResend | Unset = UNSET,
        retry_failed: bool | Unset = UNSET,
        limit: int | Unset | None = UNSET,
        concurrency: int | Unset = UNSET,
        executor: Executor | Unset | None = UNSET,
        measure: bool | Unset = UNSET,
        pause_after: int | Unset = UNSET,
        pacing: Pacing | Unset = UNSET,
    ) -> Plan:
        """Plan a sweep: the cells that are reused, the requests to send, their cost. Sends nothing that is billed.

        Args:
            sweep: the sweep.
            fetch: GET its references by URL; without, the plan says what is not known.
            budget: US dollars this run may spend; None for no limit; as all options the lab's if it is left out.
            reuse: `always` or `never`: whether a picture that was paid for is reused.
            in_doubt: `skip` or `resend` requests whose answer was lost.
            missing: `skip` or `resend` cells whose pictures are not in the store any more.
            retry_failed: send requests again that were billed without a picture.
            limit: send at most this many requests; None for no limit.
            concurrency: requests at once, 1 to 64.
            executor: makes the attempts; None for threads.
            measure: measure the pictures.
            pause_after: outcomes in a row without a picture, or refused alike, that stop the run; 0 for never.
            pacing: which failures are tried again, and how long to wait.

        Raises:
            SweepError: a reference by URL can't be fetched.

        Example:
            >>> lab.plan(kl.Sweep("Add a bird.", kl.sample("coffee"), axes={"seed": "1-3"}), limit=2).requests
            2
        """
        given = given_options(
            budget=budget, reuse=reuse, in_doubt=in_doubt, missing=missing, retry_failed=retry_failed, limit=limit,
            concurrency=concurrency, executor=executor, measure=measure, pause_after=pause_after, pacing=pacing,
        )  # fmt: skip
        options = replace(self.context.options, **given)
        return make_plan(self.context, self.context.resolved(sweep, fetch=fetch), options, ask=True)[0]

    def run(  # noqa: D417 - the options are those of `plan`
        self,
        sweep: Sweep | Plan,
        *,
        progress: bool = True,
        budget: float | Unset | None = UNSET,
        reuse: Reuse | Unset = UNSET,
        in_doubt: SkipOrResend | Unset = UNSET,
        missing: SkipOrResend | Unset = UNSET,
        retry_failed: bool | Unset = UNSET,
        limit: int | Unset | None = UNSET,
        concurrency: int | Unset = UNSET,
        executor: Executor | Unset | None = UNSET,
        measure: bool | Unset = UNSET,
        pause_after: int | Unset = UNSET,
        pacing: Pacing | Unset = UNSET,
    ) -> Results:
        """Run a sweep and wait for it; an interrupt stops sending, keeps what is in flight and returns.

        Args:
            sweep: the sweep, or its plan: then at most the requests of the plan are sent, with its options.
            progress: show a tqdm bar.
            budget, reuse, in_doubt, …: options as for `plan`; a plan has them already.

        Raises:
            ConfigError: an option that is not allowed, options beside a plan, or the plan of another service.
            ServiceUnavailable, Unauthorized: the service doesn't answer, or refuses the key; nothing was sent.
            TrackingError: the store can't be used; nothing was sent.

        Example:
            >>> results = lab.run(kl.Sweep("Add a bird.", kl.sample("coffee"), axes={"seed": [1, 2]}))
            >>> [str(cell.state) for cell in results]
            ['done', 'done']
        """
        given = given_options(
            budget=budget, reuse=reuse, in_doubt=in_doubt, missing=missing, retry_failed=retry_failed, limit=limit,
            concurrency=concurrency, executor=executor, measure=measure, pause_after=pause_after, pacing=pacing,
        )  # fmt: skip
        return follow(prepare_run(self.context, sweep, given), shown=progress)

    def start(  # noqa: D417 - the options are those of `plan`
        self,
        sweep: Sweep | Plan,
        *,
        observers: Sequence[Observer] = (),
        inside: str | None = None,
        budget: float | Unset | None = UNSET,
        reuse: Reuse | Unset = UNSET,
        in_doubt: SkipOrResend | Unset = UNSET,
        missing: SkipOrResend | Unset = UNSET,
        retry_failed: bool | Unset = UNSET,
        limit: int | Unset | None = UNSET,
        concurrency: int | Unset = UNSET,
        executor: Executor | Unset | None = UNSET,
        measure: bool | Unset = UNSET,
        pause_after: int | Unset = UNSET,
        pacing: Pacing | Unset = UNSET,
    ) -> Handle:
        """Run a sweep in the background; returns a handle with `.results`, `.wait()` and `.cancel()`.

        Args:
            sweep: the sweep, or its plan: then at most the requests of the plan are sent, with its options.
            observers: called with every cell whose state changed, on the coordinator's thread.
            inside: the MLflow run that a new sweep's run is put into, or "" for none; None for the run that is
                active in the calling thread.
            budget, reuse, in_doubt, …: options as for `plan`; a plan has them already.

        Example:
            >>> plan = lab.plan(kl.Sweep("Add a crab.", kl.sample("coffee")))
            >>> len(lab.start(plan).wait())
            1
        """
        given = given_options(
            budget=budget, reuse=reuse, in_doubt=in_doubt, missing=missing, retry_failed=retry_failed, limit=limit,
            concurrency=concurrency, executor=executor, measure=measure, pause_after=pause_after, pacing=pacing,
        )  # fmt: skip
        return prepare_run(self.context, sweep, given, observers, inside).begin()

    def edit(self, image: Any, prompt: str, **fields: Any) -> CellResult:
        """Make one edit, logged as a sweep of one cell; `.image` of the result is the picture.

        Args:
            image: a reference.
            prompt: the change to make.
            **fields: other request fields, such as `seed=3`.

        Example:
            >>> lab.edit(kl.sample("coffee"), "Add a bird.", seed=3).output.format
            'jpeg'
        """
        sweep = Sweep(prompt=prompt, image=image, **fields)
        if len(sweep) != 1:
            raise SweepError(f"edit: this is a sweep of {len(sweep)} cells, use lab.run(kl.Sweep(…))")
        return self.run(sweep, progress=False)[0]

    def measure(
        self, results: Results, metrics: Sequence[Metric] | None = None, *, progress: bool = True
    ) -> Results:
        """Measure in place how much each edit changed and how well it kept the rest, also weeks later; sends nothing.

        The values are in the outputs' `.metrics` and in `results.to_frame()` afterwards, and recorded in MLflow;
        `kl.compare` explains them.

        Args:
            results: changed in place, and returned.
            metrics: further callables `(references, output, request) -> {name: float}`; None for the lab's.
            progress: show a tqdm bar.
        """
        own = self.context.metrics if metrics is None else metrics
        results.notes += measure(self.context.tracker, results, own, progress=progress)
        return results

    def recover(self) -> list[Recovery]:
        """Bring everything that crashes left in the journal into the store; sends nothing that is billed."""
        return recover_all(self.context)

    @property
    def unfinished(self) -> list[UnfinishedSweep]:
        """The sweeps that did not end; looks into the journal alone."""
        return list_unfinished(self.context)

    def watch(self, which: str, *, progress: bool = True) -> Results:
        """Wait for a sweep that another process is running; takes the same names as `load`, returns its results."""
        return self.load(watch(self.context, which, shown=progress))

    def load(self, which: str) -> Results:
        """Load a sweep's results from the store, by name, run id, the beginning of that, or `last`.

        Raises:
            NotFound: no such sweep, or several, which are then listed.

        Example:
            >>> _ = lab.run(kl.Sweep("Add a bird.", kl.sample("coffee"), name="birds"))
            >>> lab.load("birds").name
            'birds'
        """
        return lookup.load_results(self.context.tracker, str(which), ChangeMaps(self.context.tracker))

    def load_sweep(self, which: str) -> Sweep:
        """Load a sweep as it was defined, by name, run id, the beginning of that, or `last`.

        Raises:
            NotFound: no such sweep, or several, which are then listed.
            SweepError: its file can't be read any more.
        """
        return self.context.tracker.sweep_of(str(which))

    def load_cells(self, run_ids: Sequence[str]) -> Results:
        """Load cells of any sweeps and experiments by their own runs' ids, in this order, each once.

        Raises:
            NotFound: some ids are not those of cells; names them.
        """
        return lookup.load_cells(self.context.tracker, run_ids, ChangeMaps(self.context.tracker))

    def history(self, *, everywhere: bool = False, hidden: bool = False) -> list[SweepRun]:
        """List the sweeps of this experiment, or of the store `everywhere`, newest first; on demand `hidden` ones too."""
        return self.context.tracker.history(everywhere=everywhere, hidden=hidden)

    def hide(self, run_id: str, hidden: bool = True) -> None:
        """Leave a sweep out of `history` and `kontext-lab list`, or show it again; nothing of it is deleted."""
        trouble = f"run {run_id:.40} can't be {'hidden' if hidden else 'shown again'} in MLflow"
        self.context.tracker.call(trouble, hide, run_id, hidden)

    def find(self, picture: Any) -> list[lookup.Found]:
        """Find the cells that made a picture, in any experiment of the store, the best match first.

        Args:
            picture: a path, bytes, PIL image, array or output; also of a copy that was saved again or resized.
        """
        return lookup.find(self.context.tracker, picture)

    def spending(self) -> Spending:
        """Add up US dollars by day, sweep and model, of every experiment in the store; simulated ones apart."""
        return self.context.tracker.spending()

    def ancestors(self, what: CellResult | Output) -> list[Output]:
        """List the outputs a picture was made from, oldest first, up to 50, along the first reference of each."""
        return lookup.ancestors(self.context.tracker, what)

    def derived(self, what: CellResult | Output) -> list[Output]:
        """List the pictures made directly from an output, oldest first, in any experiment; no copies."""
        return lookup.derived(self.context.tracker, what)

    def set_verdict(self, what: CellResult | Output, criterion: str, verdict: bool | None) -> None:
        """Record that a picture passes or fails on a criterion; in MLflow as `verdict/<criterion>`, also on later copies.

        May be called on any thread, also while the sweep is under way.

        Args:
            what: an output; of a cell, its first.
            criterion: such as `follows prompt`, `favourite`, or any name that MLflow takes.
            verdict: True, False, or None to withdraw it.

        Raises:
            NotFound: there is no picture, or its cell is not in the store yet.
            TrackingError: the verdict can't be recorded; then nothing changes.

        Example:
            >>> cell = lab.edit(kl.sample("coffee"), "Add a bird.")
            >>> lab.set_verdict(cell, "follows prompt", True)
            >>> cell.output.metrics["verdict/follows_prompt"]
            1.0
        """
        verdicts.set_verdict(self.context.tracker, what, criterion, verdict)

    def annotate(self, what: CellResult | Output, text: str) -> None:
        """Put a note of up to 5000 characters on a cell, `.comment`, the description of its run in MLflow; "" removes it.

        Raises:
            NotFound: the cell is not in the store yet.
        """
        verdicts.annotate(self.context.tracker, what, text)

    def vote(
        self, left: CellResult | Output, right: CellResult | Output, choice: Choice, rater: str = ""
    ) -> Vote:
        """Record which of two pictures is better, under `votes/` of their sweep in MLflow; see `scores`.

        May be called on any thread, and by several people and kernels at once.

        Args:
            left: an output; of a cell, its first.
            right: another one.
            choice: `left`, `right`, `both good` (half a win each way) or `both bad` (no vote).
            rater: the person's name.

        Raises:
            NotFound: there is no picture, or it is not in this store.
        """
        return verdicts.vote(self.context.tracker, left, right, choice, rater)

    def votes(self, results: Results) -> list[Vote]:
        """List every vote on two pictures among these, by anybody, oldest first; also votes on originals of copies."""
        return verdicts.votes_on(self.context.tracker, results)

    def withdraw_vote(self, vote: Vote, left: CellResult | Output, right: CellResult | Output) -> None:
        """Withdraw a vote on these two pictures; it stays on file and no longer counts."""
        verdicts.withdraw_vote(self.context.tracker, vote, left, right)

    def scores(self, results: Results) -> Scores:
        """Compute Bradley-Terry scores from all votes on these sweeps; in MLflow as `rank/score` and `rank/score_se`.

        Also in the outputs' `metrics`, and so in `results.to_frame()`. A picture without votes has no score.
        """
        return verdicts.score(self.context.tracker, results)

    @property
    def simulated(self) -> bool:
        """True if pictures come from the sandbox."""
        return self.context.simulated

    def balance(self) -> float | None:
        """Ask for the US dollars left on the account; None where the service doesn't tell. Free."""
        return self.context.connection.client.balance()

    def reference(self, source: Any, *, max_megapixels: float = MAX_MEGAPIXELS) -> Reference:
        """Load and prepare a picture as a sweep would; one by address is fetched as it is now.

        Args:
            source: as for `Sweep(image=…)`.
            max_megapixels: larger pictures are scaled down to this many million pixels.
        """
        reference = load_reference(source, max_megapixels=max_megapixels)
        if reference.resolved:
            return reference
        return reference.resolve(self.context.connection.client.fetch_reference)

    def close(self) -> None:
        """Close connections, and stop the sandbox this lab started."""
        self.context.close()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        context = vars(self).get("context")
        if context is None:  # its settings were refused; a traceback shows it
            return "<Lab: not opened>"
        where = context.service_name if context.connected else context.service
        simulated = " (simulated pictures, free)" if where == "sandbox" else ""
        store = f", {context.store_address}" if context.store_opened else ""
        return f"<Lab: {where}{simulated}{store}>"


def with_service(lab: Lab, service: str, key: str | None = None) -> Lab:
    """Return a lab with the same settings and the same open store for another service; see `LabContext.with_service`."""
    key = Secret(key) if isinstance(key, str) else key  # at once: a traceback may show this frame
    other = object.__new__(Lab)
    other.context = lab.context.with_service(service, key)
    return other
