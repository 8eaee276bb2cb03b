"""A vote: what one person said of two pictures beside each other. Must not know what a picture is."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from kontext_lab.errors import ConfigError, shown

__all__ = ["CHOICES", "LONGEST_RATER", "Choice", "Vote", "check_rater"]

Choice = Literal["left", "right", "both good", "both bad"]

CHOICES: tuple[Choice, ...] = get_args(Choice)

LONGEST_RATER = 60


@dataclass(frozen=True)
class Vote:
    """One answer to "which of these two is better?".

    Attributes:
        left: what names the picture on the left.
        right: what names the one on the right.
        choice: `left`, `right`, `both good` or `both bad`.
        rater: who voted, as people call themselves, or "".
        given_at: when, in UTC.
        key: tells this vote from every other one.
    """

    left: str
    right: str
    choice: Choice
    rater: str = ""
    given_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        for name in ("left", "right", "key"):
            if not (isinstance(getattr(self, name), str) and getattr(self, name)):
                raise ConfigError(f"vote: {name} is {shown(getattr(self, name))}, allowed is an id as text")
        if self.left == self.right:
            raise ConfigError(f"vote: left and right are both {shown(self.left)}, a vote needs two pictures")
        if self.choice not in CHOICES:
            raise ConfigError(f"vote: {shown(self.choice)}, allowed are {', '.join(CHOICES)}")
        check_rater(self.rater)
        if not isinstance(self.given_at, datetime) or self.given_at.utcoffset() != timedelta(0):
            raise ConfigError(f"vote: given at {shown(self.given_at)}, allowed is a time in UTC")

    @property
    def pair(self) -> frozenset[str]:
        """The two it is about, whichever was on the left."""
        return frozenset((self.left, self.right))

    def to_json(self, **more: Any) -> str:
        """The vote as one JSON object, with further facts for whoever reads it."""
        return json.dumps({**asdict(self), "given_at": self.given_at.isoformat(), **more}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Vote:
        """A vote as `to_json` wrote it; further facts are passed over.

        Raises:
            ConfigError: it is none, or was cut off.
        """
        try:
            facts = json.loads(text)
            names = ("left", "right", "choice", "rater", "key")
            return cls(
                **{name: facts[name] for name in names}, given_at=datetime.fromisoformat(facts["given_at"])
            )
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"vote: {shown(text)} is none") from None


def check_rater(rater: object) -> str:
    """The name itself, if a person can be called that.

    Raises:
        ConfigError: says what is allowed.
    """
    if isinstance(rater, str) and len(rater) <= LONGEST_RATER and (not rater or rater.isprintable()):
        return rater
    raise ConfigError(f"rater: {shown(rater)}, allowed is a name of up to {LONGEST_RATER} characters")
