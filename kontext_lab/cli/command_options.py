"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["PATH", "defaulted"]

PATH = click.Path(path_type=Path)


def defaulted(
    name: str, kind: click.types.ParamType[Any], default: Any, text: str, **more: Any
) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """An option with a default that its help shows."""
    return click.option(name, type=kind, default=default, show_default=True, help=text, **more)
