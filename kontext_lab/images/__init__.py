"""Pictures: references prepared for sending, received pictures examined, thumbnails.

Knows Pillow and numpy, but no requests, sweeps, services or MLflow. Opens no connection: the caller passes the function that
fetches a URL.
"""

from kontext_lab.images.boxes import Box, Boxes, boxes_by_reference, checked_box, checked_boxes
from kontext_lab.images.conversion import MAX_MEGAPIXELS
from kontext_lab.images.formats import open_picture
from kontext_lab.images.inspection import (
    PREVIEW_BOX,
    SAME_PICTURE,
    Examined,
    bits_apart,
    examine,
    perceptual_hash,
    squares_apart,
    thumbnail,
)
from kontext_lab.images.reference import Origin, Reference, load_reference, origins_of, picture_of
from kontext_lab.images.source_file import MAX_REFERENCE_BYTES, read_file

__all__ = [
    "MAX_MEGAPIXELS",
    "MAX_REFERENCE_BYTES",
    "PREVIEW_BOX",
    "SAME_PICTURE",
    "Box",
    "Boxes",
    "Examined",
    "Origin",
    "Reference",
    "bits_apart",
    "boxes_by_reference",
    "checked_box",
    "checked_boxes",
    "examine",
    "load_reference",
    "open_picture",
    "origins_of",
    "perceptual_hash",
    "picture_of",
    "read_file",
    "squares_apart",
    "thumbnail",
]
