"""The sweep of the benchmark with this package. Run by bench_sweep.py."""

from __future__ import annotations

import json
import os
import resource
import sys
import time

url, cells, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.environ |= {
    "AIMLAPI_BASE_URL": url,
    "AIMLAPI_API_KEY": "bench",
    "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
}

import kontext_lab as kl  # noqa: E402 - the environment comes first
import kontext_lab.figures  # noqa: E402


def peak_mb() -> float:
    """Peak resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


lab = kl.Lab("api", concurrency=at_once)
sweep = kl.Sweep(
    "Add a bird to the photo.",
    kl.sample("coffee"),
    axes={"seed": range(1, cells // 6 + 1), "guidance_scale": [2, 3, 4, 5, 6, 7]},
    aspect_ratio="4:3",
)
lab.history()  # opens and migrates the store
imports = peak_mb()

began = time.perf_counter()
results = lab.run(sweep, progress=False)
swept = time.perf_counter()
kl.grid(results, rows="guidance_scale", columns="seed").savefig("shown.png")
drawn = time.perf_counter()

assert len(results) == cells
assert all(cell.state == "done" for cell in results)
print(
    json.dumps(
        {
            "sweep": swept - began,
            "grid": drawn - swept,
            "total": drawn - began,
            "imports": imports,
            "peak": peak_mb(),
        }
    )
)
