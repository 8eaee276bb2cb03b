"""The command line in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from cli_parts import Said

from kontext_lab.sandbox import Sandbox


@pytest.fixture
def kontext(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs a command line in this process."""
    from kontext_lab.cli.main import run_command

    def run(*words: str) -> Said:
        code = run_command(list(words))
        return Said(code, *capfd.readouterr())

    return run


@pytest.fixture
def serve(
    store_uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[float], AbstractContextManager[Sandbox]]:
    """Serves the API that the environment names, with so many seconds for a picture, and a journal of its own."""

    @contextmanager
    def serving(latency: float) -> Iterator[Sandbox]:
        with Sandbox(latency=latency) as running:
            monkeypatch.setenv("AIMLAPI_BASE_URL", running.url)
            monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
            monkeypatch.setenv("KONTEXT_LAB_HOME", str(tmp_path / "lab-home"))
            yield running

    return serving


@pytest.fixture
def write_sweep(workdir: Path, photo_file: Path) -> Callable[[str, int], Path]:
    """Writes a sweep of that name over so many seeds into the working folder."""

    def write(name: str, seeds: int) -> Path:
        (workdir / "photo.jpg").write_bytes(photo_file.read_bytes())
        file = workdir / "sweep.yaml"
        fixed = "prompt: Add a bird.\nimage: photo.jpg\naspect_ratio: 1:1\n"
        file.write_text(f"name: {name}\n{fixed}axes:\n  seed: 1-{seeds}\n")
        return file

    return write
