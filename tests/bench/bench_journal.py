"""What the journal adds to a cell: every step by itself, beside the same bytes written and synced plainly.

    python tests/bench/bench_journal.py [--cells 200] [--kilobytes 1500] [--pause 0.02]

Prints milliseconds and ratios; asserts nothing, since disks differ. A worker writes answer and picture while other
requests are under way, and the picture's file then becomes the artifact, so that nothing is written twice: in the
way of a sweep are the intent and the removal.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import kontext_lab as kl
from kontext_lab.journal import Intent, Journal, SweepFacts
from kontext_lab.request.attempt import RawAnswer

ANSWER = RawAnswer(
    200, b'{"images": [{"url": "http://127.0.0.1/outputs/a.png"}]}' * 8, {"x-request-id": "a"}, 1.0
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--kilobytes", type=int, default=1500)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between cells; no sweep is faster")
    options = parser.parse_args()
    picture = os.urandom(options.kilobytes * 1000)
    # Beside the working folder: the temporary one is often memory.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        plain = plainly(Path(folder), picture, options.cells)
        steps = journalled(Path(folder), picture, options.cells, options.pause)
    total = sum(steps.values())
    for name, seconds in {**steps, "journal in all": total, "plain write and fsync": plain}.items():
        print(f"{name:24}{1000 * seconds / options.cells:8.2f} ms a cell{seconds / plain:8.2f} of plain")
    in_the_way = steps["intent"] + steps["removal"]
    print(f"{'in the way of a sweep':24}{1000 * in_the_way / options.cells:8.2f} ms a cell (goal: under 3)")


def plainly(folder: Path, picture: bytes, cells: int) -> float:
    """The pictures' bytes alone, each written and synced once."""
    began = time.perf_counter()
    for number in range(cells):
        with (folder / f"plain-{number}").open("wb") as stream:
            stream.write(picture)
            stream.flush()
            os.fsync(stream.fileno())
    return time.perf_counter() - began


def journalled(folder: Path, picture: bytes, cells: int, pause: float) -> dict[str, float]:
    """The four steps of every cell, added up."""
    facts = SweepFacts("bench", "d" * 64, "sandbox", "", "sqlite:///x.db", "kontext-lab")
    journal = Journal(folder).sweep(facts)
    journal.begin(kl.Sweep("Add a bird.", kl.sample("coffee")))
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    seconds = dict.fromkeys(("intent", "answer", "picture", "removal"), 0.0)

    for number in range(cells):
        intent = Intent(number, "g5 s2", f"kl-{number}", "f" * 64, 0.052, "2026-01-01T00:00:00+00:00")
        moments = [time.perf_counter()]
        attempt_folder = journal.intend(intent)
        moments.append(time.perf_counter())
        attempt_folder.keep_answer(ANSWER)
        moments.append(time.perf_counter())
        attempt_folder.keep_output(0, picture)
        moments.append(time.perf_counter())
        (artifacts / str(number)).hardlink_to(attempt_folder.output_files[0])
        began = time.perf_counter()
        journal.drop(attempt_folder)
        seconds["removal"] += time.perf_counter() - began
        time.sleep(pause)
        for name, first, last in zip(seconds, moments, moments[1:], strict=False):
            seconds[name] += last - first
    return seconds


if __name__ == "__main__":
    main()
