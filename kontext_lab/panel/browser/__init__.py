"""The panel's own small browser widgets, one a module, each with its script and style in `static/`.

They know nothing of sweeps: what a text, a picture or a key means is said by the panel's rooms.
"""

from kontext_lab.panel.browser.box_field import BoxField
from kontext_lab.panel.browser.chart import Chart, ClickTarget
from kontext_lab.panel.browser.frame import PageFrame
from kontext_lab.panel.browser.key import KeyField
from kontext_lab.panel.browser.tag_field import ValuesField
from kontext_lab.panel.browser.upload import Upload, UploadField
from kontext_lab.panel.browser.viewer import Viewer

__all__ = [
    "BoxField",
    "Chart",
    "ClickTarget",
    "KeyField",
    "PageFrame",
    "Upload",
    "UploadField",
    "ValuesField",
    "Viewer",
]
