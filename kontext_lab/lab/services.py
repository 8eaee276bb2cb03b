"""Checks the settings of a lab; opens its store and its service once, when first needed.

A key given in Python is held only by the closure that opens the connection.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar, cast

from kontext_lab.client.keys import Secret
from kontext_lab.errors import ConfigError, ServiceError
from kontext_lab.lab.verdicts import check_criterion

__all__ = ["Lazy", "ServiceCache", "check_service_and_key", "check_types"]

Made = TypeVar("Made")

ANSWER_SECONDS = 30.0
"""How long an answer to a free question is thought to hold: a plan is made anew after every change of a form."""

FAILURE_SECONDS = 5.0
"""How long a service is thought to be away."""


class Lazy(Generic[Made]):
    """Something that is opened at the first call, by one thread while others wait; after a failure anew.

    Args:
        make: opens it.
    """

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._opening = threading.Lock()
        self.made: Made | None = None

    def get(self) -> Made:
        """The open thing; raises what opening it raises."""
        with self._opening:
            if self.made is None:
                self.made = self._make()
            return self.made

    def give_up(self) -> Made | None:
        """Hand over what is open, if anything is; the next call opens it anew."""
        with self._opening:
            made, self.made = self.made, None
            return made


class ServiceCache:
    """What the service said a moment ago.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or time.monotonic
        self._answers: dict[Hashable, tuple[float, object]] = {}

    def get(self, what: Hashable, ask: Callable[[], Made]) -> Made:
        """An answer, remembered or asked for.

        Raises:
            ServiceError: also one that is remembered.
        """
        answers = self._answers  # an answer on its way while others are forgotten is not kept
        until, answer = answers.get(what, (-math.inf, None))
        if self._clock() >= until:
            seconds = ANSWER_SECONDS
            try:
                answer = ask()
            except ServiceError as error:
                # Its traceback would keep the whole plan alive.
                answer, seconds = error.with_traceback(None), FAILURE_SECONDS
            answers[what] = (self._clock() + seconds, answer)
        if isinstance(answer, ServiceError):
            raise answer
        return cast(Made, answer)

    def forget(self) -> None:
        """Ask anew from now on."""
        self._answers = {}


def check_service_and_key(service: str, key: object) -> Secret | None:
    """The key without blanks around it, if this service can be asked for with it.

    Raises:
        ConfigError: no such service, or something that is no key; never shows it.
    """
    if service not in ("api", "sandbox"):
        raise ConfigError(f"service: {service!r:.60}, allowed are api and sandbox")
    if key is not None and service == "sandbox":
        raise ConfigError("key: the sandbox takes none, it is for the api")
    if key is not None and not isinstance(key, str):
        raise ConfigError(f"key: is a {type(key).__name__}, allowed is text")
    return None if key is None else Secret(key.strip())


def check_types(
    tracking_uri: object, experiment: object, confirm_above: Any, criteria: Sequence[str]
) -> None:
    """Settings of the wrong kind are told where they are given, not where they are used.

    Raises:
        ConfigError: names the setting and what is allowed.
    """
    if not isinstance(tracking_uri, str | os.PathLike | None):
        raise ConfigError(f"tracking_uri: {tracking_uri!r:.60}, allowed is text such as sqlite:///mlflow.db")
    if experiment is not None and (not isinstance(experiment, str) or not experiment.strip()):
        raise ConfigError(f"experiment: {experiment!r:.60}, allowed is a name")
    if isinstance(confirm_above, bool) or not isinstance(confirm_above, int | float) or confirm_above < 0:
        raise ConfigError(f"confirm_above: {confirm_above!r:.60}, allowed are US dollars, 0 or more")
    if isinstance(criteria, str):
        raise ConfigError(f"criteria: {criteria!r:.60}, allowed is a list of names")
    for criterion in criteria:
        check_criterion(criterion)
