"""Exit codes, for scripts to rely on."""

__all__ = ["BAD", "FAILED", "INTERRUPTED", "LEFT", "OK", "STOPPED"]

OK, FAILED, BAD, STOPPED, INTERRUPTED = 0, 1, 2, 3, 130

LEFT = -1
"""Interrupted twice, so that requests are still under way and nobody waits for them; leaves as INTERRUPTED."""
