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

from kontext_lab.metrics import compare, prepare_reference

TARGET = 120


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    coffee, other = photograph("coffee"), photograph("chelsea")
    square = photograph("astronaut").resize((1024, 1024))
    wide, large = coffee.resize((1184, 880)), coffee.resize((1248, 832))
    disc = with_disc(large)
    pairs = {
        "a small edit": (coffee, disc),
        "a small edit, 1184 × 880": (wide, with_disc(wide)),
        "a small edit, 1024 × 1024": (square, with_disc(square)),
        "a small edit, 3:2 to 1:1": (coffee, reframed(disc, "1:1")),
        "a small edit, 3:2 to 9:21": (coffee, reframed(disc, "9:21")),
        "nothing edited": (coffee, large),
        "brighter": (coffee, brighter(large, 40)),
        "two thirds repainted": (coffee, repainted(large, other, 0.36)),
        "a closer crop": (coffee, coffee.crop((50, 33, 550, 367)).resize((1248, 832))),
        "a new picture": (coffee, other.resize((1248, 832))),
        "a new picture, 1024 × 1024": (square, other.resize((1024, 1024))),
    }
    print(f"{'':28}{'ms':>8}{'ms of CPU':>12}   median of {rounds}; target {TARGET} ms a picture")
    small = np.asarray(coffee.convert("L").resize((256, 171)), dtype=float) / 255
    told("ORB at 256 pixels alone", lambda: ORB(n_keypoints=300).detect_and_extract(small), rounds)
    told("a reference made ready", lambda: prepare_reference(coffee), rounds)
    for name, (reference, picture) in pairs.items():
        ready, data = prepare_reference(reference), received(picture)
        told(name, lambda ready=ready, data=data: compare(ready, data), rounds)


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
