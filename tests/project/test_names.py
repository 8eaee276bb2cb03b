"""Names of modules and classes: each used once, nouns, no private vocabulary."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "kontext_lab"

MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.stem not in ("__init__", "__main__")]

NOUNS = {
    "billing",
    "block_matching",
    "formatting",
    "hosting",
    "painting",
    "reading",
    "saving",
    "sizing",
    "spending",
    "wording",
    "writing",
}
"""Modules that end with -ing and are nouns."""

METAPHORS = re.compile(
    r"aside|ballot|beside|clockwork|desk|elsewhere|flight|gauge|meter|mosaic|noticing|purse|scribe|shelf|sketch|"
    r"showing|stamps|strip|told|wish"
)
"""Words for machinery that has a plain name in the standard library or in the field."""


def test_file_names_are_unique() -> None:
    """No two modules share a file name: in a traceback or an editor's tab they could not be told apart."""
    assert [] == [name for name, count in Counter(path.name for path in MODULES).items() if count > 1]


def test_class_names_are_unique() -> None:
    """No two public classes share a name."""
    names = Counter(
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [] == [name for name, count in names.items() if count > 1]


def test_modules_are_nouns() -> None:
    """No module is named by what it is doing."""
    assert [] == [path.stem for path in MODULES if path.stem.endswith("ing") and path.stem not in NOUNS]


def test_modules_have_plain_names() -> None:
    """No module has a metaphor for a name."""
    assert [] == [path.stem for path in MODULES if METAPHORS.fullmatch(path.stem)]


def test_docstrings_begin_with_no_clause() -> None:
    """The first line of a docstring is a noun phrase or an imperative, never a clause such as "What it does"."""
    clause = re.compile(r"\s*(What|Whether|How|Where|Who|Whoever|Which|When)\b")
    assert [] == [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node.value.value, str) and clause.match(node.value.value)
    ]
