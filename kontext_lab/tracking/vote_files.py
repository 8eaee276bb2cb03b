"""Votes in the store: a small file each, under `votes/` of the sweep's run.

A file is written once and never again: two people, two kernels or two machines never write over each other, and
what a kill cuts off is one vote at most. To take a vote back is one more file. Knows no scores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlflow.entities import Run

from kontext_lab.errors import ConfigError
from kontext_lab.redaction import get_logger
from kontext_lab.results import Output
from kontext_lab.statistics import Vote
from kontext_lab.tracking.artifacts import fetched, put
from kontext_lab.tracking.reading import search
from kontext_lab.tracking.store import Store

__all__ = ["read_votes", "sweeps_of", "withdraw_vote", "write_vote"]

log = get_logger(__name__)

FOLDER = "votes"

WITHDRAWS = "withdraws"

IDS_PER_QUERY = 500
"""How many runs one search asks for by their ids."""


def sweeps_of(store: Store, run_ids: Iterable[str]) -> dict[str, str]:
    """The sweeps' runs that cells' runs belong to; those that are no cells, or are gone, are left out."""
    cells = _runs(store, run_ids)
    return {
        run.info.run_id: run.data.tags["mlflow.parentRunId"]
        for run in cells
        if run.data.tags.get("kontext.kind") == "cell" and run.data.tags.get("mlflow.parentRunId")
    }


def write_vote(store: Store, vote: Vote, left: Output, right: Output) -> list[str]:
    """Write a vote onto the sweeps of both pictures, most often one; returns their runs.

    Args:
        store: where.
        vote: on these two.
        left: was on the left.
        right: was on the right.
    """
    text = vote.to_json(
        left_output=f"{left.run_id}/{left.number}",
        left_cell=left.cell.title,
        right_output=f"{right.run_id}/{right.number}",
        right_cell=right.cell.title,
    )
    return _write(store, text, _file_name(vote.given_at, vote.rater, vote.key), left, right)


def withdraw_vote(store: Store, vote: Vote, left: Output, right: Output) -> list[str]:
    """Take back a vote on these two, wherever `write_vote` wrote it; returns the sweeps' runs."""
    now = datetime.now(UTC)
    text = json.dumps({WITHDRAWS: vote.key, "at": now.isoformat()})
    return _write(store, text, _file_name(now, "taken-back", vote.key), left, right)


def _write(store: Store, text: str, name: str, left: Output, right: Output) -> list[str]:
    sweeps = sweeps_of(store, (left.run_id, right.run_id))
    parents = list(dict.fromkeys(sweeps[one] for one in (left.run_id, right.run_id) if one in sweeps))
    for parent_id in parents:
        put(store, store.client.get_run(parent_id), lambda folder: _write_file(folder / FOLDER / name, text))
    return parents


def _write_file(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _file_name(when: datetime, who: str, key: str) -> str:
    """Sorts by time, says who, and is nobody else's."""
    plain = re.sub(r"[^0-9A-Za-z]+", "-", who).strip("-")[:24]
    return "-".join(filter(None, (f"{when:%Y%m%dT%H%M%S}", plain, key))) + ".json"


def read_votes(store: Store, run_ids: Iterable[str]) -> list[Vote]:
    """Every vote on the sweeps that these cells' runs belong to, by anybody; the oldest first.

    What was taken back is left out, and what was cut off while it was written.
    """
    parents = _runs(store, dict.fromkeys(sweeps_of(store, run_ids).values()))
    found: dict[str, Vote] = {}
    withdrawn: set[str] = set()
    for parent in parents:
        for text in _files(store, parent):
            key = _withdraws(text)
            if key:
                withdrawn.add(key)
                continue
            try:
                vote = Vote.from_json(text)
            except ConfigError:
                log.debug("a vote on run %s can't be read", parent.info.run_id)
                continue
            found[vote.key] = vote
    kept = (vote for key, vote in found.items() if key not in withdrawn)
    return sorted(kept, key=lambda vote: (vote.given_at, vote.key))


def _withdraws(text: bytes) -> str:
    """The key of the vote that is taken back, or ""."""
    try:
        facts = json.loads(text)
    except ValueError:
        return ""
    return str(facts.get(WITHDRAWS, "")) if isinstance(facts, dict) else ""


def _files(store: Store, parent: Run) -> Iterator[bytes]:
    """What lies in the folder."""
    with fetched(store, parent, FOLDER) as folder:
        yield from _read(folder)


def _read(folder: Path) -> Iterator[bytes]:
    for file in sorted(folder.glob("*.json")):
        yield file.read_bytes()


def _runs(store: Store, run_ids: Iterable[str]) -> list[Run]:
    wanted: Sequence[str] = [one for one in dict.fromkeys(run_ids) if one.isalnum()]
    experiments = store.experiment_ids() if wanted else []
    found: list[Run] = []
    for start in range(0, len(wanted), IDS_PER_QUERY):
        listed = ",".join(f"'{one}'" for one in wanted[start : start + IDS_PER_QUERY])
        found += search(store, experiments, f"attributes.run_id IN ({listed})")
    return found
