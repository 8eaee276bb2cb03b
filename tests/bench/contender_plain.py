"""The same sweep as people write it in a notebook: threads, requests, fluent MLflow, full pictures in subplots.

Run by bench_sweep.py.
"""

from __future__ import annotations

import base64
import io
import json
import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

url, cells, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.environ |= {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}

import matplotlib as mpl  # noqa: E402 - the environment comes first

mpl.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import mlflow  # noqa: E402
import requests  # noqa: E402
from PIL import Image  # noqa: E402
from skimage import data  # noqa: E402


def peak_mb() -> float:
    """Peak resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


buffer = io.BytesIO()
Image.fromarray(data.coffee()).save(buffer, format="PNG")
reference = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
mlflow.set_experiment("plain")
imports = peak_mb()
headers = {"Authorization": "Bearer bench", "User-Agent": "notebook/1.0"}


def edit(params: dict[str, object]) -> tuple[dict[str, object], Image.Image]:
    """One call and its picture."""
    body = {"model": "flux/kontext-pro/image-to-image", "image_url": reference, **params}
    answer = requests.post(f"{url}/v1/images/generations", json=body, headers=headers, timeout=60)
    answer.raise_for_status()
    address = answer.json()["images"][0]["url"]
    picture = requests.get(address, headers={"User-Agent": "notebook/1.0"}, timeout=60)
    return params, Image.open(io.BytesIO(picture.content))


settings = [
    {"prompt": "Add a bird to the photo.", "guidance_scale": guidance, "seed": seed, "aspect_ratio": "4:3"}
    for seed in range(1, cells // 6 + 1)
    for guidance in (2, 3, 4, 5, 6, 7)
]
began = time.perf_counter()
pictures = {}
with mlflow.start_run(run_name="sweep"), ThreadPoolExecutor(at_once) as pool:
    for future in as_completed([pool.submit(edit, params) for params in settings]):
        params, picture = future.result()
        with mlflow.start_run(nested=True):
            mlflow.log_params(params)
            mlflow.log_metric("width", picture.width)
            mlflow.log_image(picture, "output.png")
        pictures[params["guidance_scale"], params["seed"]] = picture
swept = time.perf_counter()
figure, axes = plt.subplots(6, cells // 6, figsize=(2 * cells // 6, 12))
for row, guidance in enumerate((2, 3, 4, 5, 6, 7)):
    for column in range(cells // 6):
        axes[row][column].imshow(pictures[guidance, column + 1])
        axes[row][column].set_title(f"g={guidance} s={column + 1}")
        axes[row][column].axis("off")
figure.tight_layout()
figure.savefig("grid.png")
drawn = time.perf_counter()

assert len(pictures) == cells
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
