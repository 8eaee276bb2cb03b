"""Plans: the action for each cell of a sweep, and the cost of all, decided before anything is paid.

Pure: tables in, tables out. Nothing here asks a service or a store; the caller passes what is known.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from kontext_lab.errors import visible
from kontext_lab.lab.options import RunOptions
from kontext_lab.request import EditRequest, find_model
from kontext_lab.results import State, TrackedCell
from kontext_lab.sweep import Cell, Sweep

__all__ = ["Action", "Decision", "Plan", "decide"]

TYPICAL_SECONDS = 10.0
"""Time of the real service for a picture; 5 to 20 s were seen."""


class Action(StrEnum):
    """The action for a cell."""

    SEND = "send"
    KEEP = "keep"
    """The sweep's own run already holds the outcome."""
    COPY = "copy"
    """Another run holds it."""
    RECOVER = "recover"
    """Its answer came before a crash and lies in the journal: it is logged, nothing is sent."""
    FOLLOW = "follow"
    """An earlier cell of this sweep is the same request; it is sent once."""
    LEAVE = "leave"
    """Beyond the limit that was asked for."""
    MISSING = "missing"
    """It was paid for, and its pictures are not in the store any more: not paid for again unasked."""


@dataclass(frozen=True)
class Decision:
    """One cell, and the action for it.

    Attributes:
        cell: of the sweep.
        fingerprint: of its request.
        action: the action for it.
        known: the tracked cell it is kept or copied from; of one that is missing or sent again, the tracked cell
            without its pictures.
        leader: the place of the earlier cell it follows.
    """

    cell: Cell
    fingerprint: str
    action: Action
    known: TrackedCell | None = None
    leader: int | None = None


def decide(
    cells: Sequence[Cell],
    fingerprints: Sequence[str],
    options: RunOptions,
    *,
    here: Mapping[int, TrackedCell],
    anywhere: Mapping[str, TrackedCell],
    held: Mapping[int, TrackedCell | None],
    not_billed: Collection[str],
) -> tuple[Decision, ...]:
    """Decide on the action for each cell.

    Args:
        cells: of the sweep, in order.
        fingerprints: of their requests.
        options: of the run.
        here: tracked cells of the sweep's own run, by place.
        anywhere: the best tracked cells of the whole store, by fingerprint.
        held: the journal's entries, by place: None where an answer came, else the request in doubt.
        not_billed: ids of requests in doubt that failed by the service's log: they may be sent.
    """
    own_pictures = {one.fingerprint: one for one in here.values() if one.state is State.DONE}
    decisions: list[Decision] = []
    leaders: dict[str, int] = {}
    sent = 0
    for place, (cell, fingerprint) in enumerate(zip(cells, fingerprints, strict=True)):
        if place in held and held[place] is None:
            leaders.setdefault(fingerprint, place)
            decisions.append(Decision(cell, fingerprint, Action.RECOVER))
            continue
        own = held.get(place) or here.get(place)
        known, again = None, False
        if options.reuse == "always":
            tracked = (own, own_pictures.get(fingerprint), anywhere.get(fingerprint))
            same = [one for one in tracked if one is not None and one.fingerprint == fingerprint]
            known, again = _worth_keeping(same, not_billed, options)
        if known is not None and not again:
            action = Action.KEEP if own is not None and known.run_id == own.run_id else Action.COPY
            decisions.append(Decision(cell, fingerprint, Action.MISSING if known.is_gone else action, known))
        elif fingerprint in leaders:
            decisions.append(Decision(cell, fingerprint, Action.FOLLOW, leader=leaders[fingerprint]))
        elif options.limit is not None and sent >= options.limit:
            decisions.append(Decision(cell, fingerprint, Action.LEAVE))
        else:
            sent += 1
            leaders[fingerprint] = place
            decisions.append(Decision(cell, fingerprint, Action.SEND, known))
    return tuple(decisions)


