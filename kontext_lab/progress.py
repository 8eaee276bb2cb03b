"""Waiting for a sweep with a bar, in the caller's thread: notebooks drop what other threads print."""

from __future__ import annotations

import sys
from typing import Any

from tqdm.auto import tqdm

from kontext_lab.results import Results, State
from kontext_lab.runner import Handle

__all__ = ["follow"]

LEAVING_SECONDS = 10.0
"""How long a second interrupt waits for what is left to be written down."""


def follow(handle: Handle, *, shown: bool) -> Results:
    """Wait for a sweep; an interrupt stops sending and keeps what is in flight, a second one leaves."""
    with tqdm(total=len(handle.results), disable=not shown, unit="cell") as bar:
        told = 0
        while not handle.done:
            try:
                handle.wait(0.1)
            except KeyboardInterrupt:
                _interrupt(handle)
            _show(bar, handle.results)
            # A store that goes away, or a stop, is told when it happens: a sweep may run all night.
            for line in handle.results.notes[told:] if shown else ():
                tqdm.write(line, file=sys.stderr)
                told += 1
    return handle.results


def _interrupt(handle: Handle) -> None:
    handle.cancel()
    try:
        handle.wait()
    except KeyboardInterrupt:
        handle.leave()
        handle.wait(LEAVING_SECONDS)


def _show(bar: Any, results: Results) -> None:
    counts = results.counts
    finished = sum(counts[state] for state in State if state.is_finished)
    if finished != bar.n or bar.total == finished:
        failed = f", {counts[State.FAILED]} failed" if counts[State.FAILED] else ""
        failed += f", {counts[State.IN_DOUBT]} in doubt" if counts[State.IN_DOUBT] else ""
        money = f"${results.spent:.2f} simulated" if results.simulated else f"${results.spent:.2f}"
        bar.set_postfix_str(money + failed, refresh=False)
        bar.update(finished - bar.n)
