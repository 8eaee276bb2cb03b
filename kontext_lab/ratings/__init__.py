"""Scores from votes between pairs, and which pair to show next. Knows no results and no store."""

from __future__ import annotations

from kontext_lab.ratings.pairing import Pair, next_pair, seen
from kontext_lab.ratings.scores import Scores, scores
from kontext_lab.ratings.votes import CHOICES, Choice, Vote

__all__ = ["CHOICES", "Choice", "Pair", "Scores", "Vote", "next_pair", "scores", "seen"]
