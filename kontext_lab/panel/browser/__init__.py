"""The panel's own browser widgets, each with its script and style in `static/`. They know nothing of sweeps."""

from kontext_lab.panel.browser.box_field import BoxField
from kontext_lab.panel.browser.frame import PageFrame
from kontext_lab.panel.browser.input_fields import KeyField, Upload, UploadField, ValuesField
from kontext_lab.panel.browser.picture_widgets import Chart, ClickTarget, Viewer

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
