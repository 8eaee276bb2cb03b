"""A study as one page that opens anywhere: written from values and pictures it is given. Draws no figure.

Knows no results and no store: whoever has those fills a `Page`. Nothing in the page is asked of a network, and
a policy in its head forbids that to the browser, too.
"""

from kontext_lab.images.heat import BRIGHTEST, glowing
from kontext_lab.report.album import Album
from kontext_lab.report.files import packed, replace_file, writable_file
from kontext_lab.report.page import Axis, Card, Fact, Page, Plot, Prompt, Value
from kontext_lab.report.rendering import render

__all__ = [
    "BRIGHTEST",
    "Album",
    "Axis",
    "Card",
    "Fact",
    "Page",
    "Plot",
    "Prompt",
    "Value",
    "glowing",
    "packed",
    "render",
    "replace_file",
    "writable_file",
]
