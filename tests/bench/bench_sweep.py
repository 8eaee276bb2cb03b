"""Ours beside the straightforward notebook code, in one run: import, tracked sweep, grid, memory.

    python tests/bench/bench_sweep.py [--cells 48] [--at-once 8] [--latency 0.5] [--rounds 1]

Prints ratios; asserts nothing, since machines are noisy. The sandbox runs in a process of its own, so that its
rendering is not part of anybody's memory. Both stores are migrated before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=48)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    ideal = -(-options.cells // options.at_once) * options.latency
    _print_imports()
    for number in range(options.rounds):
        ours = _measured("contender_ours.py", options)
        plain = _measured("contender_plain.py", options)
        print(
            f"\nround {number + 1}: {options.cells} cells, {options.at_once} at once, {options.latency} s each"
        )
        print(f"{'':24}{'ours':>10}{'plain':>10}{'ours/plain':>12}")
        for name, unit in (("sweep", "s"), ("grid", "s"), ("total", "s"), ("imports", "MB"), ("peak", "MB")):
            print(
                f"{name:20}{unit:>4}{ours[name]:>10.2f}{plain[name]:>10.2f}{ours[name] / plain[name]:>12.2f}"
            )
        print(
            f"sweep against the ideal of {ideal:.1f} s: ours {ours['sweep'] / ideal:.2f}, plain {plain['sweep'] / ideal:.2f}"
        )


def _print_imports() -> None:
    seconds = {name: min(_import_seconds(name) for _ in range(5)) for name in ("kontext_lab", "mlflow")}
    ratio = seconds["kontext_lab"] / seconds["mlflow"]
    print(
        f"import kontext_lab {seconds['kontext_lab']:.3f} s, mlflow {seconds['mlflow']:.3f} s, ratio {ratio:.3f}"
    )


def _import_seconds(name: str) -> float:
    code = f"import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
    return float(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )


def _measured(script: str, options: argparse.Namespace) -> dict[str, float]:
    """Run one contender against a fresh sandbox in a fresh folder."""
    box = subprocess.Popen(
        [sys.executable, "-m", "kontext_lab", "sandbox", "--port", "0", "--latency", str(options.latency)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert box.stdout is not None
    url = next(word.rstrip(",.") for word in box.stdout.readline().split() if word.startswith("http://"))
    try:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(HERE / script), url, str(options.cells), str(options.at_once)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    finally:
        box.terminate()
        box.wait()
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
