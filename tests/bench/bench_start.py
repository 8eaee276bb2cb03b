"""How long commands, the lab and the panel take to start, beside MLflow itself.

    python tests/bench/bench_start.py [ROUNDS]

Prints, asserts nothing. Every round starts each process once, so that load falls on all of them alike; the ratios are
those of the medians. Goals: `list` within 1.2 times of MLflow's search, a lab within 1.1 times of `import mlflow`, the
panel within 1.5 s of an imported MLflow, a usage error within 0.5 s.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEARCH = "from mlflow import MlflowClient; MlflowClient().search_experiments()"
LAB = "import kontext_lab as kl; kl.Lab('sandbox')"
PANEL = """
import time, mlflow
began = time.perf_counter(), time.process_time()
import kontext_lab as kl
kl.Panel(kl.Lab("sandbox"))
print("took", time.perf_counter() - began[0], time.process_time() - began[1])
"""
COMMANDS = {
    "MlflowClient().search_experiments()": ["-c", SEARCH],
    "kontext-lab list": ["-m", "kontext_lab", "list"],
    "import mlflow": ["-c", "import mlflow"],
    "kl.Lab('sandbox')": ["-c", LAB],
    "kontext-lab run --nothing": ["-m", "kontext_lab", "run", "--nothing"],
    "panel after mlflow": ["-c", PANEL],
}
Times = tuple[float, float]  # seconds of the clock, seconds of the processor


def timed(arguments: list[str]) -> Times:
    """Run Python once; what it prints about itself counts instead of the whole process."""
    began, before = time.perf_counter(), os.times()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    took, after = time.perf_counter() - began, os.times()
    if done.returncode not in (0, 2):
        raise SystemExit(done.stderr)
    for line in done.stdout.splitlines():
        if line.startswith("took "):
            clock, processor = line.split()[1:]
            return float(clock), float(processor)
    children = after.children_user + after.children_system - before.children_user - before.children_system
    return took, children


def main(rounds: int) -> None:
    """Print medians and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "KONTEXT_LAB_HOME": str(Path(folder, "home")),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        # An installed package has its bytecode: the first round writes it.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        times: dict[str, list[Times]] = {name: [] for name in COMMANDS}
        for number in range(rounds + 1):
            for name, arguments in COMMANDS.items():
                measured = timed(arguments)
                if number:  # the first round makes the store and fills the disk's cache
                    times[name].append(measured)
    medians = {
        name: [statistics.median(column) for column in zip(*all_, strict=True)]
        for name, all_ in times.items()
    }
    for name, (clock, processor) in medians.items():
        print(f"{name:<36} {clock:6.2f} s   processor {processor:6.2f} s")
    for name, base, goal in (
        ("kontext-lab list", "MlflowClient().search_experiments()", 1.2),
        ("kl.Lab('sandbox')", "import mlflow", 1.1),
    ):
        clock, processor = (mine / other for mine, other in zip(medians[name], medians[base], strict=True))
        print(f"{name} / {base}: {clock:.2f}, of the processor's time {processor:.2f} (goal {goal})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
