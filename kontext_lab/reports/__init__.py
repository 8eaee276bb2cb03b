"""A study as one page that opens anywhere: written from values and pictures it is given. Draws no figure.

Knows no results and no store: whoever has those fills a `Page`. Nothing in the page is asked of a network, and
a policy in its head forbids that to the browser, too.
"""

from kontext_lab.images.heat import BRIGHTEST, glowing
from kontext_lab.reports.album import Album
from kontext_lab.reports.output_files import packed, replace_file, writable_file
from kontext_lab.reports.page import Fact, Page, PageAxis, PageCard, PagePrompt, PageValue, Plot
from kontext_lab.reports.rendering import render

__all__ = [
    "BRIGHTEST",
    "Album",
    "Fact",
    "Page",
    "PageAxis",
    "PageCard",
    "PagePrompt",
    "PageValue",
    "Plot",
    "glowing",
    "packed",
    "render",
    "replace_file",
    "writable_file",
]
