"""From values to the bytes of the page. Everything that comes from outside is escaped, and shown, not obeyed.

Style and script stand in the page and are named by their hashes in its policy: whatever text might slip through,
the browser runs nothing else, and asks no address for anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kontext_lab.errors import visible
from kontext_lab.reports.album import PagePicture
from kontext_lab.reports.page import Page

__all__ = ["render"]


def render(page: Page, pictures: Sequence[PagePicture]) -> bytes:
    """The whole page as UTF-8.

    Args:
        page: what it says.
        pictures: the album's, in the order in which cards name them.
    """
    style, script = _asset("page.css"), _asset("page.js")
    text = (
        _templates()
        .get_template("page.html")
        .render(
            page=page,
            # What was given stands first; a picture is known by its place in the album.
            pictures=sorted(enumerate(pictures), key=lambda one: (one[1].kind != "reference", one[0])),
            plots=[(plot, _uri(plot.picture), _uri(plot.dark)) for plot in page.plots],
            data=_shown(page.as_data()),
            without_picture=[card for card in page.cards if card.picture is None],
            style=Markup(style),
            script=Markup(script),
            policy=_policy(style, script),
        )
    )
    return text.encode("utf-8")


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("kontext_lab.reports"),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalized(value: Any) -> Any:
    """Text as it is shown: marks that turn the direction of a line, and the like, are written out."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _shown(value: Any) -> Any:
    """The same for every text in nested values, those for the script."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {key: _shown(one) for key, one in value.items()}
    if isinstance(value, Sequence):
        return [_shown(one) for one in value]
    return value


@cache
def _asset(name: str) -> str:
    file = resources.files("kontext_lab.reports").joinpath("templates", name)
    return file.read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    allowed = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _hash(style),
        "script-src": _hash(script),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {what}" for name, what in allowed.items())


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _uri(picture: bytes) -> str:
    """A drawn figure as an address; "" where there is none."""
    if not picture:
        return ""
    kind = "png" if picture.startswith(b"\x89PNG") else "svg+xml"
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")