def _worth_keeping(
    tracked: Sequence[TrackedCell], not_billed: Collection[str], options: RunOptions
) -> tuple[TrackedCell | None, bool]:
    """The tracked cell that stands for this one, by the table of states; None where it is simply to be sent.

    Returns:
        The cell, and whether it is sent again because its pictures are missing. What is missing weighs less than
        a request in doubt or one that was billed in vain: those may have brought the picture, or cost money again.
    """
    candidates = [one for one in tracked if not one.request_id or one.request_id not in not_billed]
    if len(candidates) < len(tracked):  # a copy of a doubt is no longer in doubt than its original
        candidates = [one for one in candidates if not (one.copied and one.state is State.IN_DOUBT)]
    done = [one for one in candidates if one.state is State.DONE]
    best = min(done, key=lambda one: (one.is_gone, one.missing), default=None)
    if best is not None and (not best.missing or (options.missing == "skip" and not best.is_gone)):
        return best, False
    doubt = next((one for one in candidates if one.state is State.IN_DOUBT), None)
    billed = next((one for one in candidates if one.billed_without_picture), None)
    resent = options.in_doubt == "resend" if doubt is not None else options.retry_failed
    kept = None if resent else doubt or billed
    if kept is not None:
        return (kept if best is None or best.is_gone else best), False
    return best, best is not None and options.missing == "resend"


