"""The command line in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cli_parts import Said


@pytest.fixture
def kontext(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs a command line in this process."""
    from kontext_lab.cli.main import run_command

    def run(*words: str) -> Said:
        code = run_command(list(words))
        return Said(code, *capfd.readouterr())

    return run
