"""Waiting for a sweep with a bar, in the caller's thread: notebooks drop what other threads print."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from tqdm.auto import tqdm

from kontext_lab.results import Results, State
from kontext_lab.runner import Handle

__all__ = ["follow", "notices"]

MOST_INTERRUPTS = 2
"""The first stops, the second leaves; one more does not even wait for what is left to be written down."""


def notices() -> TextIO:
    """Where notices are written: stderr, so that no output is spoilt; a notebook colours that as an error."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return sys.stdout if getattr(shell, "kernel", None) is not None else sys.stderr


def follow(handle: Handle, *, shown: bool) -> Results:
    """Wait for a sweep; an interrupt stops sending and keeps what is in flight, a second one leaves."""
    interrupts = told = 0
    with tqdm(total=len(handle.results), disable=not shown, unit="cell") as bar:
        while not handle.done:
            # An interrupt falls where it falls; missed here, the sweep would pay on with nobody to stop it.
            try:
                handle.wait(0.1)
                _show(bar, handle.results)
                # A store that goes away, or a stop, is told when it happens: a sweep may run all night.
                for line in handle.results.notes[told:] if shown else ():
                    tqdm.write(line, file=notices())
                    told += 1
            except KeyboardInterrupt:
                interrupts += 1
                if interrupts > MOST_INTERRUPTS:
                    raise
                _interrupt(handle, interrupts)
        _show(bar, handle.results)
    return handle.wait()


def _interrupt(handle: Handle, count: int) -> None:
    if count == 1:
        handle.cancel()
    else:
        handle.leave()


def _show(bar: Any, results: Results) -> None:
    counts = results.counts
    finished = sum(counts[state] for state in State if state.is_finished)
    if finished != bar.n or bar.total == finished:
        failed = f", {counts[State.FAILED]} failed" if counts[State.FAILED] else ""
        failed += f", {counts[State.IN_DOUBT]} in doubt" if counts[State.IN_DOUBT] else ""
        money = f"${results.spent:.2f} simulated" if results.simulated else f"${results.spent:.2f}"
        bar.set_postfix_str(money + failed, refresh=False)
        bar.update(finished - bar.n)
    if bar.total == finished and results.measuring:
        bar.set_postfix_str(f"measuring, {results.measuring} to go")
