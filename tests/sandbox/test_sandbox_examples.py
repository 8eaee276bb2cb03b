"""The examples of the documentation run against the sandbox with nothing changed but the address."""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from kontext_lab.sandbox import Sandbox

PAGE = (Path(__file__).parents[2] / "notebooks" / "guide" / "sandbox.md").read_text(encoding="utf-8")
SERVED = "http://127.0.0.1:8765"
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [(language, text) for language, text in BLOCKS if f"{SERVED}/v1/images/generations" in text]
T_REX = "https://zovi0.github.io/public_misc/flux-dev-t-rex.png"
BLUE_MUG = "https://zovi0.github.io/public_misc/blue-mug.jpg"
QUICK: list[dict[str, Any]] = [
    {
        "model": f"flux/kontext-{model}/image-to-image",
        "prompt": "Add a bird to the foreground of the photo.",
        "image_url": references,
    }
    for model in ("pro", "max")
    for references in (T_REX, [T_REX, BLUE_MUG])
]
SCHEMA: dict[str, Any] = {
    "model": "flux/kontext-pro/image-to-image",
    "guidance_scale": 1,
    "safety_tolerance": "2",
    "output_format": "jpeg",
    "aspect_ratio": "16:9",
    "prompt": "text",
    "num_images": 1,
    "seed": 1,
    "image_url": "https://example.com",
}


def sizes(answer: dict[str, Any]) -> list[tuple[int, int]]:
    """Sizes of an answer's pictures, downloaded by plain `requests`."""
    found = []
    for item in answer["images"]:
        with Image.open(io.BytesIO(requests.get(item["url"], timeout=20).content)) as image:
            found.append(image.size)
    return found


@pytest.mark.parametrize(
    ("language", "text"), EXAMPLES, ids=[f"{n}-{one[0]}" for n, one in enumerate(EXAMPLES)]
)
def test_example_of_the_guide_runs(shared_box: Sandbox, language: str, text: str) -> None:
    """Each example prints an answer whose pictures can be downloaded."""
    text = text.replace(SERVED, shared_box.url)
    command = [sys.executable, "-c", text] if language == "python" else ["bash", "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    answer = json.loads(done.stdout) if language == "bash" else ast.literal_eval(done.stdout)
    expected = {"python": [(1184, 880)], "bash": [(1392, 752)]}
    assert expected[language] == sizes(answer)


def test_guide_has_the_examples() -> None:
    """The guide shows one reference, several, and a curl line."""
    assert ["python", "python", "bash"] == [language for language, _ in EXAMPLES]


@pytest.mark.parametrize("body", QUICK, ids=["pro-one", "pro-two", "max-one", "max-two"])
@pytest.mark.parametrize("key", ["<YOUR_AIMLAPI_KEY>", "sk-1"])
def test_quick_example_is_answered(shared_box: Sandbox, body: dict[str, Any], key: str) -> None:
    """A body of the quick examples gets the documented answer: legacy shape, 1184x880, the prompt."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    answer = requests.post(f"{shared_box.url}/v1/images/generations", headers=headers, json=body, timeout=20)
    assert ([(1184, 880)], body["prompt"]) == (sizes(answer.json()), answer.json()["prompt"])


def test_example_body_of_the_schema_is_answered(shared_box: Sandbox) -> None:
    """The schema's example body, every field given, is answered."""
    headers = {
        "Authorization": "Bearer <YOUR_AIMLAPI_KEY>",
        "Content-Type": "application/json",
        "Accept": "*/*",
    }
    answer = requests.post(
        f"{shared_box.url}/v1/images/generations", headers=headers, json=SCHEMA, timeout=20
    )
    assert ([(1392, 752)], 1) == (sizes(answer.json()), answer.json()["seed"])
