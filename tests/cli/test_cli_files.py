"""Files that a command is given: what is no regular file of a fair size is one line, at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_parts import Said

COMMANDS = {
    "run": ("run", "{file}", "--sandbox"),
    "dry run": ("run", "{file}", "--sandbox", "--dry-run"),
    "dry run of what names it": ("run", "names.yaml", "--sandbox", "--dry-run", "--json"),
    "find": ("find", "{file}"),
}


@pytest.fixture
def files(workdir: Path) -> dict[str, str]:
    """A device without an end, a pipe that somebody holds open, a file of 6 GiB, a folder."""
    os.mkfifo("pipe")
    Path("huge").touch()
    os.truncate("huge", 6 * 1024**3)
    return {"device": "/dev/zero", "pipe": "pipe", "huge": "huge", "folder": str(workdir)}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["device", "pipe", "huge", "folder"])
def test_no_file_to_read_ends_with_2(
    kind: str, command: str, kontext: Callable[..., Said], files: dict[str, str], store_uri: str
) -> None:
    """Nothing is read of it, nothing is made, the file is named."""
    Path("names.yaml").write_text(f"prompt: x\nimage: {files[kind]}\n")
    said = kontext(*(word.format(file=files[kind]) for word in COMMANDS[command]))

    assert (2, "", 1) == (said.code, said.out, len(said.err.splitlines()))
    assert files[kind] in said.err
