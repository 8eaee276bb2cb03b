"""The public surface: exported names, their types, and the size of `kl.Lab`."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kontext_lab as kl

ROOT = Path(__file__).parents[2]

EXPORTED = [getattr(kl, name) for name in kl.__all__ if name != "errors"]

CLASSES = {
    node.name
    for path in (ROOT / "kontext_lab").rglob("*.py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.ClassDef)
}
"""Names of all classes of the package."""


def callables_of(exported: Any) -> list[Any]:
    """An exported function, or the public methods of an exported class that are defined in the package."""
    if not inspect.isclass(exported):
        return [exported]
    return [
        getattr(exported, name)
        for name, value in vars(exported).items()
        if not name.startswith("_") and inspect.isroutine(getattr(exported, name)) and value is not None
    ]


@pytest.mark.parametrize("exported", EXPORTED, ids=lambda one: one.__name__)
def test_returned_types_are_exported(exported: Any) -> None:
    """Every class of the package that a public call returns can be imported from `kontext_lab`."""
    returned = {
        word
        for one in callables_of(exported)
        for word in re.findall(r"\w+", str(getattr(one, "__annotations__", {}).get("return", "")))
    }
    assert set() == (returned & CLASSES) - set(kl.__all__)


@pytest.mark.slow
def test_modules_take_no_name_away() -> None:
    """Importing every module of the package leaves the exported names what they are."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "kontext_lab").rglob("*.py"))
        if path.stem not in ("__init__", "__main__")
    ]
    code = (
        "import importlib, kontext_lab as kl\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "assert all(callable(getattr(kl, name)) for name in kl.__all__ if name != 'errors')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_lab_has_a_small_surface() -> None:
    """At most 28 public names."""
    names = [name for name in dir(kl.Lab("sandbox", quiet=True)) if not name.startswith("_")]
    assert len(names) <= 28, names
