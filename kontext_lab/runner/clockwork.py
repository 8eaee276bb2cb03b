"""Named moments at which something is to be done; whoever owns it asks what is due."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Clockwork"]


class Clockwork:
    """Alarms by name; setting one again moves it."""

    def __init__(self) -> None:
        self._alarms: dict[str, tuple[float, Callable[[], None]]] = {}

    def set(self, name: str, moment: float, act: Callable[[], None]) -> None:
        """Do something at a moment of the monotonic clock."""
        self._alarms[name] = (moment, act)

    def has(self, name: str) -> bool:
        """Whether such an alarm is set."""
        return name in self._alarms

    def cancel(self, name: str) -> None:
        """Forget an alarm."""
        self._alarms.pop(name, None)

    def seconds(self, now: float, most: float = 60.0) -> float:
        """Seconds until the next alarm, at most so many."""
        return max(0.0, min((most, *(moment - now for moment, _ in self._alarms.values()))))

    def due(self, now: float) -> list[Callable[[], None]]:
        """What is to be done now, in the order of its moments."""
        names = [name for name, (moment, _) in self._alarms.items() if moment <= now]
        found = sorted((self._alarms.pop(name) for name in names), key=lambda alarm: alarm[0])
        return [act for _, act in found]
