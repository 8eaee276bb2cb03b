"""Scores from votes between pairs, and which pair to show next. Knows no results and no store."""
