"""How long it takes to measure what an edit changed, on one core; beside finding points alone, to compare machines by.

    python tests/bench/bench_metrics.py [--rounds 20]

Prints, asserts nothing. A picture is decoded every time; its reference was made ready once, as in a sweep. Target: at
most 120 ms a picture on an idle machine. Time on the processor is printed too: others may be at work.
"""

from __future__ import annotations

import os

# One core is what a picture gets; this is read when numpy is loaded.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.feature import ORB

sys.path.insert(0, str(Path(__file__).parents[1] / "metrics"))

from metrics_making import brighter, photograph, reframed, repainted, with_disc

from kontext_lab.metrics import compare, measured

TARGET = 120


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    coffee = photograph("coffee")
    ready, enlarged = measured(coffee), coffee.resize((1248, 832))
    disc, other = with_disc(enlarged), photograph("chelsea")
    outputs = {
        "a small edit": disc,
        "a small edit, 1:1": reframed(disc, "1:1"),
        "a small edit, 9:21": reframed(disc, "9:21"),
        "nothing edited": enlarged,
        "brighter": brighter(enlarged, 40),
        "two thirds repainted": repainted(enlarged, other, 0.36),
        "a new picture": other.resize((1248, 832)),
    }
    print(f"{'':28}{'ms':>8}{'ms of CPU':>12}   median of {rounds}; target {TARGET} ms a picture")
    small = np.asarray(coffee.convert("L").resize((256, 171)), dtype=float) / 255
    told("ORB at 256 pixels alone", lambda: ORB(n_keypoints=300).detect_and_extract(small), rounds)
    told("a reference made ready", lambda: measured(coffee), rounds)
    for name, picture in outputs.items():
        data = received(picture)
        told(name, lambda data=data: compare(ready, data), rounds)


def received(picture: Image.Image) -> bytes:
    """A picture as a service would send it."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def told(what: str, act: Callable[[], object], rounds: int) -> None:
    """Do it once, then measure it."""
    act()
    walls, works = [], []
    for _ in range(rounds):
        wall, work = time.perf_counter(), time.process_time()
        act()
        walls.append(time.perf_counter() - wall)
        works.append(time.process_time() - work)
    print(f"{what:28}{1000 * statistics.median(walls):8.0f}{1000 * statistics.median(works):12.0f}")


if __name__ == "__main__":
    main()