@dataclass(frozen=True)
class Plan:
    """The actions and the cost of a run; `lab.run(plan)` runs it.

    Attributes:
        sweep: with its references fetched, unless the plan was made without.
        service: `sandbox` or the service's origin.
        decisions: one per cell.
        options: of the run.
        prices: US dollars per picture by model, where the service names another than the table.
        charged: prices that the service really charged; they count more than announced ones.
        balance: US dollars left, or None where the service doesn't say.
        seconds_each: expected seconds of a request.
        other_stores: number of requests whose pictures another store holds, by the store's URI.
        notes: questions that could not be answered.
    """

    sweep: Sweep
    service: str
    decisions: tuple[Decision, ...]
    options: RunOptions = field(default_factory=RunOptions)
    prices: Mapping[str, float] = field(default_factory=dict)
    charged: Mapping[str, float] = field(default_factory=dict)
    balance: float | None = None
    seconds_each: float = TYPICAL_SECONDS
    other_stores: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def simulated(self) -> bool:
        """True if the sandbox would answer."""
        return self.service == "sandbox"

    def of(self, action: Action) -> list[Decision]:
        """The decisions of one kind."""
        return [decision for decision in self.decisions if decision.action is action]

    def head(self, requests: int) -> Plan:
        """Return the plan with only the first few of its requests; the others are left out."""
        sends = [place for place, one in enumerate(self.decisions) if one.action is Action.SEND]
        dropped = set(sends[requests:])
        decisions = tuple(
            replace(one, action=Action.LEAVE, known=None, leader=None)
            if place in dropped or one.leader in dropped
            else one
            for place, one in enumerate(self.decisions)
        )
        return replace(self, decisions=decisions, options=replace(self.options, limit=requests))

    @property
    def requests(self) -> int:
        """Number of requests to send."""
        return len(self.of(Action.SEND))

    @property
    def reused(self) -> int:
        """Number of cells that have a picture already."""
        return len(self._reused)

    @property
    def unfetched(self) -> int:
        """Number of requests with a reference by address that was not fetched: they may be known."""
        sends = (one.cell.request.images for one in self.of(Action.SEND))
        return sum(1 for images in sends if not all(reference.resolved for reference in images))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that references are given by, each once, without passwords."""
        return tuple(dict.fromkeys(one.address for one in self.sweep.references if one.url))

    @property
    def outside(self) -> tuple[str, ...]:
        """The files outside of its folder that the sweep's file names, each once."""
        return tuple(dict.fromkeys(one.outside for one in self.sweep.references if one.outside))

    @property
    def sources(self) -> tuple[str, ...]:
        """Files and addresses of references that a person may not know of, a line each."""
        lines = []
        if files := self.outside:
            count = "1 file" if len(files) == 1 else f"{len(files)} files"
            lines.append(f"sends {count} from outside the sweep file's folder: {_first(files)}")
        if addresses := self.addresses:
            count = "1 address" if len(addresses) == 1 else f"{len(addresses)} addresses"
            lines.append(f"fetches {count}: {_first(addresses)}")
        return tuple(lines)

    @property
    def oldest(self) -> datetime | None:
        """Time of the oldest reused picture."""
        return min((one.when for one in self._reused), default=None)

    @property
    def _reused(self) -> list[TrackedCell]:
        taken = [one.known for one in (*self.of(Action.KEEP), *self.of(Action.COPY))]
        return [one for one in taken if one is not None and one.state is State.DONE]

    @property
    def missing(self) -> int:
        """Number of cells left out because their pictures are not in the store any more."""
        return len(self.of(Action.MISSING))

    @property
    def missing_cost(self) -> float:
        """Expected cost of sending those again, in US dollars."""
        requests = {one.fingerprint: one.cell.request for one in self.of(Action.MISSING)}
        return round(sum(self.cost_of(request) for request in requests.values()), 6)

    @property
    def in_doubt(self) -> int:
        """Number of cells left out because their answer was lost."""
        return sum(1 for one in self.decisions if one.known is not None and one.known.state is State.IN_DOUBT)

    def cost_of(self, request: EditRequest) -> float:
        """Expected cost of a request, in US dollars."""
        announced = request.price if request.price is not None else self.prices.get(request.model)
        price = self.charged.get(request.model, announced)
        return request.cost if price is None else round(price * request.pictures, 6)

    @property
    def cost(self) -> float:
        """Expected cost of all requests together, in US dollars."""
        return round(sum(self.cost_of(one.cell.request) for one in self.of(Action.SEND)), 6)

    @property
    def affordable(self) -> int:
        """Number of requests that fit into the budget."""
        left, count = self.options.budget, 0
        if left is None:
            return self.requests
        for one in self.of(Action.SEND):
            left -= self.cost_of(one.cell.request)
            if left < -1e-9:
                break
            count += 1
        return count

    @property
    def seconds(self) -> float:
        """Expected time, in seconds."""
        rounds = -(-self.requests // self.options.concurrency)
        return rounds * self.seconds_each

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings to read before paying, a line each."""
        lines = list(self.sweep.warnings)
        if self.affordable < self.requests:
            fit = f"{self.affordable} of {self.requests} requests fit"
            lines.append(f"${self.options.budget:.2f} of budget: {fit}, the rest is skipped")
        if self.balance is not None and self.cost > self.balance and not self.simulated:
            lines.append(f"${self.cost:.2f} is more than the ${self.balance:.2f} left on the account")
        lines += self._missing_lines()
        if self.in_doubt:
            lines.append(f"{self.in_doubt} in doubt: their answers were lost, they may have been billed")
        if not self.simulated:  # nobody paid for a simulated picture
            for store, held in self.other_stores.items():
                were = "was" if held == 1 else "were"
                lines.append(
                    f"{held} of these {self.requests} {were} paid for in that other store {store}: "
                    "set MLFLOW_TRACKING_URI to use it"
                )
        if self.unfetched:
            count = f"{self.unfetched} of these {self.requests} requests"
            lines.append(
                f"{count}: no address was fetched, so it isn't known whether they were paid for before"
            )
        kept = sum(1 for one in self.decisions if one.known and one.known.billed_without_picture)
        if kept:
            lines.append(f"{kept} were billed before without a picture and are not bought again unasked")
        models = {one.cell.request.model for one in self.of(Action.SEND)}
        for model in filter(None, (find_model(name) for name in sorted(models))):
            if self.options.concurrency > model.concurrency:
                polite = f"more than is polite for {model.short} ({model.concurrency})"
                lines.append(f"{self.options.concurrency} at once is {polite}")
        return (*lines, *self.notes)

    def _missing_lines(self) -> list[str]:
        """Lines about pictures that are not in the store any more."""
        left = self.of(Action.MISSING)
        again = [one for one in self.of(Action.SEND) if one.known is not None]
        part = [one for one in self._reused if one.missing]
        lines = []
        if left:
            cost = self._price(self.missing_cost)
            lines.append(
                f"{_were(len(left))} paid for before and left out: {_gone(left)}; "
                f'sent again only with --missing resend (in Python missing="resend"), for {cost}'
            )
        if again:
            cost = self._price(sum(self.cost_of(one.cell.request) for one in again))
            lines.append(f"{_were(len(again))} paid for before and sent again, for {cost}: {_gone(again)}")
        if part:
            lines.append(f"{len(part)} of the reused lack some of their pictures: missing in {part[0].place}")
        return lines

    def _price(self, cost: float) -> str:
        return f"≈ ${cost:.2f}" if not self.simulated else f"free (≈ ${cost:.2f} if it were real)"

    @property
    def line(self) -> str:
        """The plan in one line: `3 × 3 × 2 = 18 requests · 6 reused (1 Nov) · ≈ $0.62 · ≈ 1 min`."""
        sizes = " × ".join(str(len(axis)) for axis in self.sweep.axes)
        count = f"{sizes} = {len(self.decisions)}" if len(self.sweep.axes) > 1 else str(len(self.decisions))
        parts = [f"{count} request{'' if len(self.decisions) == 1 else 's'}"]
        if self.oldest is not None:
            day = f"{self.oldest.astimezone():%d %b}".lstrip("0")
            parts.append(f"{self.reused} reused ({'from' if self.reused > 1 else 'of'} {day})")
        most = "at most " if self.unfetched else ""
        words = {
            Action.RECOVER: "to recover",
            Action.FOLLOW: "the same as others",
            Action.LEAVE: "beyond the limit",
            Action.MISSING: "missing",
        }
        counts = {action: len(self.of(action)) for action in words}
        parts += [f"{count} {words[action]}" for action, count in counts.items() if count]
        if self.requests != len(self.decisions):
            parts.append(f"{most}{self.requests} to send")
        if not self.requests:
            # Without requests there is no cost and no time to show.
            return " · ".join([*parts, *(["simulated pictures (sandbox)"] if self.simulated else [])])
        if self.simulated:
            parts += [f"free ({most}≈ ${self.cost:.2f} if it were real)", "simulated pictures (sandbox)"]
        else:
            parts.append(f"{most}≈ ${self.cost:.2f}")
        seconds = max(1.0, self.seconds) if self.seconds else 0.0
        if seconds < 90:
            parts.append(f"≈ {seconds:.0f} s")
        else:
            parts.append(f"≈ {seconds / 60:.0f} min" if seconds < 5400 else f"≈ {seconds / 3600:.1f} h")
        return " · ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for other programs."""
        return {
            "name": self.sweep.name,
            "service": self.service,
            "simulated": self.simulated,
            "cells": len(self.decisions),
            "requests": self.requests,
            "reused": self.reused,
            "oldest_reused": self.oldest.isoformat() if self.oldest else None,
            "in_doubt": self.in_doubt,
            "unfetched": self.unfetched,
            "missing": self.missing,
            "missing_cost_usd": self.missing_cost,
            "cost_usd": self.cost,
            "seconds": round(self.seconds, 1),
            "budget_usd": self.options.budget,
            "affordable": self.affordable,
            "balance_usd": self.balance,
            "files_outside": [visible(file) for file in self.outside],
            "addresses": [visible(address) for address in self.addresses],
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        return "\n".join((self.line, *self.sources, *(f"! {warning}" for warning in self.warnings)))

    def __repr__(self) -> str:
        return f"<Plan {self.sweep.name!r}: {self.line}>"

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in (*self.sources, *self.warnings))
        listed = f"<ul>{lines}</ul>" if lines else ""
        return f"<div><b>{html.escape(self.sweep.name)}</b><br>{html.escape(self.line)}{listed}</div>"


def _first(names: Sequence[str], most: int = 3) -> str:
    """The first of some names, each short enough for a line, and how many more there are."""
    shown = [visible(name if len(name) <= 120 else f"{name[:60]}…{name[-59:]}") for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def _were(count: int) -> str:
    return "1 cell was" if count == 1 else f"{count} cells were"


def _gone(decisions: Sequence[Decision]) -> str:
    """The place of missing pictures, in words."""
    place = next((one.known.place for one in decisions if one.known), "")
    return f"{'its pictures are' if len(decisions) == 1 else 'their pictures are'} missing in {place}"
