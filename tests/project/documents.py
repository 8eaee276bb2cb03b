"""The documents of the repository, and the code blocks in them; notebooks that are run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
GUIDE = sorted((ROOT / "notebooks" / "guide").glob("*.md"))
PAGES = [
    README,
    *GUIDE,
    ROOT / "kontext_lab" / "README.md",
    ROOT / ".github" / "CONTRIBUTING.md",
    ROOT / ".github" / "CHANGELOG.md",
]

Execute = Callable[[NotebookNode], list[NotebookNode]]
"""Runs a notebook and returns its outputs: the fixture `execute`."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the document, relative to the repository.
        line: of its first line, from 1.
        language: as its fence names it, or "".
        text: what stands in it.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """The commands of a shell block, word by word."""
        return list(_commands(self.text)) if self.language == "bash" else []


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix()
    return [
        Block(name, text.count("\n", 0, found.start(2)) + 1, found[1], found[2])
        for found in _BLOCK.finditer(text)
    ]


def _commands(text: str) -> Iterator[list[str]]:
    rest = ""
    for line in text.replace("\\\n", " ").splitlines():
        rest += line + "\n"
        try:
            words = shlex.split(rest, comments=True)
        except ValueError:  # a quotation that goes on in the next line
            continue
        rest = ""
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            yield words[:end]
            words = words[end + 1 :]
    assert not rest.strip(), f"a quotation without end: {rest}"
