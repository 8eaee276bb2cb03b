"""Progress bars and notices, in the caller's thread: notebooks drop the prints of other threads."""

from __future__ import annotations

import sys
from contextlib import suppress
from time import monotonic
from typing import Any

from tqdm.auto import tqdm

from kontext_lab.errors import visible
from kontext_lab.redaction import get_logger
from kontext_lab.results import Results, State
from kontext_lab.runner import Handle

__all__ = ["ProgressBar", "follow", "notify"]

log = get_logger(__name__)

MOST_INTERRUPTS = 2
"""The first stops, the second leaves; one more does not even wait for the last writes."""

LEAVE_SECONDS = 5.0
"""Seconds to wait for a sweep that was left: a store that hangs must not hold a person up."""


class ProgressBar(tqdm):  # type: ignore[type-arg]
    """A tqdm bar of cells. One that can't be shown, as on a closed terminal or a full disk, costs nothing."""

    def __init__(self, total: int, *, shown: bool, label: str | None = None) -> None:
        shown = shown and sys.stderr is not None
        super().__init__(total=total, disable=not shown, unit="cell", desc=label)
        self._noted = 0

    def follow(self, results: Results) -> None:
        """Show the counts and new notes of a sweep; never again once that failed."""
        if self.disable:
            return
        try:
            self._show_counts(results)
            # A store that goes away, or a stop, is reported when it happens: a sweep may run all night.
            for line in results.notes[self._noted :]:
                self._noted += 1
                notify(line)
        except Exception:
            self._give_up()

    def _show_counts(self, results: Results) -> None:
        counts = results.counts
        finished = sum(counts[state] for state in State if state.is_finished)
        if finished != self.n or self.total == finished:
            failed = f", {counts[State.FAILED]} failed" if counts[State.FAILED] else ""
            failed += f", {counts[State.IN_DOUBT]} in doubt" if counts[State.IN_DOUBT] else ""
            money = f"${results.spent:.2f} simulated" if results.simulated else f"${results.spent:.2f}"
            self.set_postfix_str(money + failed, refresh=False)
            self.update(finished - self.n)
        if self.total == finished and results.measuring:
            self.set_postfix_str(f"measuring, {results.measuring} to go")

    def display(self, *args: Any, **options: Any) -> None:
        """Draw it; never again once that failed."""
        try:
            super().display(*args, **options)
        except Exception:
            self._give_up()

    def _give_up(self) -> None:
        self.disable = True
        log.warning("the progress can't be shown any more", exc_info=True)

    def close(self) -> None:
        """End its line."""
        with suppress(OSError):
            super().close()


def notify(line: str) -> None:
    """Write a notice, above a bar if there is one; a stream that can't take it costs nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    # Stderr, so that no output is spoilt; stdout in a notebook, which colours stderr as an error.
    stream = sys.stdout if getattr(shell, "kernel", None) is not None else sys.stderr
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    with suppress(OSError, ValueError, AttributeError):  # full, closed, and without a method
        tqdm.write(visible(line).encode(encoding, "replace").decode(encoding), file=stream)
        stream.flush()


def follow(handle: Handle, *, shown: bool) -> Results:
    """Begin a sweep and wait for it; an interrupt stops sending and keeps what is in flight, a second one leaves.

    However this ends: a sweep that nobody waits for sends nothing more.
    """
    try:
        handle.begin()
        with ProgressBar(len(handle.results), shown=shown) as bar:
            _wait(handle, bar)
        return handle.wait(0)
    except BaseException:
        handle.cancel()
        raise


def _wait(handle: Handle, bar: ProgressBar) -> None:
    interrupts = 0
    over = False
    while not over:
        # An interrupt falls where it falls; missed here, the sweep would pay on with nobody to stop it.
        try:
            handle.wait(0.1)
            over = handle.done or (handle.left is not None and monotonic() - handle.left > LEAVE_SECONDS)
            bar.follow(handle.results)
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts > MOST_INTERRUPTS:
                raise
            if interrupts == 1:
                handle.cancel()
            else:
                handle.leave()
