"""Named timers; the owner asks which are due."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Timers"]


class Timers:
    """Timers by name; setting one again moves it."""

    def __init__(self) -> None:
        self._circuit_breaker: dict[str, tuple[float, Callable[[], None]]] = {}

    def set(self, name: str, moment: float, act: Callable[[], None]) -> None:
        """Do something at a moment of the monotonic clock."""
        self._circuit_breaker[name] = (moment, act)

    def has(self, name: str) -> bool:
        """Whether such an alarm is set."""
        return name in self._circuit_breaker

    def cancel(self, name: str) -> None:
        """Forget an alarm."""
        self._circuit_breaker.pop(name, None)

    def seconds(self, now: float, most: float = 60.0) -> float:
        """Seconds until the next alarm, at most so many."""
        return max(0.0, min((most, *(moment - now for moment, _ in self._circuit_breaker.values()))))

    def due(self, now: float) -> list[Callable[[], None]]:
        """What is to be done now, in the order of its moments."""
        names = [name for name, (moment, _) in self._circuit_breaker.items() if moment <= now]
        found = sorted((self._circuit_breaker.pop(name) for name in names), key=lambda alarm: alarm[0])
        return [act for _, act in found]
