"""How far a run is, in words and as bars. Pure: text and markup out of results."""

from __future__ import annotations

from kontext_lab.results import Results, State

__all__ = ["meter", "progress_line"]


def progress_line(results: Results, seconds: float | None) -> str:
    """Counts, money and time left.

    Args:
        results: of the run.
        seconds: left, or None where nobody knows.
    """
    counts = results.counts
    ended = sum(1 for cell in results if cell.state.is_finished and cell.state is not State.CANCELLED)
    parts = [f"{ended}/{len(results)}", f"${results.spent or results.cost:.2f}"]
    if results.simulated:
        parts[1] += " (simulated)"
    if seconds is not None:
        parts.append(f"{seconds:.0f} s left" if seconds < 90 else f"{seconds / 60:.0f} min left")
    parts += [f"{counts[State.FAILED]} failed", f"{counts[State.IN_DOUBT]} in doubt"]
    parts += [f"{counts[state]} {state}" for state in (State.CANCELLED, State.SKIPPED) if counts[state]]
    reused = sum(1 for cell in results if cell.reused_from)
    if reused:
        parts.append(f"{reused} reused")
    if results.measuring and ended == len(results):
        parts.append(f"measuring, {results.measuring} to go")
    return " · ".join(parts)


_METER = (
    (State.DONE, "done"),
    (State.FAILED, "failed"),
    (State.IN_DOUBT, "in-doubt"),
    (State.SKIPPED, "skipped"),
    (State.CANCELLED, "skipped"),
    (State.RUNNING, "running"),
)


def meter(results: Results) -> str:
    """How far it is, as bars; the words are in the line below."""
    counts = results.counts
    ended = sum(counts[state] for state, _ in _METER[:-1])
    bars = "".join(
        f'<span class="kl-meter-{name}" style="width:{100 * counts[state] / len(results):.2f}%"></span>'
        for state, name in _METER
        if counts[state]
    )
    now = f'aria-valuemin="0" aria-valuemax="{len(results)}" aria-valuenow="{ended}"'
    return f'<div class="kl-meter" role="progressbar" aria-label="cells ended" {now}>{bars}</div>'
