"""Exit codes, for scripts to rely on."""

__all__ = ["BAD", "FAILED", "INTERRUPTED", "OK", "STOPPED", "UNDELIVERED", "stopped_by"]

OK, FAILED, BAD, STOPPED, UNDELIVERED, INTERRUPTED = 0, 1, 2, 3, 4, 130


def stopped_by(signal: int) -> int:
    """The code of a command that this signal stopped, as a shell has it: 129 SIGHUP, 130 SIGINT, 143 SIGTERM."""
    return 128 + signal
